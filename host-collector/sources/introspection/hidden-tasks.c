/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hidden-tasks.c - scans until every difference between the views has vanished or is a finding
 *
 * Must never report a finding from one look, nor call a guest clean when a view was not read.
 */
#include "host-collector/sources/introspection/hidden-tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "libmonatt/base/text.h"

#define RETRY_MS 20 /* between scans that cannot count yet */

typedef struct Candidate {
    uint64_t address;
    uint64_t start_ns;
    uint32_t pid;
    uint32_t present; /* views that showed it every time */
    uint32_t absent;  /* views that never did */
    uint32_t scans;
} Candidate;

typedef struct Candidates {
    Candidate items[HIDDEN_TASKS_CANDIDATES];
    uint32_t count;
    uint32_t beyond; /* did not fit */
} Candidates;

bool hidden_tasks_init(HiddenTasks *tasks, const GuestMemory *memory, GuestClocks *clocks,
                       MonattError *err)
{
    *tasks = (HiddenTasks){.memory = memory, .clocks = clocks};
    tasks->kernel = calloc(1, sizeof(*tasks->kernel));
    if (!tasks->kernel) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "hidden tasks: out of memory");
    }
    return task_scan_init(&tasks->scan, err);
}

void hidden_tasks_clear(HiddenTasks *tasks)
{
    task_scan_clear(&tasks->scan);
    guest_list_view_clear(&tasks->list);
    if (tasks->kernel) {
        guest_kernel_clear(tasks->kernel);
    }
    free(tasks->kernel);
    tasks->kernel = NULL;
}

bool hidden_tasks_attach(HiddenTasks *tasks, MonattError *err)
{
    if (tasks->kernel_found && guest_kernel_check(tasks->kernel)) {
        return true;
    }
    tasks->searches++;
    tasks->kernel_found = guest_kernel_find(tasks->kernel, tasks->memory, err);
    return tasks->kernel_found;
}

void hidden_tasks_roots(HiddenTasks *tasks, const uint64_t *roots, size_t count)
{
    tasks->scan.root_count = count < MONATT_VCPUS_MAXIMUM ? count : MONATT_VCPUS_MAXIMUM;
    if (count > 0) {
        memcpy(tasks->scan.roots, roots, tasks->scan.root_count * sizeof(*roots));
    }
}

bool hidden_tasks_mark(HiddenTasks *tasks, const uint8_t nonce[MONATT_NONCE_SIZE], MonattError *err)
{
    if (!hidden_tasks_attach(tasks, err)) {
        return false;
    }
    task_scan_run(&tasks->scan, tasks->kernel);
    return guest_list_view_mark(&tasks->list, &tasks->scan, nonce, err);
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_ms(unsigned ms)
{
    const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

static uint32_t missing_views(const HiddenTasks *tasks, const GuestTask *task)
{
    uint32_t missing = task_scan_missing(&tasks->scan, tasks->kernel, task);
    if (guest_list_view_lacks(&tasks->list, task)) {
        missing |= MONATT_VIEW_BIT(MONATT_VIEW_GUEST_LIST);
    }
    return missing;
}

static void collect_candidates(const HiddenTasks *tasks, Candidates *candidates)
{
    candidates->count = 0;
    candidates->beyond = 0;
    for (uint32_t i = 0; i < tasks->scan.table.count; i++) {
        const GuestTask *task = &tasks->scan.table.tasks[i];
        uint32_t missing = missing_views(tasks, task);
        if (missing == 0) {
            continue;
        }
        if (candidates->count == HIDDEN_TASKS_CANDIDATES) {
            candidates->beyond++;
            continue;
        }
        candidates->items[candidates->count++] = (Candidate){.address = task->address,
                                                             .start_ns = task->start_ns,
                                                             .pid = task->pid,
                                                             .present = task->views,
                                                             .absent = missing,
                                                             .scans = 1};
    }
}

/*
 * Drops candidates that the scan explains.  A scan without the views that a candidate is missing
 * from says nothing about it.  counts: the scan is far enough from the last one that did.
 */
static void follow_candidates(const HiddenTasks *tasks, Candidates *candidates, bool counts)
{
    const uint32_t read =
        tasks->scan.complete | MONATT_VIEW_BIT(MONATT_VIEW_GUEST_LIST); /* a fixed list */
    uint32_t kept = 0;

    for (uint32_t i = 0; i < candidates->count; i++) {
        Candidate candidate = candidates->items[i];
        const GuestTask *task = task_table_find(&tasks->scan.table, candidate.address,
                                                candidate.pid, candidate.start_ns);
        uint32_t missing = task ? missing_views(tasks, task) : 0;

        if (task && task->settled && (candidate.absent & read) != candidate.absent) {
            candidates->items[kept++] = candidate;
            continue;
        }
        if (!task) {
            continue;
        }
        candidate.present &= task->views;
        candidate.absent &= missing;
        if (candidate.absent == 0 || candidate.present == 0) {
            continue;
        }
        candidate.scans += counts ? 1 : 0;
        candidates->items[kept++] = candidate;
    }
    candidates->count = kept;
}

/* What runs, by the scheduler or by a vCPU's own register, and is in neither list that every task
 * is in from before its first run to after its last, needs no third look. */
static bool is_settled(const Candidate *candidate)
{
    const uint32_t running =
        MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES) | MONATT_VIEW_BIT(MONATT_VIEW_CR3);
    const uint32_t lists = MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR);
    bool runs = (candidate->present & running) && (candidate->absent & lists) == lists;

    return candidate->scans >= (runs ? HIDDEN_TASKS_RUNNING_SCANS : HIDDEN_TASKS_SCANS);
}

