/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-list.c - the kernel's lists, walked while the guest changes them
 */
#include "host-collector/sources/introspection/checks/guest-list.h"

#define TEARS_MAXIMUM 64 /* of one walk: nodes that came or went right where it stood */

void guest_list_begin(GuestListWalk *walk, CheckContext *context, GuestListKind kind, uint64_t head)
{
    *walk = (GuestListWalk){.context = context, .kind = kind, .head = head, .from = head};
}

static bool is_end(const GuestListWalk *walk, uint64_t node)
{
    if (walk->kind == GUEST_LIST_RING) {
        return node == walk->head;
    }
    return node == 0 || (walk->kind == GUEST_LIST_NULLS && (node & 1) != 0);
}

bool guest_list_next(GuestListWalk *walk, uint64_t *ret_node)
{
    AddressSpace *space = &walk->context->kernel->space;
    uint64_t node, back;

    while (walk->tears < TEARS_MAXIMUM) {
        if (!check_step(walk->context)) {
            walk->reason = MONATT_REASON_BUDGET;
            return false;
        }
        /* next is the first word of a node of each kind; the word after it leads back. */
        if (!address_space_u64(space, walk->from, &node)) {
            break;
        }
        if (is_end(walk, node)) {
            walk->reason = MONATT_REASON_NONE;
            return false;
        }
        if (address_space_u64(space, node + 8, &back) && back == walk->from) {
            walk->from = node;
            *ret_node = node;
            return true;
        }
        walk->tears++;
    }
    walk->reason = MONATT_REASON_TORN;
    return false;
}
