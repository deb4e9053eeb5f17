/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.c - the collector's SQLite file
 *
 * Every change is one transaction; a failure rolls it back before the lock is given away, so no
 * caller can see or leave half a report.  Must never hold a private key.
 */
#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "host-collector/store.h"

#define STORE_VERSION 2
/* Another process may hold the file for a moment (a backup); longer than this is "busy". */
#define STORE_BUSY_MS 2000

struct Store {
    sqlite3 *db;
    GMutex lock;
    char *path;
    sqlite3_stmt *add_report;
    sqlite3_stmt *add_nonce;
    sqlite3_stmt *last_report;
    sqlite3_stmt *nonce_used;
};

/* What version 2 has and version 1 had not. */
#define STORE_SCHEMA_2                                                                             \
    "CREATE TABLE device_keys (vid BLOB PRIMARY KEY, ek BLOB NOT NULL, since INTEGER NOT NULL)"    \
    "  WITHOUT ROWID; CREATE INDEX device_keys_ek ON device_keys (ek);"

static const char store_schema[] =
    "CREATE TABLE vms (vid BLOB PRIMARY KEY, name TEXT NOT NULL, bootseed BLOB NOT NULL,"
    "  seen INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE reports (id INTEGER PRIMARY KEY AUTOINCREMENT, vid BLOB NOT NULL,"
    "  bootseed BLOB NOT NULL, n INTEGER NOT NULL, nonce BLOB NOT NULL UNIQUE,"
    "  q3 BLOB NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL, evidence BLOB NOT NULL,"
    "  UNIQUE (vid, bootseed, n));"
    "CREATE INDEX reports_age ON reports (vid, id DESC, size);"
    "CREATE TABLE nonces (id INTEGER PRIMARY KEY AUTOINCREMENT, nonce BLOB NOT NULL UNIQUE);"
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL,"
    "  valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL, sk_name BLOB NOT "
    "NULL);" STORE_SCHEMA_2;

static bool store_fail(Store *store, MonattError *err, const char *what)
{
    int code = sqlite3_extended_errcode(store->db);
    int system_errno = sqlite3_system_errno(store->db);

    if ((code & 0xff) == SQLITE_FULL || system_errno == ENOSPC || system_errno == EDQUOT) {
        monatt_error_set_errno(err, ENOSPC, "%s: '%s': nothing was stored", what, store->path);
        return monatt_error_hint(err, "free space on that file system; what was acknowledged "
                                      "before is kept");
    }
    if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "%s: '%s': used by another process", what,
                         store->path);
        return monatt_error_hint(err, "only one monatt-collectord can use a state folder");
    }
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "%s: '%s': %s", what, store->path,
                         sqlite3_errmsg(store->db));
        return monatt_error_hint(err, "move the file away; report chains begin again with the "
                                      "VMs' next boots");
    }
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_PERM ||
        system_errno == EACCES) {
        return monatt_error_set(err, MONATT_ERROR_PERMISSION, "%s: '%s': %s", what, store->path,
                                sqlite3_errmsg(store->db));
    }
    if (system_errno) {
        return monatt_error_set_errno(err, system_errno, "%s: '%s'", what, store->path);
    }
    return monatt_error_set(err, MONATT_ERROR_SYSTEM, "%s: '%s': %s", what, store->path,
                            sqlite3_errmsg(store->db));
}

static bool store_run(Store *store, const char *sql, const char *what, MonattError *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return store_fail(store, err, what);
    }
    return true;
}

static sqlite3_stmt *store_prepare(Store *store, const char *sql, MonattError *err)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK) {
        store_fail(store, err, "store");
        return NULL;
    }
    return statement;
}

static int store_callback_version(void *data, int columns, char **values, char **names)
{
    *(long *)data = columns > 0 && values[0] ? strtol(values[0], NULL, 10) : -1;
    return 0;
}

