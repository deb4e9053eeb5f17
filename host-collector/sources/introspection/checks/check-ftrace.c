/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-ftrace.c - who traces the guest's functions, by ftrace_ops_list
 *
 * A function of a module there sees every call of what its filter names, and one with IPMODIFY
 * decides where the call goes: that is how livepatches replace functions, and how most rootkits of
 * today do.  Tracers of tracefs, perf and BPF run the kernel's own functions.
 */
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/checks/check-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/ftrace.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/tracing-judge.h"
#include "libmonatt/base/macros.h"

#define HASH_BITS_MAXIMUM 20u /* FTRACE_HASH_MAX_BITS is 12 */
#define BUCKETS 64u
#define TRIES 5
#define PATCHED_A_STEP 16u /* names that are compared for one step of the budget */

#define MEMBER(field, structure, path) LAYOUT_MEMBER(FtraceLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(ops_function, "ftrace_ops", "func"),
    MEMBER(ops_next, "ftrace_ops", "next"),
    MEMBER(ops_flags, "ftrace_ops", "flags"),
    MEMBER(ops_hash, "ftrace_ops", "func_hash"),
    MEMBER(hash_filter, "ftrace_ops_hash", "filter_hash"),
    MEMBER(hash_count, "ftrace_hash", "count"),
    MEMBER(hash_bits, "ftrace_hash", "size_bits"),
    MEMBER(hash_buckets, "ftrace_hash", "buckets"),
    MEMBER(entry_chain, "ftrace_func_entry", "hlist"),
    MEMBER(entry_address, "ftrace_func_entry", "ip"),
    MEMBER(ops_saved, "ftrace_ops", "saved_func"),
    MEMBER(ops_direct, "ftrace_ops", "direct_call"),
    MEMBER(ops_list, "ftrace_ops", "list"),
    MEMBER(entry_direct, "ftrace_func_entry", "direct"),
    MEMBER(page_next, "ftrace_page", "next"),
    MEMBER(page_records, "ftrace_page", "records"),
    MEMBER(page_count, "ftrace_page", "index"),
    LAYOUT_SIZE(FtraceLayout, record_size, "dyn_ftrace"),
    MEMBER(record_address, "dyn_ftrace", "ip"),
    MEMBER(record_flags, "dyn_ftrace", "flags"),
    MEMBER(patch_list, "klp_patch", "list"),
    MEMBER(patch_objects, "klp_patch", "obj_list"),
    MEMBER(object_node, "klp_object", "node"),
    MEMBER(object_functions, "klp_object", "func_list"),
    MEMBER(function_node, "klp_func", "node"),
    MEMBER(function_old, "klp_func", "old_name"),
    MEMBER(function_new, "klp_func", "new_func"),
    MEMBER(fprobe_ops, "fprobe", "ops"),
    MEMBER(fprobe_entry, "fprobe", "entry_handler"),
    MEMBER(fprobe_exit, "fprobe", "exit_handler"),
    MEMBER(fprobe_node, "fprobe_hlist", "hlist"),
    MEMBER(fprobe_pointer, "fprobe_hlist", "fp"),
    MEMBER(graph_entry, "fgraph_ops", "entryfunc"),
    MEMBER(graph_return, "fgraph_ops", "retfunc"),
};

typedef struct FtraceOps {
    uint64_t address;
    uint64_t function;
    uint64_t saved;
    uint64_t flags;
    uint64_t filter_count; /* 0: all functions */
    bool sensitive;
    bool unpatched;  /* has a function that no listed livepatch replaces */
    bool unreadable; /* not all of its filter could be read */
    uint32_t names;
    char place[CHECK_OBJECT_SIZE]; /* the first functions */
} FtraceOps;

static uint64_t flag(GuestKernel *kernel, const char *name)
{
    int64_t value;
    return guest_kernel_enumerator(kernel, name, &value) ? (uint32_t)value : 0;
}

