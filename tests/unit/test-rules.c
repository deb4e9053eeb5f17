/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-rules.c - each rule's every answer, from facts that are set by hand
 */
#include <glib.h>
#include <string.h>
#include "verifier/appraisal/appraisal.h"

#define NOW 1790000000
#define UPTIME_NS 1000000000000u /* 1000 s */

typedef struct Case {
    MonattAppraisal a;
    MonattAppraisalInput input;
    MonattClaims claims;
    MonattPolicy *policy;
    MonattReference *reference;
    MonattEnvironment *environment;
    MonattPropertyResult result;
} Case;

static void case_init(Case *c)
{
    memset(c, 0, sizeof(*c));
    c->policy = monatt_policy_new();
    c->reference = monatt_reference_new("reference-1");
    c->environment = monatt_reference_add_environment(c->reference);
    c->environment->any = TRUE;
    c->input = (MonattAppraisalInput){.policy = c->policy, .reference = c->reference, .at = NOW};
    c->a.input = &c->input;
    c->a.claims = &c->claims;
    c->a.suite = "S256";
    c->a.digest_size = 32;
    c->claims.uptime_ns = UPTIME_NS;
    monatt_log_facts_init(&c->a.facts);
    monatt_property_result_init(&c->result, MONATT_PROPERTY_STARTUP);
}

static void case_clear(Case *c)
{
    monatt_property_result_clear(&c->result);
    monatt_log_facts_clear(&c->a.facts);
    monatt_reference_free(c->reference);
    monatt_policy_free(c->policy);
}

static void measure(Case *c, uint16_t kind, uint8_t content)
{
    MonattBootFact fact = {.item = {.kind = kind}};
    memset(fact.item.sha256, content, sizeof(fact.item.sha256));
    memset(fact.item.sha384, content, sizeof(fact.item.sha384));
    g_snprintf(fact.item.name, sizeof(fact.item.name), "item-%u", content);
    g_array_append_val(c->a.facts.boot, fact);
    c->a.facts.boot_total++;
}

static MonattReferenceValue *expect(Case *c, uint16_t kind, uint8_t content)
{
    g_autofree char *key = g_strdup_printf("boot/%s", monatt_boot_item_kind_name(kind));
    MonattReferenceValue *value = monatt_environment_add(c->environment, key);
    value->has_sha256 = TRUE;
    memset(value->sha256, content, sizeof(value->sha256));
    return value;
}

static const uint16_t usual[] = {MONATT_BOOT_FIRMWARE, MONATT_BOOT_KERNEL, MONATT_BOOT_INITRD,
                                 MONATT_BOOT_COMMAND_LINE};

static void expect_usual(Case *c)
{
    for (size_t i = 0; i < G_N_ELEMENTS(usual); i++) {
        expect(c, usual[i], (uint8_t)usual[i]);
    }
}

static void measure_usual(Case *c)
{
    for (size_t i = 0; i < G_N_ELEMENTS(usual); i++) {
        measure(c, usual[i], (uint8_t)usual[i]);
    }
}

static void check(Case *c, MonattVerdict verdict, const char *code)
{
    g_test_message("%s: %s", c->result.code, c->result.reason);
    g_assert_cmpstr(c->result.code, ==, code);
    g_assert_cmpint(c->result.verdict, ==, verdict);
    g_assert_cmpuint(strlen(c->result.reason), >, 0);
    case_clear(c);
}

static void check_startup(Case *c, MonattVerdict verdict, const char *code)
{
    rule_startup(&c->a, &c->result);
    check(c, verdict, code);
}

static void test_startup_healthy(void)
{
    Case c;
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    check_startup(&c, MONATT_VERDICT_HEALTHY, "equals-reference");
    /* Either generation, when both are current. */
    case_init(&c);
    expect_usual(&c);
    expect(&c, MONATT_BOOT_KERNEL, 77);
    measure_usual(&c);
    check_startup(&c, MONATT_VERDICT_HEALTHY, "equals-reference");
    /* QEMU and machine count only where they are listed. */
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    measure(&c, MONATT_BOOT_QEMU, 9);
    measure(&c, MONATT_BOOT_MACHINE, 9);
    check_startup(&c, MONATT_VERDICT_HEALTHY, "equals-reference");
}

