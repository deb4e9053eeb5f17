/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addresses.h - sorted lists of guest addresses: sorted once, asked often
 */
#ifndef MONATT_INTROSPECTION_ADDRESSES_H
#define MONATT_INTROSPECTION_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/macros.h"

/* Ascending; equal ones stay. */
void addresses_sort(uint64_t *list, size_t count);
/* list is sorted; with count 0 it may be NULL. */
bool addresses_have(const uint64_t *list, size_t count, uint64_t address) MONATT_MUST_CHECK;

#endif
