/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-facts.c - walks the host's records of an event log once and keeps what rules need
 *
 * Must never skip a record that it cannot read: it is counted, and the register's property is
 * then unknown.
 */
#include "verifier/appraisal/log-facts.h"

#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"

void monatt_log_facts_init(MonattLogFacts *facts)
{
    memset(facts, 0, sizeof(*facts));
    facts->boot = g_array_new(FALSE, TRUE, sizeof(MonattBootFact));
    facts->summaries = g_array_new(FALSE, TRUE, sizeof(MonattSummaryFact));
    facts->findings = g_array_new(FALSE, TRUE, sizeof(MonattFindingFact));
    facts->earlier = g_array_new(FALSE, TRUE, sizeof(MonattFindingFact));
    facts->open_summaries = g_array_new(FALSE, TRUE, sizeof(MonattSummaryFact));
    facts->open_findings = g_array_new(FALSE, TRUE, sizeof(MonattFindingFact));
    facts->checks = g_array_new(FALSE, TRUE, sizeof(MonattCheckFact));
    facts->check_findings = g_array_new(FALSE, TRUE, sizeof(MonattCheckFindingFact));
    facts->earlier_checks = g_array_new(FALSE, TRUE, sizeof(MonattCheckFindingFact));
    facts->open_checks = g_array_new(FALSE, TRUE, sizeof(MonattCheckFact));
    facts->open_check_findings = g_array_new(FALSE, TRUE, sizeof(MonattCheckFindingFact));
}

void monatt_log_facts_clear(MonattLogFacts *facts)
{
    g_clear_pointer(&facts->boot, g_array_unref);
    g_clear_pointer(&facts->summaries, g_array_unref);
    g_clear_pointer(&facts->findings, g_array_unref);
    g_clear_pointer(&facts->earlier, g_array_unref);
    g_clear_pointer(&facts->open_summaries, g_array_unref);
    g_clear_pointer(&facts->open_findings, g_array_unref);
    g_clear_pointer(&facts->checks, g_array_unref);
    g_clear_pointer(&facts->check_findings, g_array_unref);
    g_clear_pointer(&facts->earlier_checks, g_array_unref);
    g_clear_pointer(&facts->open_checks, g_array_unref);
    g_clear_pointer(&facts->open_check_findings, g_array_unref);
}

static bool keep_boot(MonattLogFacts *facts, const MonattCelEntry *entry,
                      const MonattRecord *record, MonattError *err)
{
    MonattBootFact fact = {.number = entry->number};
    if (!monatt_boot_item_decode(record, &fact.item, err)) {
        return false;
    }
    facts->boot_total++;
    if (facts->boot->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->boot, fact);
    }
    return true;
}

static bool keep_summary(MonattLogFacts *facts, const MonattCelEntry *entry,
                         const MonattRecord *record, MonattError *err)
{
    MonattSummaryFact fact = {.number = entry->number,
                              .flags = record->flags,
                              .coverage_ppm = record->coverage_ppm,
                              .t1_ns = record->t1_ns};
    if (!monatt_tasks_summary_decode(record, &fact.summary, err)) {
        return false;
    }
    facts->open_summaries_total++;
    if (facts->open_summaries->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->open_summaries, fact);
    }
    return true;
}

static bool keep_finding(MonattLogFacts *facts, const MonattCelEntry *entry,
                         const MonattRecord *record, MonattError *err)
{
    MonattFindingFact fact = {.number = entry->number};
    if (!monatt_finding_decode(record, &fact.finding, err)) {
        return false;
    }
    facts->open_findings_total++;
    if (facts->open_findings->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->open_findings, fact);
    }
    return true;
}

static bool keep_check(MonattLogFacts *facts, const MonattCelEntry *entry,
                       const MonattRecord *record, MonattError *err)
{
    MonattCheckFact fact = {
        .number = entry->number, .flags = record->flags, .t1_ns = record->t1_ns};
    if (!monatt_check_summary_decode(record, &fact.summary, err)) {
        return false;
    }
    facts->open_checks_total++;
    if (facts->open_checks->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->open_checks, fact);
    }
    return true;
}

