/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-cgroups.c - V5: every task stands in a list of the set of control groups that it is in
 *
 * css_set_table holds all sets; each has three lists: of its tasks, of those that move to another
 * set, and of leaders that ended before their threads.  The scheduler never reads them, so a task
 * that was taken out here as well runs on.  Lists of busy sets change all the time: what was seen
 * was there, what was not seen may be there.
 */
#include "host-collector/sources/introspection/task-views.h"

#define SET_BUCKETS 128 /* 1 << CSS_SET_HASH_BITS of kernel/cgroup/cgroup.c, 5.10 to 7.2 */

typedef struct Node {
    uint64_t next;
    uint64_t back;
} Node;

static bool read_node(GuestKernel *kernel, uint64_t address, Node *ret_node)
{
    return address_space_u64(&kernel->space, address, &ret_node->next) &&
           address_space_u64(&kernel->space, address + 8, &ret_node->back);
}

/* TORN: a link led nowhere; NONE also when the list changed under us. */
static MonattReason walk_list(GuestKernel *kernel, uint64_t head, TaskTable *table,
                              WalkBudget *budget)
{
    uint64_t from = head;
    Node node;

    if (!read_node(kernel, head, &node)) {
        return MONATT_REASON_TORN;
    }
    while (node.next != head) {
        uint64_t at = node.next;
        GuestTask task;

        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!read_node(kernel, at, &node) || node.back != from) {
            if (!read_node(kernel, from, &node) || node.next == at) {
                return MONATT_REASON_TORN;
            }
            continue;
        }
        if (guest_task_read(kernel, at - kernel->offsets.task_set_node, &task) &&
            !task_table_add(table, &task, MONATT_VIEW_CGROUPS)) {
            return MONATT_REASON_BUDGET;
        }
        from = at;
    }
    return MONATT_REASON_NONE;
}

static MonattReason walk_set(GuestKernel *kernel, uint64_t set, TaskTable *table,
                             WalkBudget *budget, uint32_t *retries)
{
    const uint32_t lists[] = {kernel->offsets.set_tasks, kernel->offsets.set_migrating,
                              kernel->offsets.set_dying};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        MonattReason reason = MONATT_REASON_TORN;
        for (int tries = 0; tries < TASK_VIEWS_TRIES && reason == MONATT_REASON_TORN; tries++) {
            *retries += tries > 0;
            reason = walk_list(kernel, set + lists[i], table, budget);
        }
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
    }
    return MONATT_REASON_NONE;
}

static MonattReason walk_bucket(GuestKernel *kernel, uint64_t bucket, TaskTable *table,
                                WalkBudget *budget, uint32_t *retries)
{
    uint64_t from = bucket, at, back;

    if (!address_space_u64(&kernel->space, bucket, &at)) {
        return MONATT_REASON_TORN;
    }
    while (at != 0) {
        MonattReason reason;

        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!address_space_u64(&kernel->space, at + 8, &back) || back != from) {
            return MONATT_REASON_TORN;
        }
        reason = walk_set(kernel, at - kernel->offsets.set_hash, table, budget, retries);
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
        from = at;
        if (!address_space_u64(&kernel->space, from, &at)) {
            return MONATT_REASON_TORN;
        }
    }
    return MONATT_REASON_NONE;
}

TaskViewResult task_views_cgroups(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    TaskViewResult result = {MONATT_REASON_NONE, 0};

    for (uint64_t i = 0; i < SET_BUCKETS; i++) {
        MonattReason reason = MONATT_REASON_TORN;
        for (int tries = 0; tries < TASK_VIEWS_TRIES && reason == MONATT_REASON_TORN; tries++) {
            result.retries += tries > 0;
            reason = walk_bucket(kernel, kernel->symbols.set_table + 8 * i, table, budget,
                                 &result.retries);
        }
        if (reason != MONATT_REASON_NONE) {
            result.reason = reason;
        }
        if (reason == MONATT_REASON_BUDGET) {
            break;
        }
    }
    return result;
}