static void test_startup_degraded(void)
{
    Case c;
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    MonattReferenceValue *old = g_ptr_array_index(c.environment->values, 1);
    old->superseded = TRUE;
    old->until = NOW;
    check_startup(&c, MONATT_VERDICT_DEGRADED, "item-superseded");
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    old = g_ptr_array_index(c.environment->values, 1);
    old->superseded = TRUE;
    old->until = NOW - 1;
    check_startup(&c, MONATT_VERDICT_COMPROMISED, "item-outdated");
}

/* Every kind of item, changed: compromised, naming it, the expected and the observed. */
static void test_startup_differs(void)
{
    for (uint16_t kind = MONATT_BOOT_FIRMWARE; kind <= MONATT_BOOT_MACHINE; kind++) {
        Case c;
        case_init(&c);
        for (uint16_t k = MONATT_BOOT_FIRMWARE; k <= MONATT_BOOT_MACHINE; k++) {
            expect(&c, k, (uint8_t)k);
            measure(&c, k, k == kind ? 0xee : (uint8_t)k);
        }
        rule_startup(&c.a, &c.result);
        g_assert_cmpuint(c.result.contradictions->len, ==, 1);
        const MonattContradiction *only = g_ptr_array_index(c.result.contradictions, 0);
        g_assert_cmpstr(only->what, ==, monatt_boot_item_kind_name(kind));
        g_assert_nonnull(strstr(only->observed, "eeeeeeee"));
        g_assert_null(strstr(only->expected, "eeeeeeee"));
        g_assert_nonnull(strstr(c.result.reason, monatt_boot_item_kind_name(kind)));
        check(&c, MONATT_VERDICT_COMPROMISED, "item-differs");
    }
}

static void test_startup_added(void)
{
    Case c;
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    measure(&c, MONATT_BOOT_OPTION_ROM, 9);
    check_startup(&c, MONATT_VERDICT_COMPROMISED, "item-added");
    /* A second kernel beside the right one does not hide behind it. */
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    measure(&c, MONATT_BOOT_KERNEL, 99);
    check_startup(&c, MONATT_VERDICT_COMPROMISED, "item-differs");
}

static void test_startup_unknown(void)
{
    Case c;
    case_init(&c);
    expect_usual(&c);
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "not-measured");
    case_init(&c);
    measure_usual(&c);
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "no-reference");
    case_init(&c);
    measure_usual(&c);
    expect(&c, MONATT_BOOT_KERNEL, MONATT_BOOT_KERNEL);
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "no-reference");
    /* An item left out, required by the policy or only listed. */
    case_init(&c);
    expect_usual(&c);
    for (size_t i = 0; i < 3; i++) {
        measure(&c, usual[i], (uint8_t)usual[i]);
    }
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "item-missing");
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    expect(&c, MONATT_BOOT_OPTION_ROM, 1);
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "item-missing");
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    c.a.facts.unreadable[MONATT_MR_BOOT] = 1;
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "unreadable");
    case_init(&c);
    expect_usual(&c);
    measure_usual(&c);
    c.a.facts.boot_total++; /* one was counted, not kept */
    check_startup(&c, MONATT_VERDICT_UNKNOWN, "unreadable");
    /* A changed item weighs more than one that is unknown. */
    case_init(&c);
    expect_usual(&c);
    measure(&c, MONATT_BOOT_KERNEL, 99);
    check_startup(&c, MONATT_VERDICT_COMPROMISED, "item-differs");
}

/* A whole, clean measurement. */
static MonattSummaryFact *measure_tasks(Case *c)
{
    MonattSummaryFact fact = {.number = 10, .coverage_ppm = 1000000, .t1_ns = UPTIME_NS};
    fact.summary.sub_check = MONATT_SUBCHECK_HIDDEN_TASK;
    fact.summary.views_wanted = fact.summary.views_read = c->policy->required_views;
    fact.summary.view_count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        fact.summary.views[i].view = i == 2 ? MONATT_VIEW_SLAB : (uint8_t)(i + 1);
        fact.summary.views[i].tasks = 60;
    }
    g_array_append_val(c->a.facts.summaries, fact);
    c->a.facts.summaries_total++;
    c->claims.m_count = 1;
    g_strlcpy(c->claims.m[0].kind, "tasks", sizeof(c->claims.m[0].kind));
    c->claims.m[0].index = MONATT_MR_INTROSPECTION;
    c->claims.m[0].first = c->claims.m[0].last = 10;
    return &g_array_index(c->a.facts.summaries, MonattSummaryFact, 0);
}

