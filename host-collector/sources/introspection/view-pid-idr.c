/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-pid-idr.c - V2: the radix tree of init_pid_ns, which kill and /proc/PID look into
 */
#include "host-collector/sources/introspection/task-views.h"
#include "host-collector/sources/introspection/xarray-walk.h"

#define LINK_OFFSET 0 /* pid.tasks[PIDTYPE_PID], task_struct.pid_links[PIDTYPE_PID]: the first */

typedef struct PidView {
    GuestKernel *kernel;
    TaskTable *table;
} PidView;

static MonattReason add_pid(void *user, uint64_t number, uint64_t pid)
{
    const PidView *view = user;
    GuestKernel *kernel = view->kernel;
    uint64_t link;
    GuestTask task;

    (void)number;
    if (!address_space_u64(&kernel->space, pid + kernel->offsets.pid_tasks + LINK_OFFSET, &link)) {
        return MONATT_REASON_TORN;
    }
    if (link == 0) {
        return MONATT_REASON_NONE; /* a pid kept by its session or group, or just being made */
    }
    if (!guest_task_read(kernel, link - kernel->offsets.task_pid_links - LINK_OFFSET, &task)) {
        return MONATT_REASON_TORN;
    }
    return task_table_add(view->table, &task, MONATT_VIEW_PID_IDR) ? MONATT_REASON_NONE
                                                                   : MONATT_REASON_BUDGET;
}

TaskViewResult task_views_pid_idr(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    uint64_t place = kernel->symbols.init_pid_ns + kernel->offsets.namespace_idr_root;
    TaskViewResult result = {MONATT_REASON_TORN, 0};
    PidView view = {kernel, table};

    for (int i = 0; i < TASK_VIEWS_TRIES; i++) {
        uint64_t root;
        /* init has pid 1, so a root that is no node is no IDR of pids. */
        if (address_space_u64(&kernel->space, place, &root) && xarray_is_node(root)) {
            result.reason = xarray_walk(kernel, root, budget, add_pid, &view);
        } else {
            result.reason = MONATT_REASON_TORN;
        }
        if (result.reason != MONATT_REASON_TORN) {
            break;
        }
        result.retries++;
        task_table_forget_view(table, MONATT_VIEW_PID_IDR);
    }
    return result;
}
