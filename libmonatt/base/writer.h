/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the reader's counterpart: encodes into a buffer the caller owns
 *
 * Never writes past the capacity.  A write that does not fit marks the writer failed and every
 * later write is ignored; monatt_writer_finish() says so, once, at the end.
 */
#ifndef MONATT_BASE_WRITER_H
#define MONATT_BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

typedef struct MonattWriter {
    uint8_t *bytes;
    size_t size; /* written so far */
    size_t capacity;
    bool failed;
} MonattWriter;

void monatt_writer_init(MonattWriter *w, void *buffer, size_t capacity);
void monatt_writer_u8(MonattWriter *w, uint8_t value);
void monatt_writer_u16_le(MonattWriter *w, uint16_t value);
void monatt_writer_u32_le(MonattWriter *w, uint32_t value);
void monatt_writer_u64_le(MonattWriter *w, uint64_t value);
void monatt_writer_u16_be(MonattWriter *w, uint16_t value);
void monatt_writer_u32_be(MonattWriter *w, uint32_t value);
void monatt_writer_u64_be(MonattWriter *w, uint64_t value);
void monatt_writer_bytes(MonattWriter *w, const void *bytes, size_t size);
/* Overwrites four bytes written before, e.g. a length known only afterwards. */
void monatt_writer_patch_u32_be(MonattWriter *w, size_t offset, uint32_t value);
/* The number of bytes written; MONATT_ERROR_LIMIT when something did not fit. */
bool monatt_writer_finish(MonattWriter *w, const char *name, size_t *ret_size,
                          MonattError *err) MONATT_MUST_CHECK;

#endif
