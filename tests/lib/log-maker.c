/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-maker.c - for tests only: writes event logs, right and wrong ones; aborts when it cannot
 */
#include "tests/lib/log-maker.h"

#include <openssl/evp.h>
#include <string.h>
#include "libmonatt/evidence/suite.h"

#define RECORD_NS 1000000u

void log_maker_init(LogMaker *log, const uint8_t vid[MONATT_UUID_SIZE], uint64_t boot_count)
{
    memset(log, 0, sizeof(*log));
    log->bytes = g_byte_array_new();
    memcpy(log->vid, vid, MONATT_UUID_SIZE);
    log->boot_count = boot_count;
    log->now_ns = 5 * 1000000000ull;
    log->coverage_ppm = 1000000;
    monatt_cel_replay_init(&log->values);
    log->retained = g_new(MonattRetained, 1);
    monatt_retained_init(log->retained);
    log->before = g_byte_array_new();
}

void log_maker_clear(LogMaker *log)
{
    g_clear_pointer(&log->bytes, g_byte_array_unref);
    g_clear_pointer(&log->before, g_byte_array_unref);
    g_clear_pointer(&log->older, g_bytes_unref);
    g_clear_pointer(&log->first_report, g_bytes_unref);
    g_clear_pointer(&log->retained, g_free);
}

void log_maker_mark(LogMaker *log)
{
    memset(log->some, 0, sizeof(log->some));
}

static void extend(const char *suite, uint8_t *value, const uint8_t *digest)
{
    size_t size = monatt_suite_digest_size(suite);
    uint8_t both[2 * MONATT_SHA384_SIZE];
    memcpy(both, value, size);
    memcpy(both + size, digest, size);
    g_assert_true(monatt_suite_hash(suite, both, 2 * size, value));
}

static void append(LogMaker *log, uint32_t index, uint8_t type, const void *content, size_t size)
{
    uint8_t buffer[MONATT_CEL_ENTRY_MAXIMUM];
    size_t entry_size;
    MonattCelEntry entry = {
        .number = log->records,
        .index = index,
        .has_sha256 = true,
        .has_sha384 = true,
        .content_type = type,
        .content = content,
        .content_size = size,
    };
    g_assert_true(monatt_suite_hash("S256", content, size, entry.sha256));
    g_assert_true(monatt_suite_hash("S384", content, size, entry.sha384));
    if (log->wrong_digest) {
        entry.sha256[0] ^= 1;
        entry.sha384[0] ^= 1;
        log->wrong_digest = FALSE;
    }
    g_assert_true(monatt_cel_encode(&entry, buffer, sizeof(buffer), &entry_size, NULL));
    g_byte_array_append(log->bytes, buffer, (guint)entry_size);
    g_assert_true(monatt_retained_note(log->retained, &entry, buffer, entry_size, NULL));
    if (index == MONATT_MR_REPORTS && log->first_report == NULL) {
        log->first_report = g_bytes_new(buffer, entry_size);
    }
    log->values.extends[index]++;
    extend("S256", log->values.sha256[index], entry.sha256);
    extend("S384", log->values.sha384[index], entry.sha384);
    if (!log->some[index]) {
        log->first[index] = log->records;
        log->some[index] = TRUE;
    }
    log->last[index] = log->records++;
    log->now_ns += RECORD_NS;
}

static void begin(LogMaker *log, uint32_t index, uint16_t type, uint32_t source, MonattWriter *w,
                  uint8_t buffer[MONATT_CONTENT_MAXIMUM])
{
    MonattRecord header = {
        .type = type,
        .version = MONATT_RECORD_VERSION,
        .reset_count = log->boot_count,
        .sequence = log->sequences[index]++,
        .t0_ns = log->now_ns,
        .t1_ns = log->now_ns + RECORD_NS / 2,
        .flags = log->flags,
        .coverage_ppm = log->coverage_ppm,
        .source_id = source,
    };
    memcpy(header.vid, log->vid, MONATT_UUID_SIZE);
    monatt_writer_init(w, buffer, MONATT_CONTENT_MAXIMUM);
    monatt_record_begin(w, &header);
}

static void end(LogMaker *log, uint32_t index, MonattWriter *w)
{
    size_t size;
    g_assert_true(monatt_record_end(w, &size, NULL));
    append(log, index, MONATT_CEL_RECORD, w->bytes, size);
}

void log_maker_boot_item(LogMaker *log, uint16_t kind, const char *name, const char *content)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    MonattBootItemPayload item = {.kind = kind, .size = strlen(content)};
    g_strlcpy(item.name, name, sizeof(item.name));
    g_assert_true(monatt_suite_hash("S256", content, strlen(content), item.sha256));
    g_assert_true(monatt_suite_hash("S384", content, strlen(content), item.sha384));
    begin(log, MONATT_MR_BOOT, MONATT_RECORD_BOOT_ITEM, 20, &w, buffer);
    monatt_boot_item_encode(&w, &item);
    end(log, MONATT_MR_BOOT, &w);
}

