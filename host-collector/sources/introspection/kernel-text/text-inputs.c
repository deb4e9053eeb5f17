/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-inputs.c - what the guest has chosen: features, thunks, trampolines
 */
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/guest-list.h"

#define NAME_SIZE 64
#define CALLER_HEAD 16 /* bytes of ftrace's callers that every copy begins with */

static uint64_t symbol(const TextWork *work, const char *name)
{
    uint64_t address;
    return kernel_image_symbol(work->image, name, &address) ? address : 0;
}

/* What the guest's variable of that name holds. */
static uint64_t variable(const TextWork *work, const char *name)
{
    uint64_t address = symbol(work, name), value;
    return address && address_space_u64(&work->context->kernel->space, address, &value) ? value : 0;
}

static void read_thunks(TextWork *work)
{
    static const char *const registers[TEXT_REGISTERS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                          "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                          "r12", "r13", "r14", "r15"};
    static const char *const kinds[TEXT_THUNK_KINDS] = {
        "__x86_indirect_thunk_", "__x86_indirect_call_thunk_", "__x86_indirect_jump_thunk_"};
    char name[NAME_SIZE];

    for (size_t kind = 0; kind < TEXT_THUNK_KINDS; kind++) {
        for (size_t i = 0; i < TEXT_REGISTERS; i++) {
            snprintf(name, sizeof(name), "%s%s", kinds[kind], registers[i]);
            work->inputs.thunks[kind][i] = symbol(work, name);
        }
    }
}

static void read_capabilities(TextWork *work)
{
    GuestKernel *kernel = work->context->kernel;
    uint64_t data = symbol(work, "boot_cpu_data");
    uint32_t offset, elements, element_size;
    size_t count;

    if (!data || !guest_kernel_member(kernel, "cpuinfo_x86", "x86_capability", &offset) ||
        !guest_kernel_array(kernel, "cpuinfo_x86", "x86_capability", &elements, &element_size) ||
        element_size != sizeof(uint32_t)) {
        return;
    }
    count = elements < TEXT_CAPABILITIES ? elements : TEXT_CAPABILITIES;
    work->inputs.has_capabilities = address_space_read(
        &kernel->space, data + offset, work->inputs.capabilities, count * sizeof(uint32_t));
}

/* A trampoline is a copy of one of the two callers: what only says so is none (create_trampoline()
 * in arch/x86/kernel/ftrace.c). */
static bool is_copy_of_caller(const TextWork *work, uint64_t trampoline)
{
    static const char *const callers[] = {"ftrace_caller", "ftrace_regs_caller"};
    AddressSpace *space = &work->context->kernel->space;
    uint8_t copy[CALLER_HEAD], caller[CALLER_HEAD];

    if (!trampoline || text_has(work, trampoline, 1) ||
        !address_space_read(space, trampoline, copy, sizeof(copy))) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(callers); i++) {
        uint64_t address = symbol(work, callers[i]);
        if (address && address_space_read(space, address, caller, sizeof(caller)) &&
            memcmp(caller, copy, sizeof(copy)) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct OperationLayout {
    uint32_t trampoline, next, function, list;
} OperationLayout;

static bool add_operation(TextWork *work, const OperationLayout *layout, uint64_t at)
{
    AddressSpace *space = &work->context->kernel->space;
    TextInputs *inputs = &work->inputs;
    uint64_t jump, call;

    if (!address_space_u64(space, at + layout->trampoline, &jump) ||
        !address_space_u64(space, at + layout->function, &call)) {
        return false;
    }
    jump = is_copy_of_caller(work, jump) ? jump : 0;
    for (size_t i = 0; i < inputs->operation_count; i++) {
        if (inputs->operations[i].trampoline == jump && inputs->operations[i].function == call) {
            return true;
        }
    }
    if (inputs->operation_count == TEXT_OPERATIONS) {
        return false;
    }
    inputs->operations[inputs->operation_count].trampoline = jump;
    inputs->operations[inputs->operation_count++].function = call;
    return true;
}

void text_operations_read(TextWork *work)
{
    GuestKernel *kernel = work->context->kernel;
    uint64_t at = variable(work, "ftrace_ops_list"), head, node;
    OperationLayout layout;
    GuestListWalk walk;

    if (!guest_kernel_member(kernel, "ftrace_ops", "trampoline", &layout.trampoline) ||
        !guest_kernel_member(kernel, "ftrace_ops", "next", &layout.next) ||
        !guest_kernel_member(kernel, "ftrace_ops", "func", &layout.function)) {
        return;
    }
    for (size_t i = 0; at && i < TEXT_OPERATIONS && add_operation(work, &layout, at); i++) {
        if (!address_space_u64(&kernel->space, at + layout.next, &at)) {
            break;
        }
    }
    head = symbol(work, "ftrace_ops_trampoline_list");
    if (!head || !guest_kernel_member(kernel, "ftrace_ops", "list", &layout.list)) {
        return;
    }
    guest_list_begin(&walk, work->context, GUEST_LIST_RING, head);
    for (size_t i = 0; i < TEXT_OPERATIONS && guest_list_next(&walk, &node); i++) {
        if (!add_operation(work, &layout, node - layout.list)) {
            break;
        }
    }
}

void text_inputs_read(TextWork *work)
{
    TextInputs *inputs = &work->inputs;
    GuestKernel *kernel = work->context->kernel;
    uint64_t tail;

    memset(inputs, 0, sizeof(*inputs));
    read_thunks(work);
    inputs->built_return_thunk = symbol(work, "__x86_return_thunk");
    inputs->return_thunk = variable(work, "x86_return_thunk");
    if (!text_has(work, inputs->return_thunk, 1)) {
        inputs->return_thunk = 0; /* the variable is data: code that is no text explains nothing */
    }
    inputs->its_return_thunk = symbol(work, "its_return_thunk");
    inputs->call_depth_return_thunk = symbol(work, "call_depth_return_thunk");
    inputs->key_lock = guest_kernel_lock(kernel, symbol(work, "jump_label_mutex"));
    inputs->poke_lock = guest_kernel_lock(kernel, symbol(work, "text_mutex"));
    inputs->call_lock = guest_kernel_lock(kernel, symbol(work, "static_call_mutex"));
    inputs->return0 = symbol(work, "__static_call_return0");
    inputs->warn_trap = symbol(work, "__WARN_trap");
    inputs->paravirt_operations = symbol(work, "pv_ops");
    inputs->call_template = symbol(work, "skl_call_thunk_template");
    tail = symbol(work, "skl_call_thunk_tail");
    if (inputs->call_template && tail > inputs->call_template &&
        tail - inputs->call_template < TEXT_SITE_MAXIMUM) {
        inputs->call_template_size = (uint32_t)(tail - inputs->call_template);
    }
    read_capabilities(work);
}
