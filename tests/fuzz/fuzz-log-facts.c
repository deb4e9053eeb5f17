/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-log-facts.c - a log of any bytes to facts and verdicts, as if every signature had fitted
 *
 * A device that was taken over signs what it likes: the rules must stand whatever the log says.
 */
#include <stdlib.h>
#include <string.h>
#include "verifier/appraisal/appraisal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const MonattAppraisal *a, MonattProperty property,
                  void (*rule)(const MonattAppraisal *, MonattPropertyResult *))
{
    MonattPropertyResult result;
    monatt_property_result_init(&result, property);
    rule(a, &result);
    if (result.code[0] == 0 || result.reason[0] == 0 ||
        result.contradictions->len > MONATT_LOG_FACTS_KEPT) {
        abort();
    }
    /* Healthy needs facts, whatever else the log holds. */
    if (result.verdict == MONATT_VERDICT_HEALTHY &&
        (property == MONATT_PROPERTY_STARTUP
             ? a->facts.boot_total == 0
             : a->facts.summaries_total == 0 || a->facts.findings_total > 0)) {
        abort();
    }
    monatt_property_result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattClaims claims = {.m_count = 1, .uptime_ns = 5000000000};
    MonattError err = {0};
    g_autoptr(MonattPolicy) policy = monatt_policy_new();
    g_autoptr(MonattReference) reference = monatt_reference_new("fuzz");
    MonattEnvironment *environment = monatt_reference_add_environment(reference);
    environment->any = TRUE;
    monatt_environment_add(environment, "boot/kernel")->has_sha256 = TRUE;
    MonattAppraisalInput input = {.policy = policy, .reference = reference};
    MonattAppraisal a = {.input = &input, .claims = &claims, .suite = "S256", .digest_size = 32};
    memset(claims.vid, 0x22, sizeof(claims.vid));
    claims.boot_count = 1;
    g_strlcpy(claims.m[0].kind, "tasks", sizeof(claims.m[0].kind));
    claims.m[0].index = MONATT_MR_INTROSPECTION;
    claims.m[0].last = UINT64_MAX;
    monatt_log_facts_init(&a.facts);
    bool good = monatt_log_facts_collect(&a.facts, data, size, claims.vid, claims.boot_count, &err);
    if (good == (err.code != MONATT_ERROR_NONE)) {
        abort();
    }
    if (good) {
        uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
        if (!monatt_cel_range_digest(data, size, claims.m[0].index, claims.m[0].first,
                                     claims.m[0].last, MONATT_ALG_SHA256, digest, &err)) {
            abort();
        }
        judge(&a, MONATT_PROPERTY_STARTUP, rule_startup);
        judge(&a, MONATT_PROPERTY_RUNTIME, rule_runtime);
    }
    monatt_log_facts_clear(&a.facts);
    return 0;
}
