/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ftrace-others.c - livepatches, fprobes, graph tracers and direct calls: what hangs on a tracer
 */
#include "host-collector/sources/introspection/checks/ftrace.h"

#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/tracepoints.h"
#include "host-collector/sources/introspection/checks/tracing-judge.h"
#include "libmonatt/base/macros.h"

#define TAINT_LIVEPATCH_BIT 15 /* include/linux/panic.h */
#define GRAPHS 16u             /* FGRAPH_ARRAY_SIZE */
#define PROBE_BUCKETS 256u     /* FPROBE_TABLE_SIZE at most, from 6.14 on */
#define TRIES 5

/* One function of a livepatch: its new code is a listed module's. */
static bool read_patched(CheckContext *context, FtraceCheck *check, uint64_t function)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t name, code;
    char old[64];
    Owner owner;
    TracedHook hook = {.kind = "livepatch", .place = old, .address = function, .sensitive = true};

    if (!address_space_u64(space, function + check->layout.function_old, &name) ||
        !address_space_u64(space, function + check->layout.function_new, &code) ||
        !guest_kernel_string(context->kernel, name, old, sizeof(old))) {
        return false;
    }
    if (check->patched_count < FTRACE_PATCHED_MAXIMUM) {
        memcpy(check->patched[check->patched_count++], old, sizeof(old));
    }
    if (code == 0) {
        return true; /* back to the original */
    }
    hook.target = code;
    hook.note = "";
    owners_find(context->owners, code, &owner);
    if (owner.kind == OWNER_MODULE && !owner.hidden) {
        traced_hook_row(context, &hook, "good", "livepatch");
    } else {
        traced_hook_judge(context, &hook);
    }
    return true;
}

static bool read_patch(CheckContext *context, FtraceCheck *check, uint64_t patch)
{
    const FtraceLayout *layout = &check->layout;
    GuestListWalk objects, functions;
    uint64_t object, function;

    guest_list_begin(&objects, context, GUEST_LIST_RING, patch + layout->patch_objects);
    while (guest_list_next(&objects, &object)) {
        guest_list_begin(&functions, context, GUEST_LIST_RING,
                         object - layout->object_node + layout->object_functions);
        while (guest_list_next(&functions, &function)) {
            if (!read_patched(context, check, function - layout->function_node)) {
                return false;
            }
        }
        if (functions.reason != MONATT_REASON_NONE) {
            return false;
        }
    }
    return objects.reason == MONATT_REASON_NONE;
}

void ftrace_read_livepatches(CheckContext *context, FtraceCheck *check)
{
    const FtraceLayout *layout = &check->layout;
    uint64_t head, node, taint, taint_at;
    bool good = false;

    check->patched_count = 0;
    if (!guest_kernel_symbol(context->kernel, "klp_patches", &head) ||
        !layout_has(layout->patch_list) || !layout_has(layout->patch_objects) ||
        !layout_has(layout->object_node) || !layout_has(layout->object_functions) ||
        !layout_has(layout->function_node) || !layout_has(layout->function_old) ||
        !layout_has(layout->function_new)) {
        return; /* built without livepatches: then nothing may redirect */
    }
    for (int i = 0; i < TRIES && !good; i++) {
        GuestListWalk walk;
        check->patched_count = 0;
        good = true;
        guest_list_begin(&walk, context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            good = read_patch(context, check, node - layout->patch_list) && good;
        }
        good = good && walk.reason == MONATT_REASON_NONE;
    }
    if (!good) {
        check_reason(context, MONATT_REASON_TORN, "the livepatches are not readable whole");
    }
    if (check->patched_count != 0 &&
        guest_kernel_symbol(context->kernel, "tainted_mask", &taint_at) &&
        address_space_u64(&context->kernel->space, taint_at, &taint) &&
        (taint >> TAINT_LIVEPATCH_BIT & 1) == 0) {
        check_found(context, CHECK_DEGRADED, taint_at, "tainted_mask", "TAINT_LIVEPATCH", "not set",
                    "", "a livepatch is listed, and the kernel does not say that it has any");
    }
}

static bool judge_direct(CheckContext *context, FtraceCheck *check, uint64_t address,
                         uint64_t entry, void *user)
{
    char place[CHECK_OBJECT_SIZE], name[KALLSYMS_NAME_MAXIMUM];
    uint64_t offset, target;
    TracedHook hook = {.kind = "direct",
                       .place = place,
                       .note = "",
                       .address = address, /* the entry moves when the hash grows */
                       .may_be_bpf = true};

    (void)user;
    if (!address_space_u64(&context->kernel->space, entry + check->layout.entry_direct, &target)) {
        return false;
    }
    if (target != 0) {
        check_name_address(context, address, place);
        hook.target = target;
        hook.sensitive = guest_kernel_symbol_at(context->kernel, address, name, &offset) &&
                         traced_function_is_sensitive(name);
        traced_hook_judge(context, &hook);
    }
    return true;
}

/* Functions whose calls go to a trampoline without a tracer between: BPF's fentry and LSM. */
void ftrace_read_direct(CheckContext *context, FtraceCheck *check)
{
    uint64_t at, hash;

    if (!guest_kernel_symbol(context->kernel, "direct_functions", &at) ||
        !layout_has(check->layout.entry_direct)) {
        return; /* built without */
    }
    for (int i = 0; i < TRIES; i++) {
        if (address_space_u64(&context->kernel->space, at, &hash) &&
            ftrace_hash_walk(context, check, hash, judge_direct, NULL)) {
            return;
        }
    }
    check_reason(context, MONATT_REASON_TORN, "direct_functions is not readable whole");
}

