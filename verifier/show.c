/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show.c - takes evidence apart for a person to look at
 *
 * Must never use a word that could be read as a verdict.
 */
#include "verifier/show.h"

#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/checkpoint.h"
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/formats/check-records.h"
#include "libmonatt/formats/ima-records.h"
#include "verifier/json.h"

static json_t *hex(const uint8_t *bytes, size_t size)
{
    char text[2 * 64 + 1];
    monatt_text_from_bytes(bytes, MIN(size, 64), text);
    return json_string(text);
}

static json_t *show_claims(const MonattClaims *c)
{
    char vid[MONATT_UUID_TEXT_SIZE];
    size_t digest_size = strcmp(c->suite, "S384") == 0 ? MONATT_SHA384_SIZE : MONATT_SHA256_SIZE;
    json_t *object = json_object();
    json_t *list = json_array();
    monatt_text_from_uuid(c->vid, vid);
    json_object_set_new(object, "suite", json_string(c->suite));
    json_object_set_new(object, "nonce", hex(c->nonce, sizeof(c->nonce)));
    json_object_set_new(object, "iat", json_integer(c->iat));
    json_object_set_new(object, "vid", json_string(vid));
    json_object_set_new(object, "bootseed", hex(c->boot_seed, sizeof(c->boot_seed)));
    json_object_set_new(object, "bootcount", json_integer((json_int_t)c->boot_count));
    json_object_set_new(object, "uptime_ns", json_integer((json_int_t)c->uptime_ns));
    json_object_set_new(object, "rm", json_integer(c->rm));
    json_object_set_new(object, "dak", hex(c->dak_name, c->dak_name_size));
    json_object_set_new(object, "sk", hex(c->sk_name, c->sk_name_size));
    json_object_set_new(object, "log_records", json_integer((json_int_t)c->log_records));
    json_object_set_new(object, "log_digest", hex(c->log_digest, digest_size));
    json_object_set_new(object, "previous", hex(c->previous, digest_size));
    json_object_set_new(object, "number", json_integer((json_int_t)c->number));
    for (size_t i = 0; i < c->m_count; i++) {
        json_array_append_new(list, json_pack("{s:s,s:i,s:I,s:I}", "kind", c->m[i].kind, "register",
                                              c->m[i].index, "first", (json_int_t)c->m[i].first,
                                              "last", (json_int_t)c->m[i].last));
    }
    json_object_set_new(object, "measurements", list);
    return object;
}

static char *describe_check(const MonattCheckSummaryPayload *check)
{
    GString *text = g_string_new(monatt_check_name(check->check));
    g_string_append_printf(text, ", %u passes, %u findings, reason: %s", check->passes,
                           check->findings, monatt_reason_name(check->reason));
    if (check->text[0] != '\0') {
        g_string_append_printf(text, " (%s)", check->text);
    }
    for (uint8_t i = 0; i < check->counter_count; i++) {
        g_string_append_printf(text, ", %s %" G_GUINT64_FORMAT, check->counters[i].name,
                               check->counters[i].value);
    }
    return g_string_free(text, FALSE);
}

/* One line about what a record says; "" when its type says nothing more. */
static char *describe(const MonattRecord *record)
{
    MonattError err = {0};
    MonattBootItemPayload item;
    MonattTasksSummaryPayload summary;
    MonattFindingPayload finding;
    MonattCheckSummaryPayload check;
    MonattCheckFindingPayload found;
    MonattReportPayload report;
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
    switch (record->type) {
    case MONATT_RECORD_BOOT_ITEM:
    case MONATT_RECORD_MACHINE:
        if (monatt_boot_item_decode(record, &item, &err)) {
            char digest[2 * MONATT_SHA256_SIZE + 1];
            monatt_text_from_bytes(item.sha256, sizeof(item.sha256), digest);
            return g_strdup_printf("%s %s sha-256 %s", monatt_boot_item_kind_name(item.kind),
                                   item.name, digest);
        }
        break;
    case MONATT_RECORD_TASKS_SUMMARY:
        if (monatt_tasks_summary_decode(record, &summary, &err)) {
            return g_strdup_printf("%u views, %u scans, %u retries, %u findings, reason: %s",
                                   summary.view_count, summary.scans, summary.retries,
                                   summary.findings, monatt_reason_name(summary.reason));
        }
        break;
    case MONATT_RECORD_FINDING:
        if (monatt_finding_decode(record, &finding, &err)) {
            return g_strdup_printf("process %u (%s) %s", finding.pid, finding.command,
                                   finding.text);
        }
        break;
    case MONATT_RECORD_CHECK_SUMMARY:
        if (monatt_check_summary_decode(record, &check, &err)) {
            return describe_check(&check);
        }
        break;
    case MONATT_RECORD_CHECK_FINDING:
        if (monatt_check_finding_decode(record, &found, &err)) {
            return g_strdup_printf(
                "%s, severity %u: %s: expected %s, observed %s%s%s; %s",
                monatt_check_name(found.check), found.severity, found.object, found.expected,
                found.observed, found.owner[0] != '\0' ? ", owner " : "", found.owner, found.text);
        }
        break;
    case MONATT_RECORD_REPORT:
        if (monatt_report_decode(record, &report, &err)) {
            return g_strdup_printf("report %u", report.number);
        }
        break;
    case MONATT_RECORD_LOCKS:
        if (monatt_locks_decode(record, &locks, &err)) {
            return g_strdup_printf("%" G_GUINT64_FORMAT " locked accesses, %" G_GUINT64_FORMAT
                                   " split, %" G_GUINT64_FORMAT " drops",
                                   locks.lock_total, locks.split_total, locks.drops);
        }
        break;
    case MONATT_RECORD_SYSCALLS:
        if (monatt_syscalls_decode(record, &syscalls, &err)) {
            return g_strdup_printf("%" G_GUINT64_FORMAT " system calls, %" G_GUINT64_FORMAT
                                   " drops",
                                   syscalls.total, syscalls.drops);
        }
        break;
    default:
        return g_strdup("");
    }
    return g_strdup_printf("does not decode: %s", err.message);
}

