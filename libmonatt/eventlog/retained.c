/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retained.c - which records of a boot outlive the segment they stand in
 *
 * All boot items, each finding once, the last plugin record and the last report.  Must never lose
 * a finding without counting it.
 */
#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"
#include "libmonatt/formats/check-records.h"

#define FINDINGS_AT MONATT_CHECKPOINT_BOOT_ITEMS
#define DEGRADED_AT (FINDINGS_AT + MONATT_CHECKPOINT_FINDINGS)
#define PLUGIN_AT (DEGRADED_AT + MONATT_CHECKPOINT_DEGRADED)
#define REPORT_AT (PLUGIN_AT + 1)
_Static_assert(REPORT_AT + 1 == MONATT_CHECKPOINT_RETAINED, "a place for each retained record");

void monatt_retained_init(MonattRetained *retained)
{
    MonattCelReplay start;
    memset(retained, 0, sizeof(*retained));
    monatt_cel_replay_init(&start);
    memcpy(retained->report_sha256, start.sha256[MONATT_MR_REPORTS], MONATT_SHA256_SIZE);
    memcpy(retained->report_sha384, start.sha384[MONATT_MR_REPORTS], MONATT_SHA384_SIZE);
    memcpy(retained->report_before_sha256, retained->report_sha256, MONATT_SHA256_SIZE);
    memcpy(retained->report_before_sha384, retained->report_sha384, MONATT_SHA384_SIZE);
}

static void keep(MonattRetained *retained, size_t at, const MonattCelEntry *entry,
                 const uint8_t *bytes, size_t size)
{
    retained->entries[at].number = entry->number;
    retained->entries[at].size = (uint16_t)size;
    memcpy(retained->entries[at].bytes, bytes, size);
}

/* What a record reports, as far as two of them are compared; one of the three is filled. */
typedef struct Said {
    MonattSays says;
    uint16_t type;
    uint16_t summary; /* the check that a summary is of */
    MonattFindingPayload process;
    MonattCheckFindingPayload finding;
} Said;

static MonattSays says_of(bool decoded, bool compromised, bool degraded)
{
    if (!decoded) {
        return MONATT_SAYS_UNREADABLE;
    }
    return compromised ? MONATT_SAYS_COMPROMISED
                       : (degraded ? MONATT_SAYS_DEGRADED : MONATT_SAYS_NOTHING);
}

static void read_record(const MonattCelEntry *entry, Said *ret)
{
    MonattRecord record;
    MonattTasksSummaryPayload tasks = {0};
    MonattCheckSummaryPayload check = {0};
    bool good;
    memset(ret, 0, sizeof(*ret));
    if (!monatt_record_parse(entry->content, entry->content_size, &record, NULL)) {
        ret->says = MONATT_SAYS_UNREADABLE;
        return;
    }
    ret->type = record.type;
    switch (record.type) {
    case MONATT_RECORD_FINDING:
        good = monatt_finding_decode(&record, &ret->process, NULL);
        ret->says = says_of(good, true, false);
        break;
    case MONATT_RECORD_TASKS_SUMMARY:
        good = monatt_tasks_summary_decode(&record, &tasks, NULL);
        ret->summary = tasks.sub_check;
        ret->says = says_of(good, tasks.findings > 0, false);
        break;
    case MONATT_RECORD_CHECK_FINDING:
        good = monatt_check_finding_decode(&record, &ret->finding, NULL);
        ret->says = says_of(good, ret->finding.severity == MONATT_SEVERITY_COMPROMISED, true);
        break;
    case MONATT_RECORD_CHECK_SUMMARY:
        /* Degraded ones are each described by a record of their own. */
        good = monatt_check_summary_decode(&record, &check, NULL);
        ret->summary = check.check;
        ret->says = says_of(good, check.findings > check.degraded, false);
        break;
    default:
        ret->says = MONATT_SAYS_UNREADABLE;
    }
}

MonattSays monatt_retained_says(const MonattCelEntry *entry)
{
    Said said;
    read_record(entry, &said);
    return said.says;
}

static bool is_same(const Said *a, const Said *b)
{
    if (a->type != b->type || a->says != b->says) {
        return false;
    }
    switch (a->type) {
    case MONATT_RECORD_FINDING:
        return monatt_finding_is_same(&a->process, &b->process);
    case MONATT_RECORD_CHECK_FINDING:
        return monatt_check_finding_is_same(&a->finding, &b->finding);
    default:
        return a->summary == b->summary;
    }
}

/* What is there is found again by each measurement: once is enough. */
static bool is_kept(const MonattRetained *retained, size_t at, uint32_t count, const Said *said)
{
    for (uint32_t i = 0; i < count; i++) {
        MonattReader r;
        MonattCelEntry entry;
        Said other;
        monatt_reader_init(&r, "retained", retained->entries[at + i].bytes,
                           retained->entries[at + i].size, NULL);
        if (monatt_cel_next(&r, &entry)) {
            read_record(&entry, &other);
            if (is_same(said, &other)) {
                return true;
            }
        }
    }
    return false;
}

