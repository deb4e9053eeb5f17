/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maple-walk.c - every entry of a maple tree of the guest's
 */
#include "host-collector/sources/introspection/checks/maple-walk.h"

#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/xarray-walk.h"
#include "libmonatt/base/macros.h"

#define SLOTS 32u /* more than any kind of node has */
#define NODE_MASK 255ull
#define KIND_SHIFT 3
#define KIND_MASK 15u

/* enum maple_type */
enum { KIND_DENSE, KIND_LEAF, KIND_RANGE, KIND_GAPS };

typedef struct MapleLayout {
    uint32_t root, range_pivots, range_slots, range_end, gaps_pivots, gaps_slots, gaps_end;
} MapleLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(MapleLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(root, "maple_tree", "ma_root"),
    MEMBER(range_pivots, "maple_range_64", "pivot"),
    MEMBER(range_slots, "maple_range_64", "slot"),
    MEMBER(range_end, "maple_range_64", "meta.end"),
    MEMBER(gaps_pivots, "maple_arange_64", "pivot"),
    MEMBER(gaps_slots, "maple_arange_64", "slot"),
    MEMBER(gaps_end, "maple_arange_64", "meta.end"),
};

typedef struct Walk {
    CheckContext *context;
    MapleLayout layout;
    uint32_t range_count, gaps_count; /* slots */
    MapleVisit visit;
    void *user;
} Walk;

/* How many slots of a node with pivots are in use: the last pivot, when it is set, says that the
 * slots before it all are; else the node says itself which is its last. */
static bool slots_in_use(const Walk *walk, uint64_t node, bool gaps, uint32_t *ret_count)
{
    AddressSpace *space = &walk->context->kernel->space;
    uint32_t count = gaps ? walk->gaps_count : walk->range_count;
    uint64_t pivot;
    uint8_t end;

    if (!gaps) {
        if (!address_space_u64(space, node + walk->layout.range_pivots + 8ull * (count - 2),
                               &pivot)) {
            return false;
        }
        if (pivot != 0) {
            *ret_count = count; /* the last slot may be none: it is then empty or no pointer */
            return true;
        }
    }
    if (!address_space_read(space, node + (gaps ? walk->layout.gaps_end : walk->layout.range_end),
                            &end, 1) ||
        end >= count) {
        return false;
    }
    *ret_count = end + 1u;
    return true;
}

static MonattReason walk_node(const Walk *walk, uint64_t pointer, uint32_t depth)
{
    uint64_t node = pointer & ~NODE_MASK, slots[SLOTS];
    uint32_t kind = (uint32_t)(pointer >> KIND_SHIFT) & KIND_MASK, count;
    bool gaps = kind == KIND_GAPS;

    if (!check_step(walk->context)) {
        return MONATT_REASON_BUDGET;
    }
    if (depth == MAPLE_DEPTH || (kind != KIND_LEAF && kind != KIND_RANGE && kind != KIND_GAPS) ||
        !slots_in_use(walk, node, gaps, &count) ||
        !address_space_read(&walk->context->kernel->space,
                            node + (gaps ? walk->layout.gaps_slots : walk->layout.range_slots),
                            slots, 8ull * count)) {
        return MONATT_REASON_TORN;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i] == 0) {
            continue;
        }
        if (kind != KIND_LEAF) {
            /* A full node whose last pivot ends the range has no last slot. */
            if (slots[i] <= NODE_MASK) {
                continue;
            }
            MonattReason reason = walk_node(walk, slots[i], depth + 1);
            if (reason != MONATT_REASON_NONE) {
                return reason;
            }
        } else if ((slots[i] & 3) == 0 && slots[i] > NODE_MASK) {
            walk->visit(walk->user, slots[i]);
        }
    }
    return MONATT_REASON_NONE;
}

MonattReason maple_walk(CheckContext *context, uint64_t tree, MapleVisit visit, void *user)
{
    Walk walk = {.context = context, .visit = visit, .user = user};
    char lacks[96];
    uint32_t size;
    uint64_t root;

    layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &walk.layout);
    if (layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &walk.layout, sizeof(walk.layout), lacks,
                     sizeof(lacks)) ||
        !guest_kernel_array(context->kernel, "maple_range_64", "slot", &walk.range_count, &size) ||
        size != sizeof(uint64_t) || walk.range_count < 2 || walk.range_count > SLOTS ||
        !guest_kernel_array(context->kernel, "maple_arange_64", "slot", &walk.gaps_count, &size) ||
        size != sizeof(uint64_t) || walk.gaps_count < 2 || walk.gaps_count > SLOTS) {
        return MONATT_REASON_UNSUPPORTED;
    }
    if (!address_space_u64(&context->kernel->space, tree + walk.layout.root, &root)) {
        return MONATT_REASON_TORN;
    }
    if (xarray_is_node(root)) {
        return walk_node(&walk, root, 0);
    }
    if (root != 0 && (root & 3) == 0) {
        visit(user, root);
    }
    return MONATT_REASON_NONE;
}
