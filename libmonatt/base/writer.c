/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.c - bounded encoding; must never write past the buffer's capacity
 */
#include "libmonatt/base/writer.h"

#include <string.h>

void monatt_writer_init(MonattWriter *w, void *buffer, size_t capacity)
{
    *w = (MonattWriter){.bytes = buffer, .capacity = capacity};
}

void monatt_writer_bytes(MonattWriter *w, const void *bytes, size_t size)
{
    if (w->failed || size > w->capacity - w->size) {
        w->failed = true;
        return;
    }
    if (size > 0) {
        memcpy(w->bytes + w->size, bytes, size);
    }
    w->size += size;
}

static void number(MonattWriter *w, uint64_t value, size_t size, bool big_endian)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[big_endian ? size - 1 - i : i] = (uint8_t)(value >> (8 * i));
    }
    monatt_writer_bytes(w, bytes, size);
}

void monatt_writer_u8(MonattWriter *w, uint8_t value)
{
    number(w, value, 1, true);
}

void monatt_writer_u16_le(MonattWriter *w, uint16_t value)
{
    number(w, value, 2, false);
}

void monatt_writer_u32_le(MonattWriter *w, uint32_t value)
{
    number(w, value, 4, false);
}

void monatt_writer_u64_le(MonattWriter *w, uint64_t value)
{
    number(w, value, 8, false);
}

void monatt_writer_u16_be(MonattWriter *w, uint16_t value)
{
    number(w, value, 2, true);
}

void monatt_writer_u32_be(MonattWriter *w, uint32_t value)
{
    number(w, value, 4, true);
}

void monatt_writer_u64_be(MonattWriter *w, uint64_t value)
{
    number(w, value, 8, true);
}

void monatt_writer_patch_u32_be(MonattWriter *w, size_t offset, uint32_t value)
{
    if (w->failed || w->size < 4 || offset > w->size - 4) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        w->bytes[offset + i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

bool monatt_writer_finish(MonattWriter *w, const char *name, size_t *ret_size, MonattError *err)
{
    if (w->failed) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "%s: does not fit into %zu bytes", name,
                                w->capacity);
    }
    *ret_size = w->size;
    return true;
}
