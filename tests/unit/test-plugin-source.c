/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-plugin-source.c - windows of several vCPUs become two payloads; loss and lies are seen
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>
#include "host-collector/sources/plugin/plugin-source.h"

#define VCPUS 2
#define EPOCH UINT64_C(5000000000)
#define LENGTH UINT64_C(1000000)
#define UNKNOWN MONATT_PLUGIN_SYSCALL_UNKNOWN

typedef struct Fixture {
    int fd;
    uint64_t size;
    MonattPluginRing ring;
    MonattPluginProducer producers[VCPUS];
    PluginSource *source;
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
    uint64_t t0, t1;
    MonattError err;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    memset(f, 0, sizeof(*f));
    g_assert_true(monatt_plugin_ring_create(VCPUS, &f->fd, &f->size, &f->err));
    g_assert_true(monatt_plugin_ring_map(f->fd, true, &f->ring, &f->err));
    for (uint32_t i = 0; i < VCPUS; i++) {
        monatt_plugin_producer_init(&f->producers[i], &f->ring, i);
    }
    f->source = plugin_source_new(f->fd, f->size, &f->err);
    g_assert_nonnull(f->source);
    monatt_plugin_ring_start(&f->ring, MONATT_PLUGIN_MONITORS_KNOWN, LENGTH, EPOCH);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    plugin_source_free(f->source);
    monatt_plugin_ring_unmap(&f->ring);
    close(f->fd);
}

static void put(Fixture *f, uint32_t vcpu, uint64_t window, uint32_t locks, uint32_t splits,
                uint32_t calls)
{
    MonattPluginRecord record = {
        .kind = MONATT_PLUGIN_RECORD_WINDOW,
        .window = window,
        .locks = locks,
        .splits = splits,
        .syscalls = calls,
    };
    monatt_plugin_producer_write(&f->producers[vcpu], &record);
}

/* Windows before end have closed. */
static bool collect(Fixture *f, uint64_t end)
{
    monatt_error_clear(&f->err);
    return plugin_source_collect_at(f->source, EPOCH + end * LENGTH, &f->locks, &f->syscalls,
                                    &f->t0, &f->t1, &f->err);
}

static bool state_bit(const Fixture *f, size_t bit)
{
    return (f->locks.state[bit / 8] >> (bit % 8) & 1) != 0;
}

static void test_adds_up(Fixture *f, gconstpointer data)
{
    put(f, 0, 3, 10, 2, 0);
    put(f, 0, 3, 1, 1, 4); /* two records of one window */
    put(f, 1, 3, 5, 5, 0);
    put(f, 1, 8, 100, 0, 0);
    put(f, 1, 9, 1, 1, 0);
    g_assert_true(collect(f, 1000));
    g_assert_cmpuint(f->t0, ==, EPOCH);
    g_assert_cmpuint(f->t1, ==, EPOCH + 1000 * LENGTH);
    g_assert_cmpuint(f->locks.vcpus, ==, VCPUS);
    g_assert_cmpuint(f->locks.windows, ==, 1000);
    g_assert_cmpuint(f->locks.window_ns, ==, LENGTH);
    g_assert_cmpuint(f->locks.lock_total, ==, 117);
    g_assert_cmpuint(f->locks.split_total, ==, 9);
    g_assert_cmpuint(f->locks.drops, ==, 0);
    g_assert_cmpuint(f->locks.density[0], ==, 998);
    g_assert_cmpuint(f->locks.density[1], ==, 1); /* window 9: one */
    g_assert_cmpuint(f->locks.density[4], ==, 1); /* window 3: 8 of both vCPUs */
    g_assert_true(state_bit(f, 3));
    g_assert_false(state_bit(f, 8));
    g_assert_true(state_bit(f, 9));
    g_assert_cmpuint(f->syscalls.total, ==, 4);
    g_assert_cmpuint(f->syscalls.windows, ==, 1000);
    /* The next call has nothing of it but the history of 1,000 windows, moved on. */
    g_assert_true(collect(f, 1004));
    g_assert_cmpuint(f->t0, ==, EPOCH + 1000 * LENGTH);
    g_assert_cmpuint(f->locks.lock_total, ==, 0);
    g_assert_cmpuint(f->locks.density[0], ==, 4);
    g_assert_false(state_bit(f, 3));
    g_assert_true(state_bit(f, 5));
}

