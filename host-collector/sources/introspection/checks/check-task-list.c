/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-task-list.c - the check "tasks": what ps would show, from outside
 *
 * For people and for counts.  It accuses nobody: which task is hidden is for hidden-tasks.c to
 * find, whose rule for races is its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "host-collector/sources/introspection/checks/process.h"
#include "libmonatt/base/macros.h"

#define EXIT_ZOMBIE 0x20u
#define EXIT_DEAD 0x10u
#define STATE_IDLE 0x402u /* TASK_UNINTERRUPTIBLE | TASK_NOLOAD */

/* As ps has it. */
static const char *state_name(uint32_t state, uint32_t exit_state)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } states[] = {{0x1, "S"}, {0x2, "D"}, {0x4, "T"}, {0x8, "t"}, {0x80, "X"}, {0x40, "P"}};

    if (exit_state != PROCESS_NOT_KNOWN && (exit_state & (EXIT_ZOMBIE | EXIT_DEAD))) {
        return exit_state & EXIT_ZOMBIE ? "Z" : "X";
    }
    if ((state & STATE_IDLE) == STATE_IDLE) {
        return "I";
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(states); i++) {
        if (state & states[i].bit) {
            return states[i].name;
        }
    }
    return "R";
}

static void number_cell(Table *table, uint32_t value)
{
    if (value == PROCESS_NOT_KNOWN) {
        table_nothing(table);
    } else {
        table_number(table, value);
    }
}

/* "list idr queue slab groups cr3" */
static void views_cell(Table *table, uint32_t views)
{
    static const char *const names[] = {"",     "list",   "idr", "queue",
                                        "slab", "groups", "cr3", "guest"};
    char text[64] = "";

    for (uint32_t view = 1; view < MONATT_ARRAY_SIZE(names); view++) {
        if (views & MONATT_VIEW_BIT(view)) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof(text) - used, "%s%s", used ? " " : "", names[view]);
        }
    }
    table_text(table, text);
}

static void put_row(CheckContext *context, const ProcessLayout *layout, const TaskScan *scan,
                    const GuestTask *task)
{
    Table *table = context->table;
    char path[PROCESS_PATH_SIZE] = "";
    Process process;
    bool deleted, whole;

    process_read(context->kernel, layout, task->address, &process);
    table_number(table, task->pid);
    number_cell(table, process.parent);
    number_cell(table, process.uid);
    number_cell(table, process.gid);
    table_text(table, state_name(task->state, process.exit_state));
    number_cell(table, process.threads);
    number_cell(table, process.own_pid);
    number_cell(table, process.pid_namespace);
    number_cell(table, process.net_namespace);
    number_cell(table, process.mount_namespace);
    number_cell(table, process.user_namespace);
    table_number(table, task->start_ns);
    whole = process_path(context->kernel, layout, process.program, path, &deleted);
    if (whole) {
        table_text(table, path);
    } else {
        table_nothing(table);
    }
    table_text(table, task->command);
    views_cell(table, task->views);
    table_text(table, check_task_hidden(context, scan, task) ? "not in all lists"
                      : task->kernel_thread                  ? "kernel"
                      : whole                                ? ""
                                                             : "program not readable");
    table_end_row(table);
}

static int by_pid(const void *a, const void *b)
{
    const GuestTask *x = *(const GuestTask *const *)a, *y = *(const GuestTask *const *)b;
    if (x->pid != y->pid) {
        return x->pid < y->pid ? -1 : 1;
    }
    return (x->address > y->address) - (x->address < y->address);
}

static void put_rows(CheckContext *context, const ProcessLayout *layout, const TaskScan *scan)
{
    uint32_t count = 0;
    const GuestTask **order MONATT_CLEANUP_FREE = calloc(scan->table.count + 1, sizeof(*order));

    if (!order) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        const GuestTask *task = &scan->table.tasks[i];
        /* A thread is its process's; idle tasks are nobody's. */
        if (task->pid != 0 &&
            (guest_task_is_leader(task) || check_task_hidden(context, scan, task))) {
            order[count++] = task;
        }
    }
    qsort(order, count, sizeof(*order), by_pid);
    for (uint32_t i = 0; i < count && check_step(context); i++) {
        put_row(context, layout, scan, order[i]);
    }
}

static void run(CheckContext *context)
{
    ProcessLayout *layout = *context->state;
    /* The slab is the most of the work and shows only who is hidden: for whoever wants to look. */
    const TaskScan *scan = check_tasks(context, context->table != NULL);
    uint64_t processes = 0, threads = 0, kernel_threads = 0;

    if (!scan) {
        return;
    }
    if (!layout) {
        layout = calloc(1, sizeof(*layout));
        if (!layout) {
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return;
        }
        process_layout_read(context->kernel, layout);
        *context->state = layout;
    }
    for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_PID_IDR; view++) {
        MonattReason reason = scan->views[view].reason;
        if (reason != MONATT_REASON_NONE) {
            check_reason(context, reason, "%s: %s", monatt_task_view_name((uint8_t)view),
                         reason == MONATT_REASON_UNSUPPORTED ? context->kernel->missing[view]
                                                             : "not readable whole");
        }
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        const GuestTask *task = &scan->table.tasks[i];
        processes += task->pid != 0 && guest_task_is_leader(task) && !task->kernel_thread;
        kernel_threads += task->pid != 0 && task->kernel_thread;
        threads += !guest_task_is_leader(task);
    }
    check_count(context, "processes", processes);
    check_count(context, "threads", threads);
    check_count(context, "kernel threads", kernel_threads);
    check_count(context, "forks", guest_kernel_forks(context->kernel));
    if (context->table) {
        put_rows(context, layout, scan);
    }
}

const Check check_task_list = {MONATT_SUBCHECK_TASKS, "tasks", "tasks", run, free};