static uint32_t unsettled_count(const Candidates *candidates)
{
    uint32_t count = candidates->beyond;
    for (uint32_t i = 0; i < candidates->count; i++) {
        count += !is_settled(&candidates->items[i]);
    }
    return count;
}

/* "task list, pid IDR" */
static void name_views(uint32_t views, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint8_t view = 1; view < MONATT_VIEW_COUNT; view++) {
        if ((views & MONATT_VIEW_BIT(view)) && used < capacity) {
            int written = snprintf(text + used, capacity - used, "%s%s", used ? ", " : "",
                                   monatt_task_view_name(view));
            used += written > 0 ? (size_t)written : 0;
        }
    }
}

static void fill_finding(const HiddenTasks *tasks, const Candidate *candidate,
                         MonattFindingPayload *finding)
{
    const GuestTask *task = task_table_find(&tasks->scan.table, candidate->address, candidate->pid,
                                            candidate->start_ns);
    char shown[96], lacking[96];

    memset(finding, 0, sizeof(*finding));
    finding->sub_check = MONATT_SUBCHECK_HIDDEN_TASK;
    finding->address = candidate->address;
    finding->pid = candidate->pid;
    finding->start_ns = candidate->start_ns;
    finding->views_present = candidate->present;
    finding->views_absent = candidate->absent;
    finding->scans = candidate->scans;
    if (task) {
        finding->tgid = task->tgid;
        finding->uid = task->uid;
        snprintf(finding->command, sizeof(finding->command), "%s", task->command);
    }
    name_views(candidate->present, shown, sizeof(shown));
    name_views(candidate->absent, lacking, sizeof(lacking));
    snprintf(finding->text, sizeof(finding->text), "shown by %s, not by %s", shown, lacking);
}

/* The first reason of a view, in the order of the views, unless there is a graver one. */
static void fill_reason(MonattTaskReport *report, const HiddenTasks *tasks, uint32_t unsettled,
                        bool advanced)
{
    MonattTasksSummaryPayload *summary = &report->summary;

    for (uint8_t view = MONATT_VIEW_LIST; view <= MONATT_VIEW_CR3; view++) {
        uint32_t reason = tasks->scan.views[view].reason;
        if (!(tasks->scan.wanted & MONATT_VIEW_BIT(view))) {
            continue;
        }
        if (reason != MONATT_REASON_NONE && summary->reason == MONATT_REASON_NONE) {
            summary->reason = reason;
            snprintf(summary->text, sizeof(summary->text), "%s: %s", monatt_task_view_name(view),
                     reason == MONATT_REASON_UNSUPPORTED ? tasks->kernel->missing[view]
                                                         : monatt_reason_name(reason));
        }
    }
    if (unsettled > 0 && summary->reason == MONATT_REASON_NONE) {
        summary->reason = advanced ? MONATT_REASON_BUDGET : MONATT_REASON_STALLED;
        snprintf(summary->text, sizeof(summary->text), "%u differences did not settle in time",
                 unsettled);
    }
}

static void fill_report(HiddenTasks *tasks, const Candidates *candidates, bool advanced,
                        MonattTaskReport *report)
{
    MonattTasksSummaryPayload *summary = &report->summary;

    summary->views_read |= tasks->scan.complete;
    summary->unsettled = unsettled_count(candidates);
    summary->total_forks = guest_kernel_forks(tasks->kernel);
    for (uint32_t i = 0; i < candidates->count; i++) {
        if (!is_settled(&candidates->items[i])) {
            continue;
        }
        summary->findings++;
        if (report->finding_count < MONATT_REPORT_FINDINGS) {
            fill_finding(tasks, &candidates->items[i], &report->findings[report->finding_count++]);
        }
    }
    fill_reason(report, tasks, summary->unsettled, advanced);
    task_table_sort(&tasks->scan.table);
    for (uint8_t view = MONATT_VIEW_LIST; view <= MONATT_VIEW_CR3; view++) {
        uint8_t at = summary->view_count;
        bool complete = tasks->scan.complete & MONATT_VIEW_BIT(view);

        if (!(tasks->scan.wanted & MONATT_VIEW_BIT(view))) {
            continue;
        }
        report->views[view] = (MonattViewState){
            .wanted = true, .complete = complete, .reason = tasks->scan.views[view].reason};
        summary->views[at].view = view;
        summary->views[at].tasks =
            task_table_digest(&tasks->scan.table, view, summary->views[at].digest);
        report->views[view].tasks = summary->views[at].tasks;
        summary->view_count++;
    }
    report->scan_us = tasks->scan.cpu_us;
    memcpy(report->kernel, tasks->kernel->release, sizeof(report->kernel));
}

