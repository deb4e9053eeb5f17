/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmap-areas.c - the kernel's own list of what is mapped in a range of its vmalloc space
 */
#include "host-collector/sources/introspection/checks/vmap-areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/rb-walk.h"
#include "libmonatt/base/macros.h"

#define TRIES 5
#define FIRST_CAPACITY 256
#define NODES_MAXIMUM 1024 /* the kernel makes at most 128 (mm/vmalloc.c) */

typedef struct AreaLayout {
    uint32_t start, end, node;
    uint32_t pool_size, pool_root; /* where there are several trees */
} AreaLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(AreaLayout, field, structure, path)
static const LayoutRow area_rows[] = {
    MEMBER(start, "vmap_area", "va_start"),      MEMBER(end, "vmap_area", "va_end"),
    MEMBER(node, "vmap_area", "rb_node"),        LAYOUT_SIZE(AreaLayout, pool_size, "vmap_node"),
    MEMBER(pool_root, "vmap_node", "busy.root"),
};

typedef struct AreaVisit {
    CheckContext *context;
    const AreaLayout *layout;
    VmapAreas *areas;
    uint64_t from, to;
    bool failed;
} AreaVisit;

void vmap_areas_clear(VmapAreas *areas)
{
    free(areas->items);
    memset(areas, 0, sizeof(*areas));
}

static void lacks(VmapAreas *areas, const char *why)
{
    if (areas->missing[0] == '\0') {
        snprintf(areas->missing, sizeof(areas->missing), "%.95s", why);
    }
}

static bool add(VmapAreas *areas, uint64_t start, uint64_t end)
{
    if (areas->count == areas->capacity) {
        size_t capacity = areas->capacity ? 2 * areas->capacity : FIRST_CAPACITY;
        VmapArea *items;
        if (areas->count >= VMAP_AREAS_MAXIMUM) {
            lacks(areas, "more vmalloc areas than are read");
            return false;
        }
        items = realloc(areas->items, capacity * sizeof(*items));
        if (!items) {
            lacks(areas, "out of memory for vmalloc areas");
            return false;
        }
        areas->items = items;
        areas->capacity = capacity;
    }
    areas->items[areas->count++] = (VmapArea){.start = start, .end = end};
    return true;
}

static RbTurn visit(void *user, uint64_t node)
{
    AreaVisit *visit = user;
    AddressSpace *space = &visit->context->kernel->space;
    uint64_t area = node - visit->layout->node;
    uint64_t start, end;

    if (!address_space_u64(space, area + visit->layout->start, &start) ||
        !address_space_u64(space, area + visit->layout->end, &end)) {
        return RB_BOTH;
    }
    if (end <= visit->from) {
        return RB_RIGHT;
    }
    if (start >= visit->to) {
        return RB_LEFT;
    }
    if (end > start && !add(visit->areas, start, end)) {
        visit->failed = true;
        return RB_STOP;
    }
    return RB_BOTH;
}

static void read_tree(AreaVisit *user, uint64_t root)
{
    MonattReason reason = MONATT_REASON_TORN;
    size_t before = user->areas->count;

    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN && !user->failed; i++) {
        user->areas->count = before;
        reason = rb_walk(user->context, root, visit, user);
    }
    if (reason != MONATT_REASON_NONE) {
        lacks(user->areas, "the tree of vmalloc areas could not be followed");
    }
}

static void read_pools(AreaVisit *user)
{
    GuestKernel *kernel = user->context->kernel;
    uint64_t variable, pools;
    uint32_t count = 0;

    if (!guest_kernel_symbol(kernel, "vmap_nodes", &variable) ||
        !address_space_u64(&kernel->space, variable, &pools)) {
        lacks(user->areas, "no symbol 'vmap_area_root' or 'vmap_nodes'");
        return;
    }
    if (!layout_has(user->layout->pool_size) || !layout_has(user->layout->pool_root) ||
        !guest_kernel_symbol(kernel, "nr_vmap_nodes", &variable) ||
        !address_space_u32(&kernel->space, variable, &count)) {
        lacks(user->areas, "no nr_vmap_nodes, or no vmap_node.busy.root in its BTF");
        return;
    }
    if (count > NODES_MAXIMUM) {
        lacks(user->areas, "more vmap_nodes than a kernel makes");
        count = NODES_MAXIMUM;
    }
    for (uint32_t i = 0; i < count && !user->failed; i++) {
        read_tree(user, pools + (uint64_t)i * user->layout->pool_size + user->layout->pool_root);
    }
}

static int compare(const void *a, const void *b)
{
    const VmapArea *left = a, *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

void vmap_areas_read(CheckContext *context, uint64_t from, uint64_t to, VmapAreas *areas)
{
    AreaLayout layout;
    AreaVisit user = {
        .context = context, .layout = &layout, .areas = areas, .from = from, .to = to};
    uint64_t root;

    layout_read(context->kernel, area_rows, MONATT_ARRAY_SIZE(area_rows), &layout);
    if (!layout_has(layout.start) || !layout_has(layout.end) || !layout_has(layout.node)) {
        lacks(areas, "BTF has no vmap_area");
        return;
    }
    if (guest_kernel_symbol(context->kernel, "vmap_area_root", &root)) {
        read_tree(&user, root);
    } else {
        read_pools(&user);
    }
    if (areas->count > 0) {
        qsort(areas->items, areas->count, sizeof(areas->items[0]), compare);
    }
}

const VmapArea *vmap_areas_find(const VmapAreas *areas, uint64_t address)
{
    size_t low = 0, high = areas->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->items[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && address < areas->items[low - 1].end ? &areas->items[low - 1] : NULL;
}