static bool keep_check_finding(MonattLogFacts *facts, const MonattCelEntry *entry,
                               const MonattRecord *record, MonattError *err)
{
    MonattCheckFindingFact fact = {.number = entry->number};
    if (!monatt_check_finding_decode(record, &fact.finding, err)) {
        return false;
    }
    facts->open_check_findings_total++;
    if (facts->open_check_findings->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->open_check_findings, fact);
    }
    return true;
}

gboolean monatt_log_facts_has_check(const GArray *findings,
                                    const MonattCheckFindingPayload *finding)
{
    for (guint i = 0; i < findings->len; i++) {
        if (monatt_check_finding_is_same(
                &g_array_index(findings, MonattCheckFindingFact, i).finding, finding)) {
            return TRUE;
        }
    }
    return FALSE;
}

gboolean monatt_log_facts_has(const GArray *findings, const MonattFindingPayload *finding)
{
    for (guint i = 0; i < findings->len; i++) {
        if (monatt_finding_is_same(&g_array_index(findings, MonattFindingFact, i).finding,
                                   finding)) {
            return TRUE;
        }
    }
    return FALSE;
}

static void keep_earlier(MonattLogFacts *facts, const MonattFindingFact *fact)
{
    facts->earlier_total++;
    if (facts->earlier->len < MONATT_LOG_FACTS_KEPT &&
        !monatt_log_facts_has(facts->earlier, &fact->finding)) {
        g_array_append_val(facts->earlier, *fact);
    }
}

static void keep_earlier_check(MonattLogFacts *facts, const MonattCheckFindingFact *fact)
{
    gboolean known = monatt_log_facts_has_check(facts->earlier_checks, &fact->finding);
    gboolean compromised = fact->finding.severity == MONATT_SEVERITY_COMPROMISED;
    facts->earlier_total += compromised;
    if (!known && facts->earlier_checks->len < MONATT_LOG_FACTS_KEPT) {
        g_array_append_val(facts->earlier_checks, *fact);
    } else if (!known && !compromised) {
        facts->earlier_lost++;
    }
}

static void pass_on_checks(MonattLogFacts *facts)
{
    for (guint i = 0; i < facts->check_findings->len; i++) {
        keep_earlier_check(facts, &g_array_index(facts->check_findings, MonattCheckFindingFact, i));
    }
    for (guint i = 0; i < facts->checks->len; i++) {
        const MonattCheckSummaryPayload *summary =
            &g_array_index(facts->checks, MonattCheckFact, i).summary;
        if (facts->check_findings_total == 0) {
            facts->earlier_total += summary->findings - summary->degraded;
        }
    }
}

/* Nothing that runs in a kernel can undo that it was compromised: what an earlier report found
 * stands until the VM's reset. */
static void pass_on_findings(MonattLogFacts *facts)
{
    uint64_t counted = 0;
    for (guint i = 0; i < facts->findings->len; i++) {
        keep_earlier(facts, &g_array_index(facts->findings, MonattFindingFact, i));
    }
    for (guint i = 0; i < facts->summaries->len; i++) {
        counted += g_array_index(facts->summaries, MonattSummaryFact, i).summary.findings;
    }
    if (facts->findings_total == 0) {
        facts->earlier_total += counted; /* found, and not described */
    }
}

static void close_list(GArray *closed, GArray *open, uint64_t *closed_total, uint64_t *open_total)
{
    g_array_set_size(closed, 0);
    g_array_append_vals(closed, open->data, open->len);
    g_array_set_size(open, 0);
    *closed_total = *open_total;
    *open_total = 0;
}

/* A report closes what was measured since the one before it: an old measurement never answers a
 * new question, and what comes behind the last report belongs to the next one. */
