/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rb-walk.h - the kernel's red-black trees, walked while the guest changes them
 *
 * Each node takes a step of the check's budget and is believed only when its parent link leads
 * back, so a tree that was bent into a ring ends; visited in no order that may be relied on.
 */
#ifndef MONATT_INTROSPECTION_RB_WALK_H
#define MONATT_INTROSPECTION_RB_WALK_H

#include "host-collector/sources/introspection/checks/check.h"

#define RB_DEPTH 64 /* of a tree with more nodes than there is memory for */

typedef enum RbTurn { RB_STOP = 0, RB_LEFT = 1, RB_RIGHT = 2, RB_BOTH = 3 } RbTurn;
/* What of the node's children is wanted; node: the address of its struct rb_node. */
typedef RbTurn (*RbVisit)(void *user, uint64_t node);

/* root: guest-virtual, of the struct rb_root.  NONE: all of it was seen; TORN, BUDGET. */
MonattReason rb_walk(CheckContext *context, uint64_t root, RbVisit visit, void *user);

#endif
