/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms-shape.c - finds kallsyms where VMCOREINFO does not name them: Linux before 6.0
 *
 * scripts/kallsyms.c of 5.10 to 5.19 writes into .rodata, each part at a multiple of 8: offsets and
 * relative base (or addresses), num_syms, names, markers, token_table, token_index.  Digits stand
 * for themselves, so "0", "1" … "9" are tokens 48 to 57; the 256 offsets in the index must then be
 * where the 256 tokens begin, which leaves no room for chance.  From there it goes backwards.
 *
 * Must never believe a count: everything is bounded by this file's numbers.
 */
#include "host-collector/sources/introspection/kallsyms.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_BYTES (64ull * 1024 * 1024) /* behind _stext; Debian's rodata ends at 40 MiB */
#define TOKENS 256
#define FIRST_DIGIT 48u
#define TABLE_BYTES 8192u /* tokens and index; Debian's take 1.5 KiB */
#define MARKERS_MAXIMUM (KALLSYMS_MAXIMUM / 256 + 1)
#define NAMES_PER_MARKER 256u
#define LAST_NAMES_BYTES (256u * 130)
#define LONG_LENGTH 0x80u
#define COUNTS_MAXIMUM 16 /* numbers that the markers allow; Debian's have one */
#define HITS_MAXIMUM 64   /* places with ten digits in a row that are looked at */

static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009"; /* with the last 0 */

static uint64_t align8(uint64_t address)
{
    return (address + 7) & ~7ull;
}

/* digit: where "0" stands.  Sets tokens and index when all 256 are as they must be. */
static bool read_tokens(AddressSpace *space, uint64_t digit, KallsymsPlaces *places)
{
    char text[TABLE_BYTES];
    uint16_t index[TOKENS];
    size_t size = GUEST_PAGE_SIZE - (digit & (GUEST_PAGE_SIZE - 1)), at = 0;

    /* Two pages at most, and only one when the next is not mapped. */
    if (!address_space_read(space, digit, text, size)) {
        return false;
    }
    if (address_space_read(space, digit + size, text + size, GUEST_PAGE_SIZE)) {
        size += GUEST_PAGE_SIZE;
    }
    for (unsigned token = FIRST_DIGIT; token < TOKENS; token++) {
        const char *end = memchr(text + at, '\0', size - at);
        if (!end || end == text + at) {
            return false;
        }
        at = (size_t)(end - text) + 1;
    }
    places->index = align8(digit + at);
    if (!address_space_read(space, places->index, index, sizeof(index)) || index[0] != 0) {
        return false;
    }
    places->tokens = digit - le16toh(index[FIRST_DIGIT]);
    at = 0;
    size = (size_t)(places->index - places->tokens);
    if (size > sizeof(text) || !address_space_read(space, places->tokens, text, size)) {
        return false;
    }
    for (unsigned token = 0; token < TOKENS; token++) {
        const char *end = at < size ? memchr(text + at, '\0', size - at) : NULL;
        if (!end || le16toh(index[token]) != at) {
            return false;
        }
        at = (size_t)(end - text) + 1;
    }
    return true;
}

/* Whether 256 names from here on are markers[1] bytes: what a marker says. */
static bool names_fit(AddressSpace *space, uint64_t names, uint32_t second_marker)
{
    uint64_t at = names;

    for (unsigned i = 0; i < NAMES_PER_MARKER; i++) {
        uint8_t length[2];
        if (at - names > second_marker || !address_space_read(space, at, length, 2)) {
            return false;
        }
        at += 1 + (uint64_t)(length[0] & LONG_LENGTH
                                 ? (length[0] & ~LONG_LENGTH) + ((unsigned)length[1] << 7) + 1
                                 : length[0]);
    }
    return at - names == second_marker;
}

static bool read_markers(AddressSpace *space, uint64_t tokens, uint64_t *ret_markers,
                         uint32_t *ret_count, uint32_t *ret_second, uint32_t *ret_last)
{
    uint64_t at = tokens - 4;
    uint32_t value, before, count = 1;

    if (!address_space_u32(space, at, &value)) {
        return false;
    }
    if (value == 0) { /* padding of an odd number of markers */
        at -= 4;
        if (!address_space_u32(space, at, &value)) {
            return false;
        }
    }
    *ret_last = value;
    *ret_second = value;
    while (value != 0) {
        if (count++ == MARKERS_MAXIMUM || !address_space_u32(space, at - 4, &before) ||
            before >= value) {
            return false;
        }
        *ret_second = value;
        value = before;
        at -= 4;
    }
    *ret_markers = at;
    *ret_count = count;
    return count > 1;
}

/* Names begin 8 bytes behind their number, which the markers tell to within 256. */
static bool read_number(AddressSpace *space, KallsymsPlaces *places, uint32_t *ret_number)
{
    uint64_t markers;
    uint32_t count, second, last;
    int tries = 0;

    if (!read_markers(space, places->tokens, &markers, &count, &second, &last)) {
        return false;
    }
    for (uint64_t back = last; back <= (uint64_t)last + LAST_NAMES_BYTES && tries < COUNTS_MAXIMUM;
         back++) {
        uint64_t at = markers - back - 8;
        uint32_t number;

        if (at % 8 != 0 || !address_space_u32(space, at, &number) ||
            number <= (count - 1) * NAMES_PER_MARKER || number > count * NAMES_PER_MARKER) {
            continue;
        }
        tries++;
        if (!names_fit(space, at + 8, second)) {
            continue;
        }
        places->number = at;
        places->names = at + 8;
        *ret_number = number;
        return true;
    }
    return false;
}

static bool try_digits(AddressSpace *space, uint64_t digit, KallsymsPlaces *places)
{
    uint64_t base;
    uint32_t number;

    *places = (KallsymsPlaces){0};
    if (!read_tokens(space, digit, places) || !read_number(space, places, &number)) {
        return false;
    }
    /*
     * Before the number stands an address of the kernel: the relative base, or in the absolute
     * form that of the last symbol.  Then the word before it is one too; two offsets never look
     * like one, since the last symbols lie megabytes from the base.
     */
    if (!address_space_u64(space, places->number - 8, &base)) {
        return false;
    }
    places->addresses = places->number - (uint64_t)number * 8;
    if (base >> 63 != 1 || !address_space_u64(space, places->number - 16, &base)) {
        return false;
    }
    if (base >> 32 != 0xffffffffu) {
        places->addresses = 0;
        places->base = places->number - 8;
        places->offsets = places->base - align8((uint64_t)number * 4);
    }
    return true;
}

bool kallsyms_locate(AddressSpace *space, uint64_t stext, KallsymsPlaces *ret_places)
{
    const size_t keep = sizeof(digits) - 1;
    uint64_t begin = stext & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    uint8_t bytes[sizeof(digits) + GUEST_PAGE_SIZE];
    size_t before = 0; /* bytes of the page before that are still looked at */
    int hits = 0;

    for (uint64_t page = begin; page - begin < SEARCH_BYTES; page += GUEST_PAGE_SIZE) {
        const uint8_t *hit = bytes;
        size_t size = before + GUEST_PAGE_SIZE;

        if (!address_space_read(space, page, bytes + before, GUEST_PAGE_SIZE)) {
            before = 0;
            continue;
        }
        while (hits < HITS_MAXIMUM &&
               (hit = memmem(hit, size - (size_t)(hit - bytes), digits, sizeof(digits)))) {
            if (try_digits(space, page - before + (uint64_t)(hit - bytes), ret_places)) {
                return true;
            }
            hit++;
            hits++;
        }
        memmove(bytes, bytes + size - keep, keep);
        before = keep;
    }
    return false;
}
