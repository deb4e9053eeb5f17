/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page-walk.h - every executable page of the kernel half of the guest's page tables
 *
 * The tables are read whole, each at most once for each place that points to it and within a
 * budget: a guest may bend them into rings, or let them point to where no RAM is.
 */
#ifndef MONATT_INTROSPECTION_PAGE_WALK_H
#define MONATT_INTROSPECTION_PAGE_WALK_H

#include <stddef.h>
#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/walk-budget.h"

#define PAGE_WALK_RUNS 65536u   /* executable runs; more make the walk incomplete */
#define PAGE_WALK_TABLES 65536u /* tables of one walk: 128 GiB in pages of 4 KiB */

/* Pages that follow each other in both kinds of addresses, and have the same rights. */
typedef struct PageRun {
    uint64_t start;    /* guest-virtual */
    uint64_t end;      /* exclusive; 0: the end of the address space */
    uint64_t physical; /* of start */
    bool writable;
    bool user;
} PageRun;

/* Guest-physical bytes that nothing may be able to write, and where something does. */
#define PAGE_WALK_GUARDS 4
#define PAGE_WALK_ALIASES 64
typedef struct PageGuard {
    uint64_t start;
    uint64_t end;
} PageGuard;
typedef struct PageAlias {
    uint64_t address; /* guest-virtual, of the page that is writable */
    uint64_t size;
    uint64_t physical;
} PageAlias;

typedef struct PageWalk {
    PageGuard guards[PAGE_WALK_GUARDS]; /* set before page_walk_read() */
    size_t guard_count;
    PageAlias aliases[PAGE_WALK_ALIASES];
    size_t alias_count; /* all of them, the ones not kept too */
    PageRun *runs;      /* owned, ascending */
    size_t count;
    size_t capacity;
    uint64_t tables;  /* that were read */
    uint64_t outside; /* entries that lead to a table where no RAM is */
    bool cut;         /* more runs or tables than the bounds allow */
    bool failed;      /* out of memory */
} PageWalk;

/* Fills walk (which is all zeros but its guards, or was used before) with what may be executed,
 * and where the guarded bytes may be written. */
void page_walk_read(const AddressSpace *space, PageWalk *walk);
void page_walk_clear(PageWalk *walk);

/* What maps one address, rights of all levels together. */
typedef struct PageLeaf {
    uint64_t physical; /* of the address asked for */
    uint64_t size;     /* of the page */
    bool writable;
    bool executable;
    bool user;
} PageLeaf;
/* False: not mapped, or not by a table in RAM. */
bool page_walk_leaf(const AddressSpace *space, uint64_t address,
                    PageLeaf *ret_leaf) MONATT_MUST_CHECK;

#endif
