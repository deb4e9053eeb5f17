/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-runner.c - runs the checks, and makes findings of what persists
 */
#include "host-collector/sources/introspection/checks/check-runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define RETRY_MS 10
/* Beyond the deadline, for a first pass that unpacks the measured kernel on a loaded host; the
 * client waits some seconds longer (UNPACK_MS and GRACE_MS of worker-client.c). */
#define FIRST_PASS_MS 10000u
#define CANDIDATES (4u * CHECK_SIGHTINGS) /* of all checks; more are counted as unsettled */

#define SLOTS (2u * CANDIDATES) /* a power of two, never more than half full */

typedef struct Candidate {
    CheckFinding finding; /* as seen last */
    uint64_t generation;  /* as seen last: all its sightings are of this one */
    bool seen;            /* in the run at hand */
} Candidate;

/* What a check had from the host when it could see. */
typedef struct Sight {
    bool image, btf;
    uint32_t vcpus;
    bool could; /* at least once in this boot */
} Sight;

struct CheckRunner {
    CheckTasks *tasks;
    void *states[CHECKS_MAXIMUM];
    Sight sights[CHECKS_MAXIMUM];
    CheckReference reference;
    CheckSightings sightings;
    uint32_t candidate_count;
    Candidate candidates[CANDIDATES];
    uint16_t slots[SLOTS];           /* candidates by their identity: index + 1, 0: none */
    uint64_t seed;                   /* a guest must not know which identities meet */
    uint32_t beyond[CHECKS_MAXIMUM]; /* sightings of the first run that had no room */
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void wait_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

CheckRunner *check_runner_new(void)
{
    CheckRunner *runner = calloc(1, sizeof(*runner));
    if (runner && !(runner->tasks = check_tasks_new())) {
        free(runner);
        return NULL;
    }
    return runner;
}

void check_runner_forget(CheckRunner *runner)
{
    for (size_t i = 0; check_table[i]; i++) {
        if (runner->states[i] && check_table[i]->clear) {
            check_table[i]->clear(runner->states[i]);
        }
        runner->states[i] = NULL;
    }
    memset(runner->sights, 0, sizeof(runner->sights));
    kernel_image_clear(&runner->reference.image);
    kernel_image_clear(&runner->reference.first);
    memset(&runner->reference, 0, sizeof(runner->reference));
}

void check_runner_free(CheckRunner *runner)
{
    if (runner) {
        check_runner_forget(runner);
        check_tasks_free(runner->tasks);
        free(runner);
    }
}

/*
 * A kernel does not lose what a check looks at: one that could be done in this boot, with no more
 * from the host than now, and cannot be any more was blinded by the guest.
 */
static void judge_sight(Sight *sight, CheckContext *context)
{
    const CheckInputs *inputs = context->inputs;
    const Sight now = {.image = inputs && inputs->image,
                       .btf = inputs && inputs->btf,
                       .vcpus = inputs ? inputs->vcpu_count : 0,
                       .could = true};

    if (context->result->reason == MONATT_REASON_NONE) {
        *sight = now;
    } else if (context->result->reason == MONATT_REASON_UNSUPPORTED && sight->could &&
               now.image >= sight->image && now.btf >= sight->btf && now.vcpus >= sight->vcpus) {
        check_found(context, CHECK_DEGRADED, 0, context->check->name, "readable, as it was before",
                    context->result->text, "",
                    "this check could be done in this boot and cannot be any more");
    }
}

static void run_check(CheckRunner *runner, size_t index, CheckContext *context, CheckResult *result)
{
    const Check *check = check_table[index];
    uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
    uint32_t passes = result->passes;

    memset(result, 0, sizeof(*result));
    result->check = check->id;
    result->passes = passes + 1;
    runner->sightings.count = runner->sightings.beyond = 0;
    context->check = check;
    context->budget = (WalkBudget){.steps = CHECK_STEPS};
    context->state = &runner->states[index];
    context->result = result;
    context->sightings = &runner->sightings;
    check->run(context);
    if (context->budget.exhausted) {
        check_reason(context, MONATT_REASON_BUDGET, "the walk took more than %u steps",
                     CHECK_STEPS);
    }
    judge_sight(&runner->sights[index], context);
    result->cpu_us = (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / 1000;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull; /* 2^64 by the golden ratio, odd */
    return hash ^ hash >> 29;
}

/* The slot that holds finding's candidate, or the free one where it would go. */
static uint32_t find_slot(const CheckRunner *runner, const CheckFinding *finding)
{
    uint64_t hash = mix(mix(runner->seed, finding->check), finding->address);
    hash = mix(mix(hash, finding->pid), finding->start_ns);
    for (const char *at = finding->object; *at; at++) {
        hash = mix(hash, (uint8_t)*at);
    }
    uint32_t slot = (uint32_t)hash % SLOTS;
    while (runner->slots[slot] != 0 &&
           !monatt_check_finding_is_same(&runner->candidates[runner->slots[slot] - 1].finding,
                                         finding)) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

static Candidate *find_candidate(CheckRunner *runner, const CheckFinding *finding)
{
    uint16_t index = runner->slots[find_slot(runner, finding)];
    return index ? &runner->candidates[index - 1] : NULL;
}

/* After candidates were dropped, and the others moved up. */
static void fill_slots(CheckRunner *runner)
{
    memset(runner->slots, 0, sizeof(runner->slots));
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        runner->slots[find_slot(runner, &runner->candidates[i].finding)] = (uint16_t)(i + 1);
    }
}

/* The first run: everything that is seen is a candidate. */
static void collect(CheckRunner *runner, size_t index)
{
    runner->beyond[index] = runner->sightings.beyond;
    for (uint32_t i = 0; i < runner->sightings.count; i++) {
        if (find_candidate(runner, &runner->sightings.items[i])) {
            continue; /* said twice in one run */
        }
        if (runner->candidate_count >= CANDIDATES) {
            runner->beyond[index]++;
            continue;
        }
        uint32_t slot = find_slot(runner, &runner->sightings.items[i]);
        Candidate *candidate = &runner->candidates[runner->candidate_count++];
        runner->slots[slot] = (uint16_t)runner->candidate_count;
        candidate->finding = runner->sightings.items[i];
        candidate->finding.sightings = 1;
        candidate->generation = runner->sightings.generations[i];
    }
}

/* A later run: what is seen again has lasted (if enough of the guest's time has gone by), what is
 * not seen any more by a run that read everything was a race. */
static void follow(CheckRunner *runner, uint16_t check, bool whole, bool counts)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        runner->candidates[i].seen = false;
    }
    for (uint32_t i = 0; i < runner->sightings.count; i++) {
        Candidate *candidate = find_candidate(runner, &runner->sightings.items[i]);
        if (candidate && !candidate->seen) {
            uint32_t sightings = candidate->finding.sightings + (counts ? 1 : 0);
            if (candidate->generation != runner->sightings.generations[i] &&
                candidate->finding.sightings < CHECK_RUNNER_SCANS) {
                sightings = counts ? 1 : 0; /* something else, in the same place */
            }
            candidate->generation = runner->sightings.generations[i];
            candidate->finding = runner->sightings.items[i];
            candidate->finding.sightings = sightings;
            candidate->seen = true;
        }
    }
    whole = whole && runner->sightings.beyond == 0;
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        if (runner->candidates[i].finding.check != check || runner->candidates[i].seen || !whole ||
            runner->candidates[i].finding.sightings >= CHECK_RUNNER_SCANS) {
            if (kept != i) {
                runner->candidates[kept] = runner->candidates[i];
            }
            kept++;
        }
    }
    if (kept != runner->candidate_count) {
        runner->candidate_count = kept;
        fill_slots(runner);
    }
}

