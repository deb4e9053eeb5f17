/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-pid-idr.c - V2: the radix tree of init_pid_ns, which kill and /proc/PID look into
 *
 * XArray entries, include/linux/xarray.h: an internal one (binary …10) above 4096 is a node; a
 * pointer ends in 00.  A child's shift is its parent's less 6 and it points back, so no walk is
 * deeper than 11 nodes and no node leads into a loop.
 */
#include "host-collector/sources/introspection/task-views.h"

#include <endian.h>

#define SLOTS 64
#define SLOT_BITS 6
#define SHIFT_MAXIMUM 60
#define ENTRY_KIND 3u
#define ENTRY_INTERNAL 2u
#define ENTRY_NODE_MINIMUM 4096u
#define LINK_OFFSET 0 /* pid.tasks[PIDTYPE_PID], task_struct.pid_links[PIDTYPE_PID]: the first */

static bool is_node(uint64_t entry)
{
    return (entry & ENTRY_KIND) == ENTRY_INTERNAL && entry > ENTRY_NODE_MINIMUM;
}

static MonattReason add_pid(GuestKernel *kernel, uint64_t pid, TaskTable *table)
{
    uint64_t link;
    GuestTask task;

    if (!address_space_u64(&kernel->space, pid + kernel->offsets.pid_tasks + LINK_OFFSET, &link)) {
        return MONATT_REASON_TORN;
    }
    if (link == 0) {
        return MONATT_REASON_NONE; /* a pid kept by its session or group, or just being made */
    }
    if (!guest_task_read(kernel, link - kernel->offsets.task_pid_links - LINK_OFFSET, &task)) {
        return MONATT_REASON_TORN;
    }
    return task_table_add(table, &task, MONATT_VIEW_PID_IDR) ? MONATT_REASON_NONE
                                                             : MONATT_REASON_BUDGET;
}

/* parent: 0 for the root; shift: what this node must have, or -1 for the root. */
static MonattReason walk_node(GuestKernel *kernel, uint64_t node, uint64_t parent, int shift,
                              TaskTable *table, WalkBudget *budget)
{
    const KernelOffsets *o = &kernel->offsets;
    uint8_t node_shift;
    uint64_t node_parent, slots[SLOTS];

    if (!walk_budget_take(budget, SLOTS)) {
        return MONATT_REASON_BUDGET;
    }
    if (!address_space_read(&kernel->space, node + o->node_shift, &node_shift, 1) ||
        !address_space_u64(&kernel->space, node + o->node_parent, &node_parent) ||
        !address_space_read(&kernel->space, node + o->node_slots, slots, sizeof(slots)) ||
        node_parent != parent || node_shift > SHIFT_MAXIMUM || node_shift % SLOT_BITS != 0 ||
        (shift >= 0 && node_shift != shift)) {
        return MONATT_REASON_TORN;
    }
    for (int i = 0; i < SLOTS; i++) {
        uint64_t entry = le64toh(slots[i]);
        MonattReason reason = MONATT_REASON_NONE;

        if (is_node(entry)) {
            reason = node_shift == 0 ? MONATT_REASON_TORN
                                     : walk_node(kernel, entry & ~(uint64_t)ENTRY_KIND, node,
                                                 node_shift - SLOT_BITS, table, budget);
        } else if (entry != 0 && (entry & ENTRY_KIND) == 0 && node_shift == 0) {
            reason = add_pid(kernel, entry, table);
        }
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
    }
    return MONATT_REASON_NONE;
}

TaskViewResult task_views_pid_idr(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    uint64_t place = kernel->symbols.init_pid_ns + kernel->offsets.namespace_idr_root;
    TaskViewResult result = {MONATT_REASON_TORN, 0};

    for (int i = 0; i < TASK_VIEWS_TRIES; i++) {
        uint64_t root;
        /* init has pid 1, so a root that is no node is no IDR of pids. */
        if (address_space_u64(&kernel->space, place, &root) && is_node(root)) {
            result.reason = walk_node(kernel, root & ~(uint64_t)ENTRY_KIND, 0, -1, table, budget);
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
