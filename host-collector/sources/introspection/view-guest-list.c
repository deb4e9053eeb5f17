/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-guest-list.c - compares the guest's own process list with two scans around it
 *
 * Must never take the guest's list as evidence that a process runs: only its gaps mean something.
 */
#include "host-collector/sources/introspection/view-guest-list.h"

#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/text.h"

static int by_identity(const void *a, const void *b)
{
    const MarkedTask *x = a, *y = b;
    if (x->address != y->address) {
        return x->address < y->address ? -1 : 1;
    }
    if (x->pid != y->pid) {
        return x->pid < y->pid ? -1 : 1;
    }
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void forget_list(GuestListView *view)
{
    free(view->pids);
    view->pids = NULL;
    view->pid_count = 0;
    view->usable = false;
}

void guest_list_view_clear(GuestListView *view)
{
    forget_list(view);
    free(view->tasks);
    view->tasks = NULL;
    view->task_count = 0;
    view->marked = false;
}

bool guest_list_view_mark(GuestListView *view, const TaskScan *scan,
                          const uint8_t nonce[MONATT_NONCE_SIZE], MonattError *err)
{
    guest_list_view_clear(view);
    view->tasks = calloc(scan->table.count ? scan->table.count : 1, sizeof(*view->tasks));
    if (!view->tasks) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest list: out of memory");
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        const GuestTask *task = &scan->table.tasks[i];
        if (task->settled && guest_task_is_leader(task) && task->pid != 0) {
            view->tasks[view->task_count++] = (MarkedTask){
                .address = task->address, .start_ns = task->start_ns, .pid = task->pid};
        }
    }
    qsort(view->tasks, view->task_count, sizeof(*view->tasks), by_identity);
    memcpy(view->nonce, nonce, MONATT_NONCE_SIZE);
    view->marked = true;
    return true;
}

bool guest_list_view_take(GuestListView *view, const void *bytes, size_t size,
                          const uint8_t nonce[MONATT_NONCE_SIZE], MonattError *err)
{
    MonattGuestTask *tasks MONATT_CLEANUP_FREE = NULL;
    uint8_t list_nonce[MONATT_NONCE_SIZE];
    size_t count;

    forget_list(view);
    tasks = calloc(MONATT_GUEST_LIST_ENTRIES, sizeof(*tasks));
    view->pids = calloc(MONATT_GUEST_LIST_ENTRIES, sizeof(*view->pids));
    if (!tasks || !view->pids) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest list: out of memory");
    }
    if (!monatt_guest_list_parse(bytes, size, list_nonce, tasks, MONATT_GUEST_LIST_ENTRIES, &count,
                                 err)) {
        return false;
    }
    if (!monatt_bytes_equal(list_nonce, nonce, MONATT_NONCE_SIZE)) {
        return monatt_error_set(err, MONATT_ERROR_REFUSED,
                                "guest list: bears another nonce (taken before it was set?)");
    }
    if (!view->marked || !monatt_bytes_equal(view->nonce, nonce, MONATT_NONCE_SIZE)) {
        return monatt_error_set(err, MONATT_ERROR_REFUSED,
                                "guest list: no scan was marked with its nonce");
    }
    for (size_t i = 0; i < count; i++) {
        view->pids[i] = tasks[i].pid;
    }
    qsort(view->pids, count, sizeof(*view->pids), by_number);
    view->pid_count = count;
    view->usable = true;
    return true;
}

bool guest_list_view_lacks(const GuestListView *view, const GuestTask *task)
{
    MarkedTask key = {.address = task->address, .start_ns = task->start_ns, .pid = task->pid};

    return view->usable && task->settled && guest_task_is_leader(task) && task->pid != 0 &&
           bsearch(&key, view->tasks, view->task_count, sizeof(key), by_identity) &&
           !bsearch(&task->pid, view->pids, view->pid_count, sizeof(task->pid), by_number);
}
