/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maple-walk.h - every entry of a maple tree of the guest's
 *
 * include/linux/maple_tree.h: a node is aligned to 256 bytes and the low byte of a pointer to it
 * says its kind; a node's pivots say how many of its slots are in use.  No walk is deeper than
 * MAPLE_DEPTH and each node takes a step, so a tree that was bent into a ring ends.
 */
#ifndef MONATT_INTROSPECTION_MAPLE_WALK_H
#define MONATT_INTROSPECTION_MAPLE_WALK_H

#include "host-collector/sources/introspection/checks/check.h"

#define MAPLE_DEPTH 12

/* entry: a pointer of the guest's, not 0. */
typedef void (*MapleVisit)(void *user, uint64_t entry);

/* tree: guest-virtual, of the struct maple_tree.  NONE: all of it was seen; TORN, BUDGET;
 * UNSUPPORTED: this kernel's types have no maple tree of a known form. */
MonattReason maple_walk(CheckContext *context, uint64_t tree, MapleVisit visit, void *user);

#endif
