/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-kernel-rodata.c - the kernel's constants against the measured kernel (facts of 2.1)
 *
 * Three parts of it change on a healthy machine: what is read-only after init only (data, not
 * compared), and the tables of static keys and static calls, which the kernel sorts: of these the
 * set of entries must be the one that was built.  Everything else must be equal, kallsyms and BTF
 * among it, which all other checks rest on.
 */
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "libmonatt/base/text.h"

#define RODATA_MAXIMUM (64u * 1024 * 1024)
#define TABLE_MAXIMUM (8u * 1024 * 1024)
#define RANGES_MAXIMUM 32
#define SHOWN_MAXIMUM 16
#define OPTION_MARK '!' /* of the strings that the RDT quirk cuts into words, in place */
#define INIT_FLAG 2ull  /* of a key: the place lies in init text; the kernel sets it */

typedef struct Span {
    uint64_t from;
    uint64_t to;
} Span;

typedef struct RodataState {
    uint8_t *now;
    size_t size;
    bool sorted_good[2]; /* the table was a permutation when its digest was this */
    uint8_t sorted[2][SHA256_DIGEST_SIZE];
} RodataState;

typedef struct SortedTable {
    const char *start;
    const char *stop;
    const char *name;
    size_t entry;
} SortedTable;

static const SortedTable sorted_tables[2] = {
    {"__start___jump_table", "__stop___jump_table", "table of static keys", 16},
    {"__start_static_call_sites", "__stop_static_call_sites", "table of static calls", 8},
};

static void clear(void *pointer)
{
    RodataState *state = pointer;
    free(state->now);
    free(state);
}

static bool span_of(const KernelImage *image, const char *from, const char *to, Span *ret)
{
    return kernel_image_symbol(image, from, &ret->from) &&
           kernel_image_symbol(image, to, &ret->to) && ret->to >= ret->from;
}

/* An entry as what it means: places are relative to where they stand. */
typedef struct Entry {
    uint64_t code;
    uint64_t target;
    uint64_t key;
} Entry;

static int compare_entries(const void *a, const void *b)
{
    const Entry *left = a, *right = b;
    if (left->code != right->code) {
        return left->code < right->code ? -1 : 1;
    }
    if (left->target != right->target) {
        return left->target < right->target ? -1 : 1;
    }
    return left->key < right->key ? -1 : left->key > right->key;
}

static Entry *read_entries(uint64_t address, const uint8_t *bytes, size_t size, size_t entry)
{
    size_t count = size / entry;
    Entry *entries = malloc((count + 1) * sizeof(*entries));

    for (size_t i = 0; entries && i < count; i++) {
        const uint8_t *at = bytes + i * entry;
        uint64_t place = address + i * entry;
        entries[i].code = place + (uint64_t)(int64_t)text_s32(at);
        entries[i].target = entry == 16 ? place + 4 + (uint64_t)(int64_t)text_s32(at + 4) : 0;
        entries[i].key = (entry == 16 ? place + 8 + text_u64(at + 8)
                                      : place + 4 + (uint64_t)(int64_t)text_s32(at + 4)) &
                         ~INIT_FLAG;
    }
    if (entries) {
        qsort(entries, count, sizeof(*entries), compare_entries);
    }
    return entries;
}

static void find_entry(CheckContext *context, const SortedTable *table, const Entry *built,
                       const Entry *now)
{
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];
    char site[CHECK_OBJECT_SIZE];

    check_name_address(context, built->code, site);
    snprintf(object, sizeof(object), "%s", site);
    snprintf(expected, sizeof(expected), "target %#lx, key %#lx", (unsigned long)built->target,
             (unsigned long)built->key);
    snprintf(observed, sizeof(observed), "site %#lx, target %#lx, key %#lx",
             (unsigned long)now->code, (unsigned long)now->target, (unsigned long)now->key);
    check_found(context, CHECK_COMPROMISED, built->code, object, expected, observed, "",
                "an entry of the %s is not as it was built", table->name);
}

