/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-proc.c - the tree of procfs: what runs when a program reads a file of /proc
 *
 * struct proc_dir_entry (fs/proc/internal.h): a folder has its children in an rb-tree.  Folders of
 * network namespaces hang in no tree: struct net points to them.  What the kernel itself makes, by
 * name, must use tables of its own image; the ones that hide things must use the very one that
 * the kernel has for it.
 *
 * Must never follow a tree twice through one node: the guest could make it a circle.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"

#define PENDING 512u /* nodes put off: twice the depth of the trees and of the folders */
#define PATH_SIZE 40
#define ENTRY_SIZE 512u
#define MODE_FOLDER 0040000u
#define MODE_KIND 0170000u

/* Made by the kernel's image in any configuration that has them. */
static const char *const of_kernel[] = {
    "buddyinfo",  "cgroups",     "cmdline",    "consoles",    "cpuinfo",      "crypto",
    "devices",    "diskstats",   "dma",        "execdomains", "filesystems",  "interrupts",
    "iomem",      "ioports",     "kallsyms",   "kcore",       "key-users",    "keys",
    "kmsg",       "kpagecgroup", "kpagecount", "kpageflags",  "loadavg",      "locks",
    "meminfo",    "misc",        "modules",    "mtrr",        "pagetypeinfo", "partitions",
    "schedstat",  "slabinfo",    "softirqs",   "stat",        "swaps",        "sysrq-trigger",
    "timer_list", "uptime",      "version",    "vmallocinfo", "vmstat",       "zoneinfo",
};
static const char *const of_network[] = {
    "arp",     "dev",      "fib_trie",     "fib_triestat", "icmp", "igmp",
    "netlink", "netstat",  "protocols",    "ptype",        "raw",  "route",
    "snmp",    "sockstat", "softnet_stat", "tcp",          "udp",  "udplite",
};

typedef enum ExactMember { EXACT_OPERATIONS, EXACT_SEQUENCE } ExactMember;
/* Where rootkits hide modules, symbols and sockets; a kernel without the symbol has it elsewhere.
 */
static const struct {
    bool network;
    const char *name;
    ExactMember member;
    const char *symbol;
} exact[] = {
    {false, "modules", EXACT_OPERATIONS, "modules_proc_ops"},
    {false, "kallsyms", EXACT_OPERATIONS, "kallsyms_proc_ops"},
    {false, "kcore", EXACT_OPERATIONS, "kcore_proc_ops"},
    {false, "kmsg", EXACT_OPERATIONS, "kmsg_proc_ops"},
    {false, "stat", EXACT_OPERATIONS, "stat_proc_ops"},
    {true, "tcp", EXACT_SEQUENCE, "tcp4_seq_ops"},
    {true, "tcp6", EXACT_SEQUENCE, "tcp6_seq_ops"},
    {true, "udp", EXACT_SEQUENCE, "udp_seq_ops"},
    {true, "udp6", EXACT_SEQUENCE, "udp6_seq_ops"},
    {true, "raw", EXACT_SEQUENCE, "raw_seq_ops"},
    {true, "raw6", EXACT_SEQUENCE, "raw6_seq_ops"},
    {true, "unix", EXACT_SEQUENCE, "unix_seq_ops"},
    {true, "packet", EXACT_SEQUENCE, "packet_seq_ops"},
    {true, "netlink", EXACT_SEQUENCE, "netlink_seq_ops"},
};

typedef struct ProcLayout {
    uint32_t size;
    uint32_t subdir, node, mode, name;
    uint32_t file_operations, folder_operations, inode_operations;
    uint32_t sequence, show, write;
    uint32_t left, right;
    uint32_t dentry_operations; /* gone in 7.x */
} ProcLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(ProcLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    LAYOUT_SIZE(ProcLayout, size, "proc_dir_entry"),
    MEMBER(subdir, "proc_dir_entry", "subdir"),
    MEMBER(node, "proc_dir_entry", "subdir_node"),
    MEMBER(mode, "proc_dir_entry", "mode"),
    MEMBER(name, "proc_dir_entry", "name"),
    MEMBER(file_operations, "proc_dir_entry", "proc_ops"),
    MEMBER(folder_operations, "proc_dir_entry", "proc_dir_ops"),
    MEMBER(inode_operations, "proc_dir_entry", "proc_iops"),
    MEMBER(dentry_operations, "proc_dir_entry", "proc_dops"),
    MEMBER(sequence, "proc_dir_entry", "seq_ops"),
    MEMBER(show, "proc_dir_entry", "single_show"),
    MEMBER(write, "proc_dir_entry", "write"),
    MEMBER(left, "rb_node", "rb_left"),
    MEMBER(right, "rb_node", "rb_right"),
};

