/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-task.h - one task_struct, copied field by field out of a running guest
 */
#ifndef MONATT_INTROSPECTION_GUEST_TASK_H
#define MONATT_INTROSPECTION_GUEST_TASK_H

#include "host-collector/sources/introspection/guest-kernel.h"

#define GUEST_COMMAND_SIZE 17 /* TASK_COMM_LEN and a terminator */

typedef struct GuestTask {
    uint64_t address;  /* of the task_struct, guest-virtual */
    uint64_t start_ns; /* CLOCK_MONOTONIC of the guest; with address and pid the task's identity */
    uint64_t stack;
    uint32_t pid; /* in init_pid_ns */
    uint32_t tgid;
    uint32_t uid; /* of its credentials; UINT32_MAX: they could not be read */
    uint32_t state;
    uint32_t views; /* MONATT_VIEW_BIT()s that show it */
    uint8_t kernel_thread;
    uint8_t settled; /* neither being made nor ending: a difference between views means something */
    char command[GUEST_COMMAND_SIZE]; /* printable */
} GuestTask;

/* False: not mapped.  What was read need not be a task. */
bool guest_task_read(GuestKernel *kernel, uint64_t address, GuestTask *ret_task) MONATT_MUST_CHECK;
/*
 * Whether it looks like one that lives: for addresses that are guessed (slab), not linked.
 * stricter than settled: reference count, stack and thread group are sane too.
 */
bool guest_task_plausible(GuestKernel *kernel, const GuestTask *task) MONATT_MUST_CHECK;
static inline bool guest_task_is_leader(const GuestTask *task)
{
    return task->pid == task->tgid;
}

#endif
