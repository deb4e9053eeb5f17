/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.h - the only way to look at bytes that came from outside
 *
 * A cursor over a byte range that the reader does not own.  A failed read moves nothing, sets the
 * error once with the reader's name and the offset, and makes every later read fail too, so a
 * parser may check at the end of a group.  A count cannot be read without a maximum.  It is never
 * laid over live guest memory (guest_memory_copy() first): the guest could change a byte between
 * check and use.
 */
#ifndef MONATT_BASE_READER_H
#define MONATT_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

typedef struct MonattReader {
    const char *name; /* what is being read, for messages; static or outliving the reader */
    const uint8_t *bytes;
    size_t position;
    size_t end;
    size_t base; /* offset of bytes[0] in the outermost reader, for messages */
    bool failed;
    MonattError *err; /* may be NULL */
} MonattReader;

void monatt_reader_init(MonattReader *r, const char *name, const void *bytes, size_t size,
                        MonattError *err);
bool monatt_reader_u8(MonattReader *r, uint8_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u16_le(MonattReader *r, uint16_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u32_le(MonattReader *r, uint32_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u64_le(MonattReader *r, uint64_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u16_be(MonattReader *r, uint16_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u32_be(MonattReader *r, uint32_t *ret_value) MONATT_MUST_CHECK;
bool monatt_reader_u64_be(MonattReader *r, uint64_t *ret_value) MONATT_MUST_CHECK;
/* A 32-bit big-endian number that must not exceed maximum. */
bool monatt_reader_count(MonattReader *r, uint32_t maximum, uint32_t *ret_count) MONATT_MUST_CHECK;
/* size bytes, not copied; valid as long as the range that the reader was laid over. */
bool monatt_reader_bytes(MonattReader *r, size_t size, const uint8_t **ret_bytes) MONATT_MUST_CHECK;
bool monatt_reader_copy(MonattReader *r, void *buffer, size_t size) MONATT_MUST_CHECK;
/* A 16-bit big-endian size of at most maximum and that many bytes, as a TPM2B has; not copied. */
bool monatt_reader_sized_u16_be(MonattReader *r, size_t maximum, const uint8_t **ret_bytes,
                                uint16_t *ret_size) MONATT_MUST_CHECK;
/* A reader over the next size bytes, which are consumed here; shares the error. */
bool monatt_reader_sub(MonattReader *r, size_t size, MonattReader *ret_sub) MONATT_MUST_CHECK;
/* True when nothing failed and nothing is left. */
bool monatt_reader_finish(MonattReader *r) MONATT_MUST_CHECK;
size_t monatt_reader_left(const MonattReader *r);
/* A refusal by the caller's own rule, with name and offset as the reader's own ones have. */
bool monatt_reader_fail(MonattReader *r, const char *format, ...) MONATT_PRINTF(2, 3);

#endif
