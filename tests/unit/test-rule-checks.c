/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-rule-checks.c - what the checks of the kernel make of runtime-integrity
 */
#include "tests/unit/rule-case.h"

static MonattCheckFact *look(Case *c, uint16_t check)
{
    MonattCheckFact fact = {.number = 10, .t1_ns = UPTIME_NS};
    fact.summary.check = check;
    fact.summary.passes = 1;
    g_array_append_val(c->a.facts.checks, fact);
    c->a.facts.checks_total++;
    return &g_array_index(c->a.facts.checks, MonattCheckFact, c->a.facts.checks->len - 1);
}

/* Tasks, and every check that the default policy wants. */
static void look_at_all(Case *c)
{
    case_init(c);
    measure_tasks(c);
    for (uint16_t check = 2; check < 32; check++) {
        if (c->policy->required_checks & 1u << check) {
            look(c, check);
        }
    }
}

static MonattCheckFindingPayload *find_thing(Case *c, uint16_t check, uint8_t severity)
{
    MonattCheckFindingFact fact = {.number = 10};
    fact.finding.check = check;
    fact.finding.severity = severity;
    fact.finding.address = 0xffffffff82000000;
    g_strlcpy(fact.finding.object, "modprobe_path", sizeof(fact.finding.object));
    g_strlcpy(fact.finding.expected, "/sbin/modprobe", sizeof(fact.finding.expected));
    g_strlcpy(fact.finding.observed, "/tmp/evil", sizeof(fact.finding.observed));
    g_strlcpy(fact.finding.owner, "evil_module", sizeof(fact.finding.owner));
    g_strlcpy(fact.finding.text, "the kernel would run it as root", sizeof(fact.finding.text));
    g_array_append_val(c->a.facts.check_findings, fact);
    c->a.facts.check_findings_total++;
    return &g_array_index(c->a.facts.check_findings, MonattCheckFindingFact,
                          c->a.facts.check_findings->len - 1)
                .finding;
}

static void test_checks_healthy(void)
{
    Case c;
    look_at_all(&c);
    rule_runtime(&c.a, &c.result);
    g_assert_nonnull(strstr(c.result.reason, "checks of the kernel found nothing"));
    check(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
    /* What this host cannot show is not held against the guest, and is named. */
    look_at_all(&c);
    MonattCheckFact *fact = look(&c, MONATT_SUBCHECK_INTERRUPT_TABLE);
    fact->summary.reason = MONATT_REASON_UNSUPPORTED;
    fact->flags = MONATT_RECORD_PARTIAL;
    g_strlcpy(fact->summary.text, "no monitor", sizeof(fact->summary.text));
    rule_runtime(&c.a, &c.result);
    g_assert_nonnull(strstr(c.result.measured, "not looked at: interrupt-table (no monitor)"));
    check(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
    /* A host of before there were checks. */
    case_init(&c);
    measure_tasks(&c);
    rule_runtime(&c.a, &c.result);
    g_assert_nonnull(strstr(c.result.measured, "the kernel itself was not looked at"));
    check(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
}

static void test_checks_findings(void)
{
    Case c;
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_STRINGS, MONATT_SEVERITY_COMPROMISED);
    rule_runtime(&c.a, &c.result);
    const MonattContradiction *only = g_ptr_array_index(c.result.contradictions, 0);
    g_assert_nonnull(strstr(only->what, "strings: modprobe_path"));
    g_assert_cmpstr(only->expected, ==, "/sbin/modprobe");
    g_assert_nonnull(strstr(only->observed, "/tmp/evil"));
    g_assert_nonnull(strstr(only->observed, "owner: evil_module"));
    g_assert_nonnull(strstr(only->observed, "as root"));
    check(&c, MONATT_VERDICT_COMPROMISED, "kernel-differs");
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_STRINGS, MONATT_SEVERITY_DEGRADED);
    check_runtime(&c, MONATT_VERDICT_DEGRADED, "kernel-degraded");
    /* Degraded is listed under a heavier verdict. */
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_STRINGS, MONATT_SEVERITY_DEGRADED);
    look(&c, MONATT_SUBCHECK_BPF)->summary.reason = MONATT_REASON_TORN;
    rule_runtime(&c.a, &c.result);
    only = g_ptr_array_index(c.result.contradictions, 0);
    g_assert_nonnull(strstr(only->what, "modprobe_path (degraded)"));
    check(&c, MONATT_VERDICT_UNKNOWN, "check-not-whole");
    /* Nothing but the number of them, and more than can be told. */
    look_at_all(&c);
    look(&c, MONATT_SUBCHECK_BPF)->summary.findings = 1;
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "kernel-differs");
    look_at_all(&c);
    c.a.facts.check_findings_total = 1;
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "kernel-differs");
}

