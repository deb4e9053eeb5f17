/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xarray-walk.c - every entry of an XArray or IDR of the guest's
 */
#include "host-collector/sources/introspection/xarray-walk.h"

#include <endian.h>

#define SLOTS 64
#define SLOT_BITS 6
#define SHIFT_MAXIMUM 60
#define ENTRY_KIND 3u
#define ENTRY_INTERNAL 2u
#define ENTRY_NODE_MINIMUM 4096u

typedef struct Walk {
    GuestKernel *kernel;
    WalkBudget *budget;
    XArrayVisit visit;
    void *user;
} Walk;

bool xarray_is_node(uint64_t root)
{
    return (root & ENTRY_KIND) == ENTRY_INTERNAL && root > ENTRY_NODE_MINIMUM;
}

static bool is_pointer(uint64_t entry)
{
    return entry != 0 && (entry & ENTRY_KIND) == 0;
}

/* parent: 0 for the root; shift: what this node must have, or -1 for the root; first: the index of
 * its first entry. */
static MonattReason walk_node(const Walk *walk, uint64_t node, uint64_t parent, int shift,
                              uint64_t first)
{
    const KernelOffsets *o = &walk->kernel->offsets;
    AddressSpace *space = &walk->kernel->space;
    uint8_t node_shift;
    uint64_t node_parent, slots[SLOTS];

    if (!walk_budget_take(walk->budget, SLOTS)) {
        return MONATT_REASON_BUDGET;
    }
    if (!address_space_read(space, node + o->node_shift, &node_shift, 1) ||
        !address_space_u64(space, node + o->node_parent, &node_parent) ||
        !address_space_read(space, node + o->node_slots, slots, sizeof(slots)) ||
        node_parent != parent || node_shift > SHIFT_MAXIMUM || node_shift % SLOT_BITS != 0 ||
        (shift >= 0 && node_shift != shift)) {
        return MONATT_REASON_TORN;
    }
    for (uint64_t i = 0; i < SLOTS; i++) {
        uint64_t entry = le64toh(slots[i]), index = first + (i << node_shift);
        MonattReason reason = MONATT_REASON_NONE;

        if (xarray_is_node(entry)) {
            reason = node_shift == 0 ? MONATT_REASON_TORN
                                     : walk_node(walk, entry & ~(uint64_t)ENTRY_KIND, node,
                                                 node_shift - SLOT_BITS, index);
        } else if (is_pointer(entry) && node_shift == 0) {
            reason = walk->visit(walk->user, index, entry);
        }
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
    }
    return MONATT_REASON_NONE;
}

MonattReason xarray_walk(GuestKernel *kernel, uint64_t root, WalkBudget *budget, XArrayVisit visit,
                         void *user)
{
    const Walk walk = {.kernel = kernel, .budget = budget, .visit = visit, .user = user};

    if (xarray_is_node(root)) {
        return walk_node(&walk, root & ~(uint64_t)ENTRY_KIND, 0, -1, 0);
    }
    return is_pointer(root) ? visit(user, 0, root) : MONATT_REASON_NONE;
}
