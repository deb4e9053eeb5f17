/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-facts.h - what the host's records in an event log say, sorted by what rules ask for
 *
 * The log must have been replayed to quoted registers before: here its content is believed to be
 * the device's, and only checked for form, VM, boot and sequence.
 */
#ifndef MONATT_VERIFIER_LOG_FACTS_H
#define MONATT_VERIFIER_LOG_FACTS_H

#include <glib.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/formats/check-records.h"

G_BEGIN_DECLS

/* More are counted, not kept: a result names this many at most and says that there are more. */
#define MONATT_LOG_FACTS_KEPT 256

typedef struct MonattBootFact {
    uint64_t number; /* event-log record */
    MonattBootItemPayload item;
} MonattBootFact;

typedef struct MonattSummaryFact {
    uint64_t number;
    uint32_t flags;
    uint32_t coverage_ppm;
    uint64_t t1_ns;
    MonattTasksSummaryPayload summary;
} MonattSummaryFact;

typedef struct MonattFindingFact {
    uint64_t number;
    MonattFindingPayload finding;
} MonattFindingFact;

typedef struct MonattCheckFact {
    uint64_t number;
    uint32_t flags;
    uint64_t t1_ns;
    MonattCheckSummaryPayload summary;
} MonattCheckFact;

typedef struct MonattCheckFindingFact {
    uint64_t number;
    MonattCheckFindingPayload finding;
} MonattCheckFindingFact;

typedef struct MonattLogFacts {
    GArray *boot;      /* MonattBootFact, of the whole boot */
    GArray *summaries; /* MonattSummaryFact, between the last report and the one before it */
    GArray *findings;  /* MonattFindingFact, likewise */
    uint64_t boot_total, summaries_total, findings_total;
    GArray *earlier;        /* MonattFindingFact of this boot before that, each process once */
    GArray *checks;         /* MonattCheckFact, as summaries */
    GArray *check_findings; /* MonattCheckFindingFact, as findings */
    uint64_t checks_total, check_findings_total;
    GArray *earlier_checks; /* MonattCheckFindingFact, as earlier, of both severities */
    uint64_t earlier_total; /* records that reported a compromise */
    uint64_t earlier_lost;  /* degraded ones that there was no room for */
    GArray *open_summaries; /* not yet closed by a report: no rule may look at these */
    GArray *open_findings;
    uint64_t open_summaries_total, open_findings_total;
    GArray *open_checks;
    GArray *open_check_findings;
    uint64_t open_checks_total, open_check_findings_total;
    gboolean has_locks;
    MonattLocksPayload locks; /* the last one */
    gboolean has_syscalls;
    MonattSyscallsPayload syscalls;
    uint64_t unreadable[MONATT_REGISTER_COUNT]; /* records of unknown type */
    gboolean has_report;
    MonattReportPayload report; /* the last one of MR22: this evidence's */
    uint64_t report_number;     /* event-log record that holds it */
} MonattLogFacts;

void monatt_log_facts_init(MonattLogFacts *facts);
void monatt_log_facts_clear(MonattLogFacts *facts);
/* Is the same process, by address, pid and start, among these MonattFindingFacts? */
gboolean monatt_log_facts_has(const GArray *findings, const MonattFindingPayload *finding);
/* Is the same thing among these MonattCheckFindingFacts? */
gboolean monatt_log_facts_has_check(const GArray *findings,
                                    const MonattCheckFindingPayload *finding);
/* REFUSED: a record of another VM or boot, out of sequence; FORMAT: a known record that does not
 * decode. */
bool monatt_log_facts_collect(MonattLogFacts *facts, const void *log, size_t size,
                              const uint8_t vid[MONATT_UUID_SIZE], uint64_t boot_count,
                              MonattError *err) MONATT_MUST_CHECK;

G_END_DECLS

#endif
