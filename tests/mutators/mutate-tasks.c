/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-tasks.c - processes hidden from lists, and credentials that nobody gave
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define SLOT_MASK 63u
#define DEPTH_MAXIMUM 11
#define DRAWS 1000
#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD */

static bool may_be_hidden(const GuestTask *task)
{
    const uint32_t both = MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR);
    return task->settled && guest_task_is_leader(task) && task->pid > 1 &&
           (task->views & both) == both;
}

/* pid 0: a draw.  user: only a process with a user space. */
static const GuestTask *choose(Mutator *mutator, uint32_t pid, bool user, MonattError *err)
{
    const TaskTable *table = &mutator->tasks.table;

    task_scan_run(&mutator->tasks, &mutator->kernel);
    for (uint32_t i = 0; pid > 0 && i < table->count; i++) {
        const GuestTask *task = &table->tasks[i];
        if (task->pid == pid && task->settled && guest_task_is_leader(task)) {
            return task;
        }
    }
    for (int i = 0; pid == 0 && table->count > 0 && i < DRAWS; i++) {
        const GuestTask *task = &table->tasks[mutator_draw(mutator, table->count)];
        if (may_be_hidden(task) && !(user && task->kernel_thread)) {
            return task;
        }
    }
    monatt_error_set(err, MONATT_ERROR_MISSING, "guest process %u: not there", pid);
    return NULL;
}

static uint32_t number(const char *argument)
{
    return argument ? (uint32_t)strtoul(argument, NULL, 10) : 0;
}

static bool unlink_task(Mutator *mutator, const GuestTask *task, MonattError *err)
{
    uint64_t node = task->address + mutator->kernel.offsets.task_tasks;

    return mutator_unlink(mutator, node, err) &&
           /* As list_del_init(): exit() of the process then still works. */
           mutator_write_u64(mutator, node, node, err) &&
           mutator_write_u64(mutator, node + 8, node, err);
}

/* At the end, where copy_process() would put it. */
static bool link_task(Mutator *mutator, const GuestTask *task, MonattError *err)
{
    uint64_t head = mutator->kernel.symbols.init_task + mutator->kernel.offsets.task_tasks;
    uint64_t node = task->address + mutator->kernel.offsets.task_tasks, last;

    return mutator_read_u64(mutator, head + 8, &last, err) &&
           mutator_write_u64(mutator, node, head, err) &&
           mutator_write_u64(mutator, node + 8, last, err) &&
           mutator_write_u64(mutator, last, node, err) &&
           mutator_write_u64(mutator, head + 8, node, err);
}

static bool find_slot(Mutator *mutator, uint32_t pid, uint64_t *ret_slot, MonattError *err)
{
    const KernelOffsets *o = &mutator->kernel.offsets;
    uint64_t slot = mutator->kernel.symbols.init_pid_ns + o->namespace_idr_root, node;

    for (int depth = 0; depth < DEPTH_MAXIMUM; depth++) {
        uint8_t shift;
        if (!mutator_read_u64(mutator, slot, &node, err)) {
            return false;
        }
        node &= ~3ull;
        if (!address_space_read(&mutator->kernel.space, node + o->node_shift, &shift, 1)) {
            break;
        }
        slot = node + o->node_slots + 8ull * ((pid >> shift) & SLOT_MASK);
        if (shift == 0) {
            *ret_slot = slot;
            return true;
        }
    }
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest process %u: no slot in the IDR", pid);
}

/* The struct pid of a task: the one whose list of tasks begins with its link. */
static bool pid_of(Mutator *mutator, const GuestTask *task, uint64_t *ret_pid, MonattError *err)
{
    uint64_t link = task->address + mutator->kernel.offsets.task_pid_links, back;

    /* hlist_node.pprev points at pid.tasks[PIDTYPE_PID].first */
    if (!mutator_read_u64(mutator, link + 8, &back, err)) {
        return false;
    }
    *ret_pid = back - mutator->kernel.offsets.pid_tasks;
    return true;
}

static void say(Mutator *mutator, const GuestTask *task, const char *what)
{
    mutator->pid = task->pid;
    mutator_say(mutator, task->address, task->command, "process %u (%s): %s", task->pid,
                task->command, what);
}

static bool hide_one(Mutator *mutator, const GuestTask *task, bool list, bool idr, MonattError *err)
{
    uint64_t slot;

    say(mutator, task,
        list && idr ? "taken out of the task list and the IDR"
        : list      ? "taken out of the task list"
                    : "taken out of the IDR");
    return (!list || unlink_task(mutator, task, err)) &&
           (!idr || (find_slot(mutator, task->pid, &slot, err) &&
                     mutator_write_u64(mutator, slot, 0, err)));
}

bool mutate_hide(Mutator *mutator, uint32_t pid, bool list, bool idr, MonattError *err)
{
    const GuestTask *task = choose(mutator, pid, false, err);
    return task && hide_one(mutator, task, list, idr, err);
}

bool mutate_unhide(Mutator *mutator, uint32_t pid, MonattError *err)
{
    const GuestTask *task = choose(mutator, pid, false, err);
    uint64_t slot, structure;

    if (!task) {
        return false;
    }
    say(mutator, task, "put back");
    return ((task->views & MONATT_VIEW_BIT(MONATT_VIEW_LIST)) || link_task(mutator, task, err)) &&
           ((task->views & MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR)) ||
            (pid_of(mutator, task, &structure, err) && find_slot(mutator, task->pid, &slot, err) &&
             mutator_write_u64(mutator, slot, structure, err)));
}

static bool task_list(Mutator *mutator, const char *argument, MonattError *err)
{
    return mutate_hide(mutator, number(argument), true, false, err);
}

