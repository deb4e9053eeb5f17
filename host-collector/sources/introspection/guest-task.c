/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-task.c - reads a task_struct and says in which part of its life it is
 */
#include "host-collector/sources/introspection/guest-task.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define COMMAND_BYTES 16
#define STATE_NEW 0x800u /* TASK_NEW: copy_process() has not finished; nothing can wake it */
#define STATE_DEAD 0x80u /* TASK_DEAD */
#define USAGE_MAXIMUM 100000u
#define STACK_ALIGNMENT 4096u
#define PID_LIMIT 4194304u /* PID_MAX_LIMIT on 64 bits */

bool guest_task_read(GuestKernel *kernel, uint64_t address, GuestTask *ret_task)
{
    const KernelOffsets *o = &kernel->offsets;
    AddressSpace *space = &kernel->space;
    char command[COMMAND_BYTES];
    uint64_t mm, cred;
    uint32_t exit_state;

    *ret_task = (GuestTask){.address = address};
    if (!address_space_u32(space, address + o->task_pid, &ret_task->pid) ||
        !address_space_u32(space, address + o->task_tgid, &ret_task->tgid) ||
        !address_space_u32(space, address + o->task_state, &ret_task->state) ||
        !address_space_u32(space, address + o->task_exit_state, &exit_state) ||
        !address_space_u64(space, address + o->task_start_time, &ret_task->start_ns) ||
        !address_space_u64(space, address + o->task_stack, &ret_task->stack) ||
        !address_space_u64(space, address + o->task_mm, &mm) ||
        !address_space_u64(space, address + o->task_cred, &cred) ||
        !address_space_read(space, address + o->task_command, command, sizeof(command))) {
        return false;
    }
    if (!address_space_u32(space, cred + o->cred_uid, &ret_task->uid)) {
        ret_task->uid = UINT32_MAX;
    }
    monatt_text_printable(command, sizeof(command), ret_task->command, sizeof(ret_task->command));
    ret_task->kernel_thread = mm == 0;
    /*
     * do_exit() gives up the mm first, then sets exit_state, and only then leaves the lists; the
     * flag PF_EXITING comes long before and excuses nothing.  So a user process that says it has
     * ended and still has an mm is no excuse either: that is what a rootkit could write.
     */
    ret_task->settled =
        !(ret_task->state & (STATE_NEW | STATE_DEAD)) && (exit_state == 0 || mm != 0);
    return true;
}

bool guest_task_plausible(GuestKernel *kernel, const GuestTask *task)
{
    uint64_t physical;
    uint32_t usage;

    return task->settled && task->pid <= PID_LIMIT && task->tgid <= PID_LIMIT &&
           task->command[0] != '\0' && task->stack % STACK_ALIGNMENT == 0 &&
           address_space_u32(&kernel->space, task->address + kernel->offsets.task_usage, &usage) &&
           usage > 0 && usage <= USAGE_MAXIMUM &&
           address_space_translate(&kernel->space, task->stack, &physical);
}
