/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-change.c - changes of single words and pages among those that were read
 */
#include "tests/fuzz/walk-change.h"

#include <string.h>
#include "libmonatt/base/macros.h"
#include "tests/fuzz/fuzz.h"

#define TRIES 8 /* for a word that is worth it */
#define ADDRESS_BITS 0x000ffffffffff000ull
#define HOLE 0xe0000000ull /* where PCI devices lie */
#define KERNEL_HALF 0xffff800000000000ull
#define PAGE_CHANCE 40 /* one in so many is a whole page */
#define SPECIAL_CHANCE 50

static uint64_t direct_map;

uint64_t walk_random(WalkRandom *random)
{
    /* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

uint64_t walk_random_below(WalkRandom *random, uint64_t limit)
{
    return limit ? walk_random(random) % limit : 0;
}

void walk_change_prepare(GuestKernel *kernel)
{
    if (kernel->symbols.page_offset_base == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.page_offset_base, &direct_map)) {
        direct_map = 0xffff888000000000ull; /* Documentation/arch/x86/x86_64/mm.rst */
    }
    walk_special_prepare(kernel, direct_map);
}

static bool looks_like_entry(uint64_t value)
{
    return (value & 1) && (value & ADDRESS_BITS) < walk_memory_size() &&
           (value >> 52 & 0x7ff) == 0 && value > GUEST_PAGE_SIZE;
}

static bool looks_like_pointer(uint64_t value)
{
    return value >= KERNEL_HALF && value < UINT64_MAX - GUEST_PAGE_SIZE;
}

/* Of all the words one that something is likely to follow. */
static uint64_t choose(const WalkWords *words, WalkRandom *random)
{
    uint64_t address = 0;
    for (int i = 0; i < TRIES; i++) {
        static const uint8_t classes[] = {WALK_SMALL,     WALK_SMALL,     WALK_SMALL,
                                          WALK_SMALL,     WALK_STRUCTURE, WALK_STRUCTURE,
                                          WALK_STRUCTURE, WALK_BULK};
        uint8_t class = classes[walk_random_below(random, sizeof(classes))];
        for (int k = 0; words->counts[class] == 0 && k < WALK_CLASSES; k++) {
            class = (class + 1) % WALK_CLASSES;
        }
        if (words->counts[class] == 0) {
            return 0;
        }
        address = WALK_WORD *
                  (uint64_t)words->words[class][walk_random_below(random, words->counts[class])];
        uint64_t value = walk_memory_u64(address);
        if (looks_like_pointer(value) || looks_like_entry(value) ||
            walk_random_below(random, value == 0 ? 6 : 3) == 0) {
            break;
        }
    }
    return address;
}

static uint64_t wild_pointer(uint64_t value, WalkRandom *random)
{
    const uint64_t size = walk_memory_size();
    const uint64_t wild[] = {0,
                             1,
                             0x1000,
                             0x7fffffffe000ull,     /* the user's */
                             0x8000000000000000ull, /* not canonical */
                             0xffff7fffffffffffull, /* not canonical */
                             value | 1,             /* unaligned */
                             value + 3,
                             direct_map + size - 1, /* the last byte of RAM */
                             direct_map + size - 4,
                             direct_map + size, /* behind it */
                             direct_map + HOLE,
                             UINT64_MAX,
                             UINT64_MAX - 4095,
                             UINT64_MAX - 7,
                             0xffffffffc0000000ull, /* modules */
                             0xffffc90000000000ull, /* vmalloc */
                             direct_map - 8,
                             value & ~(uint64_t)0xfff};
    return wild[walk_random_below(random, MONATT_ARRAY_SIZE(wild))];
}

static uint64_t wild_count(uint64_t value, WalkRandom *random)
{
    static const uint64_t counts[] = {0,           1,          2,          0x7f,       0xff,
                                      0xffff,      0x100000,   0x7fffffff, 0x80000000, 0xffffffff,
                                      0x100000000, UINT64_MAX, 0xfffffff0, 4096,       0x8000};
    uint64_t count = counts[walk_random_below(random, MONATT_ARRAY_SIZE(counts))];
    unsigned shift = 8 * (unsigned)walk_random_below(random, 8);

    switch (walk_random_below(random, 4)) {
    case 0:
        return count;
    case 1: /* of 32 bits, in either half */
        shift = shift >= 32 ? 32 : 0;
        return (value & ~(0xffffffffull << shift)) | (count & 0xffffffff) << shift;
    case 2:
        shift &= 48;
        return (value & ~(0xffffull << shift)) | (count & 0xffff) << shift;
    default:
        return (value & ~(0xffull << shift)) | (count & 0xff) << shift;
    }
}

