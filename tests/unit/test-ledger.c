/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-ledger.c - what the collector reads back from a log it did not write itself
 */
#include <glib.h>
#include <string.h>
#include "host-collector/ledger.h"
#include "libmonatt/eventlog/cel.h"
#include "tests/lib/log-maker.h"

/* Appends an entry with one of our records. */
static void add(GByteArray *log, uint64_t number, uint32_t index, uint16_t type, uint64_t t1_ns)
{
    uint8_t record[MONATT_CONTENT_MAXIMUM];
    uint8_t bytes[MONATT_CEL_ENTRY_MAXIMUM];
    MonattWriter w;
    size_t size;
    MonattRecord header = {.type = type,
                           .version = MONATT_RECORD_VERSION,
                           .t1_ns = t1_ns,
                           .coverage_ppm = MONATT_COVERAGE_WHOLE};
    monatt_writer_init(&w, record, sizeof(record));
    monatt_record_begin(&w, &header);
    g_assert_true(monatt_record_end(&w, &size, NULL));
    MonattCelEntry entry = {.number = number,
                            .index = index,
                            .has_sha256 = true,
                            .has_sha384 = true,
                            .content_type = MONATT_CEL_RECORD,
                            .content = record,
                            .content_size = size};
    g_assert_true(monatt_cel_encode(&entry, bytes, sizeof(bytes), &size, NULL));
    g_byte_array_append(log, bytes, (guint)size);
}

static void add_guest(GByteArray *log, uint64_t number, const void *content, size_t content_size)
{
    uint8_t bytes[MONATT_CEL_ENTRY_MAXIMUM];
    size_t size;
    MonattCelEntry entry = {.number = number,
                            .index = 3,
                            .has_sha256 = true,
                            .content_type = MONATT_CEL_GUEST,
                            .content = content,
                            .content_size = content_size};
    g_assert_true(monatt_cel_encode(&entry, bytes, sizeof(bytes), &size, NULL));
    g_byte_array_append(log, bytes, (guint)size);
}

static void is_range(const LedgerRange *range, uint64_t first, uint64_t last)
{
    g_assert_cmpuint(range->first, ==, first);
    g_assert_cmpuint(range->last, ==, last);
}

static void test_empty(void)
{
    Ledger ledger;
    g_assert_true(ledger_scan(&ledger, "", 0, NULL));
    is_range(&ledger.boot, 1, 0);
    is_range(&ledger.tasks, 1, 0);
    g_assert_cmpuint(ledger.boot_items, ==, 0);
}

static void test_ranges(void)
{
    Ledger ledger;
    g_autoptr(GByteArray) log = g_byte_array_new();
    add(log, 0, MONATT_MR_BOOT, MONATT_RECORD_BOOT_ITEM, 1);
    add_guest(log, 1, "x", 1);
    add(log, 2, MONATT_MR_BOOT, MONATT_RECORD_MACHINE, 1);
    add(log, 3, MONATT_MR_PLUGIN, MONATT_RECORD_LOCKS, 700);
    add(log, 4, MONATT_MR_INTROSPECTION, MONATT_RECORD_TASKS_SUMMARY, 5);
    g_assert_true(ledger_scan(&ledger, log->data, log->len, NULL));
    is_range(&ledger.boot, 0, 2);
    is_range(&ledger.plugin, 3, 3);
    is_range(&ledger.tasks, 4, 4);
    g_assert_cmpuint(ledger.boot_items, ==, 2);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_BOOT], ==, 2);
    g_assert_cmpuint(ledger.plugin_end_ns, ==, 700);

    /* A report closes what was measured, but not what the boot is. */
    add(log, 5, MONATT_MR_REPORTS, MONATT_RECORD_REPORT, 9);
    add(log, 6, MONATT_MR_INTROSPECTION, MONATT_RECORD_FINDING, 9);
    g_assert_true(ledger_scan(&ledger, log->data, log->len, NULL));
    is_range(&ledger.boot, 0, 2);
    is_range(&ledger.plugin, 1, 0);
    is_range(&ledger.tasks, 6, 6);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_INTROSPECTION], ==, 2);
    g_assert_cmpuint(ledger.plugin_end_ns, ==, 700);
}