static uint32_t open_of(const CheckRunner *runner, uint16_t check)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        open += runner->candidates[i].finding.check == check &&
                runner->candidates[i].finding.sightings < CHECK_RUNNER_SCANS;
    }
    return open;
}

static CheckContext begin_pass(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                               Owners **ret_owners)
{
    WalkBudget budget = {.steps = CHECK_STEPS};
    address_space_forget(&kernel->space);
    check_tasks_begin(runner->tasks);
    *ret_owners = owners_read(kernel, &budget);
    return (CheckContext){.kernel = kernel,
                          .inputs = inputs,
                          .reference = &runner->reference,
                          .owners = *ret_owners,
                          .tasks = runner->tasks};
}

/* Runs again those that have something open, once. */
static void run_again(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                      bool counts, uint64_t deadline, CheckReport *report)
{
    Owners *owners;
    CheckContext context = begin_pass(runner, kernel, inputs, &owners);
    for (size_t i = 0; owners && i < report->result_count; i++) {
        CheckResult *result = &report->results[i];
        for (size_t k = 0; check_table[k]; k++) {
            if (check_table[k]->id == result->check && open_of(runner, result->check) > 0 &&
                now_ns(CLOCK_MONOTONIC) < deadline) {
                run_check(runner, k, &context, result);
                follow(runner, result->check, result->reason == MONATT_REASON_NONE, counts);
            }
        }
    }
    owners_free(owners);
}