/* What was measured: the second field of an IMA template's data, by custom the file's name. */
static void ima_subject(const MonattImaEntryPayload *ima, char *out, size_t capacity)
{
    MonattReader r;
    uint32_t length = 0;
    const uint8_t *bytes = NULL;
    bool good = ima->form == MONATT_IMA_FORM_DATA;
    out[0] = '\0';
    monatt_reader_init(&r, "IMA template data", ima->data, good ? ima->data_size : 0, NULL);
    if (strcmp(ima->name, "ima") == 0) {
        good = good && monatt_reader_bytes(&r, MONATT_IMA_DIGEST_SIZE, &bytes);
    } else {
        good = good && monatt_reader_u32_le(&r, &length) && monatt_reader_bytes(&r, length, &bytes);
    }
    if (good && monatt_reader_u32_le(&r, &length) && monatt_reader_bytes(&r, length, &bytes)) {
        monatt_text_printable(bytes, length, out, capacity);
    }
}

/* A record that the guest says is about its IMA list; NULL when it is none. */
static char *describe_ima(const MonattCelEntry *entry, const char **ret_type)
{
    MonattRecord record;
    MonattImaEntryPayload ima;
    MonattImaAnewPayload anew;
    char subject[MONATT_TEXT_MAXIMUM + 1];
    if (!monatt_record_parse(entry->content, entry->content_size, &record, NULL)) {
        return NULL;
    }
    *ret_type = monatt_record_type_name(record.type);
    if (monatt_ima_entry_decode(&record, &ima, NULL)) {
        static const uint8_t zeros[MONATT_IMA_DIGEST_SIZE];
        ima_subject(&ima, subject, sizeof(subject));
        return g_strdup_printf(
            "entry %" G_GUINT64_FORMAT ", %s%s, %u bytes, %s", record.sequence, ima.name,
            monatt_bytes_equal(ima.digest, zeros, sizeof(zeros)) ? ", violation" : "",
            ima.data_size, subject);
    }
    if (monatt_ima_anew_decode(&record, &anew, NULL)) {
        return g_strdup(anew.reason == MONATT_IMA_ANEW_KEXEC ? "after kexec" : "as asked for");
    }
    return NULL;
}

static json_t *show_entry(const MonattCelEntry *entry)
{
    MonattRecord record;
    MonattError err = {0};
    const char *type = entry->content_type == MONATT_CEL_RESET ? "guest-reset" : "guest-extend";
    g_autofree char *text = NULL;
    if (entry->content_type == MONATT_CEL_RECORD) {
        if (monatt_record_parse(entry->content, entry->content_size, &record, &err)) {
            type = monatt_record_type_name(record.type);
            text = describe(&record);
        } else {
            type = "unknown";
            text = g_strdup(err.message);
        }
    } else if (entry->content_type == MONATT_CEL_GUEST) {
        const char *ima = type;
        text = describe_ima(entry, &ima);
        type = text != NULL ? ima : type;
    }
    if (text == NULL) {
        char shown[65];
        monatt_text_printable(entry->content, entry->content_size, shown, sizeof(shown));
        text = g_strdup(shown);
    }
    return json_pack("{s:I,s:I,s:s,s:s}", "number", (json_int_t)entry->number, "register",
                     (json_int_t)entry->index, "type", type, "text", text);
}

static json_t *show_checkpoint(const MonattCheckpoint *c)
{
    char vid[MONATT_UUID_TEXT_SIZE];
    monatt_text_from_uuid(c->vid, vid);
    return json_pack("{s:I,s:s,s:o,s:I,s:I,s:o,s:I,s:I}", "segment", (json_int_t)c->segment, "vid",
                     vid, "bootseed", hex(c->boot_seed, sizeof(c->boot_seed)), "bootcount",
                     (json_int_t)c->reset_count, "records", (json_int_t)c->records, "previous",
                     hex(c->previous, sizeof(c->previous)), "findings", (json_int_t)c->findings,
                     "retained", (json_int_t)c->retained_count);
}

