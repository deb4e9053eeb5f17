/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-window.c - what a vCPU counts reaches its ring, under the right window, once; and options
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>
#include "qemu-plugin/options.h"
#include "qemu-plugin/window.h"

#define EPOCH 5000000
#define LENGTH 1000000
#define UNKNOWN MONATT_PLUGIN_SYSCALL_UNKNOWN

typedef struct Fixture {
    int fd;
    MonattPluginRing ring;
    MonattPluginCursor cursor;
    Window window;
    MonattError err;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    uint64_t size;
    memset(f, 0, sizeof(*f));
    g_assert_true(monatt_plugin_ring_create(1, &f->fd, &size, &f->err));
    g_assert_true(monatt_plugin_ring_map(f->fd, true, &f->ring, &f->err));
    window_init(&f->window, &f->ring, 0, EPOCH, LENGTH);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    monatt_plugin_ring_unmap(&f->ring);
    close(f->fd);
}

static uint64_t at(uint64_t window, uint64_t ns)
{
    return EPOCH + window * LENGTH + ns;
}

static bool next(Fixture *f, MonattPluginRecord *ret_record)
{
    bool some = false;
    g_assert_true(monatt_plugin_ring_next(&f->ring, 0, &f->cursor, ret_record, &some, &f->err));
    return some;
}

static void test_closes_at_next_event(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    window_lock(&f->window, at(0, 0), false);
    window_lock(&f->window, at(0, LENGTH - 1), true);
    g_assert_false(next(f, &record));
    window_lock(&f->window, at(7, 0), false);
    g_assert_true(next(f, &record));
    g_assert_cmpuint(record.window, ==, 0);
    g_assert_cmpuint(record.locks, ==, 2);
    g_assert_cmpuint(record.splits, ==, 1);
    g_assert_false(next(f, &record));
    window_sleep(&f->window, at(7, 5));
    g_assert_true(next(f, &record));
    g_assert_cmpuint(record.window, ==, 7); /* six idle windows took no record */
    g_assert_cmpuint(record.locks, ==, 1);
}

static void test_clock_back(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    window_lock(&f->window, at(9, 0), false);
    window_lock(&f->window, at(3, 0), false);
    window_sleep(&f->window, at(9, 1));
    g_assert_true(next(f, &record));
    g_assert_cmpuint(record.window, ==, 9);
    g_assert_cmpuint(record.locks, ==, 2);
}

static void test_numbers(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    window_syscall(&f->window, at(0, 0), 39);
    window_syscall(&f->window, at(0, 1), UNKNOWN);
    window_syscall(&f->window, at(0, 2), 39);
    window_sleep(&f->window, at(0, 3));
    g_assert_true(next(f, &record));
    g_assert_cmpuint(record.syscalls, ==, 3);
    g_assert_cmpuint(record.pair_count, ==, 1);
    g_assert_cmpuint(record.pairs[0].number, ==, 39);
    g_assert_cmpuint(record.pairs[0].count, ==, 2);
}

/* 1,000 different numbers in one window: bounded records, nothing uncounted. */
static void test_bounded(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    uint64_t records = 0, calls = 0, named = 0, folded = 0;
    for (uint16_t i = 0; i < 1000; i++) {
        window_syscall(&f->window, at(0, i), i);
        window_sleep(&f->window, at(0, i));
    }
    window_lock(&f->window, at(1, 0), false);
    while (next(f, &record)) {
        g_assert_cmpuint(record.window, ==, 0);
        records++;
        calls += record.syscalls;
        folded += record.flags & MONATT_PLUGIN_FLAG_FOLDED;
        for (size_t i = 0; i < record.pair_count; i++) {
            named += record.pairs[i].count;
        }
    }
    g_assert_cmpuint(records, ==, WINDOW_RECORDS_MAXIMUM);
    g_assert_cmpuint(calls, ==, 1000);
    g_assert_cmpuint(named, ==, 3 + MONATT_PLUGIN_RING_PAIRS);
    g_assert_cmpuint(folded, ==, 1);
}

static void test_pair_limit(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    for (uint32_t i = 0; i < UINT16_MAX; i++) {
        window_syscall(&f->window, at(0, 0), 1);
    }
    g_assert_false(next(f, &record)); /* at the limit */
    window_syscall(&f->window, at(0, 0), 1);
    g_assert_true(next(f, &record)); /* one past it */
    g_assert_cmpuint(record.pairs[0].count, ==, UINT16_MAX);
    window_sleep(&f->window, at(0, 1));
    g_assert_true(next(f, &record));
    g_assert_cmpuint(record.syscalls, ==, 1);
}

static void test_options(void)
{
    Options options;
    MonattError err = {0};
    const char *good[] = {"fd=12", "locks=off", "window_us=10"};
    g_assert_true(options_parse(3, good, &options, &err));
    g_assert_cmpint(options.ring_fd, ==, 12);
    g_assert_cmpuint(options.monitors, ==, MONATT_PLUGIN_MONITOR_SYSCALLS);
    g_assert_cmpuint(options.window_ns, ==, 10000);
    g_assert_true(options_parse(1, good, &options, &err));
    g_assert_cmpuint(options.monitors, ==, MONATT_PLUGIN_MONITORS_KNOWN);
    g_assert_cmpuint(options.window_ns, ==, 1000000);
    static const char *const bad[] = {"fd=",
                                      "fd=-1",
                                      "fd=1x",
                                      "fd=2147483648",
                                      "window_us=9",
                                      "window_us=1000001",
                                      "locks=yes",
                                      "syscalls=",
                                      "cache=on",
                                      "fd",
                                      "",
                                      "Fd=1"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *words[] = {"fd=1", bad[i]};
        monatt_error_clear(&err);
        g_assert_false(options_parse(2, words, &options, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    }
    g_assert_false(options_parse(0, NULL, &options, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define CASE(name, function) g_test_add("/window/" name, Fixture, NULL, set_up, function, tear_down)
    CASE("closes-at-next-event", test_closes_at_next_event);
    CASE("clock-back", test_clock_back);
    CASE("numbers", test_numbers);
    CASE("bounded", test_bounded);
    CASE("pair-limit", test_pair_limit);
    g_test_add_func("/window/options", test_options);
    return g_test_run();
}