void log_maker_tasks(LogMaker *log, const MonattTasksSummaryPayload *summary)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_INTROSPECTION, MONATT_RECORD_TASKS_SUMMARY, 19, &w, buffer);
    monatt_tasks_summary_encode(&w, summary);
    end(log, MONATT_MR_INTROSPECTION, &w);
}

void log_maker_finding(LogMaker *log, const MonattFindingPayload *finding)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_INTROSPECTION, MONATT_RECORD_FINDING, 19, &w, buffer);
    monatt_finding_encode(&w, finding);
    end(log, MONATT_MR_INTROSPECTION, &w);
}

void log_maker_check(LogMaker *log, const MonattCheckSummaryPayload *summary)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_INTROSPECTION, MONATT_RECORD_CHECK_SUMMARY, 19, &w, buffer);
    monatt_check_summary_encode(&w, summary);
    end(log, MONATT_MR_INTROSPECTION, &w);
}

void log_maker_check_finding(LogMaker *log, const MonattCheckFindingPayload *finding)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_INTROSPECTION, MONATT_RECORD_CHECK_FINDING, 19, &w, buffer);
    monatt_check_finding_encode(&w, finding);
    end(log, MONATT_MR_INTROSPECTION, &w);
}

void log_maker_locks(LogMaker *log, const MonattLocksPayload *locks)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_PLUGIN, MONATT_RECORD_LOCKS, 17, &w, buffer);
    monatt_locks_encode(&w, locks);
    end(log, MONATT_MR_PLUGIN, &w);
}

void log_maker_report(LogMaker *log, const MonattReportPayload *report)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    begin(log, MONATT_MR_REPORTS, MONATT_RECORD_REPORT, 22, &w, buffer);
    monatt_report_encode(&w, report);
    end(log, MONATT_MR_REPORTS, &w);
}

void log_maker_guest(LogMaker *log, uint32_t index, const char *content)
{
    append(log, index, MONATT_CEL_GUEST, content, strlen(content));
}

GBytes *log_maker_values(const LogMaker *log, uint16_t bank)
{
    return bank == MONATT_ALG_SHA384 ? g_bytes_new(log->values.sha384, sizeof(log->values.sha384))
                                     : g_bytes_new(log->values.sha256, sizeof(log->values.sha256));
}

void log_maker_checkpoint(const LogMaker *log, const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE],
                          MonattCheckpoint *c, uint8_t *retained)
{
    memset(c, 0, sizeof(*c));
    memcpy(c->vid, log->vid, sizeof(c->vid));
    memcpy(c->boot_seed, boot_seed, sizeof(c->boot_seed));
    c->reset_count = log->boot_count;
    c->segment = log->segment + 1;
    c->records = log->records;
    g_assert_true(monatt_suite_hash("S256", log->bytes->data, log->bytes->len, c->previous));
    memcpy(c->sha256, log->values.sha256, sizeof(c->sha256));
    memcpy(c->sha384, log->values.sha384, sizeof(c->sha384));
    memcpy(c->extends, log->values.extends, sizeof(c->extends));
    g_assert_true(
        monatt_retained_put(log->retained, c, retained, MONATT_CHECKPOINT_RETAINED_BYTES, NULL));
}

void log_maker_begin_segment(LogMaker *log, const void *checkpoint, size_t size)
{
    g_byte_array_append(log->before, log->bytes->data + log->start,
                        log->bytes->len - (guint)log->start);
    g_clear_pointer(&log->older, g_bytes_unref);
    log->older = g_bytes_new(log->bytes->data, log->start);
    g_byte_array_set_size(log->bytes, 0);
    g_byte_array_append(log->bytes, checkpoint, (guint)size);
    log->start = size;
    log->segment++;
}

/* Over all segments: what a checkpoint has to retain is not known here. */
static void digest_entries(EVP_MD_CTX *context, const uint8_t *bytes, size_t size, uint32_t index,
                           uint64_t first, uint64_t last)
{
    MonattReader r;
    monatt_reader_init(&r, "log", bytes, size, NULL);
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        g_assert_true(monatt_cel_next(&r, &entry));
        if (entry.index == index && entry.number >= first && entry.number <= last) {
            EVP_DigestUpdate(context, r.bytes + start, r.position - start);
        }
    }
}

void log_maker_digest(const LogMaker *log, const char *suite, uint32_t index, uint64_t first,
                      uint64_t last, uint8_t *ret)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    g_assert_cmpint(EVP_DigestInit_ex(context, monatt_suite_md(suite), NULL), ==, 1);
    digest_entries(context, log->before->data, log->before->len, index, first, last);
    digest_entries(context, log->bytes->data + log->start, log->bytes->len - log->start, index,
                   first, last);
    EVP_DigestFinal_ex(context, ret, NULL);
    EVP_MD_CTX_free(context);
}
