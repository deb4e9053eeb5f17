/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * register-findings.c - findings that come from the vCPUs' registers, and when they hold
 */
#include "host-collector/sources/introspection/checks/register-findings.h"

#include <stdio.h>
#include <string.h>

/* These checks call what they judge by its vCPU, and nothing else so. */
static bool is_of_register(const CheckFinding *finding)
{
    return (finding->check == MONATT_SUBCHECK_KERNEL_ORIGIN ||
            finding->check == MONATT_SUBCHECK_INTERRUPT_TABLE ||
            finding->check == MONATT_SUBCHECK_CONTROL_REGISTERS) &&
           strstr(finding->object, "vCPU ") != NULL;
}

uint64_t register_findings(const CheckReport *report)
{
    uint64_t checks = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        checks |= is_of_register(&report->findings[i]) ? 1ull << report->findings[i].check : 0;
    }
    return checks;
}

/* result_count: that check has no result. */
static size_t result_of(const CheckReport *report, uint16_t check)
{
    size_t i = 0;
    while (i < report->result_count && report->results[i].check != check) {
        i++;
    }
    return i;
}

static bool is_in(const CheckReport *report, const CheckFinding *finding)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        if (monatt_check_finding_is_same(&report->findings[i], finding)) {
            return true;
        }
    }
    return false;
}

static void let_go(CheckReport *report, const CheckReport *again, uint16_t check)
{
    size_t at = result_of(report, check), later = result_of(again, check);
    uint32_t reason =
        later < again->result_count ? again->results[later].reason : MONATT_REASON_TORN;
    CheckResult *result = &report->results[at];

    if (at == report->result_count) {
        return;
    }
    result->findings -= result->findings > 0;
    if (reason == MONATT_REASON_NONE) {
        return;
    }
    result->unsettled++;
    if (result->reason == MONATT_REASON_NONE) {
        result->reason = reason;
        snprintf(result->text, sizeof(result->text), "the registers could not be judged again");
    }
}

void register_findings_confirm(CheckReport *report, const CheckReport *again)
{
    size_t kept = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        const CheckFinding *finding = &report->findings[i];
        if (!is_of_register(finding) || is_in(again, finding)) {
            report->findings[kept++] = *finding;
        } else {
            let_go(report, again, finding->check);
        }
    }
    report->finding_count = kept;
}
