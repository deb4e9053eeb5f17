/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step-log.c - the event log is the one in the claims and explains every quoted register
 *
 * After step_log() each record is as good as the device's quote; step_records() then asks whose
 * records they are, step_measurements() which of them this report is about.
 */
#include "libmonatt/eventlog/checkpoint.h"
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "%s", why);
    return FALSE;
}

static gboolean check_hash(const MonattAppraisal *a, GBytes *bytes, uint64_t wanted_size,
                           const uint8_t *wanted, const char *what, GError **error)
{
    uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    if (size != wanted_size) {
        return refuse(error, "%s: %zu bytes, the claims say %" G_GUINT64_FORMAT, what, size,
                      wanted_size);
    }
    if (!monatt_suite_hash(a->suite, data, size, digest)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "%s: libcrypto cannot hash", what);
        return FALSE;
    }
    return monatt_bytes_equal(digest, wanted, a->digest_size) ||
           refuse(error, "%s: is not the one that the claims name", what);
}

gboolean step_log(MonattAppraisal *a, GError **error)
{
    const MonattClaims *claims = a->claims;
    MonattError err = {0};
    gsize size;
    const void *log = g_bytes_get_data(a->evidence->log, &size);
    if (!check_hash(a, a->evidence->log, claims->log_bytes, claims->log_digest, "event log",
                    error) ||
        !check_hash(a, a->evidence->host_log, claims->host_log_bytes, claims->host_log_digest,
                    "host log", error)) {
        return FALSE;
    }
    if (monatt_checkpoint_is_there(log, size) && !check_checkpoint(a, log, size, error)) {
        return FALSE;
    }
    monatt_cel_replay_init(&a->replay);
    if (!monatt_cel_replay_log(&a->replay, log, size, UINT64_MAX, &err)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (a->replay.records != claims->log_records) {
        return refuse(error,
                      "event log: %" G_GUINT64_FORMAT " records, the claims say %" G_GUINT64_FORMAT,
                      a->replay.records, claims->log_records);
    }
    const uint8_t *values = g_bytes_get_data(a->evidence->device_quote->values, NULL);
    gboolean is_s384 = strcmp(a->suite, "S384") == 0;
    for (unsigned i = 0; i < MONATT_REGISTER_COUNT; i++) {
        const uint8_t *replayed = is_s384 ? a->replay.sha384[i] : a->replay.sha256[i];
        if (!monatt_bytes_equal(values + i * a->digest_size, replayed, a->digest_size)) {
            return refuse(error,
                          "event log: does not explain MR%u: it replays to another value "
                          "than the quoted one",
                          i);
        }
    }
    return TRUE;
}

gboolean step_records(MonattAppraisal *a, GError **error)
{
    MonattError err = {0};
    const MonattClaims *claims = a->claims;
    gsize size;
    const void *log = g_bytes_get_data(a->evidence->log, &size);
    if (!monatt_log_facts_collect(&a->facts, log, size, claims->vid, claims->boot_count, &err)) {
        return monatt_error_to_gerror(&err, error);
    }
    const MonattReportPayload *report = &a->facts.report;
    if (!a->facts.has_report) {
        return refuse(error, "event log: MR22 holds no report record");
    }
    if (!monatt_bytes_equal(report->nonce, a->input->nonce, MONATT_NONCE_SIZE)) {
        return refuse(error, "event log: the last report record answers another nonce");
    }
    if (report->number != claims->number) {
        return refuse(
            error,
            "event log: the last report record is number %u, the claims say %" G_GUINT64_FORMAT,
            report->number, claims->number);
    }
    if (!monatt_bytes_equal(report->previous, claims->previous, sizeof(report->previous))) {
        return refuse(error, "event log: report record and claims name different earlier reports");
    }
    if (report->measurements != claims->rm) {
        return refuse(error, "event log: report record and claims differ in what was measured");
    }
    return TRUE;
}

/* Register of each kind; another kind is checked alike and believed by no rule. */
static const struct {
    const char *kind;
    uint8_t index;
} kinds[] = {
    {"boot", MONATT_MR_BOOT},
    {"tasks", MONATT_MR_INTROSPECTION},
    {"plugin", MONATT_MR_PLUGIN},
};

static gboolean check_kind(const MonattClaims *claims, size_t number, GError **error)
{
    const MonattMeasurement *m = &claims->m[number];
    for (size_t i = 0; i < number; i++) {
        if (strcmp(claims->m[i].kind, m->kind) == 0) {
            return refuse(error, "measurement '%s': is there twice", m->kind);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].kind, m->kind) == 0 && kinds[i].index != m->index) {
            return refuse(error, "measurement '%s': of MR%u, must be of MR%u", m->kind, m->index,
                          kinds[i].index);
        }
    }
    return TRUE;
}

static gboolean is_in_report(const MonattReportPayload *report, const MonattMeasurement *m)
{
    for (size_t i = 0; i < report->range_count; i++) {
        if (report->ranges[i].index == m->index) {
            return report->ranges[i].first == m->first && report->ranges[i].last == m->last;
        }
    }
    return m->first > m->last; /* a register without records has no range */
}

gboolean step_measurements(MonattAppraisal *a, GError **error)
{
    const MonattClaims *claims = a->claims;
    gsize size;
    const void *log = g_bytes_get_data(a->evidence->log, &size);
    for (size_t i = 0; i < claims->m_count; i++) {
        const MonattMeasurement *m = &claims->m[i];
        uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
        MonattError err = {0};
        if (!check_kind(claims, i, error)) {
            return FALSE;
        }
        if (m->first <= m->last && m->last >= claims->log_records) {
            return refuse(error, "measurement '%s': ends behind the event log", m->kind);
        }
        if (!is_in_report(&a->facts.report, m)) {
            return refuse(error, "measurement '%s': claims and report record name other records",
                          m->kind);
        }
        if (!monatt_cel_range_digest(log, size, m->index, m->first, m->last,
                                     monatt_suite_bank(a->suite), digest, &err)) {
            return monatt_error_to_gerror(&err, error);
        }
        if (!monatt_bytes_equal(digest, m->digest, a->digest_size)) {
            return refuse(error, "measurement '%s': its records are not those of the claims",
                          m->kind);
        }
    }
    return TRUE;
}
