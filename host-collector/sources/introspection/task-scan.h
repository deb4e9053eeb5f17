/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-scan.h - one look at a guest's tasks through all views, and who is missing where
 */
#ifndef MONATT_INTROSPECTION_TASK_SCAN_H
#define MONATT_INTROSPECTION_TASK_SCAN_H

#include "host-collector/sources/introspection/task-views.h"

/* What every kernel has; control groups and the registers of vCPUs come on top. */
#define TASK_SCAN_VIEWS                                                                            \
    (MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR) |                    \
     MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES) | MONATT_VIEW_BIT(MONATT_VIEW_SLAB))

typedef struct TaskScan {
    TaskTable table;
    IdleTasks idle;
    TaskViewResult views[MONATT_VIEW_COUNT];
    uint32_t wanted;   /* MONATT_VIEW_BIT()s that this kernel and these registers allow */
    uint32_t complete; /* of them, read whole */
    uint64_t roots[MONATT_VCPUS_MAXIMUM]; /* CR3; the caller's to fill before a run */
    size_t root_count;
    uint32_t retries;
    uint64_t cpu_us; /* our CPU time for it */
} TaskScan;

bool task_scan_init(TaskScan *scan, MonattError *err) MONATT_MUST_CHECK;
void task_scan_clear(TaskScan *scan);
/* Before a run too. */
uint32_t task_scan_wanted(const TaskScan *scan, const GuestKernel *kernel);
void task_scan_run(TaskScan *scan, GuestKernel *kernel);
/* Only some of the views (MONATT_VIEW_BIT()s), with the translations at hand; and some more of
 * them into the same table. */
void task_scan_read(TaskScan *scan, GuestKernel *kernel, uint32_t views);
void task_scan_add(TaskScan *scan, GuestKernel *kernel, uint32_t views);
/*
 * The views that were read whole and ought to show this task of the scan and do not; 0 for tasks
 * that are being made or are ending, and for idle tasks.
 */
uint32_t task_scan_missing(const TaskScan *scan, const GuestKernel *kernel, const GuestTask *task);

#endif