static void note_introspection(MonattRetained *retained, const MonattCelEntry *entry,
                               const uint8_t *bytes, size_t size)
{
    Said said;
    read_record(entry, &said);
    switch (said.says) {
    case MONATT_SAYS_NOTHING:
        return;
    case MONATT_SAYS_UNREADABLE:
        retained->others++;
        return;
    case MONATT_SAYS_DEGRADED:
        if (is_kept(retained, DEGRADED_AT, retained->kept_degraded, &said)) {
            return;
        }
        if (retained->kept_degraded < MONATT_CHECKPOINT_DEGRADED) {
            keep(retained, DEGRADED_AT + retained->kept_degraded++, entry, bytes, size);
        } else {
            retained->others++;
        }
        return;
    case MONATT_SAYS_COMPROMISED:
        retained->findings++;
        if (retained->kept_findings < MONATT_CHECKPOINT_FINDINGS &&
            !is_kept(retained, FINDINGS_AT, retained->kept_findings, &said)) {
            keep(retained, FINDINGS_AT + retained->kept_findings++, entry, bytes, size);
        }
        return;
    }
}

bool monatt_retained_note(MonattRetained *retained, const MonattCelEntry *entry,
                          const uint8_t *bytes, size_t size, MonattError *err)
{
    if (size > MONATT_CEL_ENTRY_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "retained: a record of %zu bytes", size);
    }
    if (entry->content_type != MONATT_CEL_RECORD) {
        return true;
    }
    switch (entry->index) {
    case MONATT_MR_BOOT:
        if (retained->boot_items == MONATT_CHECKPOINT_BOOT_ITEMS) {
            retained->too_many = true;
            return true;
        }
        keep(retained, retained->boot_items++, entry, bytes, size);
        return true;
    case MONATT_MR_INTROSPECTION:
        note_introspection(retained, entry, bytes, size);
        return true;
    case MONATT_MR_PLUGIN:
        keep(retained, PLUGIN_AT, entry, bytes, size);
        return true;
    case MONATT_MR_REPORTS:
        keep(retained, REPORT_AT, entry, bytes, size);
        memcpy(retained->report_before_sha256, retained->report_sha256, MONATT_SHA256_SIZE);
        memcpy(retained->report_before_sha384, retained->report_sha384, MONATT_SHA384_SIZE);
        return monatt_cel_extend(MONATT_ALG_SHA256, retained->report_sha256, entry->sha256, err) &&
               monatt_cel_extend(MONATT_ALG_SHA384, retained->report_sha384, entry->sha384, err);
    default:
        return true;
    }
}

bool monatt_retained_restore(MonattRetained *retained, const MonattCheckpoint *checkpoint,
                             MonattError *err)
{
    MonattReader r;
    monatt_retained_init(retained);
    memcpy(retained->report_sha256, checkpoint->report_before_sha256, MONATT_SHA256_SIZE);
    memcpy(retained->report_sha384, checkpoint->report_before_sha384, MONATT_SHA384_SIZE);
    monatt_reader_init(&r, "checkpoint", checkpoint->retained, checkpoint->retained_size, err);
    /* Ends: each round consumes at least one byte. */
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        if (!monatt_cel_next(&r, &entry) ||
            !monatt_retained_note(retained, &entry, r.bytes + start, r.position - start, err)) {
            return false;
        }
    }
    /* More were counted than are kept. */
    retained->findings = checkpoint->findings;
    retained->others = checkpoint->others;
    return true;
}

bool monatt_retained_put(const MonattRetained *retained, MonattCheckpoint *checkpoint,
                         uint8_t *buffer, size_t capacity, MonattError *err)
{
    MonattWriter w;
    uint64_t from = 0;
    if (retained->too_many) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "checkpoint: more than %d boot items in this boot",
                                MONATT_CHECKPOINT_BOOT_ITEMS);
    }
    monatt_writer_init(&w, buffer, capacity);
    checkpoint->findings = retained->findings;
    checkpoint->others = retained->others;
    memcpy(checkpoint->report_before_sha256, retained->report_before_sha256, MONATT_SHA256_SIZE);
    memcpy(checkpoint->report_before_sha384, retained->report_before_sha384, MONATT_SHA384_SIZE);
    checkpoint->retained_count = 0;
    /* By number, the lowest that has not been written first: at most as many rounds as entries. */
    for (size_t round = 0; round < MONATT_CHECKPOINT_RETAINED; round++) {
        const size_t none = MONATT_CHECKPOINT_RETAINED;
        size_t next = none;
        for (size_t i = 0; i < MONATT_CHECKPOINT_RETAINED; i++) {
            if (retained->entries[i].size > 0 && retained->entries[i].number >= from &&
                (next == none || retained->entries[i].number < retained->entries[next].number)) {
                next = i;
            }
        }
        if (next == none) {
            break;
        }
        monatt_writer_bytes(&w, retained->entries[next].bytes, retained->entries[next].size);
        from = retained->entries[next].number + 1;
        checkpoint->retained_count++;
    }
    checkpoint->retained = buffer;
    return monatt_writer_finish(&w, "checkpoint", &checkpoint->retained_size, err);
}
