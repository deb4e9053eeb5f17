/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-hooks.c - hooks in the ways that the kernel offers: probes, tracers, packets, helpers
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define ITEM 0x400u
#define HASH 0x600u
#define GOLDEN_RATIO 0x61c8864680b583ebull /* include/linux/hash.h */
#define KPROBE_TABLE_BITS 6
#define INT3 0xcc
#define HOOKS 5
#define TYPES 16
#define STRING_SIZE 64

static const char *const sensitive[] = {"__x64_sys_getdents64",   "filldir64",      "tcp4_seq_show",
                                        "find_task_by_vpid",      "__x64_sys_kill", "kallsyms_open",
                                        "__x64_sys_finit_module", "__x64_sys_bpf"};

static bool draw_sensitive(Mutator *mutator, const char *argument, const char **ret_name,
                           uint64_t *ret_address, MonattError *err)
{
    const size_t count = sizeof(sensitive) / sizeof(sensitive[0]);
    size_t chosen = mutator_draw(mutator, count);
    for (size_t i = 0; i < count; i++) {
        *ret_name = argument ? argument : sensitive[(chosen + i) % count];
        if (guest_kernel_symbol(&mutator->kernel, *ret_name, ret_address)) {
            return true;
        }
    }
    return mutator_none(err, *ret_name);
}