static bool store_set_up(Store *store, MonattError *err)
{
    long version = -1;

    sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
    sqlite3_extended_result_codes(store->db, 1);
    /* Exclusive first: with it the write-ahead log needs no shared memory file. */
    if (!store_run(store,
                   "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                   "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;",
                   "store", err)) {
        return false;
    }
    if (sqlite3_exec(store->db, "PRAGMA user_version", store_callback_version, &version, NULL) !=
        SQLITE_OK) {
        return store_fail(store, err, "store");
    }
    if (version == 0 || version == 1) {
        g_autofree char *sql =
            g_strdup_printf("BEGIN IMMEDIATE; %s PRAGMA user_version=%d; COMMIT;",
                            version == 0 ? store_schema : STORE_SCHEMA_2, STORE_VERSION);
        if (!store_run(store, sql, "store", err)) {
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
            return false;
        }
    } else if (version != STORE_VERSION) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "store: '%s': version %ld is not known",
                         store->path, version);
        return monatt_error_hint(err, "a newer monatt-collectord wrote it: use that one, or "
                                      "another --state-dir");
    } else if (!store_run(store, "BEGIN IMMEDIATE; COMMIT;", "store", err)) {
        return false; /* takes the exclusive lock now, not at the first report */
    }
    store->add_report =
        store_prepare(store,
                      "INSERT INTO reports (vid, bootseed, n, nonce, q3, time, size, evidence)"
                      " VALUES (?,?,?,?,?,?,?,?)",
                      err);
    store->add_nonce = store_prepare(store, "INSERT INTO nonces (nonce) VALUES (?)", err);
    store->last_report = store_prepare(
        store, "SELECT n, q3 FROM reports WHERE vid=? AND bootseed=? ORDER BY n DESC LIMIT 1", err);
    store->nonce_used = store_prepare(store, "SELECT 1 FROM nonces WHERE nonce=?", err);
    return store->add_report && store->add_nonce && store->last_report && store->nonce_used;
}

Store *store_open(const char *path, MonattError *err)
{
    Store *store = g_new0(Store, 1);
    mode_t old_mask;
    int code;

    g_mutex_init(&store->lock);
    store->path = g_strdup(path);
    old_mask = umask(0077);
    code = sqlite3_open_v2(path, &store->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        store_fail(store, err, "store");
    }
    if (code != SQLITE_OK || !store_set_up(store, err)) {
        umask(old_mask);
        store_close(store);
        return NULL;
    }
    umask(old_mask);
    return store;
}

void store_close(Store *store)
{
    if (!store) {
        return;
    }
    sqlite3_finalize(store->add_report);
    sqlite3_finalize(store->add_nonce);
    sqlite3_finalize(store->last_report);
    sqlite3_finalize(store->nonce_used);
    sqlite3_close(store->db);
    g_mutex_clear(&store->lock);
    g_free(store->path);
    g_free(store);
}

static void store_bind_blob(sqlite3_stmt *statement, int at, const void *bytes, size_t size)
{
    sqlite3_bind_blob64(statement, at, bytes, size, SQLITE_STATIC);
}

