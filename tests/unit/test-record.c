/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-record.c - the header of "MTE1" records: byte by byte, cut, too long, out of range
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/formats/record.h"

static const MonattRecord sample = {
    .type = MONATT_RECORD_BOOT_ITEM,
    .vid = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad,
            0xae, 0xaf},
    .reset_count = 0x0102030405060708,
    .sequence = 0x1112131415161718,
    .t0_ns = 0x2122232425262728,
    .t1_ns = 0x3132333435363738,
    .flags = MONATT_RECORD_DROPPED | MONATT_RECORD_PAUSED,
    .coverage_ppm = 999999,
    .source_id = 0x41424344,
};

/* Written by hand from docs/formats/records.md, not by the code under test. */
static const uint8_t sample_bytes[] = {
    'M',  'T',  'E',  '1',  0x20, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x4b, 0xa0, 0xa1, 0xa2,
    0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x01, 0x02,
    0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21,
    0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,
    0x00, 0x00, 0x00, 0x09, 0x00, 0x0f, 0x42, 0x3f, 0x41, 0x42, 0x43, 0x44, 'a',  'b',  'c'};

static size_t encode(const MonattRecord *record, size_t payload, uint8_t *buffer, size_t capacity,
                     MonattError *err)
{
    size_t size = 0;
    MonattWriter w;
    monatt_writer_init(&w, buffer, capacity);
    monatt_record_begin(&w, record);
    for (size_t i = 0; i < payload; i++) {
        monatt_writer_u8(&w, (uint8_t)("abc"[i % 3]));
    }
    g_assert_cmpint(monatt_record_end(&w, &size, err), ==, size != 0);
    return size;
}

static void test_bytes(void)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattError err = {0};
    MonattRecord got;
    size_t size = encode(&sample, 3, buffer, sizeof(buffer), &err);
    g_assert_cmpmem(buffer, size, sample_bytes, sizeof(sample_bytes));
    g_assert_true(monatt_record_parse(sample_bytes, sizeof(sample_bytes), &got, &err));
    g_assert_cmpint(got.type, ==, sample.type);
    g_assert_cmpint(got.version, ==, MONATT_RECORD_VERSION);
    g_assert_cmpmem(got.vid, 16, sample.vid, 16);
    g_assert_cmphex(got.reset_count, ==, sample.reset_count);
    g_assert_cmphex(got.sequence, ==, sample.sequence);
    g_assert_cmphex(got.t0_ns, ==, sample.t0_ns);
    g_assert_cmphex(got.t1_ns, ==, sample.t1_ns);
    g_assert_cmphex(got.flags, ==, sample.flags);
    g_assert_cmpuint(got.coverage_ppm, ==, sample.coverage_ppm);
    g_assert_cmphex(got.source_id, ==, sample.source_id);
    g_assert_cmpmem(got.payload, got.payload_size, "abc", 3);
}