/* register_kprobe() with a handler that is nobody's, armed by INT3. */
static bool kprobe(Mutator *mutator, const char *argument, MonattError *err)
{
    const uint8_t trap = INT3;
    uint8_t code;
    uint64_t table, page, target, function, slot, first;
    uint32_t addr, handler, node, opcode;
    const char *name;

    if (!draw_sensitive(mutator, argument, &name, &function, err) ||
        !mutator_symbol(mutator, "kprobe_table", &table, err) ||
        !mutator_member(mutator, "kprobe", "addr", &addr, err) ||
        !mutator_member(mutator, "kprobe", "pre_handler", &handler, err) ||
        !mutator_member(mutator, "kprobe", "hlist", &node, err) ||
        !mutator_member(mutator, "kprobe", "opcode", &opcode, err) ||
        !mutator_scratch(mutator, &page, err) || !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    page += ITEM;
    function += 9; /* behind ENDBR and the tracer's site */
    slot = table + 8 * ((function * GOLDEN_RATIO) >> (64 - KPROBE_TABLE_BITS));
    mutator_say(mutator, function, name, "a kprobe in %s", name);
    return mutator_read_u64(mutator, slot, &first, err) &&
           mutator_read(mutator, function, &code, 1, err) &&
           mutator_write_u64(mutator, page + addr, function, err) &&
           mutator_write_u64(mutator, page + handler, target, err) &&
           mutator_write(mutator, page + opcode, &code, 1, err) &&
           mutator_write_u64(mutator, page + node, first, err) &&
           mutator_write_u64(mutator, page + node + 8, slot, err) &&
           (first == 0 || mutator_write_u64(mutator, first + 8, page + node, err)) &&
           mutator_write_u64(mutator, slot, page + node, err) &&
           mutator_write(mutator, function, &trap, 1, err);
}

/* register_ftrace_function() with a function that is nobody's. */
static bool ftrace_ops(Mutator *mutator, const char *argument, MonattError *err)
{
    const uint64_t enabled = 1;
    uint64_t list, page, target, first;
    uint32_t function, next, flags, hash;
    (void)argument;
    if (!mutator_symbol(mutator, "ftrace_ops_list", &list, err) ||
        !mutator_member(mutator, "ftrace_ops", "func", &function, err) ||
        !mutator_member(mutator, "ftrace_ops", "next", &next, err) ||
        !mutator_member(mutator, "ftrace_ops", "flags", &flags, err) ||
        !mutator_member(mutator, "ftrace_ops", "func_hash", &hash, err) ||
        !mutator_read_u64(mutator, list, &first, err) || !mutator_scratch(mutator, &page, err) ||
        !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    page += ITEM;
    mutator_say(mutator, page, "", "ftrace_ops at %#lx with foreign code", (unsigned long)page);
    return mutator_write_u64(mutator, page + function, target, err) &&
           mutator_write_u64(mutator, page + flags, enabled, err) &&
           /* An empty hash: all functions. */
           mutator_write_u64(mutator, page + hash, page + HASH, err) &&
           mutator_write_u64(mutator, page + next, first, err) &&
           mutator_write_u64(mutator, list, page, err);
}

/* The target of a hook that is there, or a list of hooks of its own where there is none. */
static bool netfilter(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t namespace, entries, page, target, slot;
    uint32_t nf, hooks, hook = 0;
    (void)argument;
    if (!mutator_symbol(mutator, "init_net", &namespace, err) ||
        !mutator_member(mutator, "net", "nf", &nf, err) ||
        !mutator_member(mutator, "netns_nf", mutator_draw(mutator, 2) ? "hooks_ipv4" : "hooks_ipv6",
                        &hooks, err) ||
        !mutator_member(mutator, "nf_hook_entries", "hooks", &hook, err)) {
        return false;
    }
    slot = namespace + nf + hooks + 8 * mutator_draw(mutator, HOOKS);
    if (!mutator_read_u64(mutator, slot, &entries, err) ||
        !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    mutator_say(mutator, slot, "", "a netfilter hook leads elsewhere");
    if (entries) {
        return mutator_write_u64(mutator, entries + hook, target, err);
    }
    const uint16_t one = 1;
    return mutator_scratch(mutator, &page, err) &&
           mutator_write(mutator, page + ITEM, &one, sizeof(one), err) &&
           mutator_write_u64(mutator, page + ITEM + hook, target, err) &&
           mutator_write_u64(mutator, slot, page + ITEM, err);
}

/* dev_add_pack(): a function that sees every packet of a type. */
static bool packet_type(Mutator *mutator, const char *argument, MonattError *err)
{
    const uint16_t type = 0x0008; /* IPv4, in network order */
    uint64_t head, first, node, target;
    uint32_t list, function, type_at;
    (void)argument;
    if (!mutator_symbol(mutator, "ptype_base", &head, err) ||
        !mutator_member(mutator, "packet_type", "list", &list, err) ||
        !mutator_member(mutator, "packet_type", "func", &function, err) ||
        !mutator_member(mutator, "packet_type", "type", &type_at, err) ||
        !mutator_scratch(mutator, &node, err) || !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    head += 16 * mutator_draw(mutator, TYPES);
    node += ITEM;
    mutator_say(mutator, node, "", "a packet handler at %#lx", (unsigned long)node);
    return mutator_read_u64(mutator, head, &first, err) &&
           mutator_write(mutator, node + type_at, &type, sizeof(type), err) &&
           mutator_write_u64(mutator, node + function, target, err) &&
           mutator_write_u64(mutator, node + list, first, err) &&
           mutator_write_u64(mutator, node + list + 8, head, err) &&
           mutator_write_u64(mutator, first + 8, node + list, err) &&
           mutator_write_u64(mutator, head, node + list, err);
}

/* A program that the kernel starts as root. */
static bool helper_path(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const names[] = {"modprobe_path", "core_pattern", "poweroff_cmd"};
    const char *name = argument ? argument : names[mutator_draw(mutator, 3)];
    char text[STRING_SIZE];
    uint64_t address;

    if (!mutator_symbol(mutator, name, &address, err)) {
        return false;
    }
    snprintf(text, sizeof(text), "%s/tmp/.%08lx", strcmp(name, "core_pattern") == 0 ? "|" : "",
             (unsigned long)mutator_draw(mutator, UINT32_MAX));
    mutator_say(mutator, address, name, "%s is '%s'", name, text);
    return mutator_write(mutator, address, text, strlen(text) + 1, err);
}

const Mutation mutations_of_hooks[] = {
    {"kprobe", MUTATION_BIT(MONATT_SUBCHECK_KPROBES), false,
     "a kprobe on a sensitive function with a foreign handler", kprobe},
    {"ftrace-ops", MUTATION_BIT(MONATT_SUBCHECK_FTRACE), false, "a tracer with a foreign function",
     ftrace_ops},
    {"netfilter", MUTATION_BIT(MONATT_SUBCHECK_NETFILTER), false,
     "a netfilter hook leads elsewhere", netfilter},
    {"packet-type", MUTATION_BIT(MONATT_SUBCHECK_NETFILTER), false,
     "a packet handler with a foreign function", packet_type},
    {"helper-path", MUTATION_BIT(MONATT_SUBCHECK_STRINGS), true,
     "modprobe_path, core_pattern or poweroff_cmd", helper_path},
    {NULL},
};