static FtraceCheck *prepare(CheckContext *context)
{
    /* The lowest flag of a record: what is below it counts tracers. */
    static const char *const lowest[] = {"FTRACE_FL_MODIFIED", "FTRACE_FL_TOUCHED",
                                         "FTRACE_FL_CALL_OPS_EN", "FTRACE_FL_DIRECT_EN",
                                         "FTRACE_FL_DISABLED"};
    GuestKernel *kernel = context->kernel;
    FtraceCheck *check = *context->state;
    char text[96];
    const char *lacks;

    if (check) {
        return check;
    }
    check = calloc(1, sizeof(*check));
    if (!check) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return NULL;
    }
    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), &check->layout);
    lacks = layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &check->layout,
                         offsetof(FtraceLayout, ops_saved), text, sizeof(text));
    snprintf(check->lacks, sizeof(check->lacks), "%s", lacks ? lacks : "");
    check->enabled = flag(kernel, "FTRACE_OPS_FL_ENABLED");
    check->modify = flag(kernel, "FTRACE_OPS_FL_IPMODIFY");
    check->record_modify = (uint32_t)flag(kernel, "FTRACE_FL_IPMODIFY");
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(lowest) && check->count_mask == 0; i++) {
        uint32_t lowest_flag = (uint32_t)flag(kernel, lowest[i]);
        check->count_mask = lowest_flag ? lowest_flag - 1 : 0;
    }
    check->patch_handler = layout_symbol(kernel, "klp_ftrace_handler");
    check->kprobe_modify_ops = layout_symbol(kernel, "kprobe_ipmodify_ops");
    check->probe_handlers[0] = layout_symbol(kernel, "fprobe_handler");
    check->probe_handlers[1] = layout_symbol(kernel, "fprobe_kprobe_handler");
    *context->state = check;
    return check;
}

bool ftrace_hash_walk(CheckContext *context, FtraceCheck *check, uint64_t hash,
                      FtraceHashVisit visit, void *user)
{
    const FtraceLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t bits, buckets, heads[BUCKETS];

    if (!address_space_u64(space, hash + layout->hash_bits, &bits) || bits > HASH_BITS_MAXIMUM ||
        !address_space_u64(space, hash + layout->hash_buckets, &buckets)) {
        return false;
    }
    for (uint64_t first = 0; first < 1ull << bits; first += BUCKETS) {
        uint64_t count = (1ull << bits) - first < BUCKETS ? (1ull << bits) - first : BUCKETS;
        if (!check_step(context) ||
            !address_space_read(space, buckets + 8 * first, heads, 8 * count)) {
            return false;
        }
        for (uint64_t i = 0; i < count; i++) {
            GuestListWalk walk;
            uint64_t node, address;

            if (heads[i] == 0) {
                continue;
            }
            guest_list_begin(&walk, context, GUEST_LIST_CHAIN, buckets + 8 * (first + i));
            while (guest_list_next(&walk, &node)) {
                uint64_t entry = node - layout->entry_chain;
                if (!address_space_u64(space, entry + layout->entry_address, &address) ||
                    !visit(context, check, address, entry, user)) {
                    return false;
                }
            }
            if (walk.reason != MONATT_REASON_NONE) {
                return false;
            }
        }
    }
    return true;
}

