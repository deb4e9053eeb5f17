/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-branches.c - returns and indirect branches, which mitigations rewrite at boot
 *
 * arch/x86/kernel/alternative.c: patch_return(), patch_retpoline(), emit_indirect(),
 * __emit_trampoline().  Each form is safe code; which of them a kernel writes is one choice for all
 * its sites, so a few that differ from the rest were changed by somebody else.
 */
#include <stdlib.h>
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define CALL 0xe8
#define JUMP 0xe9
#define RETURN 0xc3
#define INT3 0xcc
#define PREFIX_CS 0x2e
#define TWO_BYTE 0x0f
#define SITE 5
#define FEW 64 /* sites that differ: more are another way to patch, not an attack on some */

enum { RETURN_BUILT, RETURN_PLAIN, RETURN_THUNK, RETURN_ITS, RETURN_DEPTH, RETURN_VARIANTS };
enum {
    BRANCH_BUILT,
    BRANCH_PLAIN,
    BRANCH_LFENCE,
    BRANCH_CALL_THUNK,
    BRANCH_JUMP_THUNK,
    BRANCH_ITS
};

static const uint8_t LFENCE[] = {0x0f, 0xae, 0xe8};

bool text_return_fits(const TextWork *work, uint64_t address, const uint8_t *built,
                      const uint8_t *found, uint8_t *ret_variant)
{
    static const uint8_t plain[SITE] = {RETURN, INT3, INT3, INT3, INT3};
    const TextInputs *inputs = &work->inputs;
    uint64_t target = text_target(address, found, 1);

    if (memcmp(found, plain, SITE) == 0) {
        *ret_variant = RETURN_PLAIN;
    } else if (found[0] == JUMP && inputs->its_return_thunk && target == inputs->its_return_thunk) {
        *ret_variant = RETURN_ITS;
    } else if (found[0] == JUMP && inputs->call_depth_return_thunk &&
               target == inputs->call_depth_return_thunk) {
        *ret_variant = RETURN_DEPTH;
    } else if (memcmp(found, built, SITE) == 0) {
        *ret_variant = RETURN_BUILT;
    } else if (found[0] == JUMP && target != 0 && target == inputs->return_thunk) {
        *ret_variant = RETURN_THUNK;
    } else {
        return false;
    }
    return true;
}

/* The alternatives put returns into some sites, and those are theirs: they are left as they are. */
static void judge_returns(TextWork *work, const TextTable *table, const uint8_t *variants)
{
    uint32_t counts[2][RETURN_VARIANTS] = {{0}};
    size_t most[2] = {0, 0};

    for (size_t i = 0; i < table->size / 4; i++) {
        if (variants[i] < RETURN_VARIANTS) {
            counts[text_table_place(table, i) >> 5 & 1][variants[i]]++;
        }
    }
    for (size_t half = 0; half < 2; half++) {
        for (size_t k = 0; k < RETURN_VARIANTS; k++) {
            most[half] = counts[half][k] > counts[half][most[half]] ? k : most[half];
        }
    }
    for (size_t i = 0; i < table->size / 4; i++) {
        uint64_t address = text_table_place(table, i);
        size_t half = address >> 5 & 1;
        if (variants[i] < RETURN_VARIANTS && variants[i] != most[half] &&
            counts[half][variants[i]] <= FEW) {
            text_disagree(work, TEXT_RETURNS, CHECK_DEGRADED, address, SITE,
                          "the return that all other sites have",
                          "one return is not protected as the others are");
        }
    }
}

void text_explain_returns(TextWork *work)
{
    TextTable table;
    uint8_t *variants;

    if (!text_table_by_section(work, ".return_sites", &table) ||
        !(variants = malloc(table.size / 4 + 1))) {
        return;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t address = text_table_place(&table, i);

        variants[i] = UINT8_MAX;
        if (!text_has(work, address, SITE) || text_is_done(work, address)) {
            continue;
        }
        work->sites[TEXT_RETURNS]++;
        if (!text_return_fits(work, address, text_built(work, address), text_now(work, address),
                              &variants[i])) {
            variants[i] = UINT8_MAX;
        }
    }
    judge_returns(work, &table, variants);
    for (size_t i = 0; i < table.size / 4; i++) {
        if (variants[i] != UINT8_MAX) {
            text_explain(work, TEXT_RETURNS, text_table_place(&table, i), SITE, variants[i]);
        }
    }
    free(variants);
}

size_t text_retpoline_size(const uint8_t *built)
{
    return built[0] == TWO_BYTE || built[0] == PREFIX_CS ? SITE + 1 : SITE;
}

