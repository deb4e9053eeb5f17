/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scans.c - counts the scans of a healthy guest, and what they say that is not so
 */
#include "tests/mutators/scans.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/register-findings.h"
#include "tests/mutators/bounds.h"
#include "tests/mutators/ram-file.h"
#include "tests/mutators/vcpu-source.h"

#define DEADLINE_MS 3000
#define SHOWN_MAXIMUM 100 /* findings that are said; all are counted */
#define REASONS_SHOWN 4   /* of each check */

typedef struct Counts {
    unsigned long scans, passes, compromised, degraded, repeated, incomplete, unsettled;
    unsigned long looks, alarms[BASELINES];
    unsigned long findings, readings;       /* more of registers, for what the first ones showed */
    unsigned long of_check[CHECKS_MAXIMUM]; /* incomplete scans */
} Counts;

static size_t index_of(uint16_t check)
{
    size_t i = 0;
    while (check_table[i] && check_table[i]->id != check) {
        i++;
    }
    return i;
}

static void count_findings(Counts *counts, const CheckReport *report)
{
    bool bad = false, weak = false;
    for (size_t k = 0; k < report->finding_count; k++) {
        const CheckFinding *finding = &report->findings[k];
        bad = bad || finding->severity == CHECK_COMPROMISED;
        weak = weak || finding->severity == CHECK_DEGRADED;
        if (counts->findings++ < SHOWN_MAXIMUM) {
            fprintf(stderr,
                    "scan %lu: %s, severity %u: %s at %#lx (%s; expected %s, observed %s; %s)\n",
                    counts->scans, check_by_id(finding->check)->name, finding->severity,
                    finding->object, (unsigned long)finding->address, finding->text,
                    finding->expected, finding->observed, finding->owner);
        }
    }
    counts->compromised += bad;
    counts->degraded += weak;
}

static void count_results(Counts *counts, const CheckReport *report)
{
    uint32_t passes = 0;
    bool partial = false;
    for (size_t k = 0; k < report->result_count; k++) {
        const CheckResult *result = &report->results[k];
        passes = result->passes > passes ? result->passes : passes;
        counts->unsettled += result->unsettled;
        if (result->reason == MONATT_REASON_NONE) {
            continue;
        }
        partial = true;
        if (counts->of_check[index_of(result->check)]++ < REASONS_SHOWN) {
            fprintf(stderr, "scan %lu: %s: reason %u: %s\n", counts->scans,
                    check_by_id(result->check)->name, result->reason, result->text);
        }
    }
    counts->passes += passes;
    counts->repeated += passes > 1;
    counts->incomplete += partial;
}

static void count_baselines(Counts *counts, const Scans *scans)
{
    unsigned alarms = baselines_alarm(scans->baselines, scans->mutator);
    for (int k = 0; k < BASELINES; k++) {
        counts->alarms[k] += alarms >> k & 1;
    }
    counts->looks++;
}

static void print_counts(const Counts *counts)
{
    bool first = true;
    printf("{\"scans\": %lu, \"passes\": %lu, \"compromised\": %lu, \"upper\": %.2e, "
           "\"degraded\": %lu, \"repeated\": %lu, \"incomplete\": %lu, \"unsettled\": %lu, "
           "\"readings\": %lu, "
           "\"incomplete_of\": {",
           counts->scans, counts->passes, counts->compromised,
           bounds_upper(counts->compromised, counts->scans), counts->degraded, counts->repeated,
           counts->incomplete, counts->unsettled, counts->readings);
    for (size_t i = 0; check_table[i]; i++) {
        if (counts->of_check[i] > 0) {
            printf("%s\"%s\": %lu", first ? "" : ", ", check_table[i]->name, counts->of_check[i]);
            first = false;
        }
    }
    printf("}, \"baseline_looks\": %lu", counts->looks);
    for (int i = 0; i < BASELINES; i++) {
        printf(", \"%s\": %lu", baseline_names[i], counts->alarms[i]);
    }
    printf("}\n");
    fflush(stdout);
}

static bool measure(const Scans *scans, GuestClocks *clocks, uint64_t wanted, CheckReport *report,
                    MonattError *err)
{
    size_t vcpus;
    if (scans->registers && !vcpu_source_read(scans->registers, scans->vcpus, &vcpus, err)) {
        return false;
    }
    check_runner_measure(scans->runner, &scans->mutator->kernel, clocks, scans->inputs, wanted,
                         DEADLINE_MS, NULL, report);
    return true;
}

/* As the collector does it: measure-checks.c. */
static bool confirm(const Scans *scans, GuestClocks *clocks, Counts *counts, CheckReport *report,
                    MonattError *err)
{
    static CheckReport again;
    uint64_t checks;
    for (int i = 1; i < REGISTER_READINGS && (checks = register_findings(report)) != 0; i++) {
        counts->readings++;
        if (!measure(scans, clocks, check_runner_wanted(checks, 0), &again, err)) {
            return false;
        }
        register_findings_confirm(report, &again);
    }
    return true;
}

bool scans_run(const Scans *scans, MonattError *err)
{
    static GuestClocks clocks;
    static CheckReport report;
    static Counts counts;
    unsigned long every = scans->every > 0 ? scans->every : 1;

    ram_file_clock(scans->clock, &clocks);
    while (counts.scans < scans->count) {
        if (counts.scans % every == 0) {
            count_baselines(&counts, scans);
        }
        if (!measure(scans, &clocks, UINT64_MAX, &report, err) ||
            !confirm(scans, &clocks, &counts, &report, err)) {
            return false;
        }
        count_findings(&counts, &report);
        count_results(&counts, &report);
        counts.scans++;
        if (scans->every > 0 && counts.scans % every == 0 && counts.scans < scans->count) {
            print_counts(&counts);
        }
    }
    print_counts(&counts);
    return true;
}