static void find_task(Case *c)
{
    MonattFindingFact fact = {.number = 9};
    fact.finding.pid = 4711;
    fact.finding.views_present = MONATT_VIEW_BIT(MONATT_VIEW_SLAB);
    fact.finding.views_absent = MONATT_VIEW_BIT(MONATT_VIEW_LIST);
    g_strlcpy(fact.finding.command, "evil-daemon", sizeof(fact.finding.command));
    g_array_append_val(c->a.facts.findings, fact);
    c->a.facts.findings_total++;
}

static void check_runtime(Case *c, MonattVerdict verdict, const char *code)
{
    rule_runtime(&c->a, &c->result);
    check(c, verdict, code);
}

static void test_runtime_healthy(void)
{
    Case c;
    case_init(&c);
    measure_tasks(&c);
    check_runtime(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
    /* More views than the policy wants, and the least coverage. */
    case_init(&c);
    MonattSummaryFact *fact = measure_tasks(&c);
    fact->summary.views_read |= MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES);
    fact->coverage_ppm = 990000;
    check_runtime(&c, MONATT_VERDICT_HEALTHY, "no-hidden-process");
}

static void test_runtime_hidden(void)
{
    Case c;
    case_init(&c);
    measure_tasks(&c)->summary.findings = 1;
    find_task(&c);
    rule_runtime(&c.a, &c.result);
    const MonattContradiction *only = g_ptr_array_index(c.result.contradictions, 0);
    g_assert_nonnull(strstr(only->what, "4711"));
    g_assert_nonnull(strstr(only->what, "evil-daemon"));
    g_assert_nonnull(strstr(only->observed, "task slab"));
    g_assert_nonnull(strstr(only->expected, "task list"));
    check(&c, MONATT_VERDICT_COMPROMISED, "hidden-process");
    /* A finding decides even when everything else is broken, or nothing summarises it. */
    case_init(&c);
    MonattSummaryFact *fact = measure_tasks(&c);
    fact->summary.reason = MONATT_REASON_TORN;
    fact->coverage_ppm = 0;
    find_task(&c);
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "hidden-process");
    case_init(&c);
    find_task(&c);
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "hidden-process");
    case_init(&c);
    measure_tasks(&c)->summary.findings = 2;
    check_runtime(&c, MONATT_VERDICT_COMPROMISED, "hidden-process");
}

/* Everything that makes a measurement less than whole. */
static void spoil(MonattSummaryFact *fact, Case *c, int how)
{
    switch (how) {
    case 0:
        fact->summary.views_read &= ~MONATT_VIEW_BIT(MONATT_VIEW_SLAB);
        break;
    case 1:
        fact->summary.views_read = 0;
        break;
    case 2:
        fact->summary.unsettled = 1;
        break;
    case 3:
        fact->flags = MONATT_RECORD_TORN;
        break;
    case 4:
        fact->flags = MONATT_RECORD_PAUSED;
        break;
    case 5:
        fact->flags = MONATT_RECORD_PARTIAL;
        break;
    case 6:
        fact->coverage_ppm = 989999;
        break;
    case 7:
        fact->t1_ns = UPTIME_NS - (uint64_t)(c->policy->max_age_s + 1) * 1000000000u;
        break;
    case 8:
        fact->number = 11; /* behind the measured range */
        break;
    case 9:
        fact->number = 9;
        break;
    case 10:
        fact->summary.sub_check = 2;
        break;
    case 11:
        c->a.facts.unreadable[MONATT_MR_INTROSPECTION] = 1;
        break;
    case 12:
        c->a.facts.summaries_total++;
        break;
    case 13:
        c->claims.m_count = 0;
        break;
    case 14:
        c->claims.m[0].first = 11; /* an empty range */
        break;
    }
}

