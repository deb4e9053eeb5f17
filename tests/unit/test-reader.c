/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-reader.c - the reader over whole, short, too long and hostile ranges
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/base/reader.h"

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10};

static void test_numbers(void)
{
    MonattReader r;
    MonattError err = {0};
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    monatt_reader_init(&r, "numbers", bytes, 15, &err);
    g_assert_true(monatt_reader_u8(&r, &u8));
    g_assert_cmphex(u8, ==, 0x01);
    g_assert_true(monatt_reader_u16_le(&r, &u16));
    g_assert_cmphex(u16, ==, 0x0302);
    g_assert_true(monatt_reader_u32_le(&r, &u32));
    g_assert_cmphex(u32, ==, 0x07060504);
    g_assert_true(monatt_reader_u64_le(&r, &u64));
    g_assert_cmphex(u64, ==, 0x0f0e0d0c0b0a0908);
    g_assert_true(monatt_reader_finish(&r));
    monatt_reader_init(&r, "numbers", bytes, 14, &err);
    g_assert_true(monatt_reader_u16_be(&r, &u16));
    g_assert_cmphex(u16, ==, 0x0102);
    g_assert_true(monatt_reader_u32_be(&r, &u32));
    g_assert_cmphex(u32, ==, 0x03040506);
    g_assert_true(monatt_reader_u64_be(&r, &u64));
    g_assert_cmphex(u64, ==, 0x0708090a0b0c0d0e);
    g_assert_true(monatt_reader_finish(&r));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
}

/* Reads one thing of the given kind: what a caller may see after a failure. */
static bool read_kind(MonattReader *r, int kind)
{
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    uint8_t copy[8] = {0};
    const uint8_t *p = NULL;
    MonattReader sub = {0};
    bool done = false;
    switch (kind) {
    case 0:
        done = monatt_reader_u8(r, &u8);
        break;
    case 1:
        done = monatt_reader_u16_le(r, &u16);
        break;
    case 2:
        done = monatt_reader_u16_be(r, &u16);
        break;
    case 3:
        done = monatt_reader_u32_le(r, &u32);
        break;
    case 4:
        done = monatt_reader_u32_be(r, &u32);
        break;
    case 5:
        done = monatt_reader_u64_le(r, &u64);
        break;
    case 6:
        done = monatt_reader_u64_be(r, &u64);
        break;
    case 7:
        done = monatt_reader_copy(r, copy, sizeof(copy));
        break;
    case 8:
        done = monatt_reader_bytes(r, 8, &p);
        break;
    case 9:
        done = monatt_reader_sub(r, 8, &sub);
        break;
    default:
        done = monatt_reader_count(r, UINT32_MAX, &u32);
        break;
    }
    if (!done) {
        /* A failed read writes nothing. */
        g_assert_true(u8 == 0 && u16 == 0 && u32 == 0 && u64 == 0 && copy[0] == 0 && p == NULL &&
                      sub.bytes == NULL);
    }
    return done;
}