static bool task_idr(Mutator *mutator, const char *argument, MonattError *err)
{
    return mutate_hide(mutator, number(argument), false, true, err);
}

static bool task_both(Mutator *mutator, const char *argument, MonattError *err)
{
    return mutate_hide(mutator, number(argument), true, true, err);
}

/* A process and the one that follows it in the list. */
static bool task_neighbours(Mutator *mutator, const char *argument, MonattError *err)
{
    const GuestTask *task = choose(mutator, number(argument), false, err), *other = NULL;
    uint64_t node;

    if (!task || !mutator_read_u64(mutator, task->address + mutator->kernel.offsets.task_tasks,
                                   &node, err)) {
        return false;
    }
    node -= mutator->kernel.offsets.task_tasks;
    for (uint32_t i = 0; i < mutator->tasks.table.count; i++) {
        const GuestTask *one = &mutator->tasks.table.tasks[i];
        other = one->address == node && may_be_hidden(one) ? one : other;
    }
    if (!other) {
        return mutator_none(err, "neighbour of that process");
    }
    return hide_one(mutator, other, true, mutator_draw(mutator, 2) == 0, err) &&
           hide_one(mutator, task, true, true, err);
}

/* The way of most kernel exploits: the numbers in the cred that is there. */
static bool credential_uid(Mutator *mutator, const char *argument, MonattError *err)
{
    const uint32_t zeros[8] = {0}; /* uid, gid, suid, sgid, euid, egid, fsuid, fsgid */
    const TaskTable *table = &mutator->tasks.table;
    uint32_t uid, users = 0;
    uint64_t cred;
    const GuestTask *task = NULL;

    if (!mutator_member(mutator, "cred", "uid", &uid, err)) {
        return false;
    }
    task_scan_run(&mutator->tasks, &mutator->kernel);
    for (uint32_t i = 0; i < table->count; i++) {
        const GuestTask *one = &table->tasks[i];
        if (may_be_hidden(one) && !one->kernel_thread && one->uid != 0 && one->uid != UINT32_MAX &&
            (!argument || one->pid == number(argument)) && mutator_draw(mutator, ++users) == 0) {
            task = one;
        }
    }
    if (!task) {
        return mutator_none(err, "process of an ordinary user");
    }
    say(mutator, task, "uid 0 written into its credentials");
    return mutator_read_u64(mutator, task->address + mutator->kernel.offsets.task_cred, &cred,
                            err) &&
           mutator_write(mutator, cred + uid, zeros, sizeof(zeros), err);
}

/* commit_creds(&init_cred) without the call. */
static bool credential_init(Mutator *mutator, const char *argument, MonattError *err)
{
    const GuestTask *task = choose(mutator, number(argument), true, err);
    uint32_t real, effective;
    uint64_t init;

    if (!task || !mutator_member(mutator, "task_struct", "real_cred", &real, err) ||
        !mutator_member(mutator, "task_struct", "cred", &effective, err) ||
        !mutator_symbol(mutator, "init_cred", &init, err)) {
        return false;
    }
    say(mutator, task, "its credentials are init_cred");
    return mutator_write_u64(mutator, task->address + real, init, err) &&
           mutator_write_u64(mutator, task->address + effective, init, err);
}

/* cred of another process, as kernel exploits swap them. */
static bool credential_other(Mutator *mutator, const char *argument, MonattError *err)
{
    const GuestTask *task = choose(mutator, number(argument), true, err);
    uint64_t own, other, place;
    GuestTask chosen;

    if (!task) {
        return false;
    }
    chosen = *task;
    place = chosen.address + mutator->kernel.offsets.task_cred;
    for (int i = 0; i < DRAWS; i++) {
        task = choose(mutator, 0, true, err);
        if (!task || !mutator_read_u64(mutator, place, &own, err) ||
            !mutator_read_u64(mutator, task->address + mutator->kernel.offsets.task_cred, &other,
                              err)) {
            return false;
        }
        if (own != other) {
            say(mutator, &chosen, "has another process's cred, but not its real_cred");
            return mutator_write_u64(mutator, place, other, err);
        }
    }
    return mutator_none(err, "second set of credentials");
}

/* A process that says it is a thread of the kernel's, and has its credentials. */
static bool credential_thread(Mutator *mutator, const char *argument, MonattError *err)
{
    uint32_t at, flags;

    if (!mutator_member(mutator, "task_struct", "flags", &at, err) ||
        !credential_init(mutator, argument, err) ||
        !mutator_read(mutator, mutator->address + at, &flags, sizeof(flags), err)) {
        return false;
    }
    flags |= KERNEL_THREAD;
    return mutator_write(mutator, mutator->address + at, &flags, sizeof(flags), err);
}

#define HIDDEN MUTATION_BIT(MONATT_SUBCHECK_HIDDEN_TASK)
#define CREDENTIALS MUTATION_BIT(MONATT_SUBCHECK_CREDENTIALS)
const Mutation mutations_of_tasks[] = {
    {"task-list", HIDDEN, true, "a process taken out of init_task.tasks", task_list},
    {"task-idr", HIDDEN, true, "a process taken out of the IDR of PIDs", task_idr},
    {"task-both", HIDDEN, true, "a process taken out of both", task_both},
    {"task-neighbours", HIDDEN, true, "two neighbours taken out", task_neighbours},
    {"credential-uid", CREDENTIALS, true, "uid 0 written into the cred of a user's process",
     credential_uid},
    {"credential-init", CREDENTIALS, true, "cred and real_cred point at init_cred",
     credential_init},
    {"credential-thread", CREDENTIALS, false, "a process that says it is a kernel thread",
     credential_thread},
    {"credential-other", CREDENTIALS, true, "cred points at another process's", credential_other},
    {NULL},
};
