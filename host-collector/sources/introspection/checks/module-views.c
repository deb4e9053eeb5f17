/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module-views.c - modules by their kobjects and by the tree of module addresses
 *
 * A module that took itself out of the list is still in these, or it breaks: its kobject holds
 * /sys/module/NAME, and by the tree the kernel finds exception tables and unwinds stacks.
 */
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/module-list.h"
#include "host-collector/sources/introspection/checks/rb-walk.h"
#include "libmonatt/base/macros.h"

#define TRIES 5

typedef struct ViewLayout {
    uint32_t kset_list, kobject_entry, holder_kobject, holder_module;
    uint32_t tree_node, tree_module, root_tree;
    uint32_t types_list, types_module; /* from 5.11 on */
} ViewLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ViewLayout, field, structure, path)
static const LayoutRow view_rows[] = {
    MEMBER(kset_list, "kset", "list"),
    MEMBER(kobject_entry, "kobject", "entry"),
    MEMBER(holder_kobject, "module_kobject", "kobj"),
    MEMBER(holder_module, "module_kobject", "mod"),
    MEMBER(tree_node, "mod_tree_node", "node.node"),
    MEMBER(tree_module, "mod_tree_node", "mod"),
    MEMBER(root_tree, "latch_tree_root", "tree"),
    MEMBER(types_list, "btf_module", "list"),
    MEMBER(types_module, "btf_module", "module"),
};

static MonattReason walk_kset(CheckContext *context, const ViewLayout *layout, uint64_t kset,
                              ModuleList *list)
{
    GuestListWalk walk;
    uint64_t node;

    guest_list_begin(&walk, context, GUEST_LIST_RING, kset + layout->kset_list);
    while (guest_list_next(&walk, &node)) {
        uint64_t holder = node - layout->kobject_entry - layout->holder_kobject;
        uint64_t module;
        /* NULL: a driver that is built into the kernel and has parameters. */
        if (address_space_u64(&context->kernel->space, holder + layout->holder_module, &module) &&
            module != 0 && !module_list_seen(context, list, module, MODULE_VIEW_KSET)) {
            continue; /* half made or half gone */
        }
    }
    return walk.reason;
}

static void read_kset(CheckContext *context, const ViewLayout *layout, ModuleList *list)
{
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t variable, kset;

    if (!guest_kernel_symbol(context->kernel, "module_kset", &variable) ||
        !address_space_u64(&context->kernel->space, variable, &kset)) {
        module_list_lacks(list, "no symbol 'module_kset'");
        return;
    }
    if (kset == 0) {
        return; /* before its time in the boot */
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = walk_kset(context, layout, kset, list);
    }
    if (reason != MONATT_REASON_NONE) {
        module_list_lacks(list, "the kobjects of modules could not be followed");
    }
}

typedef struct TreeVisit {
    CheckContext *context;
    const ViewLayout *layout;
    ModuleList *list;
} TreeVisit;

static RbTurn visit(void *user, uint64_t node)
{
    TreeVisit *tree = user;
    uint64_t module;
    if (address_space_u64(&tree->context->kernel->space,
                          node - tree->layout->tree_node + tree->layout->tree_module, &module) &&
        module != 0 && !module_list_seen(tree->context, tree->list, module, MODULE_VIEW_TREE)) {
        return RB_BOTH; /* half made or half gone */
    }
    return RB_BOTH;
}

/* A latch tree is two trees over two nodes in each entry, one always whole: the first is read
 * while no writer is at it most of the time, and what is torn comes back in the next look. */
static void read_tree(CheckContext *context, const ViewLayout *layout, ModuleList *list)
{
    TreeVisit user = {.context = context, .layout = layout, .list = list};
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t root;

    if (!guest_kernel_symbol(context->kernel, "mod_tree", &root)) {
        module_list_lacks(list, "no symbol 'mod_tree'");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = rb_walk(context, root + layout->root_tree, visit, &user);
    }
    if (reason != MONATT_REASON_NONE) {
        module_list_lacks(list, "the tree of module addresses could not be followed");
    }
}

/* Types that were registered for a module; module: where the node's struct has its address. */
static void read_types(CheckContext *context, const ViewLayout *layout, ModuleList *list)
{
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;

    if (!layout_has(layout->types_list) || !layout_has(layout->types_module) ||
        !guest_kernel_symbol(context->kernel, "btf_modules", &head)) {
        return; /* this kernel keeps none */
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node, module;
        guest_list_begin(&walk, context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            if (address_space_u64(&context->kernel->space,
                                  node - layout->types_list + layout->types_module, &module) &&
                !module_list_seen(context, list, module, MODULE_VIEW_BTF)) {
                continue;
            }
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        module_list_lacks(list, "the types of modules could not be followed");
    }
}

/* Modules with tables of BUG() and WARN(): the list runs through the structs themselves. */
static void read_bugs(CheckContext *context, ModuleList *list)
{
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;

    if (!layout_has(list->layout.bugs) ||
        !guest_kernel_symbol(context->kernel, "module_bug_list", &head)) {
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;
        guest_list_begin(&walk, context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            if (!module_list_seen(context, list, node - list->layout.bugs, MODULE_VIEW_BUGS)) {
                continue;
            }
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        module_list_lacks(list, "the list of modules with BUG tables could not be followed");
    }
}

uint32_t module_sequence(CheckContext *context)
{
    GuestKernel *kernel = context->kernel;
    uint32_t offset, sequence;
    uint64_t root;

    /* seqcount_latch_t begins with a seqcount_t, which begins with its number. */
    if (!guest_kernel_symbol(kernel, "mod_tree", &root) ||
        !guest_kernel_member(kernel, "latch_tree_root", "seq", &offset) ||
        !address_space_u32(&kernel->space, root + offset, &sequence)) {
        return 0;
    }
    return sequence;
}

uint64_t module_list_generation(CheckContext *context, const ModuleList *list)
{
    return (uint64_t)list->sequence << 32 | module_sequence(context);
}

void module_views_read(CheckContext *context, ModuleList *list)
{
    ViewLayout layout;
    char text[96];
    const char *lacks;

    layout_read(context->kernel, view_rows, MONATT_ARRAY_SIZE(view_rows), &layout);
    lacks = layout_lacks(view_rows, MONATT_ARRAY_SIZE(view_rows), &layout,
                         offsetof(ViewLayout, types_list), text, sizeof(text));
    if (lacks) {
        module_list_lacks(list, "BTF has no %.70s", lacks);
    }
    if (layout_has(layout.kset_list) && layout_has(layout.kobject_entry) &&
        layout_has(layout.holder_kobject) && layout_has(layout.holder_module)) {
        read_kset(context, &layout, list);
    }
    if (layout_has(layout.tree_node) && layout_has(layout.tree_module) &&
        layout_has(layout.root_tree)) {
        read_tree(context, &layout, list);
    }
    read_types(context, &layout, list);
    read_bugs(context, list);
}
