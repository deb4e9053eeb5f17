/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-writer.c - the writer at, below and past its capacity
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/base/writer.h"

static void write_all(MonattWriter *w)
{
    monatt_writer_u8(w, 0x01);
    monatt_writer_u16_le(w, 0x0203);
    monatt_writer_u32_le(w, 0x04050607);
    monatt_writer_u64_le(w, 0x08090a0b0c0d0e0f);
    monatt_writer_u16_be(w, 0x0203);
    monatt_writer_u32_be(w, 0x04050607);
    monatt_writer_u64_be(w, 0x08090a0b0c0d0e0f);
    monatt_writer_bytes(w, "xyz", 3);
    monatt_writer_bytes(w, NULL, 0);
}

static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d, 0x0c,
                                   0x0b, 0x0a, 0x09, 0x08, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                   0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 'x',  'y',  'z'};

static void test_encodes(void)
{
    uint8_t buffer[64];
    size_t size = 0;
    MonattError err = {0};
    MonattWriter w;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    write_all(&w);
    g_assert_true(monatt_writer_finish(&w, "all", &size, &err));
    g_assert_cmpmem(buffer, size, expected, sizeof(expected));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
}

static void test_refuses_too_small(void)
{
    for (size_t capacity = 0; capacity <= sizeof(expected); capacity++) {
        g_autofree uint8_t *exact = g_malloc(capacity + (capacity == 0));
        size_t size = 77;
        MonattError err = {0};
        MonattWriter w;
        monatt_writer_init(&w, exact, capacity);
        write_all(&w);
        bool done = monatt_writer_finish(&w, "all", &size, &err);
        g_assert_cmpint(done, ==, capacity == sizeof(expected));
        g_assert_cmpint(err.code, ==, done ? MONATT_ERROR_NONE : MONATT_ERROR_LIMIT);
        g_assert_cmpuint(size, ==, done ? sizeof(expected) : 77);
    }
}

static void test_failure_stays(void)
{
    uint8_t buffer[4] = {0};
    size_t size;
    MonattWriter w;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_u16_be(&w, 0x0102);
    monatt_writer_u32_be(&w, 0xffffffff);
    monatt_writer_u8(&w, 0xff); /* would fit, but something is missing before it */
    g_assert_cmpmem(buffer, 4, "\1\2\0\0", 4);
    g_assert_false(monatt_writer_finish(&w, "two", &size, NULL));
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_bytes(&w, buffer, SIZE_MAX); /* size + it would wrap */
    g_assert_false(monatt_writer_finish(&w, "two", &size, NULL));
}

static void test_patch(void)
{
    uint8_t buffer[8];
    size_t size;
    MonattError err = {0};
    MonattWriter w;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_u16_be(&w, 0xaaaa);
    monatt_writer_u32_be(&w, 0);
    monatt_writer_patch_u32_be(&w, 2, 0x01020304);
    g_assert_true(monatt_writer_finish(&w, "patched", &size, &err));
    g_assert_cmpmem(buffer, size, "\xaa\xaa\1\2\3\4", 6);
    static const size_t offsets[] = {3, 4, 6, SIZE_MAX, SIZE_MAX - 3};
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        monatt_writer_init(&w, buffer, sizeof(buffer));
        monatt_writer_u16_be(&w, 0xaaaa);
        monatt_writer_u32_be(&w, 0);
        monatt_writer_patch_u32_be(&w, offsets[i], 1);
        err = (MonattError){0};
        g_assert_false(monatt_writer_finish(&w, "patched", &size, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    }
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_u16_be(&w, 0);
    monatt_writer_patch_u32_be(&w, 0, 1); /* fewer than four bytes are there */
    g_assert_false(monatt_writer_finish(&w, "patched", &size, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/writer/encodes", test_encodes);
    g_test_add_func("/writer/refuses-too-small", test_refuses_too_small);
    g_test_add_func("/writer/failure-stays", test_failure_stays);
    g_test_add_func("/writer/patch", test_patch);
    return g_test_run();
}