/* Which register's thunk stands at address: 0 to 15; -1: it is none. */
static int thunk_register(const TextWork *work, uint64_t address, int *ret_kind)
{
    for (int kind = 0; kind < TEXT_THUNK_KINDS; kind++) {
        for (int i = 0; i < TEXT_REGISTERS; i++) {
            if (address != 0 && work->inputs.thunks[kind][i] == address) {
                *ret_kind = kind;
                return i;
            }
        }
    }
    return -1;
}

/* CALL or JMP *%reg: 2 or 3 bytes; the number of them. */
static size_t encode_indirect(uint8_t *out, bool call, int reg)
{
    size_t size = 0;
    if (reg > 7) {
        out[size++] = 0x41;
    }
    out[size++] = 0xff;
    out[size++] = (uint8_t)((call ? 2 : 4) << 3 | 0xc0 | (reg & 7));
    return size;
}

/* [CS] [LFENCE] CALL or JMP *%reg, then filler. */
static bool is_plain(const uint8_t *found, size_t size, bool call, int reg, bool fence)
{
    uint8_t code[8];
    size_t length = 0;

    if (fence) {
        memcpy(code, LFENCE, sizeof(LFENCE));
        length = sizeof(LFENCE);
    }
    length += encode_indirect(code + length, call, reg);
    for (size_t prefix = 0; prefix < 2; prefix++) {
        size_t head = prefix + length;
        if (prefix == 1 && found[0] != PREFIX_CS) {
            break;
        }
        if (head <= size && memcmp(found + prefix, code, length) == 0) {
            size_t trap = !call && head < size && found[head] == INT3;
            if (text_is_filler(found + head + trap, size - head - trap)) {
                return true;
            }
        }
    }
    return false;
}

/* A thunk of the guest's ITS pages: in the upper half of a cache line, [CS|DS] JMP *%reg. */
static bool is_its_thunk(const TextWork *work, uint64_t target, int reg)
{
    uint8_t code[8], expected[3];
    size_t size = encode_indirect(expected, false, reg);

    if (!(target & 0x20) ||
        !address_space_read(&work->context->kernel->space, target, code, sizeof(code))) {
        return false;
    }
    size_t prefix = code[0] == PREFIX_CS || code[0] == 0x3e;
    return memcmp(code + prefix, expected, size) == 0;
}

/* Jcc thunk becomes: the opposite Jcc over a JMP *%reg. */
static bool is_conditional(const uint8_t *built, const uint8_t *found, size_t size, int reg,
                           bool fence)
{
    return found[0] == (uint8_t)((built[1] - 0x10) ^ 1) && found[1] == size - 2 &&
           is_plain(found + 2, size - 2, false, reg, fence);
}

bool text_retpoline_fits(const TextWork *work, uint64_t address, const uint8_t *built, size_t size,
                         const uint8_t *found, uint8_t *ret_variant)
{
    size_t head = size == SITE ? 1 : 2;
    bool conditional = built[0] == TWO_BYTE;
    int kind, reg, found_kind;
    bool call = built[head - 1] == CALL;

    /* Where it leads as built depends on where it was built, so the register is the caller's: */
    reg = thunk_register(work, text_target(address, built, (unsigned)head), &kind);
    if (reg < 0) {
        return false;
    }
    if (memcmp(found, built, size) == 0) {
        *ret_variant = BRANCH_BUILT;
        return true;
    }
    for (int fence = 0; fence < 2; fence++) {
        if (conditional ? is_conditional(built, found, size, reg, fence)
                        : is_plain(found, size, call, reg, fence)) {
            *ret_variant = fence ? BRANCH_LFENCE : BRANCH_PLAIN;
            return true;
        }
    }
    for (size_t at = 1; at <= head && !conditional; at++) {
        if (found[at - 1] == built[head - 1] && (at == 1 || found[0] == PREFIX_CS) &&
            text_is_filler(found + at + 4, size - at - 4)) {
            uint64_t target = text_target(address, found, (unsigned)at);
            if (thunk_register(work, target, &found_kind) == reg) {
                *ret_variant = (uint8_t)(BRANCH_CALL_THUNK + (found_kind == 2));
                return true;
            }
            if (is_its_thunk(work, target, reg)) {
                *ret_variant = BRANCH_ITS;
                return true;
            }
        }
    }
    return false;
}

void text_explain_retpolines(TextWork *work)
{
    TextTable table;

    if (!text_table_by_section(work, ".retpoline_sites", &table)) {
        return;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t address = text_table_place(&table, i);
        uint8_t variant;
        size_t size;

        if (!text_has(work, address, SITE + 1)) {
            continue;
        }
        size = text_retpoline_size(text_built(work, address));
        work->sites[TEXT_RETPOLINES]++;
        if (text_retpoline_fits(work, address, text_built(work, address), size,
                                text_now(work, address), &variant)) {
            text_explain(work, TEXT_RETPOLINES, address, size, variant);
        }
    }
}
