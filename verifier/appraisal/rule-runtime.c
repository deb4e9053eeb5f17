/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule-runtime.c - runtime-integrity: are all processes shown, and is the kernel what it was?
 *
 * properties.md 0 and 2: a finding is a fact that persisted over several scans, so it decides
 * whatever else is wrong; short of one, only a whole and fresh measurement is healthy.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define COVERAGE_MINIMUM_PPM 990000 /* properties.md 0: drops above 1 % are unknown */
#define PROPERTY_MR MONATT_MR_INTROSPECTION

static char *name_views(uint32_t views)
{
    GString *text = g_string_new("");
    for (uint8_t view = MONATT_VIEW_LIST; view < MONATT_VIEW_COUNT; view++) {
        if (views & MONATT_VIEW_BIT(view)) {
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "",
                                   monatt_task_view_name(view));
        }
    }
    return g_string_free(text, FALSE);
}

static void contradict(MonattPropertyResult *result, const MonattFindingPayload *finding,
                       const char *when)
{
    if (result->contradictions->len >= MONATT_LOG_FACTS_KEPT) {
        return;
    }
    g_autofree char *present = name_views(finding->views_present);
    g_autofree char *absent = name_views(finding->views_absent);
    g_autofree char *what =
        g_strdup_printf("process %u (%s)%s", finding->pid, finding->command, when);
    g_autofree char *expected = g_strdup_printf("also in: %s", absent);
    g_autofree char *observed = g_strdup_printf(
        "only in: %s; tgid %u, uid %u, %u scans%s%s", present, finding->tgid, finding->uid,
        finding->scans, finding->text[0] != 0 ? "; " : "", finding->text);
    monatt_property_result_contradict(result, what, expected, observed);
}

/* Found by an earlier report of this boot, in this segment of the log or before it. */
static void judge_earlier(const MonattAppraisal *a, MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    for (guint i = 0; i < facts->earlier->len; i++) {
        const MonattFindingPayload *finding =
            &g_array_index(facts->earlier, MonattFindingFact, i).finding;
        if (monatt_log_facts_has(facts->findings, finding)) {
            continue; /* and found again: said already */
        }
        contradict(result, finding, ", earlier in this boot");
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "hidden-earlier",
                                     "process %u (%s) was hidden earlier in this boot",
                                     finding->pid, finding->command);
    }
    if (facts->earlier_total > 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "hidden-earlier",
                                     "a compromise was found earlier in this boot");
    }
}

static void judge_findings(const MonattAppraisal *a, MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    for (guint i = 0; i < facts->findings->len; i++) {
        const MonattFindingPayload *finding =
            &g_array_index(facts->findings, MonattFindingFact, i).finding;
        contradict(result, finding, "");
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "hidden-process",
                                     "process %u (%s) is hidden%s", finding->pid, finding->command,
                                     facts->findings_total > 1 ? ", and there are more" : "");
    }
}

/* One measurement: whole, settled, by every view that the policy wants? */
static void judge_summary(const MonattAppraisal *a, const MonattSummaryFact *fact,
                          MonattPropertyResult *result)
{
    const MonattTasksSummaryPayload *summary = &fact->summary;
    if (summary->sub_check != MONATT_SUBCHECK_HIDDEN_TASK) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unreadable",
                                     "sub-check %u is not known to this version",
                                     summary->sub_check);
        return;
    }
    if (summary->findings > 0 && a->facts.findings_total == 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "hidden-process",
                                     "%u hidden processes were found, none is described",
                                     summary->findings);
    }
    if (summary->reason != MONATT_REASON_NONE) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-whole", "%s%s%s",
                                     monatt_reason_name(summary->reason),
                                     summary->text[0] != 0 ? ": " : "", summary->text);
    }
    if (summary->views_read == 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "views-missing",
                                     "no view of the guest's tasks could be read");
    }
    uint32_t lacking = a->input->policy->required_views & ~summary->views_read;
    if (lacking != 0) {
        g_autofree char *names = name_views(lacking);
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "views-missing",
                                     "not every view could be read, missing: %s", names);
    }
    if (summary->unsettled > 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unsettled",
                                     "%u tasks changed too fast to be judged", summary->unsettled);
    }
    if (fact->flags & (MONATT_RECORD_TORN | MONATT_RECORD_PARTIAL | MONATT_RECORD_PAUSED)) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-whole",
                                     "the measurement is marked as not whole (flags 0x%x)",
                                     fact->flags);
    }
    if (fact->coverage_ppm < COVERAGE_MINIMUM_PPM) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "coverage",
                                     "only %u of 1000000 parts could be read", fact->coverage_ppm);
    }
}