/* Whether the guest's table has the entries that were built, in any order. */
static void compare_sorted(CheckContext *context, const KernelImage *image, RodataState *state,
                           size_t index)
{
    const SortedTable *table = &sorted_tables[index];
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    const uint8_t *built;
    Span span;

    if (!span_of(image, table->start, table->stop, &span) || span.to - span.from > TABLE_MAXIMUM) {
        return;
    }
    size_t size = span.to - span.from;
    uint8_t *now MONATT_CLEANUP_FREE = malloc(size + 1);
    built = kernel_image_at(image, span.from, size);
    if (!now || !built || !address_space_read(&context->kernel->space, span.from, now, size)) {
        check_reason(context, MONATT_REASON_TORN, "the %s is not mapped", table->name);
        return;
    }
    sha256_init(&hash);
    sha256_update(&hash, size, now);
    sha256_digest(&hash, sizeof(digest), digest);
    check_count(context, "sorted entries", size / table->entry);
    if (state->sorted_good[index] && memcmp(digest, state->sorted[index], sizeof(digest)) == 0) {
        return;
    }
    Entry *left MONATT_CLEANUP_FREE = read_entries(span.from, built, size, table->entry);
    Entry *right MONATT_CLEANUP_FREE = read_entries(span.from, now, size, table->entry);
    bool good = left && right;
    for (size_t i = 0; good && i < size / table->entry; i++) {
        if (compare_entries(&left[i], &right[i]) != 0) {
            find_entry(context, table, &left[i], &right[i]);
            good = false; /* all behind it are shifted against each other */
        }
    }
    state->sorted_good[index] = good;
    memcpy(state->sorted[index], digest, sizeof(digest));
}

/* Where the last section of rodata ends: the rest of its page is freed and used for other things.
 */
static uint64_t rodata_end(const KernelImage *image, const Span *all)
{
    uint64_t end = all->from;

    for (size_t i = 0; i < image->section_count; i++) {
        const KernelSection *section = &image->sections[i];
        uint64_t from = section->address + image->slide;
        if (from >= all->from && from < all->to && from + section->size > end) {
            end = from + section->size;
        }
    }
    return end < all->to ? end : all->to;
}

/* A comma that strsep() of the RDT quirk has cut out of "!cmt,!mbmtotal,…". */
static bool is_cut_option(const uint8_t *built, const uint8_t *now, size_t at)
{
    size_t begin = at;

    while (begin > 0 && built[begin - 1] != '\0' && at - begin < 128) {
        begin--;
    }
    return built[at] == ',' && now[at] == '\0' && built[begin] == OPTION_MARK;
}

static void find_range(CheckContext *context, uint64_t address, const uint8_t *built,
                       const uint8_t *now, size_t size)
{
    size_t shown = size < SHOWN_MAXIMUM ? size : SHOWN_MAXIMUM;
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];

    check_name_address(context, address, object);
    uint64_t offset;
    char name[KALLSYMS_NAME_MAXIMUM];
    if (guest_kernel_symbol_at(context->kernel, address, name, &offset)) {
        snprintf(object, sizeof(object), "%.48s+%#lx", name, (unsigned long)offset);
    }
    monatt_text_from_bytes(built, shown, expected);
    monatt_text_from_bytes(now, shown, observed);
    check_found(context, CHECK_COMPROMISED, address, object, expected, observed, "",
                "%zu bytes of the kernel's constants are not as they were built", size);
}

/* The part that is equal to what was built, page by page. */
static size_t compare_bytes(CheckContext *context, uint64_t address, const uint8_t *built,
                            const uint8_t *now, size_t size, size_t *ranges)
{
    size_t total = 0;

    for (size_t at = 0; at < size;) {
        size_t page = size - at < GUEST_PAGE_SIZE ? size - at : GUEST_PAGE_SIZE;
        size_t end;

        if (memcmp(built + at, now + at, page) == 0) {
            at += page;
            continue;
        }
        while (built[at] == now[at]) {
            at++;
        }
        for (end = at; end < size && built[end] != now[end]; end++) {
        }
        if (end - at != 1 || !is_cut_option(built, now, at)) {
            total += end - at;
            if ((*ranges)++ < RANGES_MAXIMUM) {
                find_range(context, address + at, built + at, now + at, end - at);
            }
        }
        at = end;
    }
    return total;
}

