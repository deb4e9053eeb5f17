/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-kind.c - whether a task that says it is a kernel thread is one
 *
 * A borrowed mm (kthread_use_mm(): vhost, io_uring of old kernels) says nothing, so mm is asked
 * only whose it is: its owner is a process.
 */
#include "host-collector/sources/introspection/checks/task-kind.h"

#include "host-collector/sources/introspection/checks/layout.h"
#include "libmonatt/base/macros.h"

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD */
#define EXITING 0x00000004u       /* PF_EXITING */
#define USER_CODE 0x33u           /* __USER_CS, */
#define USER_CODE_32 0x23u        /* __USER32_CS, */
#define USER_STACK 0x2bu          /* __USER_DS */
#define STACK_SIZE 16384u         /* THREAD_SIZE without KASAN */
#define SELECTOR 0xffffu          /* FRED keeps other things above it */

static const uint32_t PADDINGS[] = {0, 16}; /* TOP_OF_KERNEL_STACK_PADDING: with FRED 16 */

#define MEMBER(field, structure, path) LAYOUT_MEMBER(TaskKindLayout, field, structure, path)
static const LayoutRow kind_rows[] = {
    MEMBER(flags, "task_struct", "flags"), MEMBER(memory, "task_struct", "mm"),
    MEMBER(owner, "mm_struct", "owner"),   MEMBER(code, "pt_regs", "cs"),
    MEMBER(stack, "pt_regs", "ss"),        LAYOUT_SIZE(TaskKindLayout, registers, "pt_regs"),
};

void task_kind_layout(GuestKernel *kernel, TaskKindLayout *layout)
{
    layout_read(kernel, kind_rows, MONATT_ARRAY_SIZE(kind_rows), layout);
    layout->stack_size = STACK_SIZE;
}

/* Registers of user space where the kernel puts them when it is entered. */
static bool has_user_frame(CheckContext *context, const TaskKindLayout *layout,
                           const GuestTask *task)
{
    AddressSpace *space = &context->kernel->space;

    if (!layout_has(layout->registers) || !layout_has(layout->code) || !layout_has(layout->stack) ||
        layout->registers > GUEST_PAGE_SIZE) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(PADDINGS); i++) {
        uint64_t frame = task->stack + layout->stack_size - PADDINGS[i] - layout->registers;
        uint64_t code, stack;
        if (address_space_u64(space, frame + layout->code, &code) &&
            address_space_u64(space, frame + layout->stack, &stack) &&
            ((code & SELECTOR) == USER_CODE || (code & SELECTOR) == USER_CODE_32) &&
            (stack & SELECTOR) == USER_STACK) {
            return true;
        }
    }
    return false;
}

TaskKind task_kind(CheckContext *context, const TaskKindLayout *layout, const GuestTask *task)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t memory, owner;
    uint32_t flags;

    if (!layout_has(layout->flags) || !layout_has(layout->memory)) {
        return task->kernel_thread ? TASK_KERNEL : TASK_USER;
    }
    if (!address_space_u32(space, task->address + layout->flags, &flags) ||
        !address_space_u64(space, task->address + layout->memory, &memory)) {
        return TASK_KERNEL;
    }
    if (!(flags & KERNEL_THREAD) && memory != 0) {
        return TASK_USER;
    }
    if (flags & KERNEL_THREAD) {
        return has_user_frame(context, layout, task) ||
                       (memory != 0 && layout_has(layout->owner) &&
                        address_space_u64(space, memory + layout->owner, &owner) &&
                        owner == task->address)
                   ? TASK_DISGUISED
                   : TASK_KERNEL;
    }
    /* exit_mm() takes the mm of what ends; before that flag nothing does. */
    return !(flags & EXITING) && has_user_frame(context, layout, task) ? TASK_DISGUISED
                                                                       : TASK_KERNEL;
}
