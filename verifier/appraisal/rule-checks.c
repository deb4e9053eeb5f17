/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule-checks.c - what the checks of the guest's kernel say about runtime-integrity
 *
 * A finding decides by its severity.  A check that could not look is unknown when the policy wants
 * it or when it was only this time; what no check can see on this host or kernel is listed in the
 * result, so that it is never silently healthy.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>

static gboolean is_listed(const GPtrArray *list, const char *word)
{
    for (guint i = 0; i < list->len; i++) {
        if (strcmp(g_ptr_array_index(list, i), word) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* A program is known by its digest; a module that may hook may do so openly and nothing more. */
static gboolean is_allowed(const MonattPolicy *policy, const MonattCheckFindingPayload *finding)
{
    if (finding->check == MONATT_SUBCHECK_BPF) {
        return is_listed(policy->allowed_bpf, finding->observed);
    }
    return (finding->check == MONATT_SUBCHECK_KPROBES || finding->check == MONATT_SUBCHECK_FTRACE ||
            finding->check == MONATT_SUBCHECK_NETFILTER ||
            finding->check == MONATT_SUBCHECK_FUNCTION_POINTERS) &&
           finding->severity == MONATT_SEVERITY_DEGRADED &&
           is_listed(policy->allowed_hooks, finding->owner);
}

static void raise_finding(const MonattCheckFindingPayload *finding, const char *when,
                          MonattPropertyResult *result)
{
    gboolean compromised = finding->severity == MONATT_SEVERITY_COMPROMISED;
    gboolean earlier = when[0] != '\0';
    g_autofree char *why =
        g_strdup_printf("%s: %s%s: expected %s, observed %s%s%s", monatt_check_name(finding->check),
                        finding->object, when, finding->expected, finding->observed,
                        finding->owner[0] != '\0' ? ", by " : "", finding->owner);
    if (compromised && earlier) {
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "found-earlier", "%s",
                                     why);
    } else if (compromised) {
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "kernel-differs", "%s",
                                     why);
    } else if (earlier) {
        monatt_property_result_raise(result, MONATT_VERDICT_DEGRADED, "degraded-earlier", "%s",
                                     why);
    } else {
        monatt_property_result_raise(result, MONATT_VERDICT_DEGRADED, "kernel-degraded", "%s", why);
    }
}

static void judge_finding(const MonattAppraisal *a, const MonattCheckFindingPayload *finding,
                          const char *when, MonattPropertyResult *result)
{
    gboolean compromised = finding->severity == MONATT_SEVERITY_COMPROMISED;
    const char *name = monatt_check_name(finding->check);
    if (is_allowed(a->input->policy, finding)) {
        return;
    }
    if (result->contradictions->len < MONATT_LOG_FACTS_KEPT) {
        g_autofree char *what = g_strdup_printf("%s: %s%s%s", name, finding->object,
                                                compromised ? "" : " (degraded)", when);
        g_autofree char *observed = g_strdup_printf("%s%s%s; %s", finding->observed,
                                                    finding->owner[0] != '\0' ? ", owner: " : "",
                                                    finding->owner, finding->text);
        monatt_property_result_contradict(result, what, finding->expected, observed);
    }
    raise_finding(finding, when, result);
}

void rule_check_findings(const MonattAppraisal *a, MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    for (guint i = 0; i < facts->check_findings->len; i++) {
        judge_finding(a, &g_array_index(facts->check_findings, MonattCheckFindingFact, i).finding,
                      "", result);
    }
    for (guint i = 0; i < facts->checks->len; i++) {
        const MonattCheckSummaryPayload *summary =
            &g_array_index(facts->checks, MonattCheckFact, i).summary;
        if (summary->findings > summary->degraded && facts->check_findings_total == 0) {
            monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "kernel-differs",
                                         "%s: %u findings, none is described",
                                         monatt_check_name(summary->check), summary->findings);
        }
    }
    for (guint i = 0; i < facts->earlier_checks->len; i++) {
        const MonattCheckFindingPayload *finding =
            &g_array_index(facts->earlier_checks, MonattCheckFindingFact, i).finding;
        if (!monatt_log_facts_has_check(facts->check_findings, finding)) {
            judge_finding(a, finding, ", earlier in this boot", result);
        }
    }
    /* More than there is room for, and each could be one that no policy allows. */
    if (facts->check_findings_total > facts->check_findings->len || facts->earlier_lost > 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "kernel-differs",
                                     "more was found than can be described");
    }
}

