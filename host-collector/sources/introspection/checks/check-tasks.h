/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-tasks.h - the guest's tasks for all checks of a pass, read when the first one asks
 *
 * By the views of hidden-tasks.  The slab, which is most of the work, is looked through only for
 * who asks for it.
 */
#ifndef MONATT_INTROSPECTION_CHECK_TASKS_H
#define MONATT_INTROSPECTION_CHECK_TASKS_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/task-scan.h"

/* NULL: out of memory. */
CheckTasks *check_tasks_new(void);
void check_tasks_free(CheckTasks *tasks);
/* A new pass: what was read is old. */
void check_tasks_begin(CheckTasks *tasks);
/*
 * Threads too; NULL, and a reason, when there are none to be had.  carved: with what only the slab
 * shows.  Which views were read whole stands in the scan's complete.
 */
const TaskScan *check_tasks(CheckContext *context, bool carved);
/* Whether the task is in neither or not in all of the lists that it ought to be in. */
bool check_task_hidden(const CheckContext *context, const TaskScan *scan, const GuestTask *task);

#endif