static void test_runtime_unknown(void)
{
    static const char *const codes[] = {
        "views-missing", "views-missing", "unsettled",  "not-whole",    "not-whole",
        "not-whole",     "coverage",      "stale",      "not-measured", "not-measured",
        "unreadable",    "unreadable",    "unreadable", "not-measured", "not-measured",
    };
    Case c;
    for (int how = 0; how < (int)G_N_ELEMENTS(codes); how++) {
        case_init(&c);
        spoil(measure_tasks(&c), &c, how);
        check_runtime(&c, MONATT_VERDICT_UNKNOWN, codes[how]);
    }
    for (uint32_t reason = MONATT_REASON_WORKER_DIED; reason <= MONATT_REASON_PAUSED; reason++) {
        case_init(&c);
        MonattSummaryFact *fact = measure_tasks(&c);
        fact->summary.reason = reason;
        g_strlcpy(fact->summary.text, "no BTF", sizeof(fact->summary.text));
        rule_runtime(&c.a, &c.result);
        g_assert_nonnull(strstr(c.result.reason, monatt_reason_name(reason)));
        g_assert_nonnull(strstr(c.result.reason, "no BTF"));
        check(&c, MONATT_VERDICT_UNKNOWN, "not-whole");
    }
    case_init(&c);
    check_runtime(&c, MONATT_VERDICT_UNKNOWN, "not-measured");
}

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

static void test_host(void)
{
    Case c;
    case_init(&c);
    memset(c.a.host_pcr, 5, sizeof(c.a.host_pcr));
    MonattReferenceValue *value = monatt_environment_add(c.environment, "host/pcr");
    value->has_sha256 = TRUE;
    memset(value->sha256, 5, sizeof(value->sha256));
    rule_host(&c.a, &c.result);
    check(&c, MONATT_VERDICT_UNKNOWN, "host-as-reference");
    case_init(&c);
    value = monatt_environment_add(c.environment, "host/pcr");
    value->has_sha256 = TRUE;
    value->sha256[31] = 1;
    rule_host(&c.a, &c.result);
    check(&c, MONATT_VERDICT_COMPROMISED, "host-differs");
    case_init(&c);
    rule_host(&c.a, &c.result);
    check(&c, MONATT_VERDICT_UNKNOWN, "no-reference");
    /* The other suite's digest is not compared with this one's. */
    case_init(&c);
    value = monatt_environment_add(c.environment, "host/pcr");
    value->has_sha384 = TRUE;
    rule_host(&c.a, &c.result);
    check(&c, MONATT_VERDICT_UNKNOWN, "no-reference");
}

static void test_weights(void)
{
    MonattPropertyResult result;
    monatt_property_result_init(&result, MONATT_PROPERTY_RUNTIME);
    monatt_property_result_raise(&result, MONATT_VERDICT_HEALTHY, "a", "first");
    monatt_property_result_raise(&result, MONATT_VERDICT_HEALTHY, "b", "second");
    g_assert_cmpstr(result.code, ==, "a");
    monatt_property_result_raise(&result, MONATT_VERDICT_UNKNOWN, "c", "third");
    monatt_property_result_raise(&result, MONATT_VERDICT_DEGRADED, "d", "fourth");
    g_assert_cmpstr(result.code, ==, "c");
    monatt_property_result_raise(&result, MONATT_VERDICT_COMPROMISED, "e", "fifth");
    monatt_property_result_raise(&result, MONATT_VERDICT_UNKNOWN, "f", "sixth");
    g_assert_cmpstr(result.code, ==, "e");
    g_assert_cmpint(result.verdict, ==, MONATT_VERDICT_COMPROMISED);
    monatt_property_result_clear(&result);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/startup/healthy", test_startup_healthy);
    g_test_add_func("/startup/superseded", test_startup_degraded);
    g_test_add_func("/startup/names-each-changed-item", test_startup_differs);
    g_test_add_func("/startup/added-item", test_startup_added);
    g_test_add_func("/startup/unknown", test_startup_unknown);
    g_test_add_func("/runtime/healthy", test_runtime_healthy);
    g_test_add_func("/runtime/hidden", test_runtime_hidden);
    g_test_add_func("/runtime/unknown", test_runtime_unknown);
    g_test_add_func("/checks/healthy", test_checks_healthy);
    g_test_add_func("/checks/findings", test_checks_findings);
    g_test_add_func("/checks/earlier", test_checks_earlier);
    g_test_add_func("/checks/allowed", test_checks_allowed);
    g_test_add_func("/checks/unknown", test_checks_unknown);
    g_test_add_func("/host/registers", test_host);
    g_test_add_func("/verdict/only-gets-heavier", test_weights);
    return g_test_run();
}
