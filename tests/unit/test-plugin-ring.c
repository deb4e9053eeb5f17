/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-plugin-ring.c - order, wrap, loss, restart, and everything a hostile writer can put there
 */
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>
#include "libmonatt/formats/plugin-ring.h"

#define VCPUS 2
#define RECORDS_AT 8192 /* 4096 + 2 * 128, rounded up */

typedef struct Fixture {
    int fd;
    uint64_t size;
    MonattPluginRing ring;
    MonattPluginProducer producer;
    MonattPluginCursor cursor;
    MonattError err;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    memset(f, 0, sizeof(*f));
    g_assert_true(monatt_plugin_ring_create(VCPUS, &f->fd, &f->size, &f->err));
    g_assert_true(monatt_plugin_ring_map(f->fd, true, &f->ring, &f->err));
    monatt_plugin_producer_init(&f->producer, &f->ring, 1);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    monatt_plugin_ring_unmap(&f->ring);
    close(f->fd);
}

static MonattPluginRecord sample(uint64_t window)
{
    return (MonattPluginRecord){
        .kind = MONATT_PLUGIN_RECORD_WINDOW,
        .window = window,
        .locks = 7,
        .splits = 3,
        .syscalls = 12,
        .flags = MONATT_PLUGIN_FLAG_FOLDED,
        .pair_count = 3,
        .pairs = {{0, 1}, {257, 4}, {39, 5}},
    };
}

static void write_windows(Fixture *f, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        MonattPluginRecord record = sample(first + i);
        monatt_plugin_producer_write(&f->producer, &record);
    }
}

static MonattPluginRecord read_one(Fixture *f)
{
    MonattPluginRecord record;
    bool some = false;
    g_assert_true(monatt_plugin_ring_next(&f->ring, 1, &f->cursor, &record, &some, &f->err));
    g_assert_true(some);
    return record;
}

static void assert_empty(Fixture *f)
{
    MonattPluginRecord record;
    bool some = true;
    g_assert_true(monatt_plugin_ring_next(&f->ring, 1, &f->cursor, &record, &some, &f->err));
    g_assert_false(some);
}

static void assert_refused(Fixture *f, MonattErrorCode code)
{
    MonattPluginRecord record;
    bool some = false;
    g_assert_false(monatt_plugin_ring_next(&f->ring, 1, &f->cursor, &record, &some, &f->err));
    g_assert_cmpint(f->err.code, ==, code);
}

static uint64_t *head_of(Fixture *f)
{
    return (uint64_t *)(f->ring.map + MONATT_PLUGIN_RING_HEADER_SIZE +
                        MONATT_PLUGIN_RING_VCPU_SIZE);
}

static uint8_t *slot_of(Fixture *f, uint64_t number)
{
    return f->ring.map + RECORDS_AT +
           (MONATT_PLUGIN_RING_CAPACITY + number % MONATT_PLUGIN_RING_CAPACITY) *
               MONATT_PLUGIN_RING_RECORD_SIZE;
}

static void test_round_trip(Fixture *f, gconstpointer data)
{
    assert_empty(f);
    write_windows(f, 5, 1);
    MonattPluginRecord got = read_one(f), wanted = sample(5);
    g_assert_cmpmem(&got, sizeof(got), &wanted, sizeof(wanted));
    assert_empty(f);
    g_assert_cmpuint(f->cursor.lost, ==, 0);
}

static void test_wraps(Fixture *f, gconstpointer data)
{
    for (uint64_t i = 0; i < 3 * MONATT_PLUGIN_RING_CAPACITY; i += 1024) {
        write_windows(f, i, 1024);
        for (uint64_t j = 0; j < 1024; j++) {
            g_assert_cmpuint(read_one(f).window, ==, i + j);
        }
    }
    assert_empty(f);
    g_assert_cmpuint(f->cursor.lost, ==, 0);
}

static void test_full_is_not_lost(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, MONATT_PLUGIN_RING_CAPACITY);
    g_assert_cmpuint(read_one(f).window, ==, 0);
    g_assert_cmpuint(f->cursor.lost, ==, 0);
}

static void test_counts_lost(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, MONATT_PLUGIN_RING_CAPACITY + 1);
    g_assert_cmpuint(read_one(f).window, ==, 1);
    g_assert_cmpuint(f->cursor.lost, ==, 1);
    write_windows(f, 100000, 5 * MONATT_PLUGIN_RING_CAPACITY);
    g_assert_cmpuint(read_one(f).window, ==, 100000 + 4 * MONATT_PLUGIN_RING_CAPACITY);
    g_assert_cmpuint(f->cursor.lost, ==, 5 * MONATT_PLUGIN_RING_CAPACITY);
}

static void test_restarted_reader(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, 10);
    read_one(f);
    MonattPluginCursor other = {0}, kept = f->cursor;
    f->cursor = other; /* a reader that remembers nothing: the oldest that is there */
    g_assert_cmpuint(read_one(f).window, ==, 0);
    f->cursor = kept; /* one that does */
    g_assert_cmpuint(read_one(f).window, ==, 1);
}