/* Those that a checkpoint retained come first: they are older than the segment. */
static gboolean show_log(json_t *root, GBytes *log, GError **error)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    MonattError err = {0};
    gsize size;
    json_int_t shown = 0;
    json_int_t records = 0;
    bool failed = false;
    json_t *list = json_array();
    const void *bytes = g_bytes_get_data(log, &size);
    json_object_set_new(root, "log", list);
    if (!monatt_log_walk_begin(&walk, bytes, size, &err)) {
        return monatt_error_to_gerror(&err, error);
    }
    while (monatt_log_walk_next(&walk, &entry, NULL, NULL, &failed)) {
        records += !walk.is_retained;
        if (shown++ < MONATT_SHOW_RECORDS) {
            json_array_append_new(list, show_entry(&entry));
        }
    }
    if (failed) {
        return monatt_error_to_gerror(&err, error);
    }
    if (walk.has_checkpoint) {
        json_object_set_new(root, "checkpoint", show_checkpoint(&walk.checkpoint));
    }
    json_object_set_new(root, "log_records", json_integer(records));
    return TRUE;
}

static json_t *part_size(GBytes *bytes)
{
    return bytes != NULL ? json_integer((json_int_t)g_bytes_get_size(bytes)) : json_null();
}

json_t *monatt_show_evidence(const void *bytes, size_t size, GError **error)
{
    g_autoptr(MonattEvidence) evidence = monatt_evidence_parse(bytes, size, error);
    if (evidence == NULL) {
        return NULL;
    }
    gsize claims_size;
    const void *claims_bytes = g_bytes_get_data(evidence->claims, &claims_size);
    g_autoptr(MonattJws) jws = monatt_jws_parse(claims_bytes, claims_size, "eat+jwt", TRUE, error);
    if (jws == NULL) {
        return NULL;
    }
    gsize payload_size;
    const void *payload = g_bytes_get_data(jws->payload, &payload_size);
    g_autoptr(MonattClaims) claims = monatt_claims_parse(payload, payload_size, error);
    if (claims == NULL) {
        return NULL;
    }
    g_autoptr(MonattJson) root = json_object();
    json_object_set_new(root, "verified", json_false());
    json_object_set_new(root, "algorithm", json_string(jws->alg));
    json_object_set_new(root, "claims", show_claims(claims));
    json_t *parts = json_object();
    json_object_set_new(parts, "claims", part_size(evidence->claims));
    json_object_set_new(parts, "device-quote", part_size(evidence->device_quote->attest));
    json_object_set_new(parts, "host-quote", part_size(evidence->host_quote->attest));
    json_object_set_new(parts, "log", part_size(evidence->log));
    json_object_set_new(parts, "host-log", part_size(evidence->host_log));
    json_object_set_new(parts, "opening", part_size(evidence->opening));
    json_object_set_new(root, "parts", parts);
    return show_log(root, evidence->log, error) ? g_steal_pointer(&root) : NULL;
}

static void add_member(GString *out, const char *name, const json_t *value)
{
    if (json_is_string(value)) {
        g_string_append_printf(out, "  %-12s %s\n", name, json_string_value(value));
    } else if (json_is_integer(value)) {
        g_string_append_printf(out, "  %-12s %" JSON_INTEGER_FORMAT "\n", name,
                               json_integer_value(value));
    }
}

static void add_log_title(GString *out, const json_t *shown)
{
    const json_t *checkpoint = json_object_get(shown, "checkpoint");
    json_int_t records = json_integer_value(json_object_get(shown, "log_records"));
    if (checkpoint == NULL) {
        g_string_append_printf(out, "\nevent log, %" JSON_INTEGER_FORMAT " records\n", records);
        return;
    }
    json_int_t first = json_integer_value(json_object_get(checkpoint, "records"));
    g_string_append_printf(out, "\nevent log, segment %" JSON_INTEGER_FORMAT,
                           json_integer_value(json_object_get(checkpoint, "segment")));
    if (records > 0) {
        g_string_append_printf(out, ", records %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
                               first, first + records - 1);
    }
    g_string_append_printf(
        out, "; %" JSON_INTEGER_FORMAT " from before it, in a checkpoint signed by the device\n",
        json_integer_value(json_object_get(checkpoint, "retained")));
}

char *monatt_show_text(const json_t *shown)
{
    GString *out = g_string_new("NOT VERIFIED: what the file says, whoever wrote it\n\nclaims\n");
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach(json_object_get(shown, "claims"), name, value)
    {
        add_member(out, name, value);
    }
    g_string_append(out, "\nparts, in bytes\n");
    json_object_foreach(json_object_get(shown, "parts"), name, value)
    {
        add_member(out, name, value);
    }
    add_log_title(out, shown);
    json_array_foreach(json_object_get(shown, "log"), i, value)
    {
        g_string_append_printf(out,
                               "  %5" JSON_INTEGER_FORMAT " MR%-3" JSON_INTEGER_FORMAT "%-14s %s\n",
                               json_integer_value(json_object_get(value, "number")),
                               json_integer_value(json_object_get(value, "register")),
                               json_string_value(json_object_get(value, "type")),
                               json_string_value(json_object_get(value, "text")));
    }
    return g_string_free(out, FALSE);
}
