/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-register-findings.c - what one reading of the vCPUs' registers showed holds when others do
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/register-findings.h"

static CheckReport report, again;

static CheckFinding *add(CheckReport *to, uint16_t check, const char *object)
{
    CheckFinding *finding = &to->findings[to->finding_count++];
    *finding = (CheckFinding){.check = check, .severity = CHECK_COMPROMISED};
    g_strlcpy(finding->object, object, sizeof(finding->object));
    for (size_t i = 0; i < to->result_count; i++) {
        to->results[i].findings += to->results[i].check == check;
    }
    return finding;
}

static void set_up(void)
{
    memset(&report, 0, sizeof(report));
    report.results[0].check = MONATT_SUBCHECK_KERNEL_ORIGIN;
    report.results[1].check = MONATT_SUBCHECK_CONTROL_REGISTERS;
    report.results[2].check = MONATT_SUBCHECK_MODULES;
    report.result_count = 3;
    again = report;
}

static void test_which(void)
{
    set_up();
    g_assert_cmphex(register_findings(&report), ==, 0);
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "build id");
    add(&report, MONATT_SUBCHECK_INTERRUPT_TABLE, "gate 0xe");
    add(&report, MONATT_SUBCHECK_MODULES, "vCPU 0"); /* a module may have any name */
    g_assert_cmphex(register_findings(&report), ==, 0);
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "vCPU 0");
    add(&report, MONATT_SUBCHECK_CONTROL_REGISTERS, "CR0.WP of vCPU 3");
    add(&report, MONATT_SUBCHECK_INTERRUPT_TABLE, "IDTR of vCPU 1");
    g_assert_cmphex(register_findings(&report), ==,
                    1ull << MONATT_SUBCHECK_KERNEL_ORIGIN |
                        1ull << MONATT_SUBCHECK_INTERRUPT_TABLE |
                        1ull << MONATT_SUBCHECK_CONTROL_REGISTERS);
}

static void test_moment(void)
{
    set_up();
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "build id");
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "vCPU 0");
    add(&report, MONATT_SUBCHECK_MODULES, "vCPU 0");
    register_findings_confirm(&report, &again);
    g_assert_cmpuint(report.finding_count, ==, 2);
    g_assert_cmpstr(report.findings[0].object, ==, "build id");
    g_assert_cmpuint(report.findings[1].check, ==, MONATT_SUBCHECK_MODULES);
    g_assert_cmpuint(report.results[0].findings, ==, 1);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(report.results[0].unsettled, ==, 0);
}

/* Another root in the same vCPU is the same finding: a foreign kernel may switch between many. */
static void test_lasts(void)
{
    set_up();
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "vCPU 0");
    g_strlcpy(add(&again, MONATT_SUBCHECK_KERNEL_ORIGIN, "vCPU 0")->observed, "another root",
              CHECK_VALUE_SIZE);
    add(&report, MONATT_SUBCHECK_CONTROL_REGISTERS, "CR0.WP of vCPU 1");
    add(&again, MONATT_SUBCHECK_CONTROL_REGISTERS, "CR0.WP of vCPU 0");
    register_findings_confirm(&report, &again);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpstr(report.findings[0].object, ==, "vCPU 0");
    g_assert_cmpuint(report.results[0].findings, ==, 1);
    g_assert_cmpuint(report.results[1].findings, ==, 0);
}

/* Nobody may get rid of a finding by making the second look fail. */
static void test_not_seen_again(void)
{
    set_up();
    add(&report, MONATT_SUBCHECK_KERNEL_ORIGIN, "vCPU 0");
    add(&report, MONATT_SUBCHECK_CONTROL_REGISTERS, "CR0.WP of vCPU 0");
    again.results[0].reason = MONATT_REASON_UNSUPPORTED;
    again.result_count = 1;
    register_findings_confirm(&report, &again);
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 1);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpuint(report.results[1].unsettled, ==, 1);
    g_assert_cmpuint(report.results[1].reason, ==, MONATT_REASON_TORN);
    g_assert_cmpstr(report.results[1].text, !=, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/register-findings/which", test_which);
    g_test_add_func("/register-findings/moment", test_moment);
    g_test_add_func("/register-findings/lasts", test_lasts);
    g_test_add_func("/register-findings/not-seen-again", test_not_seen_again);
    return g_test_run();
}