/* Runs a prepared change and resets it; the caller holds the lock. */
static bool store_step(Store *store, sqlite3_stmt *statement, const char *what, MonattError *err)
{
    int code = sqlite3_step(statement);
    bool done = code == SQLITE_DONE || code == SQLITE_ROW;

    if (!done) {
        store_fail(store, err, what);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return done;
}

/* Oldest reports of the VM beyond the count or the bytes; the newest always stays. */
static bool store_prune(Store *store, const uint8_t *vid, MonattError *err)
{
    sqlite3_stmt *statement;
    bool done;

    statement = store_prepare(
        store,
        "DELETE FROM reports WHERE id IN (SELECT id FROM (SELECT id,"
        " row_number() OVER w AS place, sum(size) OVER w AS total FROM reports WHERE vid=?1"
        " WINDOW w AS (ORDER BY id DESC)) WHERE place > ?2 OR (place > 1 AND total > ?3))",
        err);
    if (!statement) {
        return false;
    }
    store_bind_blob(statement, 1, vid, MONATT_UUID_SIZE);
    sqlite3_bind_int64(statement, 2, STORE_REPORTS_A_VM);
    sqlite3_bind_int64(statement, 3, STORE_BYTES_A_VM);
    done = store_step(store, statement, "store: old reports", err);
    sqlite3_finalize(statement);
    if (!done) {
        return false;
    }
    statement = store_prepare(
        store, "DELETE FROM nonces WHERE id <= (SELECT max(id) FROM nonces) - ?1", err);
    if (!statement) {
        return false;
    }
    sqlite3_bind_int64(statement, 1, STORE_NONCES);
    done = store_step(store, statement, "store: old nonces", err);
    sqlite3_finalize(statement);
    return done;
}

static bool store_insert(Store *store, const StoreReport *report, GBytes *evidence,
                         MonattError *err)
{
    gsize size = 0;
    const void *bytes = g_bytes_get_data(evidence, &size);

    store_bind_blob(store->add_nonce, 1, report->nonce, sizeof(report->nonce));
    if (!store_step(store, store->add_nonce, "report", err)) {
        if ((sqlite3_errcode(store->db) & 0xff) == SQLITE_CONSTRAINT) {
            monatt_error_set(err, MONATT_ERROR_USAGE, "report: this nonce was used before");
            monatt_error_hint(err, "ask again with 32 fresh random bytes");
        }
        return false;
    }
    store_bind_blob(store->add_report, 1, report->vid, sizeof(report->vid));
    store_bind_blob(store->add_report, 2, report->boot_seed, sizeof(report->boot_seed));
    sqlite3_bind_int64(store->add_report, 3, (sqlite3_int64)report->number);
    store_bind_blob(store->add_report, 4, report->nonce, sizeof(report->nonce));
    store_bind_blob(store->add_report, 5, report->q3, sizeof(report->q3));
    sqlite3_bind_int64(store->add_report, 6, report->time_s);
    sqlite3_bind_int64(store->add_report, 7, (sqlite3_int64)size);
    store_bind_blob(store->add_report, 8, bytes, size);
    if (!store_step(store, store->add_report, "report", err)) {
        return false;
    }
    /* Numbers begin at 1 in each boot, and a guest can ask for a report and for a reset. */
    bool due = report->number == 1 || report->number % STORE_PRUNE_INTERVAL == 0;
    return !due || store_prune(store, report->vid, err);
}

bool store_add_report(Store *store, const StoreReport *report, GBytes *evidence, MonattError *err)
{
    bool done = false;

    g_mutex_lock(&store->lock);
    if (store_run(store, "BEGIN IMMEDIATE", "report", err)) {
        done =
            store_insert(store, report, evidence, err) && store_run(store, "COMMIT", "report", err);
        if (!done && !sqlite3_get_autocommit(store->db)) {
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    g_mutex_unlock(&store->lock);
    return done;
}

bool store_nonce_used(Store *store, const uint8_t nonce[MONATT_NONCE_SIZE], bool *ret_used,
                      MonattError *err)
{
    int code;
    bool done = true;

    g_mutex_lock(&store->lock);
    store_bind_blob(store->nonce_used, 1, nonce, MONATT_NONCE_SIZE);
    code = sqlite3_step(store->nonce_used);
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *ret_used = code == SQLITE_ROW;
    } else {
        done = store_fail(store, err, "nonce");
    }
    sqlite3_reset(store->nonce_used);
    sqlite3_clear_bindings(store->nonce_used);
    g_mutex_unlock(&store->lock);
    return done;
}

/* Copies a blob column of exactly size bytes; a damaged row is not trusted. */
static bool store_column(Store *store, sqlite3_stmt *statement, int at, void *out, size_t size,
                         MonattError *err)
{
    if (sqlite3_column_bytes(statement, at) != (int)size) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "store: '%s': a row has a wrong size",
                                store->path);
    }
    memcpy(out, sqlite3_column_blob(statement, at), size);
    return true;
}

bool store_last_report(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                       const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE], uint64_t *ret_number,
                       uint8_t ret_q3[MONATT_SHA256_SIZE], MonattError *err)
{
    sqlite3_stmt *statement = store->last_report;
    bool done = true;
    int code;

    g_mutex_lock(&store->lock);
    store_bind_blob(statement, 1, vid, MONATT_UUID_SIZE);
    store_bind_blob(statement, 2, boot_seed, MONATT_BOOT_SEED_SIZE);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        done = store_column(store, statement, 1, ret_q3, MONATT_SHA256_SIZE, err);
        if (done) {
            *ret_number = (uint64_t)sqlite3_column_int64(statement, 0);
        }
    } else if (code == SQLITE_DONE) {
        *ret_number = 0;
        memset(ret_q3, 0, MONATT_SHA256_SIZE);
    } else {
        done = store_fail(store, err, "report");
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    g_mutex_unlock(&store->lock);
    return done;
}