typedef struct Pending {
    uint64_t node; /* of an rb-tree */
    char path[PATH_SIZE];
} Pending;

typedef struct ProcWalk {
    CheckContext *context;
    PointersCheck *check;
    ProcLayout layout;
    uint64_t sequence[2]; /* tables whose files have seq_ops */
    uint64_t single[2];   /* and single_show */
    uint32_t pending_count;
    Pending pending[PENDING];
    uint64_t entries;
} ProcWalk;

static bool is_named(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void put_off(ProcWalk *walk, uint64_t node, const char *path)
{
    if (node == 0) {
        return;
    }
    if (walk->pending_count == PENDING) {
        check_reason(walk->context, MONATT_REASON_BUDGET, "the tree of procfs is too deep");
        return;
    }
    walk->pending[walk->pending_count].node = node;
    snprintf(walk->pending[walk->pending_count++].path, PATH_SIZE, "%.39s", path);
}

static void judge_exact(ProcWalk *walk, bool network, const char *name, const char *place,
                        uint64_t entry, const uint8_t *bytes)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(exact); i++) {
        uint32_t offset = exact[i].member == EXACT_SEQUENCE ? walk->layout.sequence
                                                            : walk->layout.file_operations;
        char object[CHECK_OBJECT_SIZE], observed[CHECK_OBJECT_SIZE];
        uint64_t wanted, is;

        if (exact[i].network != network || strcmp(exact[i].name, name) != 0 ||
            !guest_kernel_symbol(walk->context->kernel, exact[i].symbol, &wanted)) {
            continue;
        }
        is = pointers_word(bytes, offset);
        if (is != wanted) {
            snprintf(object, sizeof(object), "proc %.58s", place);
            check_name_address(walk->context, is, observed);
            check_found(walk->context, CHECK_COMPROMISED, entry + offset, object, exact[i].symbol,
                        observed, "", "%s is read by another table than the kernel's %s", place,
                        exact[i].symbol);
        }
    }
}

static void judge_file(ProcWalk *walk, bool kernels, const char *place, uint64_t entry,
                       const uint8_t *bytes)
{
    const ProcLayout *layout = &walk->layout;
    uint64_t operations = pointers_word(bytes, layout->file_operations);
    uint64_t word = pointers_word(bytes, layout->sequence);

    pointers_judge_operations(walk->context, walk->check, "proc", place,
                              entry + layout->file_operations, operations, "proc_ops", kernels);
    if (operations != 0 && (operations == walk->sequence[0] || operations == walk->sequence[1])) {
        pointers_judge_operations(walk->context, walk->check, "proc", place,
                                  entry + layout->sequence, word, "seq_operations", kernels);
    } else if (operations != 0 &&
               (operations == walk->single[0] || operations == walk->single[1])) {
        pointers_judge(walk->context, walk->check, "proc", place, entry + layout->show, word,
                       kernels ? POINTER_CORE : POINTER_OWN);
    }
    pointers_judge(walk->context, walk->check, "proc", place, entry + layout->write,
                   pointers_word(bytes, layout->write), kernels ? POINTER_CORE : POINTER_OWN);
}

