/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.c - bounded decoding of foreign bytes; must never touch a byte outside [bytes, bytes+end)
 */
#include "libmonatt/base/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void monatt_reader_init(MonattReader *r, const char *name, const void *bytes, size_t size,
                        MonattError *err)
{
    /* An empty range may have no address, and adding even 0 to none is undefined. */
    static const uint8_t nothing[1];
    *r = (MonattReader){.name = name, .bytes = bytes ? bytes : nothing, .end = size, .err = err};
}

bool monatt_reader_fail(MonattReader *r, const char *format, ...)
{
    if (!r->failed) {
        char why[MONATT_ERROR_MESSAGE_SIZE];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, sizeof(why), format, arguments);
        va_end(arguments);
        monatt_error_set(r->err, MONATT_ERROR_FORMAT, "%s: offset %zu: %s", r->name,
                         r->base + r->position, why);
        r->failed = true;
    }
    return false;
}

static bool take(MonattReader *r, size_t size, const uint8_t **ret_bytes)
{
    if (r->failed) {
        return false;
    }
    /* Subtraction, never a sum that could wrap. */
    if (size > r->end - r->position) {
        /* Not "return fail(…)": the compiler must see that success alone sets *ret_bytes. */
        monatt_reader_fail(r, "needs %zu bytes, has %zu", size, r->end - r->position);
        return false;
    }
    *ret_bytes = r->bytes + r->position;
    r->position += size;
    return true;
}

bool monatt_reader_u8(MonattReader *r, uint8_t *ret_value)
{
    const uint8_t *p;
    if (!take(r, 1, &p)) {
        return false;
    }
    *ret_value = p[0];
    return true;
}

static bool little(MonattReader *r, size_t size, uint64_t *ret_value)
{
    const uint8_t *p;
    if (!take(r, size, &p)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--) {
        value = value << 8 | p[i - 1];
    }
    *ret_value = value;
    return true;
}

static bool big(MonattReader *r, size_t size, uint64_t *ret_value)
{
    const uint8_t *p;
    if (!take(r, size, &p)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | p[i];
    }
    *ret_value = value;
    return true;
}

#define DEFINE_READ(name, decode, type)                                                            \
    bool monatt_reader_##name(MonattReader *r, type *ret_value)                                    \
    {                                                                                              \
        uint64_t value;                                                                            \
        if (!decode(r, sizeof(type), &value)) {                                                    \
            return false;                                                                          \
        }                                                                                          \
        *ret_value = (type)value;                                                                  \
        return true;                                                                               \
    }

DEFINE_READ(u16_le, little, uint16_t)
DEFINE_READ(u32_le, little, uint32_t)
DEFINE_READ(u64_le, little, uint64_t)
DEFINE_READ(u16_be, big, uint16_t)
DEFINE_READ(u32_be, big, uint32_t)
DEFINE_READ(u64_be, big, uint64_t)

bool monatt_reader_count(MonattReader *r, uint32_t maximum, uint32_t *ret_count)
{
    size_t before = r->position;
    uint32_t count;
    if (!monatt_reader_u32_be(r, &count)) {
        return false;
    }
    if (count > maximum) {
        r->position = before;
        return monatt_reader_fail(r, "count %u is over the limit of %u", count, maximum);
    }
    *ret_count = count;
    return true;
}

bool monatt_reader_bytes(MonattReader *r, size_t size, const uint8_t **ret_bytes)
{
    return take(r, size, ret_bytes);
}

bool monatt_reader_sized_u16_be(MonattReader *r, size_t maximum, const uint8_t **ret_bytes,
                                uint16_t *ret_size)
{
    size_t before = r->position;
    uint16_t size;
    const uint8_t *p;
    if (!monatt_reader_u16_be(r, &size)) {
        return false;
    }
    if (size > maximum) {
        r->position = before;
        return monatt_reader_fail(r, "%u bytes, the limit is %zu", size, maximum);
    }
    if (!take(r, size, &p)) {
        r->position = before;
        return false;
    }
    *ret_bytes = p;
    *ret_size = size;
    return true;
}

bool monatt_reader_copy(MonattReader *r, void *buffer, size_t size)
{
    const uint8_t *p;
    if (!take(r, size, &p)) {
        return false;
    }
    if (size > 0) {
        memcpy(buffer, p, size);
    }
    return true;
}

bool monatt_reader_sub(MonattReader *r, size_t size, MonattReader *ret_sub)
{
    size_t before = r->position;
    const uint8_t *p;
    if (!take(r, size, &p)) {
        return false;
    }
    *ret_sub = (MonattReader){
        .name = r->name, .bytes = p, .end = size, .base = r->base + before, .err = r->err};
    return true;
}

bool monatt_reader_finish(MonattReader *r)
{
    if (r->failed) {
        return false;
    }
    if (r->position != r->end) {
        return monatt_reader_fail(r, "%zu bytes too many", r->end - r->position);
    }
    return true;
}

size_t monatt_reader_left(const MonattReader *r)
{
    return r->failed ? 0 : r->end - r->position;
}
