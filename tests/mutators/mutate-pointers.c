/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-pointers.c - function pointers in the kernel's data that lead to code of nobody's
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define ENTRIES_MAXIMUM 4096
#define PROC_DEPTH 64
#define HEADS_MAXIMUM 512
#define SCRATCH_ITEM                                                                               \
    0x400u /* where in a scratch page a forged table stands; never at its start                    \
            */

/* Proc entries below a directory, folders within too: rb_node {colour, right, left}. */
typedef struct ProcWalk {
    Mutator *mutator;
    uint32_t subdir;
    uint32_t node;
    size_t count;
    uint64_t entries[ENTRIES_MAXIMUM];
} ProcWalk;

static void walk_proc(ProcWalk *walk, uint64_t directory)
{
    uint64_t stack[PROC_DEPTH], node;
    size_t depth = 0;

    if (!address_space_u64(&walk->mutator->kernel.space, directory + walk->subdir, &node)) {
        return;
    }
    while ((node || depth > 0) && walk->count < ENTRIES_MAXIMUM) {
        if (node == 0) {
            node = stack[--depth];
            continue;
        }
        uint64_t entry = node - walk->node, right, left;
        if (!address_space_u64(&walk->mutator->kernel.space, node + 8, &right) ||
            !address_space_u64(&walk->mutator->kernel.space, node + 16, &left)) {
            return;
        }
        walk->entries[walk->count++] = entry;
        if (left && depth < PROC_DEPTH) {
            stack[depth++] = left;
        }
        node = right;
    }
}

static bool proc_entries(Mutator *mutator, ProcWalk *walk, MonattError *err)
{
    uint64_t root, namespace, net;
    uint32_t proc_net;

    walk->mutator = mutator;
    walk->count = 0;
    if (!mutator_symbol(mutator, "proc_root", &root, err) ||
        !mutator_member(mutator, "proc_dir_entry", "subdir", &walk->subdir, err) ||
        !mutator_member(mutator, "proc_dir_entry", "subdir_node", &walk->node, err)) {
        return false;
    }
    walk_proc(walk, root);
    if (guest_kernel_symbol(&mutator->kernel, "init_net", &namespace) &&
        guest_kernel_member(&mutator->kernel, "net", "proc_net", &proc_net) &&
        address_space_u64(&mutator->kernel.space, namespace + proc_net, &net)) {
        walk_proc(walk, net);
    }
    for (size_t i = 0; i < walk->count && walk->count < ENTRIES_MAXIMUM; i++) {
        uint64_t below;
        if (address_space_u64(&mutator->kernel.space, walk->entries[i] + walk->subdir, &below) &&
            below && i < 1024) {
            walk_proc(walk, walk->entries[i]);
        }
    }
    return walk->count > 0 || mutator_none(err, "entry in /proc");
}

