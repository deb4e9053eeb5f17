/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addresses.c - sorted lists of guest addresses
 */
#include "host-collector/sources/introspection/addresses.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    uint64_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

void addresses_sort(uint64_t *list, size_t count)
{
    if (count > 0) {
        qsort(list, count, sizeof(*list), compare);
    }
}

bool addresses_have(const uint64_t *list, size_t count, uint64_t address)
{
    return count > 0 && bsearch(&address, list, count, sizeof(*list), compare) != NULL;
}