GBytes *store_evidence(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                       const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE], uint64_t number,
                       MonattError *err)
{
    sqlite3_stmt *statement;
    GBytes *evidence = NULL;
    int code;

    g_mutex_lock(&store->lock);
    statement = store_prepare(
        store, "SELECT evidence FROM reports WHERE vid=? AND bootseed=? AND n=?", err);
    if (statement) {
        store_bind_blob(statement, 1, vid, MONATT_UUID_SIZE);
        store_bind_blob(statement, 2, boot_seed, MONATT_BOOT_SEED_SIZE);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)number);
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            evidence = g_bytes_new(sqlite3_column_blob(statement, 0),
                                   (gsize)sqlite3_column_bytes(statement, 0));
        } else if (code == SQLITE_DONE) {
            monatt_error_set(err, MONATT_ERROR_MISSING,
                             "report %" G_GUINT64_FORMAT ": not kept for this boot", number);
            monatt_error_hint(err, "GET …/reports lists what there is");
        } else {
            store_fail(store, err, "report");
        }
        sqlite3_finalize(statement);
    }
    g_mutex_unlock(&store->lock);
    return evidence;
}

GArray *store_list(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                   const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE], MonattError *err)
{
    GArray *list = g_array_new(FALSE, TRUE, sizeof(StoreReport));
    sqlite3_stmt *statement;
    bool done = false;
    int code = SQLITE_DONE;

    g_mutex_lock(&store->lock);
    statement = store_prepare(store,
                              "SELECT n, nonce, q3, time, size FROM reports"
                              " WHERE vid=? AND bootseed=? ORDER BY n LIMIT ?",
                              err);
    if (statement) {
        store_bind_blob(statement, 1, vid, MONATT_UUID_SIZE);
        store_bind_blob(statement, 2, boot_seed, MONATT_BOOT_SEED_SIZE);
        sqlite3_bind_int(statement, 3, STORE_LIST_MAXIMUM);
        done = true;
        while (done && (code = sqlite3_step(statement)) == SQLITE_ROW) {
            StoreReport report = {0};

            memcpy(report.vid, vid, sizeof(report.vid));
            memcpy(report.boot_seed, boot_seed, sizeof(report.boot_seed));
            report.number = (uint64_t)sqlite3_column_int64(statement, 0);
            report.time_s = sqlite3_column_int64(statement, 3);
            report.size = (uint64_t)sqlite3_column_int64(statement, 4);
            done = store_column(store, statement, 1, report.nonce, sizeof(report.nonce), err) &&
                   store_column(store, statement, 2, report.q3, sizeof(report.q3), err);
            if (done) {
                g_array_append_val(list, report);
            }
        }
        if (done && code != SQLITE_DONE) {
            done = store_fail(store, err, "reports");
        }
        sqlite3_finalize(statement);
    }
    g_mutex_unlock(&store->lock);
    if (!done) {
        g_array_unref(list);
        return NULL;
    }
    return list;
}

bool store_note_vm(Store *store, const StoreVm *vm, MonattError *err)
{
    sqlite3_stmt *statement;
    bool done = false;

    g_mutex_lock(&store->lock);
    statement = store_prepare(store,
                              "INSERT INTO vms (vid, name, bootseed, seen) VALUES (?,?,?,?)"
                              " ON CONFLICT (vid) DO UPDATE SET name=excluded.name,"
                              " bootseed=excluded.bootseed, seen=excluded.seen"
                              " WHERE name<>excluded.name OR bootseed<>excluded.bootseed",
                              err);
    if (statement) {
        store_bind_blob(statement, 1, vm->vid, sizeof(vm->vid));
        sqlite3_bind_text(statement, 2, vm->name, -1, SQLITE_STATIC);
        store_bind_blob(statement, 3, vm->boot_seed, sizeof(vm->boot_seed));
        sqlite3_bind_int64(statement, 4, vm->seen_s);
        done = store_step(store, statement, "VM", err);
        sqlite3_finalize(statement);
    }
    g_mutex_unlock(&store->lock);
    return done;
}