static void test_torn_is_lost(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, 4);
    memset(slot_of(f, 1), 0, 8); /* a record that is being written over */
    g_assert_cmpuint(read_one(f).window, ==, 0);
    g_assert_cmpuint(read_one(f).window, ==, 2);
    g_assert_cmpuint(f->cursor.lost, ==, 1);
    g_assert_cmpuint(read_one(f).window, ==, 3);
}

/* Nothing whole is left: all of it is lost, and the reader goes on behind it. */
static void test_all_torn_is_lost(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, 200);
    for (uint64_t i = 0; i < 200; i++) {
        memset(slot_of(f, i), 0xff, 8);
    }
    assert_empty(f);
    g_assert_cmpuint(f->cursor.lost, ==, 200);
    write_windows(f, 200, 1);
    g_assert_cmpuint(read_one(f).window, ==, 200);
}

static void test_refuses_backwards(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, 4);
    read_one(f);
    read_one(f);
    *head_of(f) = 1;
    assert_refused(f, MONATT_ERROR_FORMAT);
    *head_of(f) = 4;
    g_assert_cmpuint(read_one(f).window, ==, 2);
}

static void test_survives_wild_head(Fixture *f, gconstpointer data)
{
    write_windows(f, 0, 4);
    *head_of(f) = UINT64_MAX;
    assert_empty(f);
    g_assert_cmpuint(f->cursor.lost, ==, UINT64_MAX);
    *head_of(f) = 4;
    assert_refused(f, MONATT_ERROR_FORMAT);
}

/* A byte of the record that makes it impossible. */
static void test_refuses_records(Fixture *f, gconstpointer data)
{
    static const struct {
        size_t at;
        uint8_t value;
    } spoil[] = {
        {28, 0},    {28, 2}, {29, 0x03}, {30, 9}, {31, 1}, /* kind, flags, pairs, reserved */
        {15, 0x01},                                        /* window 2^56 */
        {20, 8},                                           /* more split than locked */
        {34, 9},                                           /* more named than called */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(spoil); i++) {
        write_windows(f, 1, 2);
        slot_of(f, f->cursor.next)[spoil[i].at] = spoil[i].value;
        assert_refused(f, MONATT_ERROR_FORMAT);
        g_assert_cmpuint(read_one(f).window, ==, 2); /* the same unbroken is accepted */
    }
}

static void test_refuses_vcpu(Fixture *f, gconstpointer data)
{
    MonattPluginRecord record;
    bool some;
    g_assert_true(
        monatt_plugin_ring_next(&f->ring, VCPUS - 1, &f->cursor, &record, &some, &f->err));
    g_assert_false(monatt_plugin_ring_next(&f->ring, VCPUS, &f->cursor, &record, &some, &f->err));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_USAGE);
}

static void test_refuses_headers(Fixture *f, gconstpointer data)
{
    MonattPluginRing ring;
    for (size_t at = 0; at < 32; at++) {
        for (int bit = 0; bit < 8; bit++) {
            f->ring.map[at] ^= (uint8_t)(1 << bit);
            g_assert_false(monatt_plugin_ring_open(f->ring.map, f->ring.size, &ring, &f->err));
            g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
            f->ring.map[at] ^= (uint8_t)(1 << bit);
        }
    }
    g_assert_true(monatt_plugin_ring_open(f->ring.map, f->ring.size, &ring, &f->err));
    g_assert_false(monatt_plugin_ring_open(f->ring.map, f->ring.size - 1, &ring, &f->err));
    g_assert_false(monatt_plugin_ring_open(f->ring.map, 64, &ring, &f->err));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
}

static void test_status(Fixture *f, gconstpointer data)
{
    MonattPluginRingStatus status;
    g_assert_true(monatt_plugin_ring_status(&f->ring, &status, &f->err));
    g_assert_cmpuint(status.state, ==, MONATT_PLUGIN_ABSENT);
    monatt_plugin_ring_start(&f->ring, MONATT_PLUGIN_MONITOR_LOCKS, 1000000, 42);
    monatt_plugin_ring_unplaced(&f->ring);
    g_assert_true(monatt_plugin_ring_status(&f->ring, &status, &f->err));
    g_assert_cmpuint(status.state, ==, MONATT_PLUGIN_RUNNING);
    g_assert_cmpuint(status.monitors, ==, MONATT_PLUGIN_MONITOR_LOCKS);
    g_assert_cmpuint(status.window_ns, ==, 1000000);
    g_assert_cmpuint(status.epoch_ns, ==, 42);
    g_assert_cmpuint(status.unplaced, ==, 1);
    monatt_plugin_ring_end(&f->ring);
    g_assert_true(monatt_plugin_ring_status(&f->ring, &status, &f->err));
    g_assert_cmpuint(status.state, ==, MONATT_PLUGIN_ENDED);
}

