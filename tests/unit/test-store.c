/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-store.c - the collector's file: kept after kill -9, whole or nothing when the disk is full
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host-collector/store.h"

#define KILLS 12
#define EVIDENCE_SIZE 20000

typedef struct Fixture {
    char *directory;
    char *path;
} Fixture;

static void fixture_set_up(Fixture *f, gconstpointer data)
{
    f->directory = g_dir_make_tmp("collector-store-XXXXXX", NULL);
    g_assert_nonnull(f->directory);
    f->path = g_build_filename(f->directory, "collector.db", NULL);
}

static void fixture_tear_down(Fixture *f, gconstpointer data)
{
    static const char *const endings[] = {"", "-wal", "-journal", "-shm"};

    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *name = g_strconcat(f->path, endings[i], NULL);
        g_unlink(name);
    }
    g_assert_cmpint(g_rmdir(f->directory), ==, 0);
    g_free(f->path);
    g_free(f->directory);
}

static Store *open_store(const Fixture *f)
{
    MonattError err = {0};
    Store *store = store_open(f->path, &err);

    g_assert_cmpstr(err.message, ==, "");
    g_assert_nonnull(store);
    return store;
}

/* Number n of a boot; nonce, Q3 and evidence follow from n, so they can be checked later. */
static StoreReport make_report(uint8_t vm, uint64_t n)
{
    StoreReport report = {.number = n, .time_s = 1700000000 + (int64_t)n};

    memset(report.vid, vm, sizeof(report.vid));
    memset(report.boot_seed, 0x5e, sizeof(report.boot_seed));
    memset(report.nonce, vm, sizeof(report.nonce));
    memcpy(report.nonce, &n, sizeof(n));
    memset(report.q3, 0x93, sizeof(report.q3));
    memcpy(report.q3, &n, sizeof(n));
    return report;
}

static GBytes *make_evidence(uint64_t n, size_t size)
{
    uint8_t *bytes = g_malloc(size);

    memset(bytes, (int)(n & 0xff), size);
    return g_bytes_new_take(bytes, size);
}

static bool add(Store *store, uint8_t vm, uint64_t n, size_t size, MonattError *err)
{
    StoreReport report = make_report(vm, n);
    g_autoptr(GBytes) evidence = make_evidence(n, size);

    return store_add_report(store, &report, evidence, err);
}

static uint64_t last(Store *store, uint8_t vm)
{
    StoreReport report = make_report(vm, 1);
    uint8_t q3[MONATT_SHA256_SIZE];
    uint64_t number = 0;
    MonattError err = {0};

    g_assert_true(store_last_report(store, report.vid, report.boot_seed, &number, q3, &err));
    if (number > 0) {
        StoreReport expected = make_report(vm, number);
        g_assert_cmpmem(q3, sizeof(q3), expected.q3, sizeof(expected.q3));
    }
    return number;
}

