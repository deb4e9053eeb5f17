/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-memory.h - a guest's RAM as a private copy that can be changed and put back, and what of it
 * was read
 *
 * Reads are seen because the linker gives us guest_memory_copy()'s calls (--wrap): the product has
 * no hook for it and pays nothing.
 */
#ifndef MONATT_TESTS_WALK_MEMORY_H
#define MONATT_TESTS_WALK_MEMORY_H

#include "host-collector/sources/introspection/guest-memory.h"

#define WALK_WORD 8u

/* By the size of the read: pointers, counts and entries; structures; whole pages and text. */
typedef enum WalkClass {
    WALK_SMALL,
    WALK_STRUCTURE,
    WALK_BULK,
    WALK_CLASSES,
} WalkClass;

/* The words (guest-physical address / WALK_WORD) that a run read, each once, ascending. */
typedef struct WalkWords {
    uint32_t *words[WALK_CLASSES];
    size_t counts[WALK_CLASSES];
} WalkWords;

extern GuestMemory walk_memory;
extern uint64_t walk_reads; /* calls of guest_memory_copy() so far */

/* A private copy of a RAM file that lies at 0, whole; NULL: the invented guest of tests/lib. */
bool walk_memory_open(const char *path, MonattError *err) MONATT_MUST_CHECK;
uint64_t walk_memory_size(void);
/* Outside RAM: 0. */
uint64_t walk_memory_u64(uint64_t address);
/* Writes what of it lies in RAM and remembers what was there. */
void walk_memory_put(uint64_t address, const void *bytes, size_t size);
/* All that was put, the last first. */
void walk_memory_undo(void);
/* size bytes of RAM as they are now; NULL: not all of it is RAM. */
const uint8_t *walk_memory_at(uint64_t address, size_t size);

/* Between the two every read is noted; the words are the caller's (until the program ends).
 * attach: the look at the head of each page, which finds the kernel, is left out. */
void walk_record_begin(bool attach);
void walk_record_end(WalkWords *ret_words);

#endif
