/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-scan.c - reads all views of the tasks, one after the other, into one table
 *
 * The views are of slightly different moments: a difference here is a candidate, never a finding.
 */
#include "host-collector/sources/introspection/task-scan.h"

#include <time.h>
#include "host-collector/sources/introspection/addresses.h"

/* Steps of one view.  List and queues: as many as there can be tasks, five times over.  The IDR
 * takes 64 a node; the slab one for each smallest slab of RAM (64 GiB: 4 million) and object. */
#define LIST_STEPS (TASK_TABLE_MAXIMUM * 5u)
#define IDR_STEPS (16u * 1024 * 1024)
#define SLAB_STEPS (32u * 1024 * 1024)
#define STATE_RUNNING 0u

bool task_scan_init(TaskScan *scan, MonattError *err)
{
    *scan = (TaskScan){0};
    return task_table_init(&scan->table, err);
}

void task_scan_clear(TaskScan *scan)
{
    task_table_clear(&scan->table);
}

static uint64_t cpu_time_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* A view is not tried without what it follows; the kernel says by name what that is. */
static bool has_all(const GuestKernel *kernel, int view)
{
    return kernel->missing[view][0] == '\0';
}

uint32_t task_scan_wanted(const TaskScan *scan, const GuestKernel *kernel)
{
    uint32_t wanted = TASK_SCAN_VIEWS;

    if (kernel->symbols.set_table != 0) {
        wanted |= MONATT_VIEW_BIT(MONATT_VIEW_CGROUPS);
    }
    if (scan->root_count > 0) {
        wanted |= MONATT_VIEW_BIT(MONATT_VIEW_CR3);
    }
    return wanted;
}

static bool reads(const GuestKernel *kernel, uint32_t views, int view)
{
    return (views & MONATT_VIEW_BIT(view)) && has_all(kernel, view);
}

void task_scan_add(TaskScan *scan, GuestKernel *kernel, uint32_t views)
{
    uint64_t begin = cpu_time_us();
    WalkBudget list = {.steps = LIST_STEPS}, idr = {.steps = IDR_STEPS};
    WalkBudget queues = {.steps = LIST_STEPS}, slab = {.steps = SLAB_STEPS};
    WalkBudget groups = {.steps = LIST_STEPS}, roots = {.steps = LIST_STEPS};

    if (reads(kernel, views, MONATT_VIEW_LIST)) {
        scan->views[MONATT_VIEW_LIST] = task_views_list(kernel, &scan->table, &list);
    }
    if (reads(kernel, views, MONATT_VIEW_PID_IDR)) {
        scan->views[MONATT_VIEW_PID_IDR] = task_views_pid_idr(kernel, &scan->table, &idr);
    }
    if (reads(kernel, views, MONATT_VIEW_RUN_QUEUES)) {
        scan->views[MONATT_VIEW_RUN_QUEUES] =
            task_views_run_queues(kernel, &scan->table, &scan->idle, &queues);
    }
    if (reads(kernel, views, MONATT_VIEW_SLAB)) {
        scan->views[MONATT_VIEW_SLAB] = task_views_slab(kernel, &scan->table, &slab);
    }
    if (reads(kernel, views, MONATT_VIEW_CGROUPS)) {
        scan->views[MONATT_VIEW_CGROUPS] = task_views_cgroups(kernel, &scan->table, &groups);
    }
    if (reads(kernel, views, MONATT_VIEW_CR3) && scan->root_count > 0) {
        scan->views[MONATT_VIEW_CR3] =
            task_views_roots(kernel, &scan->table, scan->roots, scan->root_count, &roots);
    }
    scan->complete = 0;
    scan->retries = 0;
    for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_CR3; view++) {
        scan->retries += scan->views[view].retries;
        if (scan->views[view].reason == MONATT_REASON_NONE) {
            scan->complete |= MONATT_VIEW_BIT(view);
        }
    }
    scan->cpu_us += cpu_time_us() - begin;
}

void task_scan_read(TaskScan *scan, GuestKernel *kernel, uint32_t views)
{
    task_table_reset(&scan->table);
    scan->idle.count = 0;
    scan->cpu_us = 0;
    scan->wanted = task_scan_wanted(scan, kernel);
    for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_CR3; view++) {
        scan->views[view] = (TaskViewResult){.reason = MONATT_REASON_UNSUPPORTED};
    }
    task_scan_add(scan, kernel, views);
}

void task_scan_run(TaskScan *scan, GuestKernel *kernel)
{
    address_space_forget(&kernel->space);
    task_scan_read(scan, kernel, UINT32_MAX);
}

/* Without the run queues nobody says which tasks are idle ones; their pid is 0. */
static bool is_idle(const TaskScan *scan, const GuestKernel *kernel, const GuestTask *task)
{
    const uint64_t address = task->address;

    if (scan->views[MONATT_VIEW_RUN_QUEUES].reason == MONATT_REASON_UNSUPPORTED && task->pid == 0) {
        return true;
    }
    return address == kernel->symbols.init_task ||
           addresses_have(scan->idle.addresses, scan->idle.count, address);
}

/*
 * copy_process() begins with a copy of the whole parent, pid and start time included, and may
 * sleep for memory before it marks the copy as new.  Such a copy says it is running, is in no run
 * queue, and has a twin that the IDR shows.
 */
static bool is_unborn_copy(const TaskScan *scan, const GuestTask *task)
{
    if (task->views != MONATT_VIEW_BIT(MONATT_VIEW_SLAB) || task->state != STATE_RUNNING) {
        return false;
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        const GuestTask *other = &scan->table.tasks[i];
        if (other->pid == task->pid && other->start_ns == task->start_ns &&
            (other->views & MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR))) {
            return true;
        }
    }
    return false;
}

uint32_t task_scan_missing(const TaskScan *scan, const GuestKernel *kernel, const GuestTask *task)
{
    uint32_t expected = MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR), missing;

    if (guest_task_is_leader(task)) {
        expected |= MONATT_VIEW_BIT(MONATT_VIEW_LIST);
    }
    missing = expected & scan->complete & ~task->views;
    if (missing == 0 || !task->settled || is_idle(scan, kernel, task) ||
        is_unborn_copy(scan, task)) {
        return 0;
    }
    return missing;
}