static void test_keeps_reports(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    StoreReport report = make_report(1, 2);
    bool used = false;

    g_assert_cmpuint(last(store, 1), ==, 0);
    g_assert_true(add(store, 1, 1, 10, &err));
    g_assert_true(add(store, 1, 2, 20, &err));
    g_assert_true(add(store, 2, 1, 30, &err));
    store_close(store);

    store = open_store(f);
    g_assert_cmpuint(last(store, 1), ==, 2);
    g_assert_cmpuint(last(store, 2), ==, 1);
    g_assert_true(store_nonce_used(store, report.nonce, &used, &err));
    g_assert_true(used);
    report.nonce[31] ^= 1;
    g_assert_true(store_nonce_used(store, report.nonce, &used, &err));
    g_assert_false(used);
    {
        g_autoptr(GBytes) got = store_evidence(store, report.vid, report.boot_seed, 2, &err);
        g_autoptr(GBytes) expected = make_evidence(2, 20);
        g_autoptr(GArray) list = store_list(store, report.vid, report.boot_seed, &err);

        g_assert_true(g_bytes_equal(got, expected));
        g_assert_cmpuint(list->len, ==, 2);
        g_assert_cmpuint(g_array_index(list, StoreReport, 1).size, ==, 20);
        g_assert_null(store_evidence(store, report.vid, report.boot_seed, 3, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    }
    store_close(store);
}

static void test_refuses_used_nonce(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    StoreReport report = make_report(1, 1);
    g_autoptr(GBytes) evidence = make_evidence(1, 8);

    g_assert_true(store_add_report(store, &report, evidence, &err));
    report.number = 2;
    g_assert_false(store_add_report(store, &report, evidence, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    g_assert_cmpuint(last(store, 1), ==, 1);
    g_assert_true(add(store, 1, 2, 8, &err));
    store_close(store);
}

static void test_refuses_second_process(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};

    g_assert_null(store_open(f->path, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    g_assert_cmpstr(err.hint, !=, "");
    store_close(store);
    store = open_store(f);
    store_close(store);
}

static void test_refuses_foreign_file(Fixture *f, gconstpointer data)
{
    MonattError err = {0};

    g_assert_true(g_file_set_contents(f->path,
                                      "this is not a database, it is a text file that "
                                      "is longer than a header of a hundred bytes is, so "
                                      "that it is looked at",
                                      -1, NULL));
    g_assert_null(store_open(f->path, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
}

static void test_disk_full_changes_nothing(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    uint64_t n = 0;
    uint64_t kept;

    g_assert_true(store_limit_pages(store, 64, &err));
    while (add(store, 1, n + 1, EVIDENCE_SIZE, &err)) {
        n++;
        g_assert_cmpuint(n, <, 64);
    }
    g_assert_cmpuint(n, >, 2);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_SYSTEM);
    g_assert_cmpint(err.system_errno, ==, ENOSPC);
    g_assert_cmpstr(err.hint, !=, "");
    kept = last(store, 1);
    g_assert_cmpuint(kept, ==, n);
    {
        StoreReport report = make_report(1, n + 1);
        bool used = true;

        g_assert_true(store_nonce_used(store, report.nonce, &used, &err));
        g_assert_false(used);
    }
    /* With room again the same report is taken. */
    g_assert_true(store_limit_pages(store, 4096, &err));
    g_assert_true(add(store, 1, n + 1, EVIDENCE_SIZE, &err));
    store_close(store);
}

static void test_old_reports_go(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    StoreReport report = make_report(1, 1);
    const uint64_t total = STORE_REPORTS_A_VM + 2 * STORE_PRUNE_INTERVAL;

    for (uint64_t n = 1; n <= total; n++) {
        g_assert_true(add(store, 1, n, 4, &err));
    }
    {
        g_autoptr(GArray) list = store_list(store, report.vid, report.boot_seed, &err);

        g_assert_cmpuint(list->len, >=, STORE_REPORTS_A_VM);
        g_assert_cmpuint(list->len, <, STORE_REPORTS_A_VM + STORE_PRUNE_INTERVAL);
        g_assert_cmpuint(g_array_index(list, StoreReport, list->len - 1).number, ==, total);
    }
    store_close(store);
}

static int count_reports(const Fixture *f)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    g_assert_cmpint(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_prepare_v2(db, "SELECT count(*) FROM reports", -1, &statement, NULL),
                    ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

/* A guest asks for reports and resets itself: numbers begin at 1 again, files do not end. */
static void test_old_reports_go_over_boots(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};

    for (uint64_t n = 1; n <= STORE_REPORTS_A_VM; n++) {
        g_assert_true(add(store, 1, n, 4, &err));
    }
    for (uint8_t boot = 0; boot < 8; boot++) {
        for (uint64_t n = 1; n < STORE_PRUNE_INTERVAL; n++) {
            StoreReport report = make_report(1, n);
            g_autoptr(GBytes) evidence = make_evidence(n, 4);

            memset(report.boot_seed, boot, sizeof(report.boot_seed));
            report.nonce[16] = (uint8_t)(0x80 + boot);
            g_assert_true(store_add_report(store, &report, evidence, &err));
        }
    }
    store_close(store);
    int count = count_reports(f);
    g_assert_cmpint(count, >=, STORE_REPORTS_A_VM);
    g_assert_cmpint(count, <, STORE_REPORTS_A_VM + STORE_PRUNE_INTERVAL);
}

/* Adds reports until it is killed; says each number once the store has said yes. */
static void writer(const Fixture *f, int out)
{
    MonattError err = {0};
    Store *store = store_open(f->path, &err);
    uint64_t n = store ? last(store, 1) : 0;

    while (store && add(store, 1, n + 1, EVIDENCE_SIZE, &err)) {
        n++;
        if (write(out, &n, sizeof(n)) != (ssize_t)sizeof(n)) {
            break;
        }
    }
    _exit(9);
}

static void test_survives_kill(Fixture *f, gconstpointer data)
{
    uint64_t acknowledged = 0;

    for (int i = 0; i < KILLS; i++) {
        int pipe_fds[2];
        uint64_t n;
        pid_t pid;
        int status = 0;
        Store *store;
        MonattError err = {0};

        g_assert_cmpint(pipe(pipe_fds), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            close(pipe_fds[0]);
            writer(f, pipe_fds[1]);
        }
        close(pipe_fds[1]);
        /* Killed at another place of the loop each time: after i reports and a bit. */
        for (int k = 0; k < 1 + i % 4; k++) {
            g_assert_cmpint(read(pipe_fds[0], &n, sizeof(n)), ==, sizeof(n));
            acknowledged = n;
        }
        g_usleep((gulong)(i * 137) % 1500);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        g_assert_true(WIFSIGNALED(status));
        while (read(pipe_fds[0], &n, sizeof(n)) == (ssize_t)sizeof(n)) {
            acknowledged = n;
        }
        close(pipe_fds[0]);

        store = open_store(f);
        /* At most the one that was stored and not yet said is beyond what was said. */
        g_assert_cmpuint(last(store, 1), >=, acknowledged);
        g_assert_cmpuint(last(store, 1), <=, acknowledged + 1);
        for (uint64_t k = 1; k <= acknowledged; k++) {
            StoreReport report = make_report(1, k);
            g_autoptr(GBytes) got = store_evidence(store, report.vid, report.boot_seed, k, &err);
            g_autoptr(GBytes) expected = make_evidence(k, EVIDENCE_SIZE);

            g_assert_nonnull(got);
            g_assert_true(g_bytes_equal(got, expected));
        }
        store_close(store);
    }
    g_assert_cmpuint(acknowledged, >=, KILLS);
}

static void test_finds_vm(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    StoreVm vm = {.name = "web-3", .seen_s = 5};
    StoreVm found = {0};
    MonattError err = {0};
    char uuid[MONATT_UUID_TEXT_SIZE];

    memset(vm.vid, 0x42, sizeof(vm.vid));
    g_assert_true(store_note_vm(store, &vm, &err));
    g_assert_true(store_find_vm(store, "web-3", &found, &err));
    g_assert_cmpmem(found.vid, sizeof(found.vid), vm.vid, sizeof(vm.vid));
    monatt_text_from_uuid(vm.vid, uuid);
    g_assert_true(store_find_vm(store, uuid, &found, &err));
    g_assert_cmpstr(found.name, ==, "web-3");
    g_assert_false(store_find_vm(store, "web-4", &found, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    g_assert_false(store_find_vm(store, "' OR 1=1 --", &found, &err));
    store_close(store);
}

static void test_two_vms_with_one_key(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    const uint8_t first[MONATT_UUID_SIZE] = {1};
    const uint8_t copy[MONATT_UUID_SIZE] = {2};
    const uint8_t key[34] = {0, 11, 7};
    const uint8_t other[34] = {0, 11, 8};

    for (int i = 0; i < 2; i++) {
        g_assert_true(store_note_ek(store, first, key, sizeof(key), &err));
        g_assert_false(store_note_ek(store, copy, key, sizeof(key), &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
        g_assert_nonnull(strstr(err.message, "01000000-0000-0000-0000-000000000000"));
        monatt_error_clear(&err);
        /* The collector's own death changes nothing. */
        store_close(store);
        store = open_store(f);
    }
    /* With a TPM of its own the copy is a VM like any other, and its key is nobody else's. */
    g_assert_true(store_note_ek(store, copy, other, sizeof(other), &err));
    g_assert_false(store_note_ek(store, first, other, sizeof(other), &err));
    monatt_error_clear(&err);
    /* The first one's folder was removed: its old key is free. */
    const uint8_t third[34] = {0, 11, 9};
    g_assert_true(store_note_ek(store, first, third, sizeof(third), &err));
    g_assert_true(store_note_ek(store, copy, key, sizeof(key), &err));
    store_close(store);
}

/* A file of version 1, as 0.1.0 wrote it: what it holds is kept. */
static void test_reads_version_1(Fixture *f, gconstpointer data)
{
    Store *store = open_store(f);
    MonattError err = {0};
    const uint8_t vid[MONATT_UUID_SIZE] = {1};
    const uint8_t key[34] = {0, 11, 7};
    sqlite3 *db;

    g_assert_true(add(store, 1, 1, 100, &err));
    store_close(store);
    g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
    g_assert_cmpint(
        sqlite3_exec(db, "DROP TABLE device_keys; PRAGMA user_version=1", NULL, NULL, NULL), ==,
        SQLITE_OK);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
    store = open_store(f);
    g_assert_cmpuint(last(store, 1), ==, 1);
    g_assert_true(store_note_ek(store, vid, key, sizeof(key), &err));
    store_close(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/store/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
    ADD("keeps-reports", test_keeps_reports);
    ADD("refuses-used-nonce", test_refuses_used_nonce);
    ADD("refuses-second-process", test_refuses_second_process);
    ADD("refuses-foreign-file", test_refuses_foreign_file);
    ADD("disk-full-changes-nothing", test_disk_full_changes_nothing);
    ADD("old-reports-go", test_old_reports_go);
    ADD("old-reports-go-over-boots", test_old_reports_go_over_boots);
    ADD("survives-kill", test_survives_kill);
    ADD("finds-vm", test_finds_vm);
    ADD("two-vms-with-one-key", test_two_vms_with_one_key);
    ADD("reads-version-1", test_reads_version_1);
    return g_test_run();
}
