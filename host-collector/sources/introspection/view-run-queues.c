/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-run-queues.c - V3: who runs on each CPU and who waits for it; a hidden task must come here
 *
 * The queues change thousands of times a second, so a link that does not lead back ends this
 * CPU's list quietly: what was seen was there, what was not seen may be there.
 */
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/task-views.h"

#define QUEUE_MAXIMUM 4096 /* waiting tasks of one CPU that are looked at */

static bool add_task(GuestKernel *kernel, uint64_t address, TaskTable *table)
{
    GuestTask task;
    return !guest_task_read(kernel, address, &task) ||
           task_table_add(table, &task, MONATT_VIEW_RUN_QUEUES);
}

static MonattReason walk_queue(GuestKernel *kernel, uint64_t queue, uint64_t idle, TaskTable *table,
                               WalkBudget *budget)
{
    AddressSpace *space = &kernel->space;
    uint64_t head = queue + kernel->offsets.rq_cfs_tasks, from = head, at, current, previous;

    if (!address_space_u64(space, queue + kernel->offsets.rq_current, &current)) {
        return MONATT_REASON_TORN;
    }
    if (current != idle && !add_task(kernel, current, table)) {
        return MONATT_REASON_BUDGET;
    }
    if (!address_space_u64(space, head, &at)) {
        return MONATT_REASON_TORN;
    }
    for (int i = 0; at != head && i < QUEUE_MAXIMUM; i++) {
        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!address_space_u64(space, at + 8, &previous) || previous != from) {
            break;
        }
        if (!add_task(kernel, at - kernel->offsets.task_group_node, table)) {
            return MONATT_REASON_BUDGET;
        }
        from = at;
        if (!address_space_u64(space, at, &at)) {
            break;
        }
    }
    return MONATT_REASON_NONE;
}

TaskViewResult task_views_run_queues(GuestKernel *kernel, TaskTable *table, IdleTasks *idle,
                                     WalkBudget *budget)
{
    TaskViewResult result = {MONATT_REASON_NONE, 0};
    uint32_t cpus;

    idle->count = 0;
    if (!address_space_u32(&kernel->space, kernel->symbols.nr_cpu_ids, &cpus) || cpus == 0) {
        result.reason = MONATT_REASON_TORN;
        return result;
    }
    if (cpus > GUEST_KERNEL_CPUS_MAXIMUM) {
        cpus = GUEST_KERNEL_CPUS_MAXIMUM;
        result.reason = MONATT_REASON_BUDGET;
    }
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        MonattReason reason = MONATT_REASON_TORN;
        uint64_t base, queue, idle_task;

        if (address_space_u64(&kernel->space, kernel->symbols.per_cpu_offset + 8ull * cpu, &base)) {
            queue = kernel->symbols.runqueues + base;
            if (address_space_u64(&kernel->space, queue + kernel->offsets.rq_idle, &idle_task)) {
                idle->addresses[idle->count++] = idle_task;
                reason = walk_queue(kernel, queue, idle_task, table, budget);
            }
        }
        if (reason != MONATT_REASON_NONE) {
            result.reason = reason;
        }
    }
    addresses_sort(idle->addresses, idle->count);
    return result;
}
