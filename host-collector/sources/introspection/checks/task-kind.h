/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-kind.h - whether a task that says it is a kernel thread is one
 *
 * PF_KTHREAD and an empty mm are words in the task, and a process that has them is left out by who
 * looks for processes.  What a thread of the kernel never has is a way back to user space: at the
 * top of its stack lie zeros (copy_thread()), where a process has the registers it came with.
 */
#ifndef MONATT_INTROSPECTION_TASK_KIND_H
#define MONATT_INTROSPECTION_TASK_KIND_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/guest-task.h"

typedef struct TaskKindLayout {
    uint32_t flags, memory, owner, registers, code, stack;
    uint64_t stack_size;
} TaskKindLayout;

typedef enum TaskKind {
    TASK_USER,
    TASK_KERNEL,
    TASK_DISGUISED, /* says that it is the kernel's and runs as a process does */
} TaskKind;

void task_kind_layout(GuestKernel *kernel, TaskKindLayout *layout);
/* TASK_KERNEL too where a task is ending, or cannot be read. */
TaskKind task_kind(CheckContext *context, const TaskKindLayout *layout, const GuestTask *task);

#endif