static bool keep_report(MonattLogFacts *facts, const MonattCelEntry *entry,
                        const MonattRecord *record, MonattError *err)
{
    if (!monatt_report_decode(record, &facts->report, err)) {
        return false;
    }
    facts->has_report = TRUE;
    facts->report_number = entry->number;
    pass_on_findings(facts);
    pass_on_checks(facts);
    close_list(facts->checks, facts->open_checks, &facts->checks_total, &facts->open_checks_total);
    close_list(facts->check_findings, facts->open_check_findings, &facts->check_findings_total,
               &facts->open_check_findings_total);
    close_list(facts->summaries, facts->open_summaries, &facts->summaries_total,
               &facts->open_summaries_total);
    close_list(facts->findings, facts->open_findings, &facts->findings_total,
               &facts->open_findings_total);
    return true;
}

/* Register of each type; a record elsewhere would be read by the wrong rule. */
static bool is_in_place(uint16_t type, uint32_t index)
{
    switch (type) {
    case MONATT_RECORD_LOCKS:
    case MONATT_RECORD_SYSCALLS:
        return index == MONATT_MR_PLUGIN;
    case MONATT_RECORD_TASKS_SUMMARY:
    case MONATT_RECORD_FINDING:
    case MONATT_RECORD_CHECK_SUMMARY:
    case MONATT_RECORD_CHECK_FINDING:
        return index == MONATT_MR_INTROSPECTION;
    case MONATT_RECORD_BOOT_ITEM:
    case MONATT_RECORD_MACHINE:
        return index == MONATT_MR_BOOT;
    case MONATT_RECORD_REPORT:
        return index == MONATT_MR_REPORTS;
    default:
        return true;
    }
}

static bool keep(MonattLogFacts *facts, const MonattCelEntry *entry, const MonattRecord *record,
                 MonattError *err)
{
    if (!is_in_place(record->type, entry->index)) {
        return monatt_error_set(err, MONATT_ERROR_REFUSED, "a '%s' record in MR%u",
                                monatt_record_type_name(record->type), entry->index);
    }
    switch (record->type) {
    case MONATT_RECORD_LOCKS:
        facts->has_locks = TRUE;
        return monatt_locks_decode(record, &facts->locks, err);
    case MONATT_RECORD_SYSCALLS:
        facts->has_syscalls = TRUE;
        return monatt_syscalls_decode(record, &facts->syscalls, err);
    case MONATT_RECORD_TASKS_SUMMARY:
        return keep_summary(facts, entry, record, err);
    case MONATT_RECORD_FINDING:
        return keep_finding(facts, entry, record, err);
    case MONATT_RECORD_CHECK_SUMMARY:
        return keep_check(facts, entry, record, err);
    case MONATT_RECORD_CHECK_FINDING:
        return keep_check_finding(facts, entry, record, err);
    case MONATT_RECORD_BOOT_ITEM:
    case MONATT_RECORD_MACHINE:
        return keep_boot(facts, entry, record, err);
    case MONATT_RECORD_REPORT:
        return keep_report(facts, entry, record, err);
    default:
        facts->unreadable[entry->index]++;
        return true;
    }
}

/* A record that outlived its segment: of MR19 it is a finding, and an earlier one. */
static bool keep_retained(MonattLogFacts *facts, const MonattCelEntry *entry,
                          const MonattRecord *record, MonattError *err)
{
    MonattFindingFact fact = {.number = entry->number};
    MonattCheckFindingFact check = {.number = entry->number};
    if (entry->index != MONATT_MR_INTROSPECTION) {
        return keep(facts, entry, record, err);
    }
    if (record->type == MONATT_RECORD_CHECK_FINDING) {
        if (!monatt_check_finding_decode(record, &check.finding, err)) {
            return false;
        }
        keep_earlier_check(facts, &check);
        return true;
    }
    if (record->type != MONATT_RECORD_FINDING) {
        return true; /* a summary that counted some: the checkpoint's count has it */
    }
    if (!monatt_finding_decode(record, &fact.finding, err)) {
        return false;
    }
    keep_earlier(facts, &fact);
    return true;
}

