/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-report-codec.c - a check report goes through whole, and nothing that was not written
 *
 * With MONATT_CORPUS_OUT=FOLDER it leaves its reports there, as fuzz-check-report takes them.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/worker/check-report-codec.h"

#define MODULES_BIT 1u /* the first of table_forms */

static CheckReport report;
static Table tables[TABLE_FORMS_MAXIMUM];
static uint8_t bytes[CHECK_REPORT_HEAD_MAXIMUM + 65536];
static size_t head_size;
static size_t size;

static void fill(void)
{
    memset(&report, 0, sizeof(report));
    report.t0_ns = 5;
    report.t1_ns = 9;
    g_strlcpy(report.kernel, "6.1.0-invented", sizeof(report.kernel));
    report.result_count = 2;
    report.results[0] = (CheckResult){.check = MONATT_SUBCHECK_MODULES,
                                      .passes = 3,
                                      .findings = 1,
                                      .cpu_us = 77,
                                      .has_digest = true,
                                      .digest = {1, 2, 3},
                                      .counter_count = 1,
                                      .counters = {{"modules", 41}}};
    report.results[1] = (CheckResult){.check = MONATT_SUBCHECK_NETFILTER,
                                      .reason = MONATT_REASON_UNSUPPORTED,
                                      .text = "this kernel has no symbol 'x'"};
    report.finding_count = 1;
    report.findings[0] = (CheckFinding){.check = MONATT_SUBCHECK_MODULES,
                                        .severity = CHECK_COMPROMISED,
                                        .sightings = CHECK_RUNNER_SCANS,
                                        .address = 0xffffffffc0001000,
                                        .pid = 7,
                                        .start_ns = 12345,
                                        .object = "module 'evil'",
                                        .expected = "in the module list",
                                        .observed = "in none",
                                        .owner = "evil",
                                        .text = "its memory is mapped and it is in no list"};
}

static void add_rows(uint32_t rows)
{
    table_clear(&tables[0]);
    table_begin(&tables[0], &table_forms[0]);
    for (uint32_t i = 0; i < rows; i++) {
        table_text(&tables[0], "evil");
        table_number(&tables[0], 4096 + i);
        table_nothing(&tables[0]);
        table_flag(&tables[0], true);
        table_hex(&tables[0], 0xffffffffc0000000);
        table_end_row(&tables[0]);
    }
}

static void encode(bool snapshot, uint32_t wanted)
{
    MonattError err = {0};
    g_assert_true(check_report_encode(&report, snapshot, tables, wanted, bytes,
                                      CHECK_REPORT_HEAD_MAXIMUM, &head_size, &err));
    size = head_size;
    if (wanted) {
        memcpy(bytes + size, tables[0].bytes, tables[0].size);
        size += tables[0].size;
    }
}

static MonattCheckReport *decode(bool snapshot, uint32_t wanted, MonattError *err)
{
    uint8_t *copy = malloc(size);
    MonattCheckReport *answer = NULL;
    memcpy(copy, bytes, size);
    if (!check_report_decode(copy, size, snapshot, wanted, &answer, err)) {
        g_assert_null(answer);
        free(copy);
    }
    return answer;
}

