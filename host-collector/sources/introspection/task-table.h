/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-table.h - the tasks of one scan, each once, with the views that show it
 *
 * A task is known by address, pid and start time together: each alone is used again by the guest.
 */
#ifndef MONATT_INTROSPECTION_TASK_TABLE_H
#define MONATT_INTROSPECTION_TASK_TABLE_H

#include "host-collector/sources/introspection/guest-task.h"
#include "libmonatt/formats/record-payloads.h"

#define TASK_TABLE_MAXIMUM                                                                         \
    131072u /* 16 MiB of tasks; more in one guest: the view is incomplete                          \
             */
#define TASK_TABLE_SLOTS (TASK_TABLE_MAXIMUM * 2)

typedef struct TaskTable {
    GuestTask *tasks;
    uint32_t count;
    uint32_t *slots; /* index + 1 of a task; open addressing */
} TaskTable;

bool task_table_init(TaskTable *table, MonattError *err) MONATT_MUST_CHECK;
void task_table_clear(TaskTable *table);
void task_table_reset(TaskTable *table);
/* Adds it or the view to the one that is there; false: full. */
bool task_table_add(TaskTable *table, const GuestTask *task, MonattTaskView view) MONATT_MUST_CHECK;
/* NULL when it is not there; the pointer holds until the table changes. */
GuestTask *task_table_find(const TaskTable *table, uint64_t address, uint32_t pid,
                           uint64_t start_ns);
/* Takes a view off all tasks, before it is read once more. */
void task_table_forget_view(TaskTable *table, MonattTaskView view);
/* Ascending by address, pid and start: the order of the digest below. */
void task_table_sort(TaskTable *table);
/* Of a sorted table: how many tasks a view has, and SHA-256 over their u64 address, u32 pid and
 * u64 start, big-endian. */
uint32_t task_table_digest(const TaskTable *table, MonattTaskView view,
                           uint8_t ret_digest[MONATT_SHA256_SIZE]);

#endif