static void test_checks_earlier(void)
{
    Case c;
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_STRINGS, MONATT_SEVERITY_DEGRADED);
    g_array_append_vals(c.a.facts.earlier_checks, c.a.facts.check_findings->data, 1);
    g_array_set_size(c.a.facts.check_findings, 0);
    c.a.facts.check_findings_total = 0;
    rule_runtime(&c.a, &c.result);
    g_assert_nonnull(strstr(c.result.reason, "modprobe_path, earlier in this boot"));
    check(&c, MONATT_VERDICT_DEGRADED, "degraded-earlier");
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_STRINGS, MONATT_SEVERITY_COMPROMISED);
    g_array_append_vals(c.a.facts.earlier_checks, c.a.facts.check_findings->data, 1);
    g_array_set_size(c.a.facts.check_findings, 0);
    c.a.facts.check_findings_total = 0;
    c.a.facts.earlier_total = 1;
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "found-earlier");
    look_at_all(&c);
    c.a.facts.earlier_lost = 1;
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "kernel-differs");
}

static void test_checks_allowed(void)
{
    static const char digest[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    Case c;
    for (unsigned listed = 0; listed < 2; listed++) {
        look_at_all(&c);
        MonattCheckFindingPayload *finding =
            find_thing(&c, MONATT_SUBCHECK_BPF, MONATT_SEVERITY_COMPROMISED);
        g_strlcpy(finding->observed, digest, sizeof(finding->observed));
        if (listed) {
            g_ptr_array_add(c.policy->allowed_bpf, g_strdup(digest));
        }
        check_runtime(&c, listed ? MONATT_VERDICT_HEALTHY : MONATT_VERDICT_COMPROMISED,
                      listed ? "no-hidden-process" : "kernel-differs");
    }
    /* A module may hook openly; what hides, or another kind of finding of it, is none of that. */
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_FTRACE, MONATT_SEVERITY_DEGRADED);
    g_ptr_array_add(c.policy->allowed_hooks, g_strdup("evil_module"));
    check_runtime(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_FTRACE, MONATT_SEVERITY_COMPROMISED);
    g_ptr_array_add(c.policy->allowed_hooks, g_strdup("evil_module"));
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "kernel-differs");
    look_at_all(&c);
    find_thing(&c, MONATT_SUBCHECK_MODULES, MONATT_SEVERITY_DEGRADED);
    g_ptr_array_add(c.policy->allowed_hooks, g_strdup("evil_module"));
    check_runtime(&c, MONATT_VERDICT_DEGRADED, "kernel-degraded");
}

static void test_checks_unknown(void)
{
    Case c;
    /* Not this time: torn, out of time, stalled … whether it is required or not. */
    for (uint32_t reason = MONATT_REASON_WORKER_DIED; reason <= MONATT_REASON_PAUSED; reason++) {
        look_at_all(&c);
        look(&c, MONATT_SUBCHECK_VDSO)->summary.reason = reason;
        check_runtime(
            &c,
            reason == MONATT_REASON_UNSUPPORTED ? MONATT_VERDICT_HEALTHY : MONATT_VERDICT_UNKNOWN,
            reason == MONATT_REASON_UNSUPPORTED ? "no-hidden-process" : "check-not-whole");
    }
    look_at_all(&c);
    c.policy->required_checks |= 1u << MONATT_SUBCHECK_VDSO;
    look(&c, MONATT_SUBCHECK_VDSO)->summary.reason = MONATT_REASON_UNSUPPORTED;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "check-not-whole");
    look_at_all(&c);
    look(&c, MONATT_SUBCHECK_VDSO)->summary.unsettled = 1;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "unsettled");
    look_at_all(&c);
    look(&c, MONATT_SUBCHECK_VDSO)->flags = MONATT_RECORD_TORN;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "check-not-whole");
    look_at_all(&c);
    look(&c, MONATT_SUBCHECK_VDSO)->t1_ns =
        UPTIME_NS - (uint64_t)(c.policy->max_age_s + 1) * 1000000000u;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "stale");
    look_at_all(&c);
    look(&c, 31);
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "unreadable");
    /* Wanted and not there: left out, or of another report. */
    look_at_all(&c);
    c.policy->required_checks |= 1u << MONATT_SUBCHECK_VDSO;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "check-missing");
    look_at_all(&c);
    c.policy->required_checks |= 1u << MONATT_SUBCHECK_VDSO;
    look(&c, MONATT_SUBCHECK_VDSO)->number = 9;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "check-missing");
    case_init(&c);
    measure_tasks(&c);
    c.policy->checks_listed = TRUE;
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "check-missing");
    /* Code that nothing was compared with. */
    look_at_all(&c);
    look(&c, MONATT_SUBCHECK_KERNEL_TEXT)->summary.reason = MONATT_REASON_UNSUPPORTED;
    check_runtime(&c, MONATT_VERDICT_DEGRADED, "no-independent-reference");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/checks/healthy", test_checks_healthy);
    g_test_add_func("/checks/findings", test_checks_findings);
    g_test_add_func("/checks/earlier", test_checks_earlier);
    g_test_add_func("/checks/allowed", test_checks_allowed);
    g_test_add_func("/checks/unknown", test_checks_unknown);
    return g_test_run();
}