/* What a kernel or a host does not let be seen, it will not the next time either. */
static gboolean is_lasting(const MonattCheckSummaryPayload *summary)
{
    return summary->reason == MONATT_REASON_UNSUPPORTED;
}

static void judge_incomplete(const MonattCheckSummaryPayload *summary, gboolean required,
                             MonattPropertyResult *result)
{
    const char *name = monatt_check_name(summary->check);
    const char *why =
        summary->text[0] != '\0' ? summary->text : monatt_reason_name(summary->reason);
    if (required || !is_lasting(summary)) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "check-not-whole", "%s: %s",
                                     name, why);
    } else if (summary->check == MONATT_SUBCHECK_KERNEL_TEXT) {
        /* Nothing else says that the kernel's code is the one that was measured. */
        monatt_property_result_raise(result, MONATT_VERDICT_DEGRADED, "no-independent-reference",
                                     "%s: %s: no independent reference", name, why);
    }
}

/* One check's measurement: true when all was seen that it looks at. */
static gboolean judge_check(const MonattAppraisal *a, const MonattCheckFact *fact,
                            MonattPropertyResult *result)
{
    const MonattCheckSummaryPayload *summary = &fact->summary;
    const char *name = monatt_check_name(summary->check);
    gboolean known = summary->check < 32 && monatt_check_by_name(name) == summary->check;
    gboolean required = known && a->input->policy->required_checks & 1u << summary->check;
    if (!known) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unreadable",
                                     "check %u is not known to this version", summary->check);
        return FALSE;
    }
    rule_age(a, fact->t1_ns, result);
    if (summary->unsettled > 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unsettled",
                                     "%s: %u differences did not settle in time", name,
                                     summary->unsettled);
        return FALSE;
    }
    if (summary->reason != MONATT_REASON_NONE) {
        judge_incomplete(summary, required, result);
        return FALSE;
    }
    if (fact->flags & (MONATT_RECORD_TORN | MONATT_RECORD_PARTIAL | MONATT_RECORD_PAUSED)) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "check-not-whole",
                                     "%s: is marked as not whole (flags 0x%x)", name, fact->flags);
        return FALSE;
    }
    return TRUE;
}

/* The last of a check in the measured records, or NULL. */
static const MonattCheckFact *find_check(const MonattLogFacts *facts, uint16_t check,
                                         uint64_t first, uint64_t last)
{
    for (guint i = facts->checks->len; i > 0; i--) {
        const MonattCheckFact *fact = &g_array_index(facts->checks, MonattCheckFact, i - 1);
        if (fact->summary.check == check && fact->number >= first && fact->number <= last) {
            return fact;
        }
    }
    return NULL;
}

static void judge_missing(const MonattAppraisal *a, uint64_t first, uint64_t last, GString *lacking,
                          MonattPropertyResult *result)
{
    for (uint16_t check = 1; check < 32; check++) {
        if (!(a->input->policy->required_checks & 1u << check) ||
            find_check(&a->facts, check, first, last) != NULL) {
            continue;
        }
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "check-missing",
                                     "%s: was not looked at", monatt_check_name(check));
        g_string_append_printf(lacking, "%s%s (no record)", lacking->len > 0 ? ", " : "",
                               monatt_check_name(check));
    }
}

unsigned rule_checks(const MonattAppraisal *a, uint64_t first, uint64_t last, GString *text,
                     MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    g_autoptr(GString) lacking = g_string_new("");
    unsigned whole = 0;
    gboolean any = FALSE;
    for (guint i = 0; i < facts->checks->len; i++) {
        const MonattCheckFact *fact = &g_array_index(facts->checks, MonattCheckFact, i);
        const MonattCheckSummaryPayload *summary = &fact->summary;
        if (fact->number < first || fact->number > last) {
            continue;
        }
        any = TRUE;
        if (judge_check(a, fact, result)) {
            whole += find_check(facts, summary->check, first, last) == fact;
        } else {
            g_string_append_printf(lacking, "%s%s (%s)", lacking->len > 0 ? ", " : "",
                                   monatt_check_name(summary->check),
                                   summary->text[0] != '\0' ? summary->text
                                                            : monatt_reason_name(summary->reason));
        }
    }
    /* A host of before there were checks: what it can say is judged, unless the policy asks. */
    if (!any && !a->input->policy->checks_listed) {
        g_string_append(text, "; the kernel itself was not looked at");
        return 0;
    }
    judge_missing(a, first, last, lacking, result);
    g_string_append_printf(text, "; %u checks of the kernel", whole);
    if (lacking->len > 0) {
        g_string_append_printf(text, ", not looked at: %s", lacking->str);
    }
    return whole;
}
