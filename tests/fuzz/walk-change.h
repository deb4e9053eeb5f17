/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-change.h - what a hostile guest may have written where introspection looks
 *
 * Decided by a number alone, over RAM as it was: the same number gives the same change.
 */
#ifndef MONATT_TESTS_WALK_CHANGE_H
#define MONATT_TESTS_WALK_CHANGE_H

#include "host-collector/sources/introspection/guest-kernel.h"
#include "tests/fuzz/walk-memory.h"

#define WALK_POKES 8

typedef struct WalkPoke {
    uint64_t address; /* guest-physical */
    uint32_t size;
    uint8_t bytes[GUEST_PAGE_SIZE];
} WalkPoke;

typedef struct WalkChange {
    size_t count;
    WalkPoke pokes[WALK_POKES];
    const char *special; /* NULL, or the name of a larger structure, built by number */
    uint64_t number;
} WalkChange;

typedef struct WalkRandom {
    uint64_t state;
} WalkRandom;

uint64_t walk_random(WalkRandom *random);
uint64_t walk_random_below(WalkRandom *random, uint64_t limit);

/* Once, over clean RAM: where the direct map begins, and pages that nobody reads. */
void walk_change_prepare(GuestKernel *kernel);
/* 1 to WALK_POKES of the words, or now and then a special one. */
void walk_change_make(const WalkWords *words, bool special, WalkRandom *random,
                      WalkChange *ret_change);
void walk_change_apply(const WalkChange *change);

/* Special changes (walk-special.c): by number; NULL behind the last. */
const char *walk_special_name(size_t index);
void walk_special_prepare(GuestKernel *kernel, uint64_t direct);
/* false: there is no such one. */
bool walk_special_apply(const char *name, uint64_t number);

#endif