static void test_open_window_waits(Fixture *f, gconstpointer data)
{
    put(f, 0, 9, 1, 0, 0);
    put(f, 0, 10, 2, 0, 0);
    g_assert_true(collect(f, 10));
    g_assert_cmpuint(f->locks.lock_total, ==, 1);
    g_assert_false(collect(f, 10));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_BUSY);
    put(f, 0, 10, 4, 0, 0);
    g_assert_true(collect(f, 11));
    g_assert_cmpuint(f->locks.lock_total, ==, 6);
}

static void test_late_window(Fixture *f, gconstpointer data)
{
    g_assert_true(collect(f, 100));
    put(f, 0, 50, 3, 3, 0);
    g_assert_true(collect(f, 101));
    g_assert_cmpuint(f->locks.split_total, ==, 3);
    g_assert_cmpuint(f->locks.density[0], ==, 1);
    g_assert_cmpuint(f->locks.density[2], ==, 1);
    g_assert_true(state_bit(f, 1000 - (101 - 50)));
}

static void test_top_calls(Fixture *f, gconstpointer data)
{
    for (uint16_t number = 0; number < 40; number++) {
        MonattPluginRecord record = {
            .kind = MONATT_PLUGIN_RECORD_WINDOW,
            .window = 1,
            .syscalls = number + 10u,
            .pair_count = 1,
            .pairs = {{number, number}},
        };
        monatt_plugin_producer_write(&f->producers[0], &record);
    }
    g_assert_true(collect(f, 2));
    g_assert_cmpuint(f->syscalls.total, ==, 780 + 400);
    g_assert_cmpuint(f->syscalls.top_count, ==, MONATT_SYSCALL_TOP);
    g_assert_cmpuint(f->syscalls.top[0].number, ==, UNKNOWN);
    g_assert_cmpuint(f->syscalls.top[0].count, ==, 400);
    g_assert_cmpuint(f->syscalls.top[1].number, ==, 39);
    g_assert_cmpuint(f->syscalls.top[31].number, ==, 9);
}

static void test_many_numbers(Fixture *f, gconstpointer data)
{
    for (uint16_t number = 0; number < 2000; number++) {
        MonattPluginRecord record = {
            .kind = MONATT_PLUGIN_RECORD_WINDOW,
            .syscalls = 1,
            .pair_count = 1,
            .pairs = {{number, 1}},
        };
        monatt_plugin_producer_write(&f->producers[0], &record);
    }
    g_assert_true(collect(f, 1));
    g_assert_cmpuint(f->syscalls.total, ==, 2000);
    g_assert_cmpuint(f->syscalls.top[0].number, ==, UNKNOWN);
    g_assert_cmpuint(f->syscalls.top[0].count, ==, 2000 - 1023);
}

static void test_counts_drops(Fixture *f, gconstpointer data)
{
    for (uint64_t i = 0; i < MONATT_PLUGIN_RING_CAPACITY + 5; i++) {
        put(f, 1, i, 1, 0, 0);
    }
    monatt_plugin_ring_unplaced(&f->ring);
    g_assert_true(collect(f, 10000));
    g_assert_cmpuint(f->locks.drops, ==, 6);
    g_assert_cmpuint(f->syscalls.drops, ==, 6);
    g_assert_cmpuint(f->locks.lock_total, ==, MONATT_PLUGIN_RING_CAPACITY);
    g_assert_true(collect(f, 10001));
    g_assert_cmpuint(f->locks.drops, ==, 0); /* said once */
}

static void test_restart(Fixture *f, gconstpointer data)
{
    for (uint64_t i = 0; i < 10; i++) {
        put(f, 0, i, 1, 0, 0);
    }
    g_assert_true(collect(f, 6));
    plugin_source_free(f->source);
    f->source = plugin_source_new(f->fd, f->size, &f->err);
    plugin_source_skip_until(f->source, f->t1); /* what the log holds already */
    g_assert_true(collect(f, 10));
    g_assert_cmpuint(f->t0, ==, EPOCH + 6 * LENGTH);
    g_assert_cmpuint(f->locks.lock_total, ==, 4);
    g_assert_cmpuint(f->locks.windows, ==, 4);
    g_assert_cmpuint(f->locks.drops, ==, 0);
}

