/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-list.c - V1: init_task.tasks, the list that ps inside the guest ends up with
 *
 * A node is believed only when its prev leads back to where we came from.
 */
#include "host-collector/sources/introspection/task-views.h"

typedef struct ListNode {
    uint64_t next;
    uint64_t previous;
} ListNode;

static bool read_node(GuestKernel *kernel, uint64_t address, ListNode *ret_node)
{
    return address_space_u64(&kernel->space, address, &ret_node->next) &&
           address_space_u64(&kernel->space, address + 8, &ret_node->previous);
}

/* One walk; TORN asks for another one. */
static MonattReason walk(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    uint64_t head = kernel->symbols.init_task + kernel->offsets.task_tasks;
    uint64_t from = head;
    ListNode node;

    if (!read_node(kernel, head, &node)) {
        return MONATT_REASON_TORN;
    }
    while (node.next != head) {
        uint64_t at = node.next;
        GuestTask task;

        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!read_node(kernel, at, &node) || node.previous != from) {
            /* Inserted or removed right here meanwhile: look where from leads to now. */
            if (!read_node(kernel, from, &node) || node.next == at) {
                return MONATT_REASON_TORN;
            }
            continue;
        }
        if (!guest_task_read(kernel, at - kernel->offsets.task_tasks, &task)) {
            return MONATT_REASON_TORN;
        }
        if (!task_table_add(table, &task, MONATT_VIEW_LIST)) {
            return MONATT_REASON_BUDGET;
        }
        from = at;
    }
    return MONATT_REASON_NONE;
}

TaskViewResult task_views_list(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    TaskViewResult result = {MONATT_REASON_TORN, 0};

    for (int i = 0; i < TASK_VIEWS_TRIES; i++) {
        result.reason = walk(kernel, table, budget);
        if (result.reason != MONATT_REASON_TORN) {
            break;
        }
        result.retries++;
        task_table_forget_view(table, MONATT_VIEW_LIST);
    }
    return result;
}