static bool is_patched(const FtraceCheck *check, const char *name)
{
    for (uint32_t i = 0; i < check->patched_count; i++) {
        if (strcmp(check->patched[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_function(CheckContext *context, FtraceCheck *check, uint64_t address,
                         uint64_t entry, void *user)
{
    FtraceOps *ops = user;
    char name[KALLSYMS_NAME_MAXIMUM] = "";
    uint64_t offset;
    Owner owner;

    (void)entry;
    if (check->covered_count == FTRACE_COVERED_MAXIMUM ||
        !walk_budget_take(&context->budget, check->patched_count / PATCHED_A_STEP)) {
        return false;
    }
    if ((ops->flags & check->enabled) != 0) {
        check->covered[check->covered_count++] = address;
    }
    if ((ops->flags & check->modify) != 0 && check->modified_count < FTRACE_COVERED_MAXIMUM) {
        check->modified[check->modified_count++] = address;
    }
    owners_find(context->owners, address, &owner);
    if (owner.kind == OWNER_MODULE) {
        /* Its functions have no names here: a livepatch of anything is believed to be for it. */
        snprintf(name, sizeof(name), "[%.40s]", owner.name);
        ops->unpatched |= check->patched_count == 0;
    } else {
        if (!guest_kernel_symbol_at(context->kernel, address, name, &offset)) {
            snprintf(name, sizeof(name), "%#lx", (unsigned long)address);
        }
        ops->sensitive |= traced_function_is_sensitive(name);
        ops->unpatched |= !is_patched(check, name);
    }
    if (ops->names < FTRACE_NAMES) {
        size_t used = strlen(ops->place);
        snprintf(ops->place + used, sizeof(ops->place) - used, "%s%.40s", used ? " " : "", name);
        ops->names++;
    }
    return true;
}

/* Whether these may change where a function goes: livepatches that are listed, and kprobes'. */
static void judge_modify(CheckContext *context, const FtraceCheck *check, const FtraceOps *ops)
{
    char object[CHECK_OBJECT_SIZE], name[CHECK_OBJECT_SIZE];

    if ((ops->flags & check->modify) == 0 || (ops->flags & check->enabled) == 0 ||
        ops->address == check->kprobe_modify_ops ||
        (check->patch_handler != 0 && ops->function == check->patch_handler && !ops->unpatched &&
         ops->filter_count != 0)) {
        return;
    }
    check_name_address(context, ops->function, name);
    snprintf(object, sizeof(object), "redirect %.50s", ops->place);
    check_found(context, CHECK_COMPROMISED, ops->address, object, "a listed livepatch", name, "",
                "a tracer may send calls of %s elsewhere, and no livepatch is listed for it",
                ops->place);
}

static void judge_ops(CheckContext *context, FtraceCheck *check, const FtraceOps *ops)
{
    char note[80];
    TracedHook hook = {.kind = "ftrace",
                       .place = ops->place,
                       .note = note,
                       .address = ops->address,
                       .target = ops->function,
                       .sensitive = ops->sensitive};

    snprintf(note, sizeof(note), "%lu functions%s%s", (unsigned long)ops->filter_count,
             (ops->flags & check->modify) != 0 ? ", may redirect" : "",
             (ops->flags & check->enabled) == 0 ? ", off" : "");
    if (ops->filter_count == 0 && !ops->unreadable) {
        snprintf(note, sizeof(note), "every function");
    }
    traced_hook_judge(context, &hook);
    if (ops->saved != 0 && ops->saved != ops->function) {
        hook.kind = "ftrace-saved";
        hook.target = ops->saved;
        traced_hook_judge(context, &hook);
    }
    judge_modify(context, check, ops);
    if (layout_has(check->layout.fprobe_ops) &&
        (ops->function == check->probe_handlers[0] || ops->function == check->probe_handlers[1]) &&
        ops->function != 0) {
        ftrace_judge_probe(context, check, ops->address - check->layout.fprobe_ops, ops->place,
                           ops->sensitive);
    }
}

static MonattReason read_ops(CheckContext *context, FtraceCheck *check, uint64_t address,
                             FtraceOps *ops)
{
    const FtraceLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t pair, filter;

    *ops = (FtraceOps){.address = address};
    if (!address_space_u64(space, address + layout->ops_function, &ops->function) ||
        !address_space_u64(space, address + layout->ops_flags, &ops->flags) ||
        !address_space_u64(space, address + layout->ops_hash, &pair) ||
        (layout_has(layout->ops_saved) &&
         !address_space_u64(space, address + layout->ops_saved, &ops->saved))) {
        return MONATT_REASON_TORN;
    }
    /* Code is judged even where what it traces cannot be read. */
    if (pair == 0 || !address_space_u64(space, pair + layout->hash_filter, &filter) ||
        !address_space_u64(space, filter + layout->hash_count, &ops->filter_count)) {
        snprintf(ops->place, sizeof(ops->place), "functions that are not readable");
        ops->sensitive = ops->unpatched = ops->unreadable = true;
        return MONATT_REASON_NONE;
    }
    if (ops->filter_count == 0) {
        snprintf(ops->place, sizeof(ops->place), "every function");
        ops->sensitive = true;
        ops->unpatched = true;
        check->all_count += (ops->flags & check->enabled) != 0;
        return MONATT_REASON_NONE;
    }
    if (!ftrace_hash_walk(context, check, filter, add_function, ops)) {
        if (check->covered_count == FTRACE_COVERED_MAXIMUM) {
            return MONATT_REASON_BUDGET;
        }
        ops->sensitive = ops->unpatched = ops->unreadable = true;
    }
    return MONATT_REASON_NONE;
}

static MonattReason read_list(CheckContext *context, FtraceCheck *check, uint64_t head,
                              uint64_t end)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t at;
    bool unreadable = false;

    check->ops_count = check->all_count = check->covered_count = check->modified_count = 0;
    if (!address_space_u64(space, head, &at)) {
        return MONATT_REASON_TORN;
    }
    while (at != end) {
        MonattReason reason;
        FtraceOps ops;

        if (!check_step(context) || check->ops_count++ == FTRACE_OPS_MAXIMUM) {
            return MONATT_REASON_BUDGET;
        }
        check->listed[check->ops_count - 1] = at;
        reason = at == 0 ? MONATT_REASON_TORN : read_ops(context, check, at, &ops);
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
        judge_ops(context, check, &ops);
        unreadable |= ops.unreadable;
        if (!address_space_u64(space, at + check->layout.ops_next, &at)) {
            return MONATT_REASON_TORN;
        }
    }
    return unreadable ? MONATT_REASON_TORN : MONATT_REASON_NONE;
}

static bool is_listed(const FtraceCheck *check, uint64_t address)
{
    for (uint32_t i = 0; i < check->ops_count; i++) {
        if (check->listed[i] == address) {
            return true;
        }
    }
    return false;
}

static MonattReason read_trampolines(CheckContext *context, FtraceCheck *check, uint64_t head)
{
    GuestListWalk walk;
    uint64_t node;
    uint32_t others = 0;
    bool unreadable = false;

    guest_list_begin(&walk, context, GUEST_LIST_RING, head);
    while (guest_list_next(&walk, &node)) {
        uint64_t address = node - check->layout.ops_list;
        uint32_t all = check->all_count, covered = check->covered_count;
        uint32_t modified = check->modified_count;
        MonattReason reason;
        FtraceOps ops;

        if (is_listed(check, address)) {
            continue;
        }
        if (others++ == FTRACE_TRAMPOLINES_MAXIMUM) {
            return MONATT_REASON_BUDGET;
        }
        reason = read_ops(context, check, address, &ops);
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
        judge_ops(context, check, &ops);
        unreadable |= ops.unreadable;
        /* It may be called; that the records count it is for those in the list. */
        check->all_count = all;
        check->covered_count = covered;
        check->modified_count = modified;
    }
    return walk.reason != MONATT_REASON_NONE ? walk.reason
           : unreadable                      ? MONATT_REASON_TORN
                                             : MONATT_REASON_NONE;
}

/* A tracer whose trampoline functions may still call while it is taken out of the list: kernel-text
 * lets them, so what it runs is judged here, listed or not. */
static void judge_trampolines(CheckContext *context, FtraceCheck *check)
{
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;

    if (!layout_has(check->layout.ops_list) ||
        !guest_kernel_symbol(context->kernel, "ftrace_ops_trampoline_list", &head)) {
        return; /* to 5.7: text that calls such a trampoline is a finding there */
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = read_trampolines(context, check, head);
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the list of tracers' trampolines is not readable whole");
    }
}

static void run(CheckContext *context)
{
    FtraceCheck *check = prepare(context);
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head, end;

    if (!check) {
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "ftrace_ops_list", &head) ||
        !guest_kernel_symbol(context->kernel, "ftrace_list_end", &end)) {
        check_lacks(context, "symbols 'ftrace_ops_list' and 'ftrace_list_end'");
        return;
    }
    if (check->lacks[0] != '\0' || check->enabled == 0 || check->modify == 0) {
        check_lacks(context, check->lacks[0] ? check->lacks : "FTRACE_OPS_FL_ENABLED");
        return;
    }
    ftrace_read_livepatches(context, check);
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = read_list(context, check, head, end);
    }
    check->whole = reason == MONATT_REASON_NONE;
    if (!check->whole) {
        check_reason(context, reason, "the list of tracers is not readable whole: %u were",
                     check->ops_count);
    }
    judge_trampolines(context, check);
    addresses_sort(check->covered, check->covered_count);
    addresses_sort(check->modified, check->modified_count);
    ftrace_read_direct(context, check);
    ftrace_read_probes(context, check);
    ftrace_read_graph(context, check);
    ftrace_read_records(context, check);
    ftrace_read_tracepoints(context);
    check_count(context, "tracers", check->ops_count);
    check_count(context, "patched", check->patched_count);
}

const Check check_ftrace = {MONATT_SUBCHECK_FTRACE, "ftrace", "hooks", run, free};
