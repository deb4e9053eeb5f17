/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rb-walk.c - the kernel's red-black trees, walked while the guest changes them
 *
 * struct rb_node is the parent's address with the colour in bit 0, the right and the left child
 * (include/linux/rbtree_types.h), in every kernel since 2.6.
 */
#include "host-collector/sources/introspection/checks/rb-walk.h"

#include <endian.h>

#define PARENT_MASK (~(uint64_t)3)

typedef struct Waiting {
    uint64_t node;
    uint64_t parent;
} Waiting;

MonattReason rb_walk(CheckContext *context, uint64_t root, RbVisit visit, void *user)
{
    AddressSpace *space = &context->kernel->space;
    Waiting waiting[2 * RB_DEPTH]; /* at most one of each depth, and the two at hand */
    size_t count = 0;

    if (!address_space_u64(space, root, &waiting[0].node)) {
        return MONATT_REASON_TORN;
    }
    waiting[0].parent = 0;
    count = waiting[0].node != 0;
    while (count > 0) {
        Waiting here = waiting[--count];
        uint64_t words[3]; /* parent and colour, right, left */
        RbTurn turn;

        if (!check_step(context)) {
            return MONATT_REASON_BUDGET;
        }
        if (!address_space_read(space, here.node, words, sizeof(words)) ||
            (le64toh(words[0]) & PARENT_MASK) != here.parent) {
            return MONATT_REASON_TORN;
        }
        turn = visit(user, here.node);
        if (turn == RB_STOP) {
            return MONATT_REASON_NONE;
        }
        for (int side = 1; side <= 2; side++) {
            uint64_t child = le64toh(words[side]);
            bool wanted = turn & (side == 1 ? RB_RIGHT : RB_LEFT);
            if (!wanted || child == 0) {
                continue;
            }
            if (count == 2 * RB_DEPTH) {
                return MONATT_REASON_TORN;
            }
            waiting[count++] = (Waiting){.node = child, .parent = here.node};
        }
    }
    return MONATT_REASON_NONE;
}