static bool any_open(const CheckRunner *runner)
{
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        if (runner->candidates[i].finding.sightings < CHECK_RUNNER_SCANS) {
            return true;
        }
    }
    return false;
}

static bool settle(CheckRunner *runner, GuestKernel *kernel, GuestClocks *clocks,
                   const CheckInputs *inputs, uint64_t deadline, CheckReport *report)
{
    uint64_t counted = now_ns(CLOCK_MONOTONIC);
    bool advanced = true;

    while (any_open(runner)) {
        uint64_t now;
        bool counts;
        wait_ms(advanced ? CHECK_RUNNER_GAP_MS : RETRY_MS);
        now = now_ns(CLOCK_MONOTONIC);
        if (now >= deadline) {
            break;
        }
        /* Before the run: progress during it would count for what it has seen already. */
        advanced = guest_clocks_advanced(clocks);
        if (!advanced) {
            continue;
        }
        counts = now - counted >= CHECK_RUNNER_GAP_MS * 1000000ull;
        run_again(runner, kernel, inputs, counts, deadline, report);
        if (counts) {
            counted = now_ns(CLOCK_MONOTONIC);
            guest_clocks_mark(clocks);
        }
    }
    return advanced;
}

static void fill_unsettled(const CheckRunner *runner, CheckReport *report)
{
    for (size_t i = 0; i < report->result_count; i++) {
        CheckResult *result = &report->results[i];
        result->unsettled = open_of(runner, result->check);
        for (size_t k = 0; check_table[k]; k++) {
            if (check_table[k]->id == result->check) {
                result->unsettled += runner->beyond[k];
            }
        }
    }
}

static void fill_report(CheckRunner *runner, bool advanced, CheckReport *report)
{
    fill_unsettled(runner, report);
    for (size_t i = 0; i < report->result_count; i++) {
        CheckResult *result = &report->results[i];
        if (result->unsettled > 0 && result->reason == MONATT_REASON_NONE) {
            result->reason = advanced ? MONATT_REASON_BUDGET : MONATT_REASON_STALLED;
            snprintf(result->text, sizeof(result->text), "%u differences did not settle in time",
                     result->unsettled);
        }
    }
    for (uint32_t i = 0; i < runner->candidate_count; i++) {
        const CheckFinding *finding = &runner->candidates[i].finding;
        if (finding->sightings < CHECK_RUNNER_SCANS) {
            continue;
        }
        for (size_t k = 0; k < report->result_count; k++) {
            report->results[k].findings += report->results[k].check == finding->check;
        }
        if (report->finding_count < CHECK_FINDINGS) {
            report->findings[report->finding_count++] = *finding;
        }
    }
}

