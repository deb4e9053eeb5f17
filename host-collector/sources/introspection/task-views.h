/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-views.h - the ways to ask a kernel which tasks it has
 *
 * V1 the task list, V2 the PID IDR, V3 the run queues, V4 the slab of task_structs, V5 the lists of
 * control groups, V6 the page tables that vCPUs have loaded.  A rootkit has to falsify all of them
 * to hide, and a task that is in no run queue never runs.  Each view is
 * read while the guest changes it: it is read again when a link does not lead back, at most
 * TASK_VIEWS_TRIES times, then it is torn.
 */
#ifndef MONATT_INTROSPECTION_TASK_VIEWS_H
#define MONATT_INTROSPECTION_TASK_VIEWS_H

#include "host-collector/sources/introspection/task-table.h"
#include "host-collector/sources/introspection/walk-budget.h"

#define TASK_VIEWS_TRIES 5 /* properties 8, torn reads */

typedef struct TaskViewResult {
    MonattReason reason; /* NONE: whole */
    uint32_t retries;
} TaskViewResult;

/* The idle tasks, one a CPU: they belong to no list.  Addresses ascend. */
typedef struct IdleTasks {
    uint64_t addresses[GUEST_KERNEL_CPUS_MAXIMUM];
    uint32_t count;
} IdleTasks;

/* Each adds its tasks to the table; what was added before a failure stays added. */
TaskViewResult task_views_list(GuestKernel *kernel, TaskTable *table, WalkBudget *budget);
TaskViewResult task_views_pid_idr(GuestKernel *kernel, TaskTable *table, WalkBudget *budget);
/* Best effort within a queue: absence from it means nothing, as most tasks sleep. */
TaskViewResult task_views_run_queues(GuestKernel *kernel, TaskTable *table, IdleTasks *idle,
                                     WalkBudget *budget);
TaskViewResult task_views_slab(GuestKernel *kernel, TaskTable *table, WalkBudget *budget);
/* Best effort as well: a list that keeps changing is left, one that cannot be read is torn. */
TaskViewResult task_views_cgroups(GuestKernel *kernel, TaskTable *table, WalkBudget *budget);
/* roots: CR3 of the vCPUs, from outside of the guest, perhaps of a moment ago: a process that has
 * ended since is none. */
TaskViewResult task_views_roots(GuestKernel *kernel, TaskTable *table, const uint64_t *roots,
                                size_t count, WalkBudget *budget);

#endif