bool mutator_forge(Mutator *mutator, uint64_t table, size_t size, uint32_t slot, uint64_t *ret_copy,
                   MonattError *err)
{
    uint8_t bytes[512] = {0};
    uint64_t page, target;

    size = size < sizeof(bytes) ? size : sizeof(bytes);
    if (!mutator_read(mutator, table, bytes, size, err) || !mutator_scratch(mutator, &page, err) ||
        !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    memcpy(bytes + slot, &target, sizeof(target));
    *ret_copy = page + SCRATCH_ITEM;
    return mutator_write(mutator, *ret_copy, bytes, size, err);
}

typedef enum ProcPart { PROC_OPERATIONS, PROC_SEQUENCE, PROC_SHOW } ProcPart;

static bool swap_proc(Mutator *mutator, const char *argument, ProcPart part, MonattError *err)
{
    static const char *const members[] = {"proc_ops", "seq_ops", "single_show"};
    static const char *const users[][2] = {{NULL, NULL},
                                           {"proc_seq_ops", "proc_net_seq_ops"},
                                           {"proc_single_ops", "proc_net_single_ops"}};
    static ProcWalk walk;
    uint64_t kinds[2] = {0}, old, operations, copy, target;
    uint32_t place, name_at, operations_at, slot = 0, size = 32;
    uint64_t found[ENTRIES_MAXIMUM];
    size_t count = 0;
    char name[CHECK_OBJECT_SIZE], wanted[CHECK_OBJECT_SIZE];

    if (!proc_entries(mutator, &walk, err) ||
        !mutator_member(mutator, "proc_dir_entry", members[part], &place, err) ||
        !mutator_member(mutator, "proc_dir_entry", "proc_ops", &operations_at, err) ||
        !mutator_member(mutator, "proc_dir_entry", "name", &name_at, err)) {
        return false;
    }
    for (size_t i = 0; part != PROC_OPERATIONS && i < 2; i++) {
        if (!guest_kernel_symbol(&mutator->kernel, users[part][i], &kinds[i])) {
            kinds[i] = 0;
        }
    }
    for (size_t i = 0; i < walk.count; i++) {
        if (!address_space_u64(&mutator->kernel.space, walk.entries[i] + operations_at,
                               &operations) ||
            operations == 0 ||
            (part != PROC_OPERATIONS && operations != kinds[0] && operations != kinds[1]) ||
            !address_space_u64(&mutator->kernel.space, walk.entries[i] + name_at, &old) ||
            !guest_kernel_string(&mutator->kernel, old, wanted, sizeof(wanted)) ||
            (argument && strcmp(argument, wanted) != 0)) {
            continue;
        }
        found[count++] = walk.entries[i];
    }
    if (count == 0) {
        return mutator_none(err, "entry in /proc of that kind");
    }
    copy = found[mutator_draw(mutator, count)];
    if (!mutator_read_u64(mutator, copy + name_at, &old, err) ||
        !guest_kernel_string(&mutator->kernel, old, name, sizeof(name)) ||
        !mutator_read_u64(mutator, copy + place, &old, err)) {
        return false;
    }
    mutator_say(mutator, copy, name, "/proc/…/%s: %s is another", name, members[part]);
    if (part == PROC_SHOW) {
        return mutator_foreign(mutator, &target, err) &&
               mutator_write_u64(mutator, copy + place, target, err);
    }
    if (part == PROC_OPERATIONS) {
        size = guest_kernel_sizeof(&mutator->kernel, "proc_ops");
        if (!mutator_member(mutator, "proc_ops", "proc_read", &slot, err)) {
            return false;
        }
    } else if (!mutator_member(mutator, "seq_operations", "show", &slot, err)) {
        return false;
    }
    return mutator_forge(mutator, old, size, slot, &target, err) &&
           mutator_write_u64(mutator, copy + place, target, err);
}

static bool proc_operations(Mutator *mutator, const char *argument, MonattError *err)
{
    return swap_proc(mutator, argument, PROC_OPERATIONS, err);
}

static bool proc_sequence(Mutator *mutator, const char *argument, MonattError *err)
{
    return swap_proc(mutator, argument, PROC_SEQUENCE, err);
}

static bool proc_show(Mutator *mutator, const char *argument, MonattError *err)
{
    return swap_proc(mutator, argument, PROC_SHOW, err);
}

/* One pointer in a table that has a name. */
static bool named_slot(Mutator *mutator, const char *argument, const char *const rows[][3],
                       MonattError *err)
{
    size_t count = 0, chosen;
    while (rows[count][0]) {
        count++;
    }
    chosen = mutator_draw(mutator, count);
    for (size_t tries = 0; tries < count; tries++) {
        const char *const *row = rows[(chosen + tries) % count];
        uint64_t table, target;
        uint32_t member;
        if ((!argument || strcmp(argument, row[0]) == 0) &&
            guest_kernel_symbol(&mutator->kernel, row[0], &table) &&
            guest_kernel_member(&mutator->kernel, row[1], row[2], &member)) {
            mutator_say(mutator, table + member, row[0], "%s.%s leads elsewhere", row[0], row[2]);
            return mutator_foreign(mutator, &target, err) &&
                   mutator_write_u64(mutator, table + member, target, err);
        }
    }
    return mutator_none(err, rows[0][0]);
}

static bool socket_show(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const rows[][3] = {
        {"tcp4_seq_ops", "seq_operations", "show"}, {"tcp6_seq_ops", "seq_operations", "show"},
        {"udp_seq_ops", "seq_operations", "show"},  {"udp6_seq_ops", "seq_operations", "show"},
        {"raw_seq_ops", "seq_operations", "show"},  {"packet_seq_ops", "seq_operations", "show"},
        {"unix_seq_ops", "seq_operations", "show"}, {NULL}};
    return named_slot(mutator, argument, rows, err);
}

static bool directory_operations(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const rows[][3] = {
        {"proc_root_operations", "file_operations", "iterate_shared"},
        {"proc_root_inode_operations", "inode_operations", "lookup"},
        {"ext4_dir_operations", "file_operations", "iterate_shared"},
        {"simple_dir_operations", "file_operations", "iterate_shared"},
        {"dcache_dir_ops", "file_operations", "iterate_shared"},
        {"pipefifo_fops", "file_operations", "open"},
        {"def_blk_fops", "file_operations", "read_iter"},
        {NULL}};
    return named_slot(mutator, argument, rows, err);
}

/* A keylogger's place. */
static bool line_discipline(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const rows[][3] = {{"n_tty_ops", "tty_ldisc_ops", "receive_buf"},
                                          {"n_tty_ops", "tty_ldisc_ops", "read"},
                                          {"n_tty_ops", "tty_ldisc_ops", "receive_buf2"},
                                          {NULL}};
    return named_slot(mutator, argument, rows, err);
}

static bool notifier(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const rows[][2] = {{"panic_notifier_list", "atomic_notifier_head"},
                                          {"reboot_notifier_list", "blocking_notifier_head"},
                                          {"module_notify_list", "blocking_notifier_head"},
                                          {"die_chain", "atomic_notifier_head"},
                                          {"netdev_chain", "raw_notifier_head"},
                                          {"keyboard_notifier_list", "atomic_notifier_head"},
                                          {"inetaddr_chain", "blocking_notifier_head"},
                                          {"vt_notifier_list", "atomic_notifier_head"},
                                          {"pm_chain_head", "blocking_notifier_head"}};
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    size_t chosen = mutator_draw(mutator, count);

    for (size_t tries = 0; tries < count; tries++) {
        const char *const *row = rows[(chosen + tries) % count];
        uint64_t head, first, page, target;
        uint32_t head_at, call, next;
        if ((argument && strcmp(argument, row[0]) != 0) ||
            !guest_kernel_symbol(&mutator->kernel, row[0], &head) ||
            !guest_kernel_member(&mutator->kernel, row[1], "head", &head_at)) {
            continue;
        }
        mutator_say(mutator, head, row[0], "a new block at the head of %s", row[0]);
        return mutator_member(mutator, "notifier_block", "notifier_call", &call, err) &&
               mutator_member(mutator, "notifier_block", "next", &next, err) &&
               mutator_read_u64(mutator, head + head_at, &first, err) &&
               mutator_scratch(mutator, &page, err) && mutator_foreign(mutator, &target, err) &&
               mutator_write_u64(mutator, page + SCRATCH_ITEM + call, target, err) &&
               mutator_write_u64(mutator, page + SCRATCH_ITEM + next, first, err) &&
               mutator_write_u64(mutator, head + head_at, page + SCRATCH_ITEM, err);
    }
    return mutator_none(err, "notifier chain");
}

/* A handler of programs that sees each execve() first. */
static bool binary_format(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t head, first, node, target;
    uint32_t list, load;
    (void)argument;
    if (!mutator_symbol(mutator, "formats", &head, err) ||
        !mutator_member(mutator, "linux_binfmt", "lh", &list, err) ||
        !mutator_member(mutator, "linux_binfmt", "load_binary", &load, err) ||
        !mutator_read_u64(mutator, head, &first, err) || !mutator_scratch(mutator, &node, err) ||
        !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    node += SCRATCH_ITEM + list;
    mutator_say(mutator, head, "formats", "a new format of programs at the head");
    return mutator_write_u64(mutator, node, first, err) &&
           mutator_write_u64(mutator, node + 8, head, err) &&
           mutator_write_u64(mutator, node - list + load, target, err) &&
           mutator_write_u64(mutator, first + 8, node, err) &&
           mutator_write_u64(mutator, head, node, err);
}

/* Lists of hooks, to 6.11. */
static bool lsm_list(Mutator *mutator, uint64_t heads, MonattError *err)
{
    uint64_t found[HEADS_MAXIMUM], node, target;
    uint32_t size = guest_kernel_sizeof(&mutator->kernel, "security_hook_heads"), hook;
    size_t count = 0;

    if (!mutator_member(mutator, "security_hook_list", "hook", &hook, err)) {
        return false;
    }
    for (uint32_t at = 0; at + 8 <= size && count < HEADS_MAXIMUM; at += 8) {
        if (mutator_read_u64(mutator, heads + at, &node, err) && node != 0) {
            found[count++] = node;
        }
    }
    if (count == 0) {
        return mutator_none(err, "hook of a security module");
    }
    node = found[mutator_draw(mutator, count)];
    mutator_say(mutator, node + hook, "", "a security hook at %#lx leads elsewhere",
                (unsigned long)node);
    return mutator_foreign(mutator, &target, err) &&
           mutator_write_u64(mutator, node + hook, target, err);
}

/* Static calls, from 6.12: {key, trampoline, hl, active}. */
static bool lsm_static_call(Mutator *mutator, uint64_t table, MonattError *err)
{
    uint32_t size = guest_kernel_sizeof(&mutator->kernel, "lsm_static_calls_table");
    uint32_t one = guest_kernel_sizeof(&mutator->kernel, "lsm_static_call"), key_at, hl_at;
    uint64_t found[HEADS_MAXIMUM], key, target;
    size_t count = 0;

    if (one == 0 || !mutator_member(mutator, "lsm_static_call", "key", &key_at, err) ||
        !mutator_member(mutator, "lsm_static_call", "hl", &hl_at, err)) {
        return false;
    }
    for (uint32_t at = 0; at + one <= size && count < HEADS_MAXIMUM; at += one) {
        if (mutator_read_u64(mutator, table + at + hl_at, &target, err) && target != 0 &&
            mutator_read_u64(mutator, table + at + key_at, &key, err)) {
            found[count++] = key;
        }
    }
    if (count == 0) {
        return mutator_none(err, "hook of a security module");
    }
    key = found[mutator_draw(mutator, count)];
    mutator_say(mutator, key, "", "the static call of a security hook (key %#lx) leads elsewhere",
                (unsigned long)key);
    return mutator_foreign(mutator, &target, err) && mutator_write_u64(mutator, key, target, err);
}

static bool lsm_hook(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t address;
    (void)argument;
    if (guest_kernel_symbol(&mutator->kernel, "security_hook_heads", &address)) {
        return lsm_list(mutator, address, err);
    }
    return mutator_symbol(mutator, "static_calls_table", &address, err) &&
           lsm_static_call(mutator, address, err);
}

#define POINTERS MUTATION_BIT(MONATT_SUBCHECK_FUNCTION_POINTERS)
#define RODATA MUTATION_BIT(MONATT_SUBCHECK_KERNEL_RODATA)
#define TEXT MUTATION_BIT(MONATT_SUBCHECK_KERNEL_TEXT)
const Mutation mutations_of_pointers[] = {
    {"proc-operations", POINTERS, false, "an entry of /proc has forged proc_ops", proc_operations},
    {"proc-sequence", POINTERS, false, "an entry of /proc has forged seq_ops", proc_sequence},
    {"proc-show", POINTERS, false, "single_show of an entry of /proc", proc_show},
    {"socket-show", POINTERS | RODATA, false, "tcp4_seq_ops.show and its family", socket_show},
    {"directory-operations", POINTERS | RODATA, false, "an operation of a file system",
     directory_operations},
    {"line-discipline", POINTERS, false, "an operation of the terminal's line discipline",
     line_discipline},
    {"notifier", POINTERS, false, "a block in a notifier chain", notifier},
    {"binary-format", POINTERS, false, "a format of programs", binary_format},
    {"lsm-hook", POINTERS | RODATA | TEXT, false, "a hook of a security module", lsm_hook},
    {NULL},
};
