/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-list.h - the kernel's lists, walked while the guest changes them
 *
 * A node is believed only when its back link leads to where we came from; else it is looked at
 * once more, and what stays wrong makes the walk torn.  Each node takes a step of the check's
 * budget, so a list without an end ends.  Addresses given out are those of the nodes, inside of
 * what holds them.
 */
#ifndef MONATT_INTROSPECTION_GUEST_LIST_H
#define MONATT_INTROSPECTION_GUEST_LIST_H

#include "host-collector/sources/introspection/checks/check.h"

typedef enum GuestListKind {
    GUEST_LIST_RING,  /* struct list_head: ends where it began */
    GUEST_LIST_CHAIN, /* struct hlist_head: ends with NULL */
    GUEST_LIST_NULLS, /* struct hlist_nulls_head: ends with an odd value; or as a chain does */
} GuestListKind;

typedef struct GuestListWalk {
    CheckContext *context;
    GuestListKind kind;
    uint64_t head;
    uint64_t from; /* the node that was given last, or the head */
    unsigned tears;
    MonattReason reason; /* why it ended: NONE at its end, TORN or BUDGET */
} GuestListWalk;

void guest_list_begin(GuestListWalk *walk, CheckContext *context, GuestListKind kind,
                      uint64_t head);
/* False: it is over, walk->reason says how. */
bool guest_list_next(GuestListWalk *walk, uint64_t *ret_node) MONATT_MUST_CHECK;

#endif
