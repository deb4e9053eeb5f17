/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel-layout.c - the symbols and offsets that the task views follow, and who lacks which
 *
 * Members that were renamed or moved have several names here, tried in order; which kernel has
 * which is never asked.  Must never leave a view usable whose symbol or member is not there.
 */
#include "host-collector/sources/introspection/guest-kernel.h"

#include <stdio.h>
#include <string.h>

#define V1 MONATT_VIEW_BIT(MONATT_VIEW_LIST)
#define V2 MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR)
#define V3 MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES)
#define V4 MONATT_VIEW_BIT(MONATT_VIEW_SLAB)
#define V5 MONATT_VIEW_BIT(MONATT_VIEW_CGROUPS)
#define V6 MONATT_VIEW_BIT(MONATT_VIEW_CR3)
#define ALL (V1 | V2 | V3 | V4 | V5 | V6) /* all of them read tasks */

typedef struct SymbolRow {
    const char *name;
    size_t target; /* within KernelSymbols */
    uint32_t views;
} SymbolRow;
#define SYMBOL(name, field, views)                                                                 \
    {                                                                                              \
        name, offsetof(KernelSymbols, field), views                                                \
    }
static const SymbolRow symbol_rows[] = {
    SYMBOL("init_task", init_task, ALL),
    SYMBOL("init_pid_ns", init_pid_ns, V2),
    SYMBOL("runqueues", runqueues, V3),
    SYMBOL("__per_cpu_offset", per_cpu_offset, V3),
    SYMBOL("nr_cpu_ids", nr_cpu_ids, V3),
    SYMBOL("vmemmap_base", vmemmap_base, V4 | V6),
    SYMBOL("page_offset_base", page_offset_base, V4 | V6),
    SYMBOL("task_struct_cachep", task_cache, V4),
    SYMBOL("css_set_table", set_table, V5),
    SYMBOL("jiffies_64", jiffies, 0),
    SYMBOL("total_forks", total_forks, 0),
};

typedef struct OffsetRow {
    const char *structure;
    const char *path;
    size_t target; /* within KernelOffsets */
    uint32_t views;
    const char *other_structure; /* NULL: there is no other name */
    const char *other_path;
} OffsetRow;
#define OFFSET(structure, path, field, views)                                                      \
    {                                                                                              \
        structure, path, offsetof(KernelOffsets, field), views, NULL, NULL                         \
    }
static const OffsetRow offset_rows[] = {
    OFFSET("task_struct", "tasks", task_tasks, V1),
    OFFSET("task_struct", "pid", task_pid, ALL),
    OFFSET("task_struct", "tgid", task_tgid, ALL),
    OFFSET("task_struct", "comm", task_command, ALL),
    OFFSET("task_struct", "mm", task_mm, ALL),
    OFFSET("task_struct", "cred", task_cred, ALL),
    OFFSET("task_struct", "pid_links", task_pid_links, V2),
    /* A long until 5.13: its low half is read. */
    {"task_struct", "__state", offsetof(KernelOffsets, task_state), ALL, "task_struct", "state"},
    OFFSET("task_struct", "exit_state", task_exit_state, ALL),
    OFFSET("task_struct", "stack", task_stack, ALL),
    OFFSET("task_struct", "start_time", task_start_time, ALL),
    OFFSET("task_struct", "usage", task_usage, V4),
    OFFSET("task_struct", "se.group_node", task_group_node, V3),
    OFFSET("cred", "uid", cred_uid, ALL),
    OFFSET("pid_namespace", "idr.idr_rt.xa_head", namespace_idr_root, V2),
    OFFSET("xa_node", "shift", node_shift, V2),
    OFFSET("xa_node", "offset", node_offset, V2),
    OFFSET("xa_node", "parent", node_parent, V2),
    OFFSET("xa_node", "slots", node_slots, V2),
    OFFSET("pid", "tasks", pid_tasks, V2),
    OFFSET("rq", "curr", rq_current, V3),
    OFFSET("rq", "idle", rq_idle, V3),
    OFFSET("rq", "cfs_tasks", rq_cfs_tasks, V3),
    OFFSET("kmem_cache", "size", cache_size, V4),
    OFFSET("kmem_cache", "oo", cache_objects, V4),
    OFFSET("kmem_cache", "min", cache_minimum, V4),
    OFFSET("css_set", "hlist", set_hash, V5),
    OFFSET("css_set", "tasks", set_tasks, V5),
    OFFSET("css_set", "mg_tasks", set_migrating, V5),
    OFFSET("css_set", "dying_tasks", set_dying, V5),
    OFFSET("task_struct", "cg_list", task_set_node, V5),
    OFFSET("mm_struct", "pgd", mm_root, V6),
    OFFSET("mm_struct", "owner", mm_owner, V6),
    /* In struct page itself until 6.5. */
    {"ptdesc", "pt_mm", offsetof(KernelOffsets, table_mm), V6, "page", "pt_mm"},
    /* In struct page itself until 5.16. */
    {"slab", "slab_cache", offsetof(KernelOffsets, slab_cache), V4, "page", "slab_cache"},
};

/* "WHAT NAME.MEMBER" for each of views; the first that is missing stays. */
static void lack(GuestKernel *kernel, uint32_t views, const char *what, const char *name,
                 const char *member)
{
    for (unsigned view = 0; view < MONATT_VIEW_COUNT; view++) {
        if ((views & MONATT_VIEW_BIT(view)) && kernel->missing[view][0] == '\0') {
            snprintf(kernel->missing[view], sizeof(kernel->missing[view]), "%s %s%s%s", what, name,
                     *member ? "." : "", member);
        }
    }
}

static void find_symbols(GuestKernel *kernel)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(symbol_rows); i++) {
        const SymbolRow *row = &symbol_rows[i];
        uint64_t address = 0;

        if (!guest_kernel_symbol(kernel, row->name, &address)) {
            lack(kernel, row->views, "no symbol", row->name, "");
        }
        memcpy((char *)&kernel->symbols + row->target, &address, sizeof(address));
    }
}

static void find_offsets(GuestKernel *kernel)
{
    KernelOffsets *o = &kernel->offsets;
    uint32_t width;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(offset_rows); i++) {
        const OffsetRow *row = &offset_rows[i];
        uint32_t offset = 0;

        if (!guest_kernel_member(kernel, row->structure, row->path, &offset) &&
            !(row->other_structure &&
              guest_kernel_member(kernel, row->other_structure, row->other_path, &offset))) {
            lack(kernel, row->views, "BTF has no", row->structure, row->path);
        }
        memcpy((char *)o + row->target, &offset, sizeof(offset));
    }
    if (!guest_kernel_bits(kernel, "slab", "objects", &o->slab_objects, &o->slab_objects_shift,
                           &width) &&
        !guest_kernel_bits(kernel, "page", "objects", &o->slab_objects, &o->slab_objects_shift,
                           &width)) {
        lack(kernel, V4, "BTF has no", "slab", "objects");
    }
    o->page_size = guest_kernel_sizeof(kernel, "page");
    if (o->page_size == 0 || o->page_size > GUEST_PAGE_SIZE) {
        lack(kernel, V4 | V6, "BTF has no sane size of struct", "page", "");
    }
}

void guest_kernel_lay_out(GuestKernel *kernel)
{
    find_symbols(kernel);
    find_offsets(kernel);
}