static void test_refuses_short(void)
{
    static const size_t sizes[] = {1, 2, 2, 4, 4, 8, 8, 8, 8, 8, 4};
    for (int kind = 0; kind < (int)G_N_ELEMENTS(sizes); kind++) {
        for (size_t size = 0; size <= sizes[kind]; size++) {
            MonattReader r;
            MonattError err = {0};
            /* On the heap and just as long: a sanitizer sees a byte read too far. */
            g_autofree uint8_t *exact = g_malloc(size + (size == 0));
            memcpy(exact, bytes, size);
            monatt_reader_init(&r, "short", exact, size, &err);
            bool done = read_kind(&r, kind);
            g_assert_cmpint(done, ==, size == sizes[kind]);
            g_assert_cmpint(err.code, ==, done ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
            g_assert_cmpuint(r.position, ==, done ? size : 0);
            g_assert_cmpint(monatt_reader_finish(&r), ==, done);
        }
    }
}

static void test_failure_stays(void)
{
    MonattReader r;
    MonattError err = {0};
    uint32_t u32;
    uint8_t u8 = 7;
    monatt_reader_init(&r, "header", bytes, 3, &err);
    g_assert_false(monatt_reader_u32_be(&r, &u32));
    g_assert_cmpstr(err.message, ==, "header: offset 0: needs 4 bytes, has 3");
    /* There are bytes for this one, but what they would mean is not known any more. */
    g_assert_false(monatt_reader_u8(&r, &u8));
    g_assert_cmpuint(u8, ==, 7);
    g_assert_false(monatt_reader_finish(&r));
    g_assert_cmpuint(monatt_reader_left(&r), ==, 0);
    g_assert_false(monatt_reader_fail(&r, "a second reason"));
    g_assert_cmpstr(err.message, ==, "header: offset 0: needs 4 bytes, has 3");
}

static void test_hostile_sizes(void)
{
    static const size_t sizes[] = {17, 1u << 31, SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        MonattReader r;
        MonattReader sub;
        MonattError err = {0};
        const uint8_t *p = NULL;
        uint32_t u32;
        monatt_reader_init(&r, "hostile", bytes, sizeof(bytes), &err);
        g_assert_true(monatt_reader_u32_be(&r, &u32)); /* position + size would wrap */
        g_assert_false(monatt_reader_bytes(&r, sizes[i], &p));
        g_assert_null(p);
        g_assert_cmpuint(r.position, ==, 4);
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
        monatt_reader_init(&r, "hostile", bytes, sizeof(bytes), NULL);
        g_assert_false(monatt_reader_sub(&r, sizes[i], &sub));
    }
}

static void test_count(void)
{
    static const uint8_t five[] = {0, 0, 0, 5};
    MonattReader r;
    MonattError err = {0};
    uint32_t count = 99;
    monatt_reader_init(&r, "list", five, 4, &err);
    g_assert_true(monatt_reader_count(&r, 5, &count));
    g_assert_cmpuint(count, ==, 5);
    monatt_reader_init(&r, "list", five, 4, &err);
    count = 99;
    g_assert_false(monatt_reader_count(&r, 4, &count));
    g_assert_cmpuint(count, ==, 99);
    g_assert_cmpuint(r.position, ==, 0);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_cmpstr(err.message, ==, "list: offset 0: count 5 is over the limit of 4");
}

static void test_sized(void)
{
    static const uint8_t three[] = {0, 3, 'a', 'b', 'c'};
    for (size_t size = 0; size <= sizeof(three); size++) {
        MonattReader r;
        MonattError err = {0};
        const uint8_t *p = NULL;
        uint16_t got = 77;
        g_autofree uint8_t *exact = g_malloc(size + (size == 0));
        memcpy(exact, three, size);
        monatt_reader_init(&r, "sized", exact, size, &err);
        bool done = monatt_reader_sized_u16_be(&r, 3, &p, &got);
        g_assert_cmpint(done, ==, size == sizeof(three));
        g_assert_cmpint(err.code, ==, done ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
        g_assert_cmpuint(r.position, ==, done ? size : 0);
        g_assert_cmpuint(got, ==, done ? 3 : 77);
        g_assert_true(done ? memcmp(p, "abc", 3) == 0 : p == NULL);
    }
    MonattReader r;
    MonattError err = {0};
    const uint8_t *p;
    uint16_t got;
    monatt_reader_init(&r, "sized", three, sizeof(three), &err);
    g_assert_false(monatt_reader_sized_u16_be(&r, 2, &p, &got));
    g_assert_cmpstr(err.message, ==, "sized: offset 0: 3 bytes, the limit is 2");
    monatt_reader_init(&r, "sized", "\0\0", 2, &err);
    g_assert_true(monatt_reader_sized_u16_be(&r, 0, &p, &got));
    g_assert_cmpuint(got, ==, 0);
    g_assert_true(monatt_reader_finish(&r));
}

static void test_sub(void)
{
    MonattReader r;
    MonattReader sub;
    MonattReader inner;
    MonattError err = {0};
    uint16_t u16;
    uint32_t u32;
    monatt_reader_init(&r, "outer", bytes, sizeof(bytes), &err);
    g_assert_true(monatt_reader_u16_be(&r, &u16));
    g_assert_true(monatt_reader_sub(&r, 6, &sub));
    g_assert_cmpuint(monatt_reader_left(&r), ==, 8);
    g_assert_true(monatt_reader_u16_be(&sub, &u16));
    g_assert_cmphex(u16, ==, 0x0304);
    g_assert_true(monatt_reader_sub(&sub, 3, &inner));
    /* Three of four bytes: the fourth stands in the outer range and must not be reached. */
    g_assert_false(monatt_reader_u32_be(&inner, &u32));
    g_assert_cmpstr(err.message, ==, "outer: offset 4: needs 4 bytes, has 3");
    g_assert_false(monatt_reader_finish(&inner));
    err = (MonattError){0};
    g_assert_false(monatt_reader_finish(&sub)); /* one byte is left */
    g_assert_cmpstr(err.message, ==, "outer: offset 7: 1 bytes too many");
}

static void test_empty(void)
{
    MonattReader r;
    MonattReader sub;
    MonattError err = {0};
    const uint8_t *p;
    uint8_t u8;
    monatt_reader_init(&r, "empty", NULL, 0, &err);
    g_assert_true(monatt_reader_bytes(&r, 0, &p));
    g_assert_true(monatt_reader_copy(&r, NULL, 0));
    g_assert_true(monatt_reader_sub(&r, 0, &sub));
    g_assert_true(monatt_reader_finish(&sub));
    g_assert_true(monatt_reader_finish(&r));
    g_assert_false(monatt_reader_u8(&r, &u8));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reader/numbers", test_numbers);
    g_test_add_func("/reader/refuses-short", test_refuses_short);
    g_test_add_func("/reader/failure-stays", test_failure_stays);
    g_test_add_func("/reader/hostile-sizes", test_hostile_sizes);
    g_test_add_func("/reader/count", test_count);
    g_test_add_func("/reader/sized", test_sized);
    g_test_add_func("/reader/sub", test_sub);
    g_test_add_func("/reader/empty", test_empty);
    return g_test_run();
}