static void test_refuses(void)
{
    Ledger ledger;
    MonattError err = {0};
    g_autoptr(GByteArray) log = g_byte_array_new();
    add(log, 0, MONATT_MR_BOOT, MONATT_RECORD_BOOT_ITEM, 1);
    for (guint size = 1; size < log->len; size++) {
        memset(&err, 0, sizeof(err));
        g_assert_false(ledger_scan(&ledger, log->data, size, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
    add(log, 1, 3, MONATT_RECORD_BOOT_ITEM, 1);
    memset(&err, 0, sizeof(err));
    g_assert_false(ledger_scan(&ledger, log->data, log->len, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_nonnull(strstr(err.message, "MR3"));
}

/* What a guest writes is skipped, even when it looks like a record. */
static void test_forged(void)
{
    Ledger ledger;
    g_autoptr(GByteArray) real = g_byte_array_new();
    g_autoptr(GByteArray) log = g_byte_array_new();
    add(real, 0, MONATT_MR_BOOT, MONATT_RECORD_BOOT_ITEM, 1);
    add_guest(log, 0, real->data, MIN(real->len, (guint)MONATT_CONTENT_MAXIMUM));
    g_assert_true(ledger_scan(&ledger, log->data, log->len, NULL));
    g_assert_cmpuint(ledger.boot_items, ==, 0);
}

/* Cuts the log, with quotes that a ledger does not look at. */
static void cut(LogMaker *log)
{
    static const uint8_t seed[MONATT_BOOT_SEED_SIZE] = {0x33};
    static const uint8_t part[] = "quote";
    g_autofree uint8_t *retained = g_malloc(MONATT_CHECKPOINT_RETAINED_BYTES);
    g_autofree uint8_t *body = g_malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    g_autofree uint8_t *whole = g_malloc(MONATT_CHECKPOINT_MAXIMUM);
    MonattCheckpoint c;
    size_t size;
    log_maker_checkpoint(log, seed, &c, retained);
    g_assert_true(monatt_checkpoint_encode_body(&c, body, MONATT_CHECKPOINT_BODY_MAXIMUM,
                                                &c.body_size, NULL));
    c.body = body;
    c.quote256 = c.quote384 = (MonattCheckpointQuote){part, sizeof(part), part, sizeof(part)};
    g_assert_true(monatt_checkpoint_encode(&c, whole, MONATT_CHECKPOINT_MAXIMUM, &size, NULL));
    log_maker_begin_segment(log, whole, size);
}

/* A collector that starts when the log was cut already. */
static void test_cut(void)
{
    static const uint8_t vid[MONATT_UUID_SIZE] = {0x22};
    static const MonattLocksPayload locks = {.vcpus = 1};
    static const MonattFindingPayload finding = {.sub_check = 1, .pid = 7};
    static const MonattReportPayload report = {.number = 1};
    LogMaker log;
    Ledger ledger;
    MonattError err = {0};
    uint64_t first;
    log_maker_init(&log, vid, 1);
    log_maker_boot_item(&log, MONATT_BOOT_KERNEL, "vmlinuz", "kernel"); /* 0 */
    log_maker_boot_item(&log, MONATT_BOOT_INITRD, "initrd", "initrd");  /* 1 */
    log_maker_report(&log, &report);                                    /* 2 */
    log_maker_finding(&log, &finding);                                  /* 3 */
    log_maker_locks(&log, &locks);                                      /* 4 */
    log_maker_locks(&log, &locks);                                      /* 5 */
    uint64_t end = log.now_ns;
    cut(&log);
    g_assert_true(ledger_scan(&ledger, log.bytes->data, log.bytes->len, NULL));
    g_assert_cmpuint(ledger.boot_items, ==, 2);
    is_range(&ledger.boot, 0, 1);
    is_range(&ledger.plugin, 1, 0); /* measured, but in no evidence any more */
    is_range(&ledger.tasks, 1, 0);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_PLUGIN], ==, 2);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_BOOT], ==, 2);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_INTROSPECTION], ==, 1);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_REPORTS], ==, 1);
    g_assert_cmpuint(ledger.plugin_end_ns, >, 0);
    g_assert_cmpuint(ledger.plugin_end_ns, <=, end);
    log_maker_guest(&log, 3, "guest");
    log_maker_locks(&log, &locks); /* 7 */
    g_assert_true(ledger_scan(&ledger, log.bytes->data, log.bytes->len, NULL));
    is_range(&ledger.plugin, 7, 7);
    g_assert_cmpuint(ledger.sequences[MONATT_MR_PLUGIN], ==, 3);
    g_assert_true(ledger_check_log(&ledger, log.bytes->data, log.bytes->len, &first, NULL));
    g_assert_cmpuint(first, ==, 6);
    ledger.findings++; /* one that the device does not know of */
    g_assert_false(ledger_check_log(&ledger, log.bytes->data, log.bytes->len, &first, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    ledger_forget_before(&ledger, 7);
    is_range(&ledger.plugin, 7, 7);
    ledger_forget_before(&ledger, 8);
    is_range(&ledger.plugin, 1, 0);
    is_range(&ledger.boot, 0, 1);
    log_maker_clear(&log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/empty", test_empty);
    g_test_add_func("/ledger/ranges", test_ranges);
    g_test_add_func("/ledger/refuses-cut-and-misplaced", test_refuses);
    g_test_add_func("/ledger/skips-forged-records", test_forged);
    g_test_add_func("/ledger/cut", test_cut);
    return g_test_run();
}
