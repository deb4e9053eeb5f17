/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule-case.h - facts set by hand and a rule's answer, for the tests of the rules
 */
#ifndef MONATT_TESTS_UNIT_RULE_CASE_H
#define MONATT_TESTS_UNIT_RULE_CASE_H

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

static inline void case_init(Case *c)
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

static inline void case_clear(Case *c)
{
    monatt_property_result_clear(&c->result);
    monatt_log_facts_clear(&c->a.facts);
    monatt_reference_free(c->reference);
    monatt_policy_free(c->policy);
}

static inline void check(Case *c, MonattVerdict verdict, const char *code)
{
    g_test_message("%s: %s", c->result.code, c->result.reason);
    g_assert_cmpstr(c->result.code, ==, code);
    g_assert_cmpint(c->result.verdict, ==, verdict);
    g_assert_cmpuint(strlen(c->result.reason), >, 0);
    case_clear(c);
}

static inline MonattSummaryFact *measure_tasks(Case *c)
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

static inline void check_runtime(Case *c, MonattVerdict verdict, const char *code)
{
    rule_runtime(&c->a, &c->result);
    check(c, verdict, code);
}

#endif
