/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-guest-list.c - what a guest may and may not put into its process list
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/formats/guest-list.h"

#define HEAD_SIZE 40 /* magic, nonce, count */

static MonattGuestTask tasks[MONATT_GUEST_LIST_ENTRIES];
static uint8_t buffer[MONATT_GUEST_LIST_MAXIMUM + 64];

static const MonattGuestTask sample[] = {
    {1, 0, 0, "init"}, {2, 0, 0, "kthreadd"}, {0xfffffffe, 1, 1000, ""}};

static size_t encode(const MonattGuestTask *list, uint32_t count)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    size_t size = 0;
    MonattWriter w;
    memset(nonce, 0x5a, sizeof(nonce));
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_guest_list_begin(&w, nonce, count);
    for (uint32_t i = 0; i < count; i++) {
        monatt_guest_list_add(&w, &list[i]);
    }
    g_assert_true(monatt_writer_finish(&w, "list", &size, NULL));
    return size;
}

static MonattErrorCode parse(size_t size, size_t capacity, size_t *ret_count)
{
    g_autofree uint8_t *exact = g_malloc(size + (size == 0));
    uint8_t nonce[MONATT_NONCE_SIZE] = {0};
    size_t count = 12345;
    MonattError err = {0};
    memcpy(exact, buffer, size);
    bool done = monatt_guest_list_parse(exact, size, nonce, tasks, capacity, &count, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    g_assert_cmpint(nonce[31], ==, done ? 0x5a : 0);
    g_assert_cmpint(count != 12345, ==, done);
    if (ret_count) {
        *ret_count = count;
    }
    return err.code;
}

static void test_bytes(void)
{
    static const uint8_t first[] = {3, 0, 0, 0, 1, 0, 0,   0,   0,   0,  0,
                                    0, 0, 0, 0, 0, 4, 'i', 'n', 'i', 't'};
    size_t count;
    size_t size = encode(sample, 3);
    g_assert_cmpuint(size, ==, HEAD_SIZE + 3 * 13 + 4 + 8);
    g_assert_cmpmem(buffer, 4, "MGL1", 4);
    g_assert_cmpmem(buffer + 36, sizeof(first), first, sizeof(first));
    g_assert_cmpint(parse(size, MONATT_GUEST_LIST_ENTRIES, &count), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(count, ==, 3);
    g_assert_cmpuint(tasks[2].pid, ==, 0xfffffffe);
    g_assert_cmpuint(tasks[2].parent_pid, ==, 1);
    g_assert_cmpuint(tasks[2].uid, ==, 1000);
    g_assert_cmpstr(tasks[1].command, ==, "kthreadd");
    g_assert_cmpstr(tasks[2].command, ==, "");
    size = encode(NULL, 0);
    g_assert_cmpint(parse(size, 0, &count), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(count, ==, 0);
}

static void test_refuses_cut(void)
{
    size_t size = encode(sample, 3);
    for (size_t cut = 0; cut < size; cut++) {
        g_assert_cmpint(parse(cut, 3, NULL), ==, MONATT_ERROR_FORMAT);
    }
    buffer[size] = 0;
    g_assert_cmpint(parse(size + 1, 3, NULL), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse(size, 3, NULL), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(parse(size, 2, NULL), ==, MONATT_ERROR_LIMIT);
    buffer[0] = 'm';
    g_assert_cmpint(parse(size, 3, NULL), ==, MONATT_ERROR_FORMAT);
}

static void test_refuses_order(void)
{
    MonattGuestTask list[3];
    memcpy(list, sample, sizeof(list));
    list[1].pid = 1;
    g_assert_cmpint(parse(encode(list, 3), 3, NULL), ==, MONATT_ERROR_FORMAT);
    list[1].pid = 0;
    g_assert_cmpint(parse(encode(list, 3), 3, NULL), ==, MONATT_ERROR_FORMAT);
    list[0].pid = 0;
    list[1].pid = 1;
    g_assert_cmpint(parse(encode(list, 3), 3, NULL), ==, MONATT_ERROR_NONE);
}

static void test_hostile_counts(void)
{
    static const uint8_t counts[][4] = {
        {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}, {1, 0x40, 0, 0}, /* 16,385 */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        size_t size = encode(sample, 3);
        memcpy(buffer + 36, counts[i], 4);
        g_assert_cmpint(parse(size, MONATT_GUEST_LIST_ENTRIES, NULL), ==, MONATT_ERROR_LIMIT);
    }
    size_t size = encode(sample, 3);
    memcpy(buffer + 36, "\x00\x40\0\0", 4); /* 16,384: allowed, but not there */
    g_assert_cmpint(parse(size, MONATT_GUEST_LIST_ENTRIES, NULL), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(parse(MONATT_GUEST_LIST_MAXIMUM + 1, 3, NULL), ==, MONATT_ERROR_LIMIT);
}

static void test_most_entries(void)
{
    static MonattGuestTask many[MONATT_GUEST_LIST_ENTRIES];
    size_t count;
    for (uint32_t i = 0; i < MONATT_GUEST_LIST_ENTRIES; i++) {
        many[i] = (MonattGuestTask){.pid = i + 1, .command = "a"};
    }
    size_t size = encode(many, MONATT_GUEST_LIST_ENTRIES);
    g_assert_cmpuint(size, <=, MONATT_GUEST_LIST_MAXIMUM);
    g_assert_cmpint(parse(size, MONATT_GUEST_LIST_ENTRIES, &count), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(count, ==, MONATT_GUEST_LIST_ENTRIES);
}

static void test_commands(void)
{
    MonattGuestTask one = {.pid = 1};
    size_t size;
    memset(one.command, 'c', sizeof(one.command)); /* not terminated */
    size = encode(&one, 1);
    g_assert_cmpuint(size, ==, HEAD_SIZE + 13 + MONATT_GUEST_COMMAND_MAXIMUM);
    g_assert_cmpint(parse(size, 1, NULL), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(strlen(tasks[0].command), ==, MONATT_GUEST_COMMAND_MAXIMUM);
    buffer[HEAD_SIZE + 12] = MONATT_GUEST_COMMAND_MAXIMUM + 1;
    buffer[size] = 'c';
    g_assert_cmpint(parse(size + 1, 1, NULL), ==, MONATT_ERROR_FORMAT);
    /* A guest names its processes as it likes: only printable text leaves the parser. */
    g_strlcpy(one.command, "ab\x1b]0;x\x07", sizeof(one.command));
    g_assert_cmpint(parse(encode(&one, 1), 1, NULL), ==, MONATT_ERROR_NONE);
    g_assert_cmpstr(tasks[0].command, ==, "ab?]0;x?");
    size = encode(&one, 1);
    buffer[size - 1] = 0;
    buffer[size - 2] = 0;
    g_assert_cmpint(parse(size, 1, NULL), ==, MONATT_ERROR_NONE);
    g_assert_cmpstr(tasks[0].command, ==, "ab?]0;");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-list/bytes", test_bytes);
    g_test_add_func("/guest-list/refuses-cut", test_refuses_cut);
    g_test_add_func("/guest-list/refuses-order", test_refuses_order);
    g_test_add_func("/guest-list/hostile-counts", test_hostile_counts);
    g_test_add_func("/guest-list/most-entries", test_most_entries);
    g_test_add_func("/guest-list/commands", test_commands);
    return g_test_run();
}
