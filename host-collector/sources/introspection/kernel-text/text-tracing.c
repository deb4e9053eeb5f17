/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-tracing.c - ftrace and kprobes: text that a tracer patches while the kernel runs
 *
 * arch/x86/kernel/ftrace.c, kprobes/core.c, kprobes/opt.c.  Whose handler it is that runs then is
 * judged by the checks of kprobes and ftrace; here it must be one that they can see.
 */
#include <stdio.h>
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define CALL 0xe8
#define JUMP 0xe9
#define INT3 0xcc
#define SITE 5
#define KPROBE_BUCKETS 64 /* KPROBE_TABLE_SIZE */
#define COPIED 4          /* DISP32_SIZE: what the jump took the place of, behind the opcode */

enum { CHOICE_NOP, CHOICE_BUILT, CHOICE_CALL };

static bool is_symbol(const TextWork *work, const char *name, uint64_t address)
{
    uint64_t at;
    return kernel_image_symbol(work->image, name, &at) && at == address;
}

/* Whether target is code of this kind, or may be, as not all code is known. */
static bool is_owned(const TextWork *work, uint64_t target, OwnerKind kind)
{
    Owner owner;

    owners_find(work->context->owners, target, &owner);
    return owner.kind == kind ||
           (owner.kind == OWNER_NONE && owners_missing(work->context->owners)[0] != '\0');
}

/* Whether it is somebody's at all whom the guest's own lists show. */
static bool is_known(const TextWork *work, uint64_t target)
{
    Owner owner;

    owners_find(work->context->owners, target, &owner);
    return !owner.hidden &&
           (owner.kind != OWNER_NONE || owners_missing(work->context->owners)[0] != '\0');
}

/* Whether a traced function may call target: a trampoline of an ftrace_ops, of BPF, or the two of
 * the kernel's text. */
static bool may_trace(const TextWork *work, uint64_t target, const uint64_t callers[2])
{
    Owner owner;

    for (size_t i = 0; i < work->inputs.operation_count; i++) {
        if (target != 0 && work->inputs.operations[i].trampoline == target) {
            return true;
        }
    }
    if (target == callers[0] || target == callers[1]) {
        return true;
    }
    owners_find(work->context->owners, target, &owner);
    return owner.kind == OWNER_BPF_TRAMPOLINE || owner.kind == OWNER_BPF_PROGRAM;
}

static void explain_function(TextWork *work, uint64_t address, const uint64_t callers[2])
{
    const uint8_t *now;

    if (!text_has(work, address, SITE)) {
        return;
    }
    now = text_now(work, address);
    work->sites[TEXT_FTRACE]++;
    if (text_is_nop(now, SITE)) {
        text_explain(work, TEXT_FTRACE, address, SITE, CHOICE_NOP);
    } else if (memcmp(now, text_built(work, address), SITE) == 0) {
        text_explain(work, TEXT_FTRACE, address, SITE, CHOICE_BUILT);
    } else if (now[0] == CALL && may_trace(work, text_target(address, now, 1), callers)) {
        work->traced++;
        text_explain(work, TEXT_FTRACE, address, SITE, CHOICE_CALL);
    } else if (now[0] == JUMP &&
               is_owned(work, text_target(address, now, 1), OWNER_BPF_TRAMPOLINE)) {
        /* One that never goes on into the function is jumped to by newer kernels. */
        work->traced++;
        text_explain(work, TEXT_FTRACE, address, SITE, CHOICE_CALL);
    } else if (now[0] == CALL) {
        char expected[CHECK_VALUE_SIZE], name[CHECK_OBJECT_SIZE];
        check_name_address(work->context, text_target(address, now, 1), name);
        snprintf(expected, sizeof(expected), "a NOP, or a trampoline; not a call of %.50s", name);
        text_disagree(work, TEXT_FTRACE, CHECK_COMPROMISED, address, SITE, expected,
                      "the function calls what no tracer registered");
        text_explain(work, TEXT_FTRACE, address, SITE, CHOICE_CALL);
    }
}

static void explain_functions(TextWork *work)
{
    uint64_t callers[2] = {0, 0};
    TextTable table;

    for (size_t i = 0; i < 2; i++) {
        static const char *const names[] = {"ftrace_caller", "ftrace_regs_caller"};
        if (!kernel_image_symbol(work->image, names[i], &callers[i])) {
            callers[i] = UINT64_MAX;
        }
    }
    for (size_t i = 0; i < work->plan->traced_count; i++) {
        explain_function(work, work->plan->traced[i], callers);
    }
    if (!text_table_by_symbols(work, "__start_mcount_loc", "__stop_mcount_loc", &table)) {
        return;
    }
    for (size_t at = 0; at < table.size && table.size - at >= 8; at += 8) {
        explain_function(work, text_u64(table.bytes + at), callers);
    }
}

