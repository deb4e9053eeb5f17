/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-tasks.c - the guest's tasks for all checks of a pass
 */
#include "host-collector/sources/introspection/checks/check-tasks.h"

#include <stdlib.h>

#define CARVED MONATT_VIEW_BIT(MONATT_VIEW_SLAB)

struct CheckTasks {
    TaskScan scan;
    bool read;
    bool carved;
};

CheckTasks *check_tasks_new(void)
{
    CheckTasks *tasks = calloc(1, sizeof(*tasks));
    MonattError err = {0};

    if (tasks && !task_scan_init(&tasks->scan, &err)) {
        free(tasks);
        return NULL;
    }
    return tasks;
}

void check_tasks_free(CheckTasks *tasks)
{
    if (tasks) {
        task_scan_clear(&tasks->scan);
        free(tasks);
    }
}

void check_tasks_begin(CheckTasks *tasks)
{
    tasks->read = tasks->carved = false;
}

const TaskScan *check_tasks(CheckContext *context, bool carved)
{
    CheckTasks *tasks = context->tasks;

    if (!tasks) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return NULL;
    }
    if (!tasks->read) {
        const CheckInputs *inputs = context->inputs;
        tasks->scan.root_count = 0;
        for (uint32_t i = 0; i < inputs->vcpu_count && i < MONATT_VCPUS_MAXIMUM; i++) {
            tasks->scan.roots[tasks->scan.root_count++] = inputs->vcpus[i].cr3;
        }
        task_scan_read(&tasks->scan, context->kernel, ~CARVED);
        tasks->read = true;
    }
    if (carved && !tasks->carved) {
        task_scan_add(&tasks->scan, context->kernel, CARVED);
        tasks->carved = true;
    }
    return &tasks->scan;
}

bool check_task_hidden(const CheckContext *context, const TaskScan *scan, const GuestTask *task)
{
    return task_scan_missing(scan, context->kernel, task) != 0;
}