static void assert_refused(bool snapshot, uint32_t wanted, const char *why)
{
    MonattError err = {0};
    g_assert_null(decode(snapshot, wanted, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    if (!strstr(err.message, why)) {
        g_error("refused for '%s', not for '%s'", err.message, why);
    }
}

static void leave(const char *name, bool snapshot, uint32_t wanted)
{
    const char *folder = g_getenv("MONATT_CORPUS_OUT");
    if (folder) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree uint8_t *input = g_malloc(size + 2);
        input[0] = snapshot;
        input[1] = (uint8_t)wanted;
        memcpy(input + 2, bytes, size);
        g_assert_true(g_file_set_contents(path, (char *)input, (gssize)(size + 2), NULL));
    }
}

static void test_round_trip(void)
{
    MonattError err = {0};
    fill();
    add_rows(3);
    encode(false, MODULES_BIT);
    leave("whole", false, MODULES_BIT);
    MonattCheckReport *answer = decode(false, MODULES_BIT, &err);
    g_assert_nonnull(answer);
    g_assert_false(answer->snapshot);
    g_assert_cmpmem(&answer->report, sizeof(report), &report, sizeof(report));
    const MonattCheckTable *table = monatt_check_report_table(answer, "modules");
    g_assert_nonnull(table);
    g_assert_cmpuint(table->rows, ==, 3);
    g_assert_false(table->cut);
    g_assert_cmpmem(table->bytes, table->size, tables[0].bytes, tables[0].size);
    g_assert_null(monatt_check_report_table(answer, "sockets"));
    monatt_check_report_free(answer);
    /* Without tables too. */
    encode(false, 0);
    leave("no-tables", false, 0);
    answer = decode(false, 0, &err);
    g_assert_nonnull(answer);
    g_assert_cmpuint(answer->table_count, ==, 0);
    monatt_check_report_free(answer);
}

/* Everything at its maximum fits, as the maximum says. */
static void test_maximum(void)
{
    MonattError err = {0};
    fill();
    report.result_count = CHECKS_MAXIMUM;
    for (uint16_t i = 0; i < CHECKS_MAXIMUM; i++) {
        CheckResult *result = &report.results[i];
        *result = (CheckResult){.check = i,
                                .reason = MONATT_REASON_PAUSED,
                                .has_digest = true,
                                .counter_count = CHECK_COUNTERS};
        memset(result->text, 'r', sizeof(result->text) - 1);
        for (int k = 0; k < CHECK_COUNTERS; k++) {
            memset(result->counters[k].name, 'c', CHECK_COUNTER_NAME - 1);
        }
    }
    report.results[3].findings = UINT32_MAX;
    report.finding_count = CHECK_FINDINGS;
    for (int i = 0; i < CHECK_FINDINGS; i++) {
        CheckFinding *finding = &report.findings[i];
        *finding =
            (CheckFinding){.check = 3, .severity = CHECK_DEGRADED, .sightings = CHECK_RUNNER_SCANS};
        memset(finding->object, 'o', sizeof(finding->object) - 1);
        memset(finding->expected, 'e', sizeof(finding->expected) - 1);
        memset(finding->observed, 'v', sizeof(finding->observed) - 1);
        memset(finding->owner, 'w', sizeof(finding->owner) - 1);
        memset(finding->text, 't', sizeof(finding->text) - 1);
    }
    encode(false, 0);
    MonattCheckReport *answer = decode(false, 0, &err);
    g_assert_nonnull(answer);
    g_assert_cmpmem(&answer->report, sizeof(report), &report, sizeof(report));
    monatt_check_report_free(answer);
}

static void test_every_cut(void)
{
    fill();
    add_rows(2);
    encode(false, MODULES_BIT);
    while (size > 1) {
        MonattError err = {0};
        size--;
        g_assert_null(decode(false, MODULES_BIT, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
    encode(false, MODULES_BIT);
    bytes[size++] = 0;
    assert_refused(false, MODULES_BIT, "too many");
}

/* A sighting is no finding, and a finding no sighting. */
static void test_sightings(void)
{
    MonattError err = {0};
    fill();
    report.findings[0].sightings = CHECK_RUNNER_SCANS - 1;
    encode(false, 0);
    assert_refused(false, 0, "2 sightings");
    /* What a look at a snapshot says, is refused by whoever asked for findings. */
    report.findings[0].sightings = 1;
    report.results[0].findings = 0;
    report.results[0].unsettled = 1;
    encode(true, 0);
    leave("snapshot", true, 0);
    assert_refused(false, 0, "kind of look");
    MonattCheckReport *answer = decode(true, 0, &err);
    g_assert_nonnull(answer);
    g_assert_true(answer->snapshot);
    monatt_check_report_free(answer);
    report.findings[0].sightings = CHECK_RUNNER_SCANS;
    encode(true, 0);
    assert_refused(true, 0, "3 sightings");
    report.findings[0].sightings = 1;
    report.results[0].findings = 1;
    encode(true, 0);
    assert_refused(true, 0, "1 findings");
}

static void test_refuses_results(void)
{
    fill();
    report.results[1].check = MONATT_SUBCHECK_MODULES;
    encode(false, 0);
    assert_refused(false, 0, "twice");
    fill();
    report.results[1].reason = MONATT_REASON_PAUSED + 1;
    encode(false, 0);
    assert_refused(false, 0, "reason 8");
    fill();
    report.results[0].unsettled = 1; /* and no reason: it would pass for healthy */
    encode(false, 0);
    assert_refused(false, 0, "1 unsettled");
    fill();
    report.t1_ns = report.t0_ns - 1;
    encode(false, 0);
    assert_refused(false, 0, "times");
    fill();
    report.results[1].text[3] = '\x1b';
    encode(false, 0);
    assert_refused(false, 0, "byte 0x1b");
    fill();
    encode(false, 0);
    /* The first result's number of counters: behind magic, times, kind, kernel, count, itself. */
    size_t at = 4 + 16 + 1 + 2 + strlen(report.kernel) + 4 + 26 + 1 + 32;
    g_assert_cmpuint(bytes[at], ==, 1);
    bytes[at] = CHECK_COUNTERS + 1;
    assert_refused(false, 0, "17 counters");
}

static void test_refuses_findings(void)
{
    fill();
    report.findings[0].check = MONATT_SUBCHECK_BPF; /* no such result */
    encode(false, 0);
    assert_refused(false, 0, "finding of check 14");
    fill();
    report.findings[0].severity = 0;
    encode(false, 0);
    assert_refused(false, 0, "severity 0");
    fill();
    report.results[0].findings = 2; /* one was left out */
    encode(false, 0);
    assert_refused(false, 0, "1 findings listed of 2");
    fill();
    report.results[0].findings = 0;
    report.results[1].findings = 1; /* another's */
    encode(false, 0);
    assert_refused(false, 0, "1 listed of 0");
}

static void test_refuses_tables(void)
{
    fill();
    add_rows(2);
    encode(false, MODULES_BIT);
    assert_refused(false, 0, "table 0"); /* nobody asked */
    tables[0].rows = 3;
    encode(false, MODULES_BIT);
    assert_refused(false, MODULES_BIT, "2 rows of 3");
    tables[0].rows = 1;
    encode(false, MODULES_BIT);
    assert_refused(false, MODULES_BIT, "2 rows of 1");
    tables[0].rows = 2;
    encode(false, MODULES_BIT);
    bytes[head_size] = TABLE_NOTHING + 1; /* a kind of cell that there is not */
    assert_refused(false, MODULES_BIT, "table 'modules'");
    encode(false, MODULES_BIT);
    bytes[head_size - 5] = 2; /* cut: neither yes nor no */
    assert_refused(false, MODULES_BIT, "flag");
    table_clear(&tables[0]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-report/round-trip", test_round_trip);
    g_test_add_func("/check-report/maximum", test_maximum);
    g_test_add_func("/check-report/every-cut", test_every_cut);
    g_test_add_func("/check-report/sightings", test_sightings);
    g_test_add_func("/check-report/refuses-results", test_refuses_results);
    g_test_add_func("/check-report/refuses-findings", test_refuses_findings);
    g_test_add_func("/check-report/refuses-tables", test_refuses_tables);
    return g_test_run();
}