static int compare_spans(const void *a, const void *b)
{
    const Span *left = a, *right = b;
    return left->from < right->from ? -1 : left->from > right->from;
}

static void compare(CheckContext *context, const KernelImage *image, bool first, RodataState *state,
                    Span all)
{
    const uint8_t *built = kernel_image_at(image, all.from, state->size);
    size_t total = 0, ranges = 0, skipped = 0, count = 0;
    Span spans[4];
    uint64_t at = all.from;

    if (!built || !address_space_read(&context->kernel->space, all.from, state->now, state->size)) {
        check_reason(context, MONATT_REASON_TORN, "the kernel's constants are not mapped");
        return;
    }
    if (span_of(image, "__start_ro_after_init", "__end_ro_after_init", &spans[count])) {
        count++;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(sorted_tables); i++) {
        if (span_of(image, sorted_tables[i].start, sorted_tables[i].stop, &spans[count])) {
            count++;
        }
    }
    qsort(spans, count, sizeof(spans[0]), compare_spans);
    spans[count++] = (Span){all.to, all.to};
    for (size_t i = 0; i < count; i++) {
        if (spans[i].from > at && spans[i].from <= all.to) {
            size_t offset = at - all.from;
            total += compare_bytes(context, at, built + offset, state->now + offset,
                                   spans[i].from - at, &ranges);
        }
        if (spans[i].to > at) {
            skipped += spans[i].to - (spans[i].from > at ? spans[i].from : at);
            at = spans[i].to;
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(sorted_tables); i++) {
        compare_sorted(context, image, state, i);
    }
    check_count(context, first ? "first look" : "reference", 1);
    check_count(context, "bytes", state->size - skipped);
    check_count(context, "not compared", skipped);
    check_count(context, "differing bytes", total);
    if (ranges > RANGES_MAXIMUM) {
        check_count(context, "ranges not shown", ranges - RANGES_MAXIMUM);
    }
}

static void run(CheckContext *context)
{
    const char *why;
    bool first;
    const KernelImage *image = check_image_or_first_look(context, &first, &why);
    RodataState *state = *context->state;
    Span all;

    if (!image) {
        check_count(context, "reference", 0);
        check_reason(context, MONATT_REASON_UNSUPPORTED, "%s", why);
        return;
    }
    if (first) {
        check_found(context, CHECK_DEGRADED, 0, "reference", "a measured kernel", "the first look",
                    "", "no kernel was measured: its constants are compared with what they were");
    }
    if (!span_of(image, "__start_rodata", "__end_rodata", &all)) {
        check_lacks(context, "symbols '__start_rodata' and '__end_rodata' in its image");
        return;
    }
    all.to = rodata_end(image, &all);
    if (all.to - all.from > RODATA_MAXIMUM) {
        check_reason(context, MONATT_REASON_BUDGET, "the kernel's constants are %#lx bytes",
                     (unsigned long)(all.to - all.from));
        return;
    }
    if (state && state->size != all.to - all.from) {
        clear(state); /* a measured kernel was given after the first look */
        *context->state = state = NULL;
    }
    if (!state) {
        *context->state = state = calloc(1, sizeof(*state));
        if (state) {
            state->size = all.to - all.from;
            state->now = malloc(state->size);
        }
        if (!state || !state->now) {
            free(state);
            *context->state = NULL;
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return;
        }
    }
    compare(context, image, first, state, all);
}

const Check check_kernel_rodata = {MONATT_SUBCHECK_KERNEL_RODATA, "kernel-rodata", NULL, run,
                                   clear};