/* parent: its path without a slash at the end; NULL: the entry is the root of a tree. */
static void judge_entry(ProcWalk *walk, uint64_t entry, const char *parent, const char *root)
{
    const ProcLayout *layout = &walk->layout;
    CheckContext *context = walk->context;
    uint8_t bytes[ENTRY_SIZE];
    char name[PATH_SIZE] = "", place[POINTER_PLACE_SIZE];
    bool top = parent && strcmp(parent, "/proc") == 0;
    bool network = parent && strncmp(parent, "/proc/net", 9) == 0 && parent[9] != '/';
    bool kernels = !parent;

    if (!address_space_read(&context->kernel->space, entry, bytes, layout->size)) {
        check_reason(context, MONATT_REASON_TORN, "the tree of procfs is not readable whole");
        return;
    }
    walk->entries++;
    if (parent) {
        put_off(walk, pointers_word(bytes, layout->node + layout->left), parent);
        put_off(walk, pointers_word(bytes, layout->node + layout->right), parent);
        if (!guest_kernel_string(context->kernel, pointers_word(bytes, layout->name), name,
                                 sizeof(name))) {
            check_reason(context, MONATT_REASON_TORN, "a name in procfs is not readable");
        }
        kernels = (top && is_named(of_kernel, MONATT_ARRAY_SIZE(of_kernel), name)) ||
                  (network && is_named(of_network, MONATT_ARRAY_SIZE(of_network), name));
        snprintf(place, sizeof(place), "%.*s/%s", PATH_SIZE - 14, parent, name);
    } else {
        snprintf(place, sizeof(place), "%s", root);
    }
    pointers_judge_operations(context, walk->check, "proc", place, entry + layout->inode_operations,
                              pointers_word(bytes, layout->inode_operations), "inode_operations",
                              kernels);
    if (layout_has(layout->dentry_operations)) {
        pointers_judge_operations(
            context, walk->check, "proc", place, entry + layout->dentry_operations,
            pointers_word(bytes, layout->dentry_operations), "dentry_operations", kernels);
    }
    /* proc_net_ns_init() gives the root of a network namespace no mode at all. */
    if (!parent || (pointers_word(bytes, layout->mode) & MODE_KIND) == MODE_FOLDER) {
        pointers_judge_operations(
            context, walk->check, "proc", place, entry + layout->folder_operations,
            pointers_word(bytes, layout->folder_operations), "file_operations", kernels);
        put_off(walk, pointers_word(bytes, layout->subdir), place);
    } else {
        judge_file(walk, kernels, place, entry, bytes);
        if (top || network) { /* a module may have a file of that name deeper down */
            judge_exact(walk, network, name, place, entry, bytes);
        }
    }
}

static void walk_tree(ProcWalk *walk, uint64_t root, const char *path)
{
    walk->pending_count = 0;
    judge_entry(walk, root, NULL, path);
    while (walk->pending_count > 0 && check_step(walk->context)) {
        Pending next = walk->pending[--walk->pending_count];
        uint64_t entry = next.node - walk->layout.node;
        if (pointers_first(walk->context, walk->check, entry)) {
            judge_entry(walk, entry, next.path, NULL);
        }
    }
}

/* The guest's types say where to look in a copy of one entry. */
static bool is_sane(const ProcLayout *layout)
{
    const uint32_t offsets[] = {layout->subdir,
                                layout->mode,
                                layout->name,
                                layout->file_operations,
                                layout->folder_operations,
                                layout->inode_operations,
                                layout->sequence,
                                layout->show,
                                layout->write,
                                layout->node};

    if (layout->size < 128 || layout->size > ENTRY_SIZE || layout->left > 64 ||
        layout->right > 64) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(offsets); i++) {
        if (offsets[i] > layout->size - sizeof(uint64_t)) {
            return false;
        }
    }
    if (layout_has(layout->dentry_operations) &&
        layout->dentry_operations > layout->size - sizeof(uint64_t)) {
        return false;
    }
    return layout->node <= layout->size - 8 - layout->left &&
           layout->node <= layout->size - 8 - layout->right;
}

void pointers_read_proc(CheckContext *context, PointersCheck *check)
{
    ProcWalk walk = {.context = context, .check = check};
    char lacks[96];
    uint64_t root;
    uint32_t net;

    layout_read(context->kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &walk.layout);
    if (layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &walk.layout,
                     offsetof(ProcLayout, dentry_operations), lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!is_sane(&walk.layout)) {
        check_lacks(context, "proc_dir_entry of a sane size");
        return;
    }
    walk.sequence[0] = layout_symbol(context->kernel, "proc_seq_ops");
    walk.sequence[1] = layout_symbol(context->kernel, "proc_net_seq_ops");
    walk.single[0] = layout_symbol(context->kernel, "proc_single_ops");
    walk.single[1] = layout_symbol(context->kernel, "proc_net_single_ops");
    if (guest_kernel_symbol(context->kernel, "proc_root", &root)) {
        walk_tree(&walk, root, "/proc");
    } else {
        check_lacks(context, "symbol 'proc_root'");
    }
    if (!guest_kernel_member(context->kernel, "net", "proc_net", &net)) {
        check_lacks(context, "net.proc_net");
        return;
    }
    for (uint32_t i = 0; i < check->namespaces.count; i++) {
        if (address_space_u64(&context->kernel->space, check->namespaces.items[i].address + net,
                              &root) &&
            root != 0) {
            char path[PATH_SIZE];
            snprintf(path, sizeof(path), i ? "/proc/net:[%u]" : "/proc/net",
                     check->namespaces.items[i].number);
            walk_tree(&walk, root, path);
        }
    }
    check_count(context, "proc entries", walk.entries);
}