/* Written over, but only what was to be skipped; and one window more than that. */
static void test_restart_after_wrap(Fixture *f, gconstpointer data)
{
    for (uint64_t i = 0; i < MONATT_PLUGIN_RING_CAPACITY + 100; i++) {
        put(f, 0, i, 1, 0, 0);
    }
    plugin_source_skip_until(f->source, EPOCH + 100 * LENGTH);
    g_assert_true(collect(f, MONATT_PLUGIN_RING_CAPACITY + 100));
    g_assert_cmpuint(f->locks.drops, ==, 0);
    g_assert_cmpuint(f->locks.lock_total, ==, MONATT_PLUGIN_RING_CAPACITY);
    plugin_source_free(f->source);
    f->source = plugin_source_new(f->fd, f->size, &f->err);
    plugin_source_skip_until(f->source, EPOCH + 99 * LENGTH);
    g_assert_true(collect(f, MONATT_PLUGIN_RING_CAPACITY + 100));
    g_assert_cmpuint(f->locks.drops, >, 0);
}

static void assert_refused_for_good(Fixture *f, uint64_t end)
{
    g_assert_false(collect(f, end));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
    uint32_t monitors;
    g_assert_false(collect(f, end + 1000));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_false(plugin_source_monitors(f->source, &monitors, &f->err));
}

static void test_refuses_falling_windows(Fixture *f, gconstpointer data)
{
    put(f, 0, 5, 1, 0, 0);
    put(f, 0, 4, 1, 0, 0);
    assert_refused_for_good(f, 10);
}

static void test_refuses_future(Fixture *f, gconstpointer data)
{
    put(f, 0, 10000 + 10, 1, 0, 0); /* 10 s ahead: as far as the clock may be off */
    g_assert_true(collect(f, 10));
    put(f, 1, 10000 + 20, 1, 0, 0);
    assert_refused_for_good(f, 11);
}

static void test_refuses_changed_epoch(Fixture *f, gconstpointer data)
{
    g_assert_true(collect(f, 1));
    monatt_plugin_ring_start(&f->ring, MONATT_PLUGIN_MONITORS_KNOWN, LENGTH, EPOCH + 1);
    assert_refused_for_good(f, 10);
}

static void test_refuses_future_epoch(Fixture *f, gconstpointer data)
{
    g_assert_false(plugin_source_collect_at(f->source, EPOCH - 1, &f->locks, &f->syscalls, &f->t0,
                                            &f->t1, &f->err));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
}

static void test_no_plugin(void)
{
    MonattError err = {0};
    int fd;
    uint64_t size, t0, t1;
    uint32_t monitors;
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
    g_assert_true(monatt_plugin_ring_create(1, &fd, &size, &err));
    g_assert_null(plugin_source_new(fd, size + 1, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    PluginSource *source = plugin_source_new(fd, size, &err);
    g_assert_nonnull(source);
    close(fd); /* the mapping is enough */
    g_assert_false(plugin_source_monitors(source, &monitors, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    g_assert_false(plugin_source_collect(source, &locks, &syscalls, &t0, &t1, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    plugin_source_free(source);
    plugin_source_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define CASE(name, function)                                                                       \
    g_test_add("/plugin-source/" name, Fixture, NULL, set_up, function, tear_down)
    CASE("adds-up", test_adds_up);
    CASE("open-window-waits", test_open_window_waits);
    CASE("late-window", test_late_window);
    CASE("top-calls", test_top_calls);
    CASE("many-numbers", test_many_numbers);
    CASE("counts-drops", test_counts_drops);
    CASE("restart", test_restart);
    CASE("restart-after-wrap", test_restart_after_wrap);
    CASE("refuses-falling-windows", test_refuses_falling_windows);
    CASE("refuses-future", test_refuses_future);
    CASE("refuses-changed-epoch", test_refuses_changed_epoch);
    CASE("refuses-future-epoch", test_refuses_future_epoch);
    g_test_add_func("/plugin-source/no-plugin", test_no_plugin);
    return g_test_run();
}
