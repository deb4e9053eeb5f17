/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page-walk.c - every executable page of the kernel half of the guest's page tables
 *
 * Rights add up over the levels (Intel SDM volume 3, 4.6): a page is writable or the user's when
 * all entries to it say so, and not executable when one of them forbids it.
 */
#include "host-collector/sources/introspection/checks/page-walk.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define PRESENT 0x1ull
#define WRITABLE 0x2ull
#define USER 0x4ull
#define LARGE 0x80ull
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull
#define LARGE_LEVEL_LAST 2
#define ENTRIES 512u
#define FIRST_CAPACITY 256

typedef struct Rights {
    bool writable, executable, user;
} Rights;

static Rights narrow(Rights above, uint64_t entry)
{
    return (Rights){.writable = above.writable && (entry & WRITABLE),
                    .executable = above.executable && !(entry & NO_EXECUTE),
                    .user = above.user && (entry & USER)};
}

static uint64_t sign_extend(uint64_t address, unsigned levels)
{
    unsigned unused = 64 - (12 + 9 * levels);
    return (uint64_t)((int64_t)(address << unused) >> unused);
}

static void add(PageWalk *walk, uint64_t start, uint64_t size, uint64_t physical, Rights rights)
{
    PageRun *last = walk->count ? &walk->runs[walk->count - 1] : NULL;

    if (last && last->end == start && last->physical + (start - last->start) == physical &&
        last->writable == rights.writable && last->user == rights.user) {
        last->end = start + size;
        return;
    }
    if (walk->count == walk->capacity) {
        size_t capacity = walk->capacity ? 2 * walk->capacity : FIRST_CAPACITY;
        PageRun *runs;
        if (walk->count >= PAGE_WALK_RUNS) {
            walk->cut = true;
            return;
        }
        runs = realloc(walk->runs, capacity * sizeof(*runs));
        if (!runs) {
            walk->failed = true;
            return;
        }
        walk->runs = runs;
        walk->capacity = capacity;
    }
    walk->runs[walk->count++] = (PageRun){.start = start,
                                          .end = start + size,
                                          .physical = physical,
                                          .writable = rights.writable,
                                          .user = rights.user};
}

static void guard(PageWalk *walk, uint64_t address, uint64_t size, uint64_t physical)
{
    for (size_t i = 0; i < walk->guard_count; i++) {
        if (physical < walk->guards[i].end && physical + size > walk->guards[i].start) {
            if (walk->alias_count < PAGE_WALK_ALIASES) {
                walk->aliases[walk->alias_count] =
                    (PageAlias){.address = address, .size = size, .physical = physical};
            }
            walk->alias_count++;
            return;
        }
    }
}

/* Recursion as deep as there are levels. */
static void walk_table(const AddressSpace *space, PageWalk *walk, uint64_t table, unsigned level,
                       uint64_t base, Rights above, unsigned first)
{
    uint64_t entries[ENTRIES];
    unsigned shift = 12 + 9 * level;

    if (walk->tables >= PAGE_WALK_TABLES || walk->failed) {
        walk->cut = true;
        return;
    }
    walk->tables++;
    if (!guest_memory_copy(space->memory, table, entries, sizeof(entries))) {
        walk->outside++;
        return;
    }
    for (unsigned i = first; i < ENTRIES; i++) {
        uint64_t entry = le64toh(entries[i]);
        uint64_t address = sign_extend(base + ((uint64_t)i << shift), space->levels);
        Rights rights;
        if (!(entry & PRESENT)) {
            continue;
        }
        rights = narrow(above, entry);
        if (level > 0 && !(entry & LARGE)) {
            walk_table(space, walk, entry & ADDRESS, level - 1, address, rights, 0);
        } else if (level <= LARGE_LEVEL_LAST) {
            uint64_t physical = entry & ADDRESS & ~((1ull << shift) - 1);
            if (rights.executable) {
                add(walk, address, 1ull << shift, physical, rights);
            }
            if (rights.writable) {
                guard(walk, address, 1ull << shift, physical);
            }
        }
    }
}

void page_walk_read(const AddressSpace *space, PageWalk *walk)
{
    Rights all = {.writable = true, .executable = true, .user = true};

    walk->count = walk->alias_count = 0;
    walk->tables = walk->outside = 0;
    walk->cut = walk->failed = false;
    walk_table(space, walk, space->root, space->levels - 1, 0, all, ENTRIES / 2);
}

void page_walk_clear(PageWalk *walk)
{
    free(walk->runs);
    memset(walk, 0, sizeof(*walk));
}

bool page_walk_leaf(const AddressSpace *space, uint64_t address, PageLeaf *ret_leaf)
{
    Rights rights = {.writable = true, .executable = true, .user = true};
    uint64_t table = space->root;

    for (unsigned level = space->levels; level-- > 0;) {
        unsigned shift = 12 + 9 * level;
        uint64_t entry, inside = (1ull << shift) - 1;

        if (!guest_memory_copy(space->memory, table + (address >> shift) % ENTRIES * sizeof(entry),
                               &entry, sizeof(entry))) {
            return false;
        }
        entry = le64toh(entry);
        if (!(entry & PRESENT)) {
            return false;
        }
        rights = narrow(rights, entry);
        if (level == 0 || (entry & LARGE)) {
            *ret_leaf = (PageLeaf){.physical = (entry & ADDRESS & ~inside) | (address & inside),
                                   .size = 1ull << shift,
                                   .writable = rights.writable,
                                   .executable = rights.executable,
                                   .user = rights.user};
            return level <= LARGE_LEVEL_LAST;
        }
        table = entry & ADDRESS;
    }
    return false;
}
