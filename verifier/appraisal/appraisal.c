/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appraisal.c - runs the steps in their order, then the rules, then weighs the verdicts
 *
 * Must never run a rule before every step has passed.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>

typedef gboolean (*Step)(MonattAppraisal *a, GError **error);

/* Order of the evidence's checks: protocol, section 5. */
static const struct {
    const char *name;
    Step run;
} steps[] = {
    {"format", step_format},
    {"algorithm", step_algorithm},
    {"session", step_session},
    {"signature", step_signature},
    {"nonce", step_nonce},
    {"time", step_time},
    {"host-quote", step_host_quote},
    {"device-quote", step_device_quote},
    {"log", step_log},
    {"records", step_records},
    {"measurements", step_measurements},
    {"host", step_host},
};

static void (*const rules[])(const MonattAppraisal *a, MonattPropertyResult *result) = {
    [MONATT_PROPERTY_STARTUP] = rule_startup,
    [MONATT_PROPERTY_RUNTIME] = rule_runtime,
    [MONATT_PROPERTY_CPU_CHANNEL] = rule_not_measured,
    [MONATT_PROPERTY_BUS_CHANNEL] = rule_not_measured,
    [MONATT_PROPERTY_CACHE_CHANNEL] = rule_not_measured,
    [MONATT_PROPERTY_CPU_AVAILABILITY] = rule_not_measured,
    [MONATT_PROPERTY_HOST] = rule_host,
};
G_STATIC_ASSERT(G_N_ELEMENTS(rules) == MONATT_PROPERTY_COUNT);

const char *const *monatt_appraisal_step_names(void)
{
    static const char *names[G_N_ELEMENTS(steps) + 1];
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        names[i] = steps[i].name;
    }
    return names;
}

void monatt_appraisal_free(MonattAppraisal *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        monatt_property_result_clear(&a->results[i]);
    }
    g_free(a->host_id);
    monatt_log_facts_clear(&a->facts);
    monatt_session_certificate_clear(&a->certificate);
    monatt_claims_free(a->claims);
    monatt_jws_free(a->jws);
    monatt_evidence_free(a->evidence);
    g_free(a);
}

/* Whatever a step calls its reason, evidence that fails one is refused; only our own fault and a
 * lack of memory are not the evidence's. */
static void refuse(GError **error)
{
    if (error != NULL && *error != NULL && (*error)->domain == MONATT_GERROR &&
        (*error)->code != MONATT_ERROR_INTERNAL) {
        (*error)->code = MONATT_ERROR_REFUSED;
    }
}

/* protocol 5.10: when the host is not the one that was vouched for, nothing it says is healthy. */
static void apply_host(MonattAppraisal *a)
{
    const MonattPropertyResult *host = &a->results[MONATT_PROPERTY_HOST];
    if (strcmp(host->code, "host-as-reference") == 0) {
        return;
    }
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        MonattPropertyResult *result = &a->results[i];
        if (i != MONATT_PROPERTY_HOST && (result->verdict == MONATT_VERDICT_HEALTHY ||
                                          result->verdict == MONATT_VERDICT_DEGRADED)) {
            monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "host-not-trusted",
                                         "the host's state is not a known good one: %s",
                                         host->reason);
        }
    }
}

static void judge(MonattAppraisal *a)
{
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        rules[i](a, &a->results[i]);
        /* A rule that said nothing must not look like a good one. */
        if (a->results[i].code[0] == 0) {
            a->results[i].verdict = MONATT_VERDICT_HEALTHY;
            monatt_property_result_raise(&a->results[i], MONATT_VERDICT_UNKNOWN, "no-rule",
                                         "no rule decided");
        }
    }
    apply_host(a);
    a->judged = TRUE;
    a->overall = MONATT_VERDICT_HEALTHY;
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        MonattVerdict verdict = a->results[i].verdict;
        if ((verdict == MONATT_VERDICT_COMPROMISED || (a->input->policy->required & 1u << i)) &&
            verdict > a->overall) {
            a->overall = verdict;
        }
    }
}

MonattAppraisal *monatt_appraisal_run(const MonattAppraisalInput *input, const char **ret_step,
                                      GError **error)
{
    g_autoptr(MonattAppraisal) a = g_new0(MonattAppraisal, 1);
    a->input = input;
    monatt_log_facts_init(&a->facts);
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        monatt_property_result_init(&a->results[i], (MonattProperty)i);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (!steps[i].run(a, error)) {
            refuse(error);
            if (ret_step != NULL) {
                *ret_step = steps[i].name;
            }
            return NULL;
        }
        a->steps++;
    }
    if (input->reference != NULL) {
        judge(a);
    }
    a->input = NULL;
    return g_steal_pointer(&a);
}