static uint64_t wild_entry(uint64_t address, uint64_t value, WalkRandom *random)
{
    switch (walk_random_below(random, 7)) {
    case 0: /* its own table: a loop, or as a leaf a window on it */
        return (address & ~(uint64_t)(GUEST_PAGE_SIZE - 1)) | 0x63;
    case 1: /* a large page where a table was, or the other way round */
        return value ^ 0x80;
    case 2:
        return value ^ 1;
    case 3: /* behind RAM */
        return (value & ~ADDRESS_BITS) | (walk_memory_size() + GUEST_PAGE_SIZE) | 1;
    case 4:
        return value ^ 1ull << 63;
    case 5:
        return (value & ~ADDRESS_BITS) | ADDRESS_BITS | 0x63;
    default: /* another page of RAM */
        return (value & ~ADDRESS_BITS) |
               (walk_random_below(random, walk_memory_size()) & ADDRESS_BITS) | 0x63;
    }
}

/* An address of the kernel for a word of RAM, with the tag bits that value has. */
static uint64_t pointer_to(uint64_t address, uint64_t value)
{
    return (direct_map + address) | (value & 3);
}

static uint64_t new_value(const WalkWords *words, uint64_t address, WalkRandom *random)
{
    uint64_t value = walk_memory_u64(address);
    uint64_t kind = walk_random_below(random, 12);

    if (looks_like_entry(value) && kind < 7) {
        return wild_entry(address, value, random);
    }
    switch (kind) {
    case 0:
        return value ^ 1ull << walk_random_below(random, 64);
    case 1: /* a ring of one */
        return pointer_to(address, value);
    case 2: /* wherever another word lies that was read, mostly one of the same structures */
        return pointer_to(choose(words, random), value);
    case 3:
    case 4: /* what another one points to: a cycle among real nodes */
        return walk_memory_u64(choose(words, random));
    case 5:
    case 6:
        return wild_pointer(value, random);
    case 7:
    case 8:
        return wild_count(value, random);
    case 9:
        return value + (walk_random_below(random, 2) ? 8 : (uint64_t)-8);
    case 10:
        return 0;
    default:
        return walk_random(random);
    }
}

static void change_page(WalkPoke *poke, const WalkWords *words, WalkRandom *random)
{
    uint64_t kind = walk_random_below(random, 4);
    poke->address &= ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    poke->size = GUEST_PAGE_SIZE;
    for (size_t at = 0; at < GUEST_PAGE_SIZE; at += WALK_WORD) {
        uint64_t value = kind == 0   ? 0
                         : kind == 1 ? walk_random(random)
                         : kind == 2 ? UINT64_MAX
                                     : pointer_to(choose(words, random), 0);
        memcpy(poke->bytes + at, &value, sizeof(value));
    }
}

void walk_change_make(const WalkWords *words, bool special, WalkRandom *random,
                      WalkChange *ret_change)
{
    size_t specials = 0;

    ret_change->special = NULL;
    ret_change->number = walk_random(random);
    ret_change->count = 1 + walk_random_below(random, walk_random_below(random, WALK_POKES) + 1);
    while (walk_special_name(specials)) {
        specials++;
    }
    if (special && walk_random_below(random, SPECIAL_CHANCE) == 0) {
        ret_change->special = walk_special_name(walk_random_below(random, specials));
        ret_change->count = walk_random_below(random, 2);
    }
    for (size_t i = 0; i < ret_change->count; i++) {
        WalkPoke *poke = &ret_change->pokes[i];
        poke->address = choose(words, random);
        if (walk_random_below(random, PAGE_CHANCE) == 0) {
            change_page(poke, words, random);
        } else {
            uint64_t value = new_value(words, poke->address, random);
            poke->size = sizeof(value);
            memcpy(poke->bytes, &value, sizeof(value));
        }
    }
}

void walk_change_apply(const WalkChange *change)
{
    if (change->special) {
        require(walk_special_apply(change->special, change->number));
    }
    for (size_t i = 0; i < change->count; i++) {
        walk_memory_put(change->pokes[i].address, change->pokes[i].bytes, change->pokes[i].size);
    }
}