static void first_pass(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                       uint64_t wanted, uint64_t deadline, Table *tables, CheckReport *report)
{
    const uint64_t end = deadline + FIRST_PASS_MS * 1000000ull;
    Owners *owners;
    CheckContext context = begin_pass(runner, kernel, inputs, &owners);

    memset(report, 0, sizeof(*report));
    report->t0_ns = now_ns(CLOCK_BOOTTIME);
    memcpy(report->kernel, kernel->release, sizeof(report->kernel));
    runner->candidate_count = 0;
    memset(runner->slots, 0, sizeof(runner->slots));
    runner->seed = now_ns(CLOCK_MONOTONIC);
    memset(runner->beyond, 0, sizeof(runner->beyond));
    for (size_t i = 0; tables && table_forms[i].name; i++) {
        table_begin(&tables[i], &table_forms[i]);
    }
    for (size_t i = 0; check_table[i] && i < CHECKS_MAXIMUM; i++) {
        if (!(wanted & 1ull << i)) {
            continue;
        }
        CheckResult *result = &report->results[report->result_count++];
        if (!owners) {
            result->check = check_table[i]->id;
            result->reason = MONATT_REASON_BUDGET;
            snprintf(result->text, sizeof(result->text), "out of memory");
            continue;
        }
        if (now_ns(CLOCK_MONOTONIC) >= end) {
            /* What was seen so far is worth more than a worker that is killed over the rest. */
            result->check = check_table[i]->id;
            result->reason = MONATT_REASON_BUDGET;
            snprintf(result->text, sizeof(result->text), "the checks before it took too long");
            continue;
        }
        context.tables = tables;
        context.table =
            check_table[i]->table ? check_table_named(&context, check_table[i]->table) : NULL;
        run_check(runner, i, &context, result);
        collect(runner, i);
    }
    owners_free(owners);
    report->t1_ns = now_ns(CLOCK_BOOTTIME);
}

void check_runner_measure(CheckRunner *runner, GuestKernel *kernel, GuestClocks *clocks,
                          const CheckInputs *inputs, uint64_t wanted, unsigned deadline_ms,
                          Table *tables, CheckReport *report)
{
    uint64_t deadline = now_ns(CLOCK_MONOTONIC) + deadline_ms * 1000000ull;
    bool advanced;

    first_pass(runner, kernel, inputs, wanted, deadline, tables, report);
    guest_clocks_mark(clocks);
    advanced = settle(runner, kernel, clocks, inputs, deadline, report);
    fill_report(runner, advanced, report);
    report->t1_ns = now_ns(CLOCK_BOOTTIME);
}

void check_runner_look(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                       uint64_t wanted, Table *tables, CheckReport *report)
{
    first_pass(runner, kernel, inputs, wanted, now_ns(CLOCK_MONOTONIC), tables, report);
    fill_unsettled(runner, report);
    for (uint32_t i = 0; i < runner->candidate_count && i < CHECK_FINDINGS; i++) {
        report->findings[report->finding_count++] = runner->candidates[i].finding;
    }
}

void check_runner_without_kernel(uint64_t wanted, const char *why, CheckReport *report)
{
    memset(report, 0, sizeof(*report));
    report->t0_ns = report->t1_ns = now_ns(CLOCK_BOOTTIME);
    for (size_t i = 0; check_table[i] && i < CHECKS_MAXIMUM; i++) {
        if (wanted & 1ull << i) {
            CheckResult *result = &report->results[report->result_count++];
            result->check = check_table[i]->id;
            result->reason = MONATT_REASON_UNSUPPORTED;
            monatt_text_printable(why, strlen(why), result->text, sizeof(result->text));
        }
    }
}

static uint32_t table_bits(const Check *check)
{
    uint32_t bits = 0;
    for (size_t i = 0; table_forms[i].name; i++) {
        if ((check->table && strcmp(table_forms[i].name, check->table) == 0) ||
            (check->also && strcmp(table_forms[i].name, check->also) == 0)) {
            bits |= 1u << i;
        }
    }
    return bits;
}

uint64_t check_runner_wanted(uint64_t sub_checks, uint32_t tables)
{
    uint64_t wanted = 0;
    for (size_t i = 0; check_table[i] && i < CHECKS_MAXIMUM; i++) {
        if ((sub_checks >> check_table[i]->id & 1) || (table_bits(check_table[i]) & tables)) {
            wanted |= 1ull << i;
        }
    }
    return wanted;
}

void check_runner_pass(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                       uint64_t wanted, CheckReport *report, uint32_t *ret_sightings)
{
    first_pass(runner, kernel, inputs, wanted, now_ns(CLOCK_MONOTONIC), NULL, report);
    *ret_sightings = runner->candidate_count;
    for (uint32_t i = 0; i < runner->candidate_count && i < CHECK_FINDINGS; i++) {
        report->findings[report->finding_count++] = runner->candidates[i].finding;
    }
}