/* The calls within ftrace's own callers, which no table has. */
static void explain_callers(TextWork *work)
{
    static const char *const places[] = {"ftrace_call", "ftrace_regs_call", "ftrace_graph_call"};
    static const char *const targets[] = {"ftrace_stub", "ftrace_stub_graph",
                                          "arch_ftrace_ops_list_func", "ftrace_ops_list_func",
                                          "ftrace_graph_caller"};
    uint64_t traced = 0, variable;

    if (kernel_image_symbol(work->image, "ftrace_trace_function", &variable) &&
        !address_space_u64(&work->context->kernel->space, variable, &traced)) {
        traced = 0;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(places); i++) {
        uint64_t address, target;
        const uint8_t *now;
        bool legal;

        if (!kernel_image_symbol(work->image, places[i], &address) ||
            !text_has(work, address, SITE)) {
            continue;
        }
        now = text_now(work, address);
        target = text_target(address, now, 1);
        work->sites[TEXT_FTRACE_CALLS]++;
        legal = memcmp(now, text_built(work, address), SITE) == 0 || text_is_nop(now, SITE);
        if (!legal && (now[0] == CALL || now[0] == JUMP)) {
            /* The function that is traced must be core text or one of the registered ones. */
            legal = traced != 0 && target == traced && is_known(work, target);
            for (size_t k = 0; !legal && k < MONATT_ARRAY_SIZE(targets); k++) {
                legal = is_symbol(work, targets[k], target);
            }
            for (size_t k = 0; !legal && k < work->inputs.operation_count; k++) {
                legal = work->inputs.operations[k].function == target && is_known(work, target);
            }
        }
        if (legal) {
            text_explain(work, TEXT_FTRACE_CALLS, address, SITE, CHOICE_CALL);
        }
    }
}

typedef struct KprobeLayout {
    uint32_t address;
    uint32_t opcode;
    uint32_t instruction; /* optimized_kprobe.optinsn.insn */
    uint32_t copied;      /* optimized_kprobe.optinsn.copied_insn */
    bool optimised;
} KprobeLayout;

/* What the kernel saved goes back, and is then judged as any text: a record that lies about it
 * explains nothing. */
static void explain_kprobe(TextWork *work, const KprobeLayout *layout, uint64_t probe)
{
    AddressSpace *space = &work->context->kernel->space;
    uint8_t saved[1 + COPIED];
    uint64_t address, slot;
    const uint8_t *now;
    size_t offset;

    if (!address_space_u64(space, probe + layout->address, &address) ||
        !address_space_read(space, probe + layout->opcode, saved, 1) ||
        !text_has(work, address, SITE)) {
        return;
    }
    now = text_now(work, address);
    offset = address - work->low;
    work->sites[TEXT_KPROBES]++;
    if (now[0] == INT3) {
        work->work[offset] = saved[0];
        work->changed[TEXT_KPROBES]++;
    } else if (layout->optimised && now[0] == JUMP &&
               address_space_u64(space, probe + layout->instruction, &slot) && slot != 0 &&
               text_target(address, now, 1) == slot && is_owned(work, slot, OWNER_KPROBE) &&
               address_space_read(space, probe + layout->copied, saved + 1, COPIED)) {
        memcpy(work->work + offset, saved, sizeof(saved));
        work->changed[TEXT_KPROBES]++;
    }
}

void text_explain_kprobes(TextWork *work)
{
    GuestKernel *kernel = work->context->kernel;
    KprobeLayout layout = {0};
    uint64_t table;

    if (!kernel_image_symbol(work->image, "kprobe_table", &table) ||
        !guest_kernel_member(kernel, "kprobe", "addr", &layout.address) ||
        !guest_kernel_member(kernel, "kprobe", "opcode", &layout.opcode)) {
        return;
    }
    layout.optimised =
        guest_kernel_member(kernel, "optimized_kprobe", "optinsn.insn", &layout.instruction) &&
        guest_kernel_member(kernel, "optimized_kprobe", "optinsn.copied_insn", &layout.copied);
    for (size_t i = 0; i < KPROBE_BUCKETS; i++) {
        uint64_t probe;
        if (!address_space_u64(&kernel->space, table + 8 * i, &probe)) {
            return;
        }
        while (probe && check_step(work->context)) {
            explain_kprobe(work, &layout, probe);
            /* struct kprobe begins with its hlist_node. */
            if (!address_space_u64(&kernel->space, probe, &probe)) {
                return;
            }
        }
    }
}

void text_explain_tracing(TextWork *work)
{
    text_explain_kprobes(work); /* first: a probe may stand on any other site */
    explain_functions(work);
    explain_callers(work);
}
