/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xarray-walk.h - every entry of an XArray or IDR of the guest's
 *
 * XArray entries, include/linux/xarray.h: an internal one (binary …10) above 4096 is a node; a
 * pointer ends in 00.  A child's shift is its parent's less 6 and it points back, so no walk is
 * deeper than 11 nodes and no node leads into a loop.
 */
#ifndef MONATT_INTROSPECTION_XARRAY_WALK_H
#define MONATT_INTROSPECTION_XARRAY_WALK_H

#include "host-collector/sources/introspection/guest-kernel.h"
#include "host-collector/sources/introspection/walk-budget.h"

/* entry: a pointer of the guest's, not 0.  What is not NONE ends the walk and is its result. */
typedef MonattReason (*XArrayVisit)(void *user, uint64_t index, uint64_t entry);

/* root: the word xa_head. */
bool xarray_is_node(uint64_t root);
/* NONE: whole; TORN: read it again; BUDGET.  A root that is a pointer is the entry 0. */
MonattReason xarray_walk(GuestKernel *kernel, uint64_t root, WalkBudget *budget, XArrayVisit visit,
                         void *user);

#endif
