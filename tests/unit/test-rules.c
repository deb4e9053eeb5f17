/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-rules.c - each rule's every answer, from facts that are set by hand
 */
#include <glib.h>
#include <string.h>
#include "tests/unit/rule-case.h"

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
    g_test_add_func("/host/registers", test_host);
    g_test_add_func("/verdict/only-gets-heavier", test_weights);
    return g_test_run();
}
