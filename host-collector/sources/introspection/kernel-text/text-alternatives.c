/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-alternatives.c - code that is chosen at boot by what the CPU can do
 *
 * arch/x86/kernel/alternative.c, apply_alternatives().  The last entry of a place whose feature
 * holds is copied over it, its relative displacements moved by the distance; what is left over, and
 * the NOPs of a place that keeps its code, are written anew as longer NOPs.  No instruction is
 * decoded: a displacement that moved can have but one value.
 */
#include <stdlib.h>
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define CALL 0xe8
#define JUMP 0xe9
#define JUMP_SHORT 0xeb
#define NOP 0x90
#define FEATURE_INVERTED 0x8000u /* in the number itself, to 6.2 */
#define FLAG_INVERTED 1u         /* in flags of its own, from 6.3 */
#define FLAG_DIRECT_CALL 2u
#define ENTRIES_MAXIMUM 200000u
#define KEEPS_BUILT (-1)

typedef struct Entry {
    uint64_t address;
    uint64_t replacement;
    uint32_t order;
    uint16_t feature;
    uint16_t flags;
    uint8_t size;
    uint8_t replacement_size;
} Entry;

/* Code as it was at one place, and as it may be at another. */
typedef struct Match {
    const TextWork *work;
    const uint8_t *found;
    const uint8_t *code;
    size_t size;
    uint64_t address; /* of found */
    uint64_t from;    /* of code */
} Match;

static bool same_displacement(const Match *match, size_t at, uint32_t change)
{
    return change != 0 &&
           (uint32_t)text_s32(match->found + at) - (uint32_t)text_s32(match->code + at) == change;
}

/* A displacement within the code that covers byte i: where it ends; 0: none. */
static size_t moved_displacement(const Match *match, size_t i)
{
    uint32_t change = (uint32_t)(match->from - match->address);

    for (size_t at = i >= 4 ? i - 3 : 1; at <= i && at + 4 <= match->size; at++) {
        if (same_displacement(match, at, change)) {
            return at + 4;
        }
        /* Entered by way of call depth tracking. */
        if (match->code[at - 1] == CALL && match->work->inputs.call_template_size != 0 &&
            same_displacement(match, at, change - match->work->inputs.call_template_size)) {
            return at + 4;
        }
    }
    return 0;
}

/* JMP32 that became a JMP8 and NOPs. */
static bool shortened(const Match *match, size_t i)
{
    int64_t distance;

    if (match->code[i] != JUMP || match->found[i] != JUMP_SHORT || i + 5 > match->size) {
        return false;
    }
    distance = text_s32(match->code + i + 1) + 5 + (int64_t)(match->from - match->address);
    return (int64_t)(int8_t)match->found[i + 1] + 2 == distance &&
           text_is_filler(match->found + i + 2, 3);
}

/* A run of one-byte NOPs around byte i that was written anew: where it ends; 0: it is none.  One
 * that the code ends in goes on in the rest, which is filled with NOPs before they are written. */
static size_t other_nops(const Match *match, size_t i, size_t rest)
{
    size_t begin = i, end = i;

    while (begin > 0 && match->code[begin - 1] == NOP) {
        begin--;
    }
    while (end < match->size && match->code[end] == NOP) {
        end++;
    }
    if (end == match->size && end > begin) {
        end += rest;
    }
    for (size_t at = begin; at <= i && end > begin; at++) {
        if (text_is_filler(match->found + at, end - at)) {
            return end;
        }
    }
    return 0;
}

