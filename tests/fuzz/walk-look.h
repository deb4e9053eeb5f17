/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-look.h - the looks at RAM that a change is made for, and what each of them promises
 */
#ifndef MONATT_TESTS_WALK_LOOK_H
#define MONATT_TESTS_WALK_LOOK_H

#include "tests/fuzz/walk-memory.h"

#define WALK_LOOKS 48

typedef struct WalkLook {
    const char *name; /* of a check, or "tables", "task-views", "all", "attach" */
    uint64_t checks;  /* bits of check_table */
    unsigned weight;  /* how often, by its cost */
    bool cold;        /* from nothing, at each time */
    bool special;     /* larger changes too */
    uint64_t clean_us;
    WalkWords words;
} WalkLook;

extern WalkLook walk_looks[WALK_LOOKS];
extern size_t walk_look_count;

/* Finds the kernel, lets each look run over clean RAM and notes what it reads.  image: of the
 * measured kernel, or NULL.  only: the name of the one look that is wanted, or NULL. */
bool walk_looks_prepare(const char *image, const char *only, MonattError *err) MONATT_MUST_CHECK;
/* NULL: there is none. */
WalkLook *walk_look_named(const char *name);
/* Runs it; ends the program where it breaks a promise.  with_image: of a cold one. */
void walk_look_run(const WalkLook *look, bool with_image);
/* Heap in use, and the most of it since the program began: in bytes, as far as they are known. */
uint64_t walk_heap(void);
uint64_t walk_heap_peak(void);

#endif