/* The numbers of a checkpoint's last records are known, those before them need not be there. */
static bool check_sequence(const MonattLogWalk *walk, const MonattCelEntry *entry,
                           const MonattRecord *record, uint64_t *next, MonattError *err)
{
    uint64_t wanted = *next;
    if (walk->is_retained && entry->index == MONATT_MR_INTROSPECTION) {
        *next = record->sequence + 1;
        return (record->sequence >= wanted &&
                record->sequence < walk->checkpoint.extends[entry->index]) ||
               monatt_error_set(err, MONATT_ERROR_REFUSED, "is out of sequence");
    }
    if (walk->is_retained && entry->index != MONATT_MR_BOOT) {
        wanted = walk->checkpoint.extends[entry->index] - 1;
    }
    *next = wanted + 1;
    return record->sequence == wanted ||
           monatt_error_set(err, MONATT_ERROR_REFUSED,
                            "has sequence number %llu, %llu must stand here",
                            (unsigned long long)record->sequence, (unsigned long long)wanted);
}

static void take_checkpoint(MonattLogFacts *facts, const MonattCheckpoint *checkpoint,
                            uint64_t sequences[MONATT_REGISTER_COUNT])
{
    for (unsigned i = MONATT_EVIDENCE_FIRST; i <= MONATT_EVIDENCE_LAST; i++) {
        sequences[i] = checkpoint->extends[i];
    }
    facts->earlier_total = checkpoint->findings;
    facts->unreadable[MONATT_MR_INTROSPECTION] += checkpoint->others;
}

static bool take_entry(MonattLogFacts *facts, const MonattLogWalk *walk,
                       const MonattCelEntry *entry, const uint8_t vid[MONATT_UUID_SIZE],
                       uint64_t boot_count, uint64_t sequences[MONATT_REGISTER_COUNT],
                       MonattError *err)
{
    MonattRecord record;
    bool good = monatt_record_parse(entry->content, entry->content_size, &record, err);
    if (good && !monatt_bytes_equal(record.vid, vid, MONATT_UUID_SIZE)) {
        good = monatt_error_set(err, MONATT_ERROR_REFUSED, "is of another VM");
    }
    if (good && record.reset_count != boot_count) {
        good = monatt_error_set(err, MONATT_ERROR_REFUSED, "is of another boot");
    }
    good = good && check_sequence(walk, entry, &record, &sequences[entry->index], err) &&
           (walk->is_retained ? keep_retained(facts, entry, &record, err)
                              : keep(facts, entry, &record, err));
    return good || monatt_error_prefix(err, "event log: record %llu of MR%u",
                                       (unsigned long long)entry->number, entry->index);
}

bool monatt_log_facts_collect(MonattLogFacts *facts, const void *log, size_t size,
                              const uint8_t vid[MONATT_UUID_SIZE], uint64_t boot_count,
                              MonattError *err)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    uint64_t sequences[MONATT_REGISTER_COUNT] = {0};
    bool failed = false;
    if (!monatt_log_walk_begin(&walk, log, size, err)) {
        return false;
    }
    bool taken = !walk.has_checkpoint;
    while (monatt_log_walk_next(&walk, &entry, NULL, NULL, &failed)) {
        if (!walk.is_retained && !taken) {
            take_checkpoint(facts, &walk.checkpoint, sequences);
            taken = true;
        }
        if (entry.index >= MONATT_REGISTER_COUNT) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "event log: no such register");
        }
        if (entry.content_type == MONATT_CEL_RECORD &&
            !take_entry(facts, &walk, &entry, vid, boot_count, sequences, err)) {
            return false;
        }
    }
    if (!taken) {
        take_checkpoint(facts, &walk.checkpoint, sequences);
    }
    return !failed;
}
