/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * campaign.c - counts how many placed attacks the checks find, and how many healthy scans alarm
 *
 *   campaign --memory FILE|--qemu PID [--low BYTES] [--image KERNEL] [--registers FILE|QMP]
 *            [--only NAME]… [--count N] [--seed N]          placements, on RAM that stands still
 *   campaign --qemu PID … --scans N --clock PID [--every N]   scans of a guest that runs
 *
 * A placement: one mutation with the next seed, three passes of the checks that must find it, and
 * back.  Found: in each pass a sighting that the clean guest did not have, by one of those checks.
 * Named: it bears the address or the name that the mutation gave.  Unknown: not found, but a check
 * said that it could not see the whole.  The checks keep their state all the time, as they do in a
 * worker.  Scans are in scans.h.
 * Four baselines look at the same RAM.  One JSON object a line.  In this process: no sandbox.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host-collector/sources/introspection/checks/check-runner.h"
#include "libmonatt/base/log.h"
#include "tests/mutators/baselines.h"
#include "tests/mutators/bounds.h"
#include "tests/mutators/ram-file.h"
#include "tests/mutators/scans.h"
#include "tests/mutators/vcpu-source.h"

#define PERIODS 3
#define KNOWN_MAXIMUM 4096
#define ONLY_MAXIMUM 64
#define COUNT_MAXIMUM 10000000ul
#define SHOWN_MAXIMUM 3 /* of what was missed, of each mutation */

typedef struct Options {
    const char *memory;
    const char *image;
    const char *registers;
    const char *only[ONLY_MAXIMUM];
    size_t only_count;
    unsigned long qemu, low, count, seed, scans, clock, every;
    int survivable;
} Options;

typedef struct Campaign {
    Mutator mutator;
    CheckInputs inputs;
    CheckVcpu vcpus[VCPU_SOURCE_MAXIMUM];  /* as the guest has them */
    CheckVcpu forged[VCPU_SOURCE_MAXIMUM]; /* what the checks are shown */
    Baselines baselines;
    CheckRunner *runner;
    CheckReport report;
    unsigned shown;
    size_t known_count;
    CheckFinding known[KNOWN_MAXIMUM]; /* what the clean guest has */
} Campaign;

typedef struct Count {
    unsigned long placed, absent, found, named, unknown, failed;
    unsigned long baselines[BASELINES];
    bool checked; /* one of its checks is there */
} Count;

