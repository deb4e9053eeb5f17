/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-kprobes.c - the guest's kprobes and kretprobes, by kprobe_table
 *
 * One entry of the table stands for an address; several probes of one address hang behind an entry
 * whose handler is the kernel's own aggr_pre_handler.  What tracefs, perf and BPF set there runs
 * kprobe_dispatcher or kretprobe_dispatcher of core text: listed, no finding.  Says nothing of the
 * breakpoints in the text: a probe that was cut out of the table is for the text check to find.
 */
#include "host-collector/sources/introspection/checks/check-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/tracing-judge.h"
#include "libmonatt/base/macros.h"

#define BUCKETS 64u /* KPROBE_TABLE_SIZE of kernel/kprobes.c, 5.10 to 7.2 */
#define TRIES 5     /* properties 8, torn reads */
/* include/linux/kprobes.h */
#define FLAG_GONE 1u
#define FLAG_DISABLED 2u
#define FLAG_OPTIMIZED 4u
#define FLAG_FTRACE 8u

typedef struct KprobesLayout {
    uint32_t chain;
    uint32_t address;
    uint32_t before;
    uint32_t siblings;
    uint32_t after;
    uint32_t flags;
    uint32_t return_probe;
    uint32_t return_handler;
    uint32_t entry_handler;
} KprobesLayout;

typedef struct KprobesCheck {
    KprobesLayout layout;
    uint64_t group_handler;  /* aggr_pre_handler; 0: no such symbol */
    uint64_t return_handler; /* pre_handler_kretprobe */
    uint64_t count;
} KprobesCheck;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(KprobesLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(chain, "kprobe", "hlist"),
    MEMBER(address, "kprobe", "addr"),
    MEMBER(before, "kprobe", "pre_handler"),
    MEMBER(siblings, "kprobe", "list"),
    MEMBER(after, "kprobe", "post_handler"),
    MEMBER(flags, "kprobe", "flags"),
    MEMBER(return_probe, "kretprobe", "kp"),
    MEMBER(return_handler, "kretprobe", "handler"),
    MEMBER(entry_handler, "kretprobe", "entry_handler"),
};

typedef struct Probe {
    uint64_t address; /* of the struct kprobe */
    uint64_t before;
    uint64_t after;
    uint32_t flags;
    char place[CHECK_OBJECT_SIZE];
    bool sensitive;
} Probe;

static bool read_probe(CheckContext *context, const KprobesLayout *layout, uint64_t at,
                       Probe *ret_probe)
{
    AddressSpace *space = &context->kernel->space;
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t address, offset;

    memset(ret_probe, 0, sizeof(*ret_probe));
    ret_probe->address = at;
    if (!address_space_u64(space, at + layout->address, &address) ||
        !address_space_u64(space, at + layout->before, &ret_probe->before) ||
        !address_space_u64(space, at + layout->after, &ret_probe->after) ||
        !address_space_u32(space, at + layout->flags, &ret_probe->flags)) {
        return false;
    }
    check_name_address(context, address, ret_probe->place);
    ret_probe->sensitive = guest_kernel_symbol_at(context->kernel, address, name, &offset) &&
                           traced_function_is_sensitive(name);
    return true;
}

static void judge_handler(CheckContext *context, const Probe *probe, const char *kind,
                          uint64_t target)
{
    char note[64];
    TracedHook hook = {.kind = kind,
                       .place = probe->place,
                       .note = note,
                       .address = probe->address,
                       .target = target,
                       .sensitive = probe->sensitive};

    if (target == 0) {
        return;
    }
    snprintf(note, sizeof(note), "%s%s%s%s", probe->flags & FLAG_DISABLED ? "disabled " : "",
             probe->flags & FLAG_OPTIMIZED ? "optimised " : "",
             probe->flags & FLAG_FTRACE ? "by ftrace " : "",
             probe->flags & FLAG_GONE ? "gone " : "");
    traced_hook_judge(context, &hook);
}

