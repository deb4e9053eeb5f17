/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.h - hexadecimal, UUIDs, and text from strangers made safe to print
 */
#ifndef MONATT_BASE_TEXT_H
#define MONATT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define MONATT_UUID_SIZE 16
#define MONATT_UUID_TEXT_SIZE 37 /* with the terminator */
#define MONATT_NAME_SIZE 65      /* a VM's name with the terminator */

/* text must hold 2 * size + 1 bytes; lower case. */
void monatt_text_from_bytes(const uint8_t *bytes, size_t size, char *text);
/* Exactly 2 * size hexadecimal digits, either case, nothing else. */
bool monatt_text_to_bytes(const char *text, uint8_t *bytes, size_t size,
                          MonattError *err) MONATT_MUST_CHECK;
void monatt_text_from_uuid(const uint8_t uuid[MONATT_UUID_SIZE], char text[MONATT_UUID_TEXT_SIZE]);
bool monatt_text_to_uuid(const char *text, uint8_t uuid[MONATT_UUID_SIZE],
                         MonattError *err) MONATT_MUST_CHECK;
/*
 * A VM's name: 1 to 64 of letters, digits and "._+-@:", not starting with '.' or '-'.  Refused
 * before any path is built from it.
 */
bool monatt_text_check_name(const char *name, MonattError *err) MONATT_MUST_CHECK;
/*
 * Copies at most size bytes of foreign text, stopping at a NUL, into out (capacity with the
 * terminator); everything but printable ASCII becomes '?', so that nothing can move a terminal's
 * cursor or forge a line of a log.
 */
void monatt_text_printable(const void *bytes, size_t size, char *out, size_t capacity);
/* Constant time in the size; for digests, nonces and MACs. */
bool monatt_bytes_equal(const void *a, const void *b, size_t size) MONATT_MUST_CHECK;

#endif