/* A return or a retpoline within the replacement, patched there before it was copied. */
static size_t patched_branch(const Match *match, size_t i)
{
    const TextPlan *plan = match->work->plan;
    uint64_t place = match->from + i;
    uint8_t variant;

    if (match->size - i >= 5 && addresses_have(plan->returns, plan->return_count, place) &&
        text_return_fits(match->work, match->address + i, match->code + i, match->found + i,
                         &variant)) {
        return i + 5;
    }
    if (match->size - i >= 5 && addresses_have(plan->retpolines, plan->retpoline_count, place)) {
        size_t size = text_retpoline_size(match->code + i);
        uint8_t moved[6];
        int32_t displacement;

        if (size > match->size - i) {
            return 0;
        }
        memcpy(moved, match->code + i, size);
        displacement = text_s32(moved + size - 4) + (int32_t)(match->from - match->address);
        memcpy(moved + size - 4, &displacement, sizeof(displacement));
        if (text_retpoline_fits(match->work, match->address + i, moved, size, match->found + i,
                                &variant)) {
            return i + size;
        }
    }
    return 0;
}

/* Whether found is code, moved; rest: bytes behind it, which must be filler. */
static bool fits(const Match *match, size_t rest)
{
    size_t i = 0;

    while (i < match->size) {
        size_t next = 0;

        if (match->found[i] == match->code[i]) {
            /* A branch that was patched in place may begin with the byte it had. */
            next = patched_branch(match, i);
            i = next > i ? next : i + 1;
            continue;
        }
        next = patched_branch(match, i);
        next = next ? next : moved_displacement(match, i);
        next = next ? next : shortened(match, i) ? i + 5 : 0;
        next = next ? next : other_nops(match, i, rest);
        if (next <= i) {
            return false;
        }
        i = next;
    }
    return i > match->size || text_is_filler(match->found + match->size, rest);
}

/* call *pv_ops+x(%rip) that became a direct call of what stands there, or nothing. */
static bool direct_call_fits(const TextWork *work, const Entry *entry, size_t size)
{
    static const char *const nothings[] = {"nop_func", "_paravirt_nop", "x86_nop"};
    const uint8_t *now = text_now(work, entry->address);
    const uint8_t *built = text_built(work, entry->address);
    uint64_t variable, function, nothing;

    if (size < 6) {
        return false;
    }
    variable = text_target(entry->address, built, 2);
    if (!address_space_u64(&work->context->kernel->space, variable, &function)) {
        return false;
    }
    if (now[0] == CALL && text_is_entry(work, text_target(entry->address, now, 1), function) &&
        text_has(work, function, 1)) {
        return text_is_filler(now + 5, size - 5);
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(nothings); i++) {
        if (kernel_image_symbol(work->image, nothings[i], &nothing) && nothing == function) {
            return text_is_filler(now, size);
        }
    }
    return false;
}

static bool replacement_fits(const TextWork *work, const Entry *entry, size_t size)
{
    Match match = {
        .work = work,
        .found = text_now(work, entry->address),
        .code = kernel_image_at(work->image, entry->replacement, entry->replacement_size),
        .size = entry->replacement_size,
        .address = entry->address,
        .from = entry->replacement,
    };
    if (entry->flags & FLAG_DIRECT_CALL) {
        return direct_call_fits(work, entry, size);
    }
    return match.code && match.size <= size && fits(&match, size - match.size);
}

static bool built_fits(const TextWork *work, uint64_t address, size_t size)
{
    Match match = {.work = work,
                   .found = text_now(work, address),
                   .code = text_built(work, address),
                   .size = size,
                   .address = address,
                   .from = address};
    return fits(&match, 0);
}

/* Entries of one place. */
static void explain_place(TextWork *work, const Entry *entries, size_t count)
{
    uint64_t address = entries[0].address;
    int wanted = KEEPS_BUILT, chosen;
    bool wanted_fits, any = false;
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size = entries[i].size > size ? entries[i].size : size;
        if (text_has_feature(work, entries[i].feature) !=
            (bool)(entries[i].flags & FLAG_INVERTED)) {
            wanted = (int)i;
        }
    }
    if (!text_has(work, address, size)) {
        return;
    }
    work->sites[TEXT_ALTERNATIVES]++;
    wanted_fits = wanted == KEEPS_BUILT ? built_fits(work, address, size)
                                        : replacement_fits(work, &entries[wanted], size);
    chosen = wanted;
    if (!wanted_fits) {
        chosen = KEEPS_BUILT;
        any = built_fits(work, address, size);
        for (size_t i = 0; i < count && !any; i++) {
            any = replacement_fits(work, &entries[i], size);
            chosen = any ? (int)i : chosen;
        }
        if (!any) {
            return;
        }
        if (work->inputs.has_capabilities) {
            text_disagree(work, TEXT_ALTERNATIVES, CHECK_DEGRADED, address, size,
                          "the variant for the features of this CPU",
                          "legal code, and not what the feature bits choose");
        }
    }
    text_explain(work, TEXT_ALTERNATIVES, address, size, (uint8_t)(chosen + 1));
}