static void test_refuses_status(Fixture *f, gconstpointer data)
{
    static const struct {
        uint32_t state, monitors;
        uint64_t window_ns;
        bool good;
    } cases[] = {
        {1, 3, MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS, true},
        {1, 3, MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS - 1, false},
        {1, 3, MONATT_PLUGIN_RING_WINDOW_MAXIMUM_NS, true},
        {1, 3, MONATT_PLUGIN_RING_WINDOW_MAXIMUM_NS + 1, false},
        {1, 3, 0, false},
        {3, 3, 1000000, false},
        {1, 4, 1000000, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        MonattPluginRingStatus status;
        monatt_plugin_ring_start(&f->ring, cases[i].monitors, cases[i].window_ns, 0);
        memcpy(f->ring.map + 64, &cases[i].state, 4);
        g_assert_true(monatt_plugin_ring_status(&f->ring, &status, &f->err) == cases[i].good);
        if (!cases[i].good) {
            g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
        }
    }
}

#define STRESS_RECORDS 1000000

static gpointer write_all(gpointer data)
{
    Fixture *f = data;
    for (uint32_t i = 1; i <= STRESS_RECORDS; i++) {
        MonattPluginRecord record = {
            .kind = MONATT_PLUGIN_RECORD_WINDOW,
            .window = i,
            .locks = i,
            .splits = i,
            .syscalls = i,
        };
        monatt_plugin_producer_write(&f->producer, &record);
    }
    return NULL;
}

/* A writer that never waits: what is read is whole and in order, what is not is counted. */
static void test_races(Fixture *f, gconstpointer data)
{
    uint64_t read = 0, last = 0;
    GThread *thread = g_thread_new("writer", write_all, f);
    while (last < STRESS_RECORDS) {
        MonattPluginRecord record;
        bool some = false;
        g_assert_true(monatt_plugin_ring_next(&f->ring, 1, &f->cursor, &record, &some, &f->err));
        if (!some) {
            g_thread_yield();
            continue;
        }
        g_assert_cmpuint(record.window, >, last);
        g_assert_true(record.locks == record.window && record.splits == record.window &&
                      record.syscalls == record.window);
        last = record.window;
        read++;
    }
    g_thread_join(thread);
    g_assert_cmpuint(read + f->cursor.lost, ==, STRESS_RECORDS);
}

static void test_sizes(void)
{
    MonattError err = {0};
    int fd;
    uint64_t size;
    g_assert_cmpuint(monatt_plugin_ring_size(0), ==, 0);
    g_assert_cmpuint(monatt_plugin_ring_size(1), ==, 8192 + 8192 * 64);
    g_assert_cmpuint(monatt_plugin_ring_size(MONATT_PLUGIN_RING_VCPUS_MAXIMUM), >, 0);
    g_assert_cmpuint(monatt_plugin_ring_size(MONATT_PLUGIN_RING_VCPUS_MAXIMUM + 1), ==, 0);
    g_assert_false(monatt_plugin_ring_create(0, &fd, &size, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    g_assert_false(
        monatt_plugin_ring_create(MONATT_PLUGIN_RING_VCPUS_MAXIMUM + 1, &fd, &size, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
}

static void test_seals(Fixture *f, gconstpointer data)
{
    MonattPluginRing ring;
    g_assert_cmpint(ftruncate(f->fd, 4096), ==, -1); /* what would raise SIGBUS in a reader */
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_cmpint(ftruncate(fd, (off_t)f->size), ==, 0);
    g_assert_cmpint(pwrite(fd, f->ring.map, f->size, 0), ==, f->size);
    g_assert_false(monatt_plugin_ring_map(fd, false, &ring, &f->err));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), ==, 0);
    g_assert_true(monatt_plugin_ring_map(fd, false, &ring, &f->err));
    monatt_plugin_ring_unmap(&ring);
    close(fd);
    g_assert_false(monatt_plugin_ring_map(fd, false, &ring, &f->err));
    g_assert_cmpint(f->err.code, ==, MONATT_ERROR_SYSTEM);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define CASE(name, function)                                                                       \
    g_test_add("/plugin-ring/" name, Fixture, NULL, set_up, function, tear_down)
    CASE("round-trip", test_round_trip);
    CASE("wraps", test_wraps);
    CASE("full-is-not-lost", test_full_is_not_lost);
    CASE("counts-lost", test_counts_lost);
    CASE("restarted-reader", test_restarted_reader);
    CASE("torn-is-lost", test_torn_is_lost);
    CASE("all-torn-is-lost", test_all_torn_is_lost);
    CASE("refuses-backwards", test_refuses_backwards);
    CASE("survives-wild-head", test_survives_wild_head);
    CASE("refuses-records", test_refuses_records);
    CASE("refuses-vcpu", test_refuses_vcpu);
    CASE("refuses-headers", test_refuses_headers);
    CASE("status", test_status);
    CASE("refuses-status", test_refuses_status);
    CASE("seals", test_seals);
    CASE("races", test_races);
    g_test_add_func("/plugin-ring/sizes", test_sizes);
    return g_test_run();
}