void ftrace_judge_probe(CheckContext *context, FtraceCheck *check, uint64_t probe,
                        const char *place, bool sensitive)
{
    const uint32_t members[] = {check->layout.fprobe_entry, check->layout.fprobe_exit};

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(members); i++) {
        TracedHook hook = {.kind = i ? "fprobe-exit" : "fprobe",
                           .place = place,
                           .note = "",
                           .address = probe,
                           .sensitive = sensitive};
        if (layout_has(members[i]) &&
            address_space_u64(&context->kernel->space, probe + members[i], &hook.target) &&
            hook.target != 0) {
            traced_hook_judge(context, &hook);
        }
    }
}

/* Buckets up to where the next variable begins. */
static uint64_t probe_buckets(CheckContext *context, uint64_t table)
{
    uint64_t count = PROBE_BUCKETS, offset;
    char name[KALLSYMS_NAME_MAXIMUM];

    while (count > 1 &&
           (!guest_kernel_symbol_at(context->kernel, table + 8 * count - 1, name, &offset) ||
            offset != 8 * count - 1)) {
        count /= 2;
    }
    return count;
}

/* From 6.14 on fprobes are behind a graph tracer, in a table of their own. */
void ftrace_read_probes(CheckContext *context, FtraceCheck *check)
{
    const FtraceLayout *layout = &check->layout;
    uint64_t table, heads[PROBE_BUCKETS], node, probe, count;

    if (!guest_kernel_symbol(context->kernel, "fprobe_table", &table) ||
        !layout_has(layout->fprobe_node) || !layout_has(layout->fprobe_pointer)) {
        return;
    }
    count = probe_buckets(context, table);
    if (!address_space_read(&context->kernel->space, table, heads, 8 * count)) {
        check_reason(context, MONATT_REASON_TORN, "fprobe_table is not readable");
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        GuestListWalk walk;
        if (heads[i] == 0) {
            continue;
        }
        guest_list_begin(&walk, context, GUEST_LIST_CHAIN, table + 8 * i);
        while (guest_list_next(&walk, &node)) {
            if (address_space_u64(&context->kernel->space,
                                  node - layout->fprobe_node + layout->fprobe_pointer, &probe)) {
                /* Which functions is in a structure of its own; a module's is no better for it. */
                ftrace_judge_probe(context, check, probe, "its functions", true);
            }
        }
        if (walk.reason != MONATT_REASON_NONE) {
            check_reason(context, walk.reason, "fprobe_table is not readable whole");
        }
    }
}

static void judge_graph(CheckContext *context, uint64_t address, uint64_t target, const char *place)
{
    const TracedHook hook = {.kind = "graph",
                             .place = place,
                             .note = "",
                             .address = address,
                             .target = target,
                             .sensitive = true};
    if (target != 0) {
        traced_hook_judge(context, &hook);
    }
}

/* Tracers of calls and returns: an array of ops, before 6.11 two variables. */
void ftrace_read_graph(CheckContext *context, FtraceCheck *check)
{
    static const char *const variables[] = {"ftrace_graph_entry", "ftrace_graph_return",
                                            "ftrace_trace_function"};
    const FtraceLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t array, ops[GRAPHS], target, stub = 0;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(variables); i++) {
        if (guest_kernel_symbol(context->kernel, variables[i], &array) &&
            address_space_u64(space, array, &target)) {
            judge_graph(context, array, target, variables[i]);
        }
    }
    if (!guest_kernel_symbol(context->kernel, "fgraph_array", &array) ||
        !layout_has(layout->graph_entry) || !layout_has(layout->graph_return)) {
        return;
    }
    if (!address_space_read(space, array, ops, sizeof(ops))) {
        check_reason(context, MONATT_REASON_TORN, "fgraph_array is not readable");
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "fgraph_stub", &stub)) {
        stub = 0;
    }
    for (size_t i = 0; i < GRAPHS; i++) {
        if (ops[i] == 0 || ops[i] == stub) {
            continue;
        }
        if (address_space_u64(space, ops[i] + layout->graph_entry, &target)) {
            judge_graph(context, ops[i], target, "entry");
        }
        if (address_space_u64(space, ops[i] + layout->graph_return, &target)) {
            judge_graph(context, ops[i], target, "return");
        }
    }
}

/* The kernel's own are its trace events: no row for each of those.  A module there sees what the
 * tracepoint shows and may be a tracer, so a listed one is not more than degraded. */
static void judge_tracepoint(CheckContext *context, const TracepointProbe *probe, void *user)
{
    static const char *const known[] = {"drop_monitor"};
    char name[64];
    TracedHook hook = {.kind = "tracepoint",
                       .place = name,
                       .note = "",
                       .address = probe->tracepoint,
                       .target = probe->code};
    Owner owner;

    (void)user;
    owners_find(context->owners, probe->code, &owner);
    if (owner.kind == OWNER_KERNEL) {
        return;
    }
    tracepoint_name(context, probe->tracepoint, name, sizeof(name));
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(known); i++) {
        if (owner.kind == OWNER_MODULE && !owner.hidden && strcmp(owner.name, known[i]) == 0) {
            traced_hook_row(context, &hook, "good", "");
            return;
        }
    }
    traced_hook_judge(context, &hook);
}

void ftrace_read_tracepoints(CheckContext *context)
{
    tracepoints_walk(context, judge_tracepoint, NULL);
}