/* Until nothing is open, or the time is up; what counted last is what clocks were marked at. */
static bool settle(HiddenTasks *tasks, Candidates *candidates, uint64_t deadline,
                   MonattTasksSummaryPayload *summary)
{
    uint64_t counted = now_ns(CLOCK_MONOTONIC);
    bool advanced = true;

    while (unsettled_count(candidates) > candidates->beyond) {
        uint64_t now;
        bool counts;

        wait_ms(summary->scans == 1 || advanced ? HIDDEN_TASKS_GAP_MS : RETRY_MS);
        now = now_ns(CLOCK_MONOTONIC);
        if (now >= deadline) {
            break;
        }
        /* Before the scan: progress during it would count for a task it has seen already. */
        advanced = guest_clocks_advanced(tasks->clocks);
        counts = advanced && now - counted >= HIDDEN_TASKS_GAP_MS * 1000000ull;
        task_scan_run(&tasks->scan, tasks->kernel);
        summary->scans++;
        summary->retries += tasks->scan.retries;
        follow_candidates(tasks, candidates, counts);
        if (counts) {
            counted = now_ns(CLOCK_MONOTONIC);
            guest_clocks_mark(tasks->clocks);
        }
    }
    return advanced;
}

static void measure_found(HiddenTasks *tasks, uint64_t deadline, MonattTaskReport *report)
{
    Candidates *candidates MONATT_CLEANUP_FREE = malloc(sizeof(*candidates));
    bool advanced;

    if (!candidates) {
        report->summary.reason = MONATT_REASON_BUDGET;
        snprintf(report->summary.text, sizeof(report->summary.text), "out of memory");
        return;
    }
    for (int i = 0; i < TASK_VIEWS_TRIES; i++) {
        task_scan_run(&tasks->scan, tasks->kernel);
        report->summary.scans++;
        report->summary.retries += tasks->scan.retries;
        if (tasks->scan.complete == tasks->scan.wanted || now_ns(CLOCK_MONOTONIC) >= deadline) {
            break;
        }
        wait_ms(RETRY_MS);
    }
    guest_clocks_mark(tasks->clocks);
    collect_candidates(tasks, candidates);
    advanced = settle(tasks, candidates, deadline, &report->summary);
    fill_report(tasks, candidates, advanced, report);
}

static void take_list(HiddenTasks *tasks, const void *list, size_t list_size,
                      const uint8_t nonce[MONATT_NONCE_SIZE], MonattTaskReport *report)
{
    MonattTasksSummaryPayload *summary = &report->summary;
    MonattViewState *state = &report->views[MONATT_VIEW_GUEST_LIST];
    MonattError why = {0};

    tasks->list.usable = false;
    if (!list) {
        return;
    }
    state->wanted = true;
    summary->views_wanted |= MONATT_VIEW_BIT(MONATT_VIEW_GUEST_LIST);
    if (guest_list_view_take(&tasks->list, list, list_size, nonce, &why)) {
        state->complete = true;
        state->tasks = (uint32_t)tasks->list.pid_count;
        summary->views_read |= MONATT_VIEW_BIT(MONATT_VIEW_GUEST_LIST);
        return;
    }
    state->reason = MONATT_REASON_UNSUPPORTED;
    snprintf(summary->text, sizeof(summary->text), "%s", why.message);
}

void hidden_tasks_measure(HiddenTasks *tasks, const void *list, size_t list_size,
                          const uint8_t nonce[MONATT_NONCE_SIZE], unsigned deadline_ms,
                          MonattTaskReport *report)
{
    uint64_t deadline = now_ns(CLOCK_MONOTONIC) + deadline_ms * 1000000ull;
    MonattError why = {0};

    memset(report, 0, sizeof(*report));
    report->t0_ns = now_ns(CLOCK_BOOTTIME);
    report->summary.sub_check = MONATT_SUBCHECK_HIDDEN_TASK;
    bool found = hidden_tasks_attach(tasks, &why);
    report->summary.views_wanted =
        found ? task_scan_wanted(&tasks->scan, tasks->kernel) : TASK_SCAN_VIEWS;
    for (uint8_t view = MONATT_VIEW_LIST; view <= MONATT_VIEW_CR3; view++) {
        bool wanted = report->summary.views_wanted & MONATT_VIEW_BIT(view);
        report->views[view] = (MonattViewState){
            .wanted = wanted, .reason = wanted ? MONATT_REASON_UNSUPPORTED : MONATT_REASON_NONE};
    }
    if (found) {
        take_list(tasks, list, list_size, nonce, report);
        measure_found(tasks, deadline, report);
    } else {
        report->summary.reason = MONATT_REASON_UNSUPPORTED;
        snprintf(report->summary.text, sizeof(report->summary.text), "%s", why.message);
    }
    report->t1_ns = now_ns(CLOCK_BOOTTIME);
}