bool store_note_ek(Store *store, const uint8_t vid[MONATT_UUID_SIZE], const uint8_t *ek_name,
                   size_t size, MonattError *err)
{
    sqlite3_stmt *find;
    sqlite3_stmt *note = NULL;
    bool done = false;
    int code;

    g_mutex_lock(&store->lock);
    find = store_prepare(store, "SELECT vid FROM device_keys WHERE ek=? AND vid<>? LIMIT 1", err);
    if (find) {
        store_bind_blob(find, 1, ek_name, size);
        store_bind_blob(find, 2, vid, MONATT_UUID_SIZE);
        code = sqlite3_step(find);
        if (code == SQLITE_ROW && sqlite3_column_bytes(find, 0) == MONATT_UUID_SIZE) {
            char uuid[MONATT_UUID_TEXT_SIZE];
            monatt_text_from_uuid(sqlite3_column_blob(find, 0), uuid);
            monatt_error_set(err, MONATT_ERROR_FAULT,
                             "device key: was seen as VM %s before: a state folder was copied",
                             uuid);
            monatt_error_hint(err, "end this VM and remove its folder STATE_DIR/vm/UUID: it gets "
                                   "a device TPM of its own at its next start");
        } else if (code != SQLITE_DONE) {
            store_fail(store, err, "store: device key");
        } else {
            /* A VM whose folder was removed has another key now: the newest one counts. */
            note = store_prepare(store,
                                 "INSERT INTO device_keys (vid, ek, since) VALUES (?,?,?)"
                                 " ON CONFLICT (vid) DO UPDATE SET ek=excluded.ek,"
                                 " since=excluded.since WHERE ek<>excluded.ek",
                                 err);
        }
    }
    if (note) {
        store_bind_blob(note, 1, vid, MONATT_UUID_SIZE);
        store_bind_blob(note, 2, ek_name, size);
        sqlite3_bind_int64(note, 3, time(NULL));
        done = store_step(store, note, "store: device key", err);
    }
    sqlite3_finalize(note);
    sqlite3_finalize(find);
    g_mutex_unlock(&store->lock);
    return done;
}

bool store_find_vm(Store *store, const char *name_or_uuid, StoreVm *ret_vm, MonattError *err)
{
    uint8_t vid[MONATT_UUID_SIZE] = {0};
    StoreVm vm = {0};
    sqlite3_stmt *statement;
    bool done = false;
    bool is_uuid = monatt_text_to_uuid(name_or_uuid, vid, NULL);
    int code;

    g_mutex_lock(&store->lock);
    statement = store_prepare(store,
                              "SELECT vid, name, bootseed, seen FROM vms WHERE (?1 AND vid=?2) OR"
                              " (NOT ?1 AND name=?3) ORDER BY seen DESC LIMIT 1",
                              err);
    if (statement) {
        sqlite3_bind_int(statement, 1, is_uuid);
        store_bind_blob(statement, 2, vid, sizeof(vid));
        sqlite3_bind_text(statement, 3, name_or_uuid, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            const unsigned char *name = sqlite3_column_text(statement, 1);

            g_strlcpy(vm.name, name ? (const char *)name : "", sizeof(vm.name));
            vm.seen_s = sqlite3_column_int64(statement, 3);
            done = store_column(store, statement, 0, vm.vid, sizeof(vm.vid), err) &&
                   store_column(store, statement, 2, vm.boot_seed, sizeof(vm.boot_seed), err);
        } else if (code == SQLITE_DONE) {
            monatt_error_set(err, MONATT_ERROR_MISSING, "VM '%s': no such VM", name_or_uuid);
            monatt_error_hint(err, "'monatt vm list' shows those that there are");
        } else {
            store_fail(store, err, "VM");
        }
        sqlite3_finalize(statement);
    }
    g_mutex_unlock(&store->lock);
    if (done) {
        *ret_vm = vm;
    }
    return done;
}

bool store_note_session(Store *store, const char *host_id, int64_t from_s, int64_t until_s,
                        const uint8_t *sk_name, size_t sk_name_size, MonattError *err)
{
    sqlite3_stmt *statement;
    bool done = false;

    g_mutex_lock(&store->lock);
    statement = store_prepare(
        store, "INSERT INTO sessions (host, valid_from, valid_until, sk_name) VALUES (?,?,?,?)",
        err);
    if (statement) {
        sqlite3_bind_text(statement, 1, host_id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, from_s);
        sqlite3_bind_int64(statement, 3, until_s);
        store_bind_blob(statement, 4, sk_name, sk_name_size);
        done = store_step(store, statement, "session", err);
        sqlite3_finalize(statement);
    }
    g_mutex_unlock(&store->lock);
    return done;
}

bool store_limit_pages(Store *store, unsigned pages, MonattError *err)
{
    g_autofree char *sql = g_strdup_printf("PRAGMA max_page_count=%u", pages);
    bool done;

    g_mutex_lock(&store->lock);
    done = store_run(store, sql, "store", err);
    g_mutex_unlock(&store->lock);
    return done;
}