static void test_limit(void)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM + 8];
    MonattError err = {0};
    MonattRecord got;
    size_t most = MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE;
    size_t size = encode(&sample, most, buffer, sizeof(buffer), &err);
    g_assert_cmpuint(size, ==, MONATT_CONTENT_MAXIMUM);
    g_assert_true(monatt_record_parse(buffer, size, &got, &err));
    g_assert_cmpuint(got.payload_size, ==, most);
    g_assert_cmpuint(encode(&sample, most + 1, buffer, sizeof(buffer), &err), ==, 0);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_false(monatt_record_parse(buffer, MONATT_CONTENT_MAXIMUM + 1, &got, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_false(monatt_record_parse(buffer, SIZE_MAX, &got, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_cmpuint(encode(&sample, 0, buffer, MONATT_RECORD_HEADER_SIZE - 1, &err), ==, 0);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_cmpuint(encode(&sample, 0, buffer, 7, &err), ==, 0); /* not even the length */
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

static MonattErrorCode parse(const void *bytes, size_t size)
{
    MonattRecord got = {.type = 0x7777};
    MonattError err = {0};
    g_autofree uint8_t *exact = g_malloc(size + (size == 0));
    memcpy(exact, bytes, size);
    bool done = monatt_record_parse(exact, size, &got, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    g_assert_cmpint(done || got.type == 0x7777, ==, true);
    return err.code;
}

static void test_refuses_cut(void)
{
    for (size_t size = 0; size < sizeof(sample_bytes); size++) {
        g_assert_cmpint(parse(sample_bytes, size), ==, MONATT_ERROR_FORMAT);
    }
    uint8_t longer[sizeof(sample_bytes) + 1] = {0};
    memcpy(longer, sample_bytes, sizeof(sample_bytes));
    g_assert_cmpint(parse(longer, sizeof(longer)), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse(sample_bytes, sizeof(sample_bytes)), ==, MONATT_ERROR_NONE);
}

static MonattErrorCode parse_with(size_t offset, const char *bytes, size_t size)
{
    uint8_t changed[sizeof(sample_bytes)];
    memcpy(changed, sample_bytes, sizeof(changed));
    memcpy(changed + offset, bytes, size);
    return parse(changed, sizeof(changed));
}

static void test_refuses_fields(void)
{
    for (size_t i = 0; i < 4; i++) {
        g_assert_cmpint(parse_with(i, "x", 1), ==, MONATT_ERROR_FORMAT);
    }
    g_assert_cmpint(parse_with(6, "\0\2", 2), ==, MONATT_ERROR_FORMAT); /* version */
    g_assert_cmpint(parse_with(6, "\0\0", 2), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(8, "\0\0\0\x4a", 4), ==, MONATT_ERROR_FORMAT); /* length */
    g_assert_cmpint(parse_with(8, "\0\0\0\x4c", 4), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(8, "\xff\xff\xff\xff", 4), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(60, "\0\0\0\x1f", 4), ==, MONATT_ERROR_NONE); /* flags */
    g_assert_cmpint(parse_with(60, "\0\0\0\x20", 4), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(60, "\x80\0\0\0", 4), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(64, "\0\x0f\x42\x40", 4), ==, MONATT_ERROR_NONE); /* 1,000,000 */
    g_assert_cmpint(parse_with(64, "\0\x0f\x42\x41", 4), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse_with(52, "\x21\x22\x23\x24\x25\x26\x27\x28", 8), ==,
                    MONATT_ERROR_NONE); /* t1 = t0 */
    g_assert_cmpint(parse_with(52, "\x21\x22\x23\x24\x25\x26\x27\x27", 8), ==, MONATT_ERROR_FORMAT);
}

static void test_types(void)
{
    static const struct {
        uint16_t type;
        const char *name;
    } cases[] = {
        {MONATT_RECORD_LOCKS, "locks"},
        {MONATT_RECORD_SYSCALLS, "syscalls"},
        {MONATT_RECORD_FINDING, "finding"},
        {MONATT_RECORD_CHECK_SUMMARY, "check-summary"},
        {MONATT_RECORD_CHECK_FINDING, "check-finding"},
        {MONATT_RECORD_TASKS_SUMMARY, "tasks-summary"},
        {MONATT_RECORD_MACHINE, "machine"},
        {MONATT_RECORD_BOOT_ITEM, "boot-item"},
        {MONATT_RECORD_REPORT, "report"},
        {0, "unknown"},
        {0xffff, "unknown"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpstr(monatt_record_type_name(cases[i].type), ==, cases[i].name);
    }
    /* Who does not know a type still replays it. */
    g_assert_cmpint(parse_with(4, "\x77\x77", 2), ==, MONATT_ERROR_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/bytes", test_bytes);
    g_test_add_func("/record/limit", test_limit);
    g_test_add_func("/record/refuses-cut", test_refuses_cut);
    g_test_add_func("/record/refuses-fields", test_refuses_fields);
    g_test_add_func("/record/types", test_types);
    return g_test_run();
}