/* A probe that is set, not a group of them. */
static void judge_probe(CheckContext *context, KprobesCheck *check, const Probe *probe)
{
    const KprobesLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t handler, entry;

    check->count++;
    judge_handler(context, probe, "kprobe-post", probe->after);
    if (check->return_handler == 0 || probe->before != check->return_handler) {
        judge_handler(context, probe, "kprobe", probe->before);
        return;
    }
    if (!layout_has(layout->return_probe) || !layout_has(layout->return_handler) ||
        !layout_has(layout->entry_handler)) {
        check_lacks(context, "kretprobe.handler");
        return;
    }
    if (!address_space_u64(space, probe->address - layout->return_probe + layout->return_handler,
                           &handler) ||
        !address_space_u64(space, probe->address - layout->return_probe + layout->entry_handler,
                           &entry)) {
        check_reason(context, MONATT_REASON_TORN, "the kretprobe at %s is not readable",
                     probe->place);
        return;
    }
    judge_handler(context, probe, "kretprobe", handler);
    judge_handler(context, probe, "kretprobe-in", entry);
}

/* The probes of one address behind their group. */
static MonattReason read_group(CheckContext *context, KprobesCheck *check, const Probe *group)
{
    GuestListWalk walk;
    uint64_t node;
    Probe probe;

    guest_list_begin(&walk, context, GUEST_LIST_RING, group->address + check->layout.siblings);
    while (guest_list_next(&walk, &node)) {
        if (!read_probe(context, &check->layout, node - check->layout.siblings, &probe)) {
            return MONATT_REASON_TORN;
        }
        probe.flags |= group->flags & FLAG_OPTIMIZED;
        judge_probe(context, check, &probe);
    }
    return walk.reason;
}

static MonattReason read_bucket(CheckContext *context, KprobesCheck *check, uint64_t head)
{
    GuestListWalk walk;
    uint64_t node;

    guest_list_begin(&walk, context, GUEST_LIST_CHAIN, head);
    while (guest_list_next(&walk, &node)) {
        MonattReason reason = MONATT_REASON_NONE;
        Probe probe;

        if (!read_probe(context, &check->layout, node - check->layout.chain, &probe)) {
            return MONATT_REASON_TORN;
        }
        if (check->group_handler != 0 && probe.before == check->group_handler) {
            reason = read_group(context, check, &probe);
        } else {
            judge_probe(context, check, &probe);
        }
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
    }
    return walk.reason;
}

static KprobesCheck *prepare(CheckContext *context)
{
    KprobesCheck *check = *context->state;

    if (!check) {
        check = calloc(1, sizeof(*check));
        if (!check) {
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return NULL;
        }
        layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &check->layout);
        check->group_handler = layout_symbol(context->kernel, "aggr_pre_handler");
        check->return_handler = layout_symbol(context->kernel, "pre_handler_kretprobe");
        *context->state = check;
    }
    check->count = 0;
    return check;
}

static void run(CheckContext *context)
{
    KprobesCheck *check = prepare(context);
    uint64_t table, heads[BUCKETS];
    char text[96];
    const char *lacks;

    if (!check) {
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "kprobe_table", &table)) {
        check_lacks(context, "symbol 'kprobe_table'");
        return;
    }
    lacks = layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &check->layout,
                         offsetof(KprobesLayout, return_probe), text, sizeof(text));
    if (lacks || check->group_handler == 0) {
        check_lacks(context, lacks ? lacks : "symbol 'aggr_pre_handler'");
        return;
    }
    if (!address_space_read(&context->kernel->space, table, heads, sizeof(heads))) {
        check_reason(context, MONATT_REASON_TORN, "kprobe_table is not readable");
        return;
    }
    for (uint64_t i = 0; i < BUCKETS; i++) {
        MonattReason reason = heads[i] == 0 ? MONATT_REASON_NONE : MONATT_REASON_TORN;
        for (int tries = 0; tries < TRIES && reason == MONATT_REASON_TORN; tries++) {
            reason = read_bucket(context, check, table + 8 * i);
        }
        if (reason != MONATT_REASON_NONE) {
            check_reason(context, reason, "the kprobes are not readable whole");
        }
    }
    check_count(context, "kprobes", check->count);
}

const Check check_kprobes = {MONATT_SUBCHECK_KPROBES, "kprobes", "hooks", run, free};