void rule_age(const MonattAppraisal *a, uint64_t t1_ns, MonattPropertyResult *result)
{
    uint64_t limit_ns = (uint64_t)a->input->policy->max_age_s * 1000000000u;
    uint64_t now_ns = a->claims->uptime_ns;
    if (now_ns > t1_ns && now_ns - t1_ns > limit_ns) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "stale",
                                     "measured %" G_GUINT64_FORMAT " s before the report",
                                     (now_ns - t1_ns) / 1000000000u);
    }
}

static const MonattMeasurement *find_measurement(const MonattClaims *claims, const char *kind)
{
    for (size_t i = 0; i < claims->m_count; i++) {
        if (strcmp(claims->m[i].kind, kind) == 0 && claims->m[i].first <= claims->m[i].last) {
            return &claims->m[i];
        }
    }
    return NULL;
}

static GString *describe(const MonattSummaryFact *fact)
{
    GString *text = g_string_new("");
    uint32_t uncounted = fact->summary.views_read;
    for (uint8_t i = 0; i < fact->summary.view_count; i++) {
        uncounted &= ~MONATT_VIEW_BIT(fact->summary.views[i].view);
        g_string_append_printf(text, "%s%u in %s",
                               text->len > 0 ? ", " : "tasks: ", fact->summary.views[i].tasks,
                               monatt_task_view_name(fact->summary.views[i].view));
    }
    if (uncounted != 0) {
        g_autofree char *names = name_views(uncounted);
        g_string_append_printf(text, "%scompared with %s", text->len > 0 ? ", " : "", names);
    }
    return text;
}

void rule_runtime(const MonattAppraisal *a, MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    const MonattMeasurement *m = find_measurement(a->claims, "tasks");
    const MonattSummaryFact *last = NULL;
    result->rule = "every task that one view shows stands in the others, and the kernel is its own";
    g_free(result->reference);
    g_autofree char *views = name_views(a->input->policy->required_views);
    result->reference = g_strdup_printf("views: %s", views);
    judge_findings(a, result);
    rule_check_findings(a, result);
    judge_earlier(a, result);
    if (m == NULL) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-measured",
                                     "the guest's tasks were not measured");
        return;
    }
    if (facts->unreadable[PROPERTY_MR] > 0 || facts->summaries_total > facts->summaries->len ||
        facts->checks_total > facts->checks->len) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unreadable",
                                     "MR%d holds records that this version cannot judge",
                                     PROPERTY_MR);
    }
    for (guint i = 0; i < facts->summaries->len; i++) {
        const MonattSummaryFact *fact = &g_array_index(facts->summaries, MonattSummaryFact, i);
        if (fact->number < m->first || fact->number > m->last) {
            continue;
        }
        judge_summary(a, fact, result);
        rule_age(a, fact->t1_ns, result);
        last = fact;
    }
    if (last == NULL) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-measured",
                                     "the guest's tasks were not measured for this report");
        return;
    }
    GString *text = describe(last);
    unsigned checks = rule_checks(a, m->first, m->last, text, result);
    g_free(result->measured);
    result->measured = g_string_free(text, FALSE);
    g_autofree char *also =
        checks > 0 ? g_strdup_printf(", and %u checks of the kernel found nothing", checks) : NULL;
    monatt_property_result_raise(
        result, MONATT_VERDICT_HEALTHY, "no-hidden-process", "no process is hidden in %d views%s",
        __builtin_popcount(last->summary.views_read), also != NULL ? also : "");
}