static bool is_known(const Campaign *campaign, const CheckFinding *finding)
{
    for (size_t i = 0; i < campaign->known_count; i++) {
        const CheckFinding *one = &campaign->known[i];
        if (one->check == finding->check && one->address == finding->address &&
            one->pid == finding->pid && strcmp(one->object, finding->object) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct Look {
    bool found, named, whole;
} Look;

static bool names(const Mutator *mutator, const CheckFinding *finding)
{
    return (mutator->address && finding->address == mutator->address) ||
           (mutator->target && finding->address == mutator->target) ||
           (mutator->pid && finding->pid == mutator->pid) ||
           (mutator->object[0] &&
            (strstr(finding->object, mutator->object) || strstr(finding->text, mutator->object) ||
             strstr(finding->owner, mutator->object)));
}

/* The views of tasks while no check in the table has them. */
static void look_at_tasks(Campaign *campaign, Look *look)
{
    Mutator *mutator = &campaign->mutator;
    task_scan_run(&mutator->tasks, &mutator->kernel);
    look->whole = look->whole && (mutator->tasks.complete & TASK_SCAN_VIEWS) == TASK_SCAN_VIEWS;
    for (uint32_t i = 0; i < mutator->tasks.table.count; i++) {
        const GuestTask *task = &mutator->tasks.table.tasks[i];
        if (task_scan_missing(&mutator->tasks, &mutator->kernel, task)) {
            look->found = true;
            look->named = look->named || task->pid == mutator->pid;
        }
    }
}

/* One pass of the checks; with learn set, what they see is known from now on. */
static Look look(Campaign *campaign, uint32_t checks, bool learn)
{
    Look seen = {.whole = true};
    uint64_t wanted = 0;
    uint32_t sightings;
    CheckReport *report = &campaign->report;

    for (size_t i = 0; check_table[i]; i++) {
        wanted |= checks & MUTATION_BIT(check_table[i]->id) ? 1ull << i : 0;
    }
    check_runner_pass(campaign->runner, &campaign->mutator.kernel, &campaign->inputs, wanted,
                      report, &sightings);
    for (size_t i = 0; i < report->result_count; i++) {
        seen.whole = seen.whole && report->results[i].reason == MONATT_REASON_NONE;
        if (learn && report->results[i].reason != MONATT_REASON_NONE && campaign->shown++ < 16) {
            fprintf(stderr, "clean guest: %s: %s\n", check_by_id(report->results[i].check)->name,
                    report->results[i].text);
        }
    }
    for (size_t i = 0; i < report->finding_count; i++) {
        const CheckFinding *finding = &report->findings[i];
        if (is_known(campaign, finding)) {
            continue;
        }
        seen.found = true;
        seen.named = seen.named || names(&campaign->mutator, finding);
        if (learn && campaign->known_count < KNOWN_MAXIMUM) {
            campaign->known[campaign->known_count++] = *finding;
        }
    }
    if ((checks & MUTATION_BIT(MONATT_SUBCHECK_HIDDEN_TASK)) &&
        !check_by_id(MONATT_SUBCHECK_HIDDEN_TASK)) {
        look_at_tasks(campaign, &seen);
    }
    return seen;
}

static bool any_check(uint32_t checks)
{
    for (size_t i = 0; check_table[i]; i++) {
        if (checks & MUTATION_BIT(check_table[i]->id)) {
            return true;
        }
    }
    return checks & MUTATION_BIT(MONATT_SUBCHECK_HIDDEN_TASK);
}

static void place(Campaign *campaign, const Mutation *mutation, uint64_t seed, Count *count)
{
    Mutator *mutator = &campaign->mutator;
    MonattError err = {0};
    Look all = {.found = true, .named = true, .whole = true};
    unsigned alarms;

    mutator->random = seed;
    mutator->pid = 0;
    mutator->target = 0;
    memcpy(campaign->forged, campaign->vcpus, sizeof(campaign->forged));
    address_space_forget(&mutator->kernel.space);
    if (!mutation->apply(mutator, NULL, &err)) {
        mutator_undo(mutator);
        count->absent += err.code == MONATT_ERROR_MISSING;
        count->failed += err.code != MONATT_ERROR_MISSING;
        if (count->failed + count->absent == 1) {
            fprintf(stderr, "%s: %s\n", mutation->name, err.message);
        }
        return;
    }
    count->placed++;
    for (int i = 0; i < PERIODS && count->checked; i++) {
        Look one = look(campaign, mutation->checks, false);
        all.found = all.found && one.found;
        all.named = all.named && one.named;
        all.whole = all.whole && one.whole;
    }
    alarms = baselines_alarm(&campaign->baselines, mutator);
    for (int i = 0; i < BASELINES; i++) {
        count->baselines[i] += alarms >> i & 1;
    }
    if (count->checked) {
        count->found += all.found;
        count->named += all.found && all.named;
        count->unknown += !all.found && !all.whole;
        if (!all.found && count->placed - count->found <= SHOWN_MAXIMUM) {
            fprintf(stderr, "%s, seed %lu: not found: %s\n", mutation->name, (unsigned long)seed,
                    mutator->what);
        }
    }
    mutator_undo(mutator);
}

static void print_count(const Mutation *mutation, const Count *count)
{
    printf("{\"mutation\": \"%s\", \"checked\": %s, \"placed\": %lu, \"absent\": %lu, "
           "\"failed\": %lu, \"found\": %lu, \"named\": %lu, \"unknown\": %lu, "
           "\"bounds\": [%.5f, %.5f]",
           mutation->name, count->checked ? "true" : "false", count->placed, count->absent,
           count->failed, count->found, count->named, count->unknown,
           bounds_lower(count->found, count->placed), bounds_upper(count->found, count->placed));
    for (int i = 0; i < BASELINES; i++) {
        printf(", \"%s\": %lu", baseline_names[i], count->baselines[i]);
    }
    printf("}\n");
    fflush(stdout);
}

static bool is_wanted(const Options *options, const Mutation *mutation)
{
    for (size_t i = 0; i < options->only_count; i++) {
        if (strcmp(options->only[i], mutation->name) == 0) {
            return true;
        }
    }
    return options->only_count == 0 && (mutation->survivable || !options->survivable);
}

static void run_placements(Campaign *campaign, const Options *options)
{
    for (size_t i = 0; mutation_at(i); i++) {
        const Mutation *mutation = mutation_at(i);
        Count count = {.checked = any_check(mutation->checks)};
        if (!is_wanted(options, mutation)) {
            continue;
        }
        for (unsigned long k = 0; k < options->count; k++) {
            place(campaign, mutation, options->seed + k, &count);
            if (k == 0 && count.absent == 1 && count.placed == 0) {
                break; /* of that kind there is nothing here */
            }
        }
        print_count(mutation, &count);
    }
    /* All was taken back: nothing may be left that was not there at first. */
    memcpy(campaign->forged, campaign->vcpus, sizeof(campaign->forged));
    Look left = look(campaign, UINT32_MAX, false);
    for (size_t i = 0; i < campaign->report.finding_count && i < SHOWN_MAXIMUM; i++) {
        const CheckFinding *finding = &campaign->report.findings[i];
        if (!is_known(campaign, finding)) {
            fprintf(stderr, "after all: %s: %s: %s\n", check_by_id(finding->check)->name,
                    finding->object, finding->text);
        }
    }
    unsigned alarms = baselines_alarm(&campaign->baselines, &campaign->mutator);
    printf("{\"after\": {\"found\": %s, \"baselines\": %u}}\n", left.found ? "true" : "false",
           alarms);
}

static bool read_registers(Campaign *campaign, const char *path, MonattError *err)
{
    size_t count;
    if (!vcpu_source_read(path, campaign->vcpus, &count, err)) {
        return false;
    }
    memcpy(campaign->forged, campaign->vcpus, sizeof(campaign->forged));
    campaign->inputs.vcpus = campaign->mutator.vcpus = campaign->forged;
    campaign->inputs.vcpu_count = campaign->mutator.vcpu_count = (uint32_t)count;
    return true;
}

static bool run(const Options *options, MonattError *err)
{
    static Campaign campaign;
    char backend[96];
    const char *path = options->memory;

    if (!path) {
        if (!mutator_backend(options->qemu, backend, sizeof(backend), err)) {
            return false;
        }
        path = backend;
    }
    if ((options->image && !ram_file_image(options->image, &campaign.inputs, err)) ||
        !mutator_open(&campaign.mutator, path, options->low, err)) {
        return false;
    }
    if (options->registers && !read_registers(&campaign, options->registers, err)) {
        return false;
    }
    campaign.runner = check_runner_new();
    if (!campaign.runner) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "campaign: out of memory");
    }
    baselines_learn(&campaign.baselines, &campaign.mutator);
    if (options->scans > 0) {
        const Scans scans = {.count = options->scans,
                             .clock = options->clock,
                             .every = options->every,
                             .registers = options->registers,
                             .runner = campaign.runner,
                             .mutator = &campaign.mutator,
                             .inputs = &campaign.inputs,
                             .vcpus = campaign.forged,
                             .baselines = &campaign.baselines};
        if (!scans_run(&scans, err)) {
            return false;
        }
    } else {
        for (int i = 0; i < PERIODS; i++) {
            look(&campaign, UINT32_MAX, true);
        }
        printf("{\"kernel\": \"%s\", \"known\": %zu, \"baselines\": %u}\n",
               campaign.mutator.kernel.release, campaign.known_count,
               baselines_alarm(&campaign.baselines, &campaign.mutator));
        for (size_t i = 0; i < campaign.known_count && i < SHOWN_MAXIMUM; i++) {
            fprintf(stderr, "clean guest: %s: %s: %s\n", check_by_id(campaign.known[i].check)->name,
                    campaign.known[i].object, campaign.known[i].text);
        }
        run_placements(&campaign, options);
    }
    check_runner_free(campaign.runner);
    mutator_close(&campaign.mutator);
    return true;
}

static bool parse(int argc, char **argv, Options *options)
{
    static const struct option names[] = {
        {"memory", required_argument, NULL, 'm'},
        {"qemu", required_argument, NULL, 'q'},
        {"low", required_argument, NULL, 'l'},
        {"image", required_argument, NULL, 'i'},
        {"only", required_argument, NULL, 'o'},
        {"registers", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"scans", required_argument, NULL, 'S'},
        {"clock", required_argument, NULL, 'k'},
        {"survivable", no_argument, NULL, 'v'},
        {"every", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'm':
            options->memory = optarg;
            break;
        case 'i':
            options->image = optarg;
            break;
        case 'r':
            options->registers = optarg;
            break;
        case 'o':
            good = good && mutation_find(optarg) && options->only_count < ONLY_MAXIMUM;
            if (good) {
                options->only[options->only_count++] = optarg;
            }
            break;
        case 'q':
            good = good && ram_file_number(optarg, &options->qemu);
            break;
        case 'l':
            good = good && ram_file_number(optarg, &options->low);
            break;
        case 'n':
            good =
                good && ram_file_number(optarg, &options->count) && options->count <= COUNT_MAXIMUM;
            break;
        case 's':
            good = good && ram_file_number(optarg, &options->seed);
            break;
        case 'S':
            good =
                good && ram_file_number(optarg, &options->scans) && options->scans <= COUNT_MAXIMUM;
            break;
        case 'k':
            good = good && ram_file_number(optarg, &options->clock);
            break;
        case 'e':
            good = good && ram_file_number(optarg, &options->every);
            break;
        case 'v':
            options->survivable = 1;
            break;
        default:
            good = false;
        }
    }
    return good && optind == argc && (options->memory || options->qemu);
}

int main(int argc, char **argv)
{
    Options options = {.count = 5, .seed = 1};
    MonattError err = {0};

    monatt_log_init("campaign");
    if (!parse(argc, argv, &options)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE,
                         "campaign --memory FILE|--qemu PID [--only NAME]… [--count N] | --scans N "
                         "--clock PID");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    if (!run(&options, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