static int compare(const void *a, const void *b)
{
    const Entry *left = a, *right = b;
    if (left->address != right->address) {
        return left->address < right->address ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

typedef struct EntryLayout {
    uint32_t size;
    uint32_t feature;
    uint32_t flags;
    uint32_t length;
    uint32_t replacement_length;
    bool has_flags;
} EntryLayout;

/* struct alt_instr as this kernel has it: 12 to 14 bytes. */
static bool read_layout(TextWork *work, EntryLayout *ret)
{
    GuestKernel *kernel = work->context->kernel;
    uint32_t word = 0, shift = 0, width;

    ret->size = guest_kernel_sizeof(kernel, "alt_instr");
    /* A bit field of 16 bits behind the number of the feature. */
    ret->has_flags = guest_kernel_bits(kernel, "alt_instr", "flags", &word, &shift, &width) &&
                     width == 16 && shift % 8 == 0;
    ret->flags = word + shift / 8;
    return ret->size >= 10 && ret->size <= 32 &&
           guest_kernel_member(kernel, "alt_instr", "instrlen", &ret->length) &&
           guest_kernel_member(kernel, "alt_instr", "replacementlen", &ret->replacement_length) &&
           ret->length < ret->size && ret->replacement_length < ret->size &&
           (!ret->has_flags || ret->flags + 2 <= ret->size);
}

static void read_entry(const TextTable *table, size_t at, const EntryLayout *layout, Entry *ret)
{
    const uint8_t *bytes = table->bytes + at;

    ret->address = table->address + at + (uint64_t)(int64_t)text_s32(bytes);
    ret->replacement = table->address + at + 4 + (uint64_t)(int64_t)text_s32(bytes + 4);
    ret->order = (uint32_t)at;
    /* The number stands behind the two places in every kernel (cpuid, or the low half of
     * ft_flags). */
    ret->feature = (uint16_t)(bytes[8] | bytes[9] << 8);
    ret->flags = 0;
    if (layout->has_flags) {
        ret->flags = (uint16_t)(bytes[layout->flags] | bytes[layout->flags + 1] << 8);
    } else if (ret->feature & FEATURE_INVERTED) {
        ret->flags = FLAG_INVERTED;
        ret->feature &= (uint16_t)~FEATURE_INVERTED;
    }
    ret->size = bytes[layout->length];
    ret->replacement_size = bytes[layout->replacement_length];
}

void text_explain_alternatives(TextWork *work)
{
    EntryLayout layout = {0};
    TextTable table;
    Entry *entries;
    size_t count;

    if (!text_table_by_section(work, ".altinstructions", &table)) {
        return;
    }
    if (!read_layout(work, &layout)) {
        check_lacks(work->context, "struct alt_instr in its BTF");
        return;
    }
    count = table.size / layout.size;
    count = count < ENTRIES_MAXIMUM ? count : ENTRIES_MAXIMUM;
    entries = malloc((count + 1) * sizeof(*entries));
    if (!entries) {
        check_reason(work->context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        read_entry(&table, i * layout.size, &layout, &entries[i]);
    }
    qsort(entries, count, sizeof(*entries), compare);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && entries[end].address == entries[i].address) {
            end++;
        }
        explain_place(work, entries + i, end - i);
        i = end;
    }
    free(entries);
}
