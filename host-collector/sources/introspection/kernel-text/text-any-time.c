/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-any-time.c - static keys and static calls: text that a healthy kernel patches while it runs
 *
 * include/linux/jump_label.h, include/linux/static_call_types.h, arch/x86/kernel/static_call.c.
 * A legal value that its key does not agree with is a finding: the guest's own patching keeps the
 * two together but for the moment of the patch.
 */
#include <stdio.h>
#include <time.h>
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define JUMP_ENTRY 16
#define CALL_SITE 8
#define CALL 0xe8
#define JUMP 0xe9
#define INT3 0xcc
#define JUMP_SHORT 0xeb
#define KEY_FLAGS 3ull
#define KEY_TRIES 5
#define WAITS_MAXIMUM 20 /* of 1 ms, in one look */
#define TRAMPOLINE_SIZE 8

enum {
    CHOICE_OFF,
    CHOICE_ON,
    CHOICE_BUILT,
    CHOICE_DIRECT,
    CHOICE_NOP,
    CHOICE_RETURN0,
    CHOICE_RETURN,
    CHOICE_TRAP,
    CHOICE_MOVING
};

static const uint8_t RETURN0[] = {0x2e, 0x2e, 0x2e, 0x31, 0xc0};      /* xor %eax, %eax, padded */
static const uint8_t RETURN0_TAIL[] = {0x31, 0xc0, 0xc3, 0xcc, 0xcc}; /* and a return */
static const uint8_t RETURN[] = {0xc3, 0xcc, 0xcc, 0xcc, 0xcc};
static const uint8_t TRAP[] = {0x67, 0x48, 0x0f, 0xb9, 0x3a}; /* ud1 (%edx), %rdi */

/* static_key_enabled(): a key that is being switched on has a negative count. */
static bool key_is_on(TextWork *work, uint64_t key, bool *ret_on)
{
    uint32_t count;
    if (!address_space_u32(&work->context->kernel->space, key, &count)) {
        return false;
    }
    *ret_on = count != 0;
    return true;
}

/* The text was copied before the key is read: whether both, read now, agree at any of some looks.
 * What an attacker wrote never does. */
static bool agrees_now(TextWork *work, uint64_t address, size_t size, uint64_t key)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    AddressSpace *space = &work->context->kernel->space;

    for (int tries = 0; tries < KEY_TRIES; tries++) {
        uint8_t before[5], after[5];
        bool on;
        if (address_space_read(space, address, before, size) &&
            key_is_on(work, key & ~KEY_FLAGS, &on) &&
            address_space_read(space, address, after, size) && memcmp(before, after, size) == 0 &&
            before[0] != INT3 && text_is_nop(before, size) == (on == (bool)(key & 1))) {
            return true;
        }
        if (work->waits++ >= WAITS_MAXIMUM) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static void judge_key(TextWork *work, uint64_t address, size_t size, uint64_t key, bool is_on)
{
    char name[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE];
    bool on;

    if (!key_is_on(work, key & ~KEY_FLAGS, &on)) {
        check_reason(work->context, MONATT_REASON_TORN, "a static key at %#lx is not mapped",
                     (unsigned long)key);
        return;
    }
    if (work->moving == 0 && is_on != (on != (bool)(key & 1)) &&
        !agrees_now(work, address, size, key)) {
        check_name_address(work->context, key & ~KEY_FLAGS, name);
        snprintf(expected, sizeof(expected), "%s, as key %s has it", is_on ? "NOP" : "jump", name);
        text_disagree(work, TEXT_JUMP_LABELS, CHECK_COMPROMISED, address, size, expected,
                      "the code does not agree with its key");
    }
}

static size_t key_size(const uint8_t *built)
{
    return built[0] == JUMP_SHORT || (built[0] == 0x66 && built[1] == 0x90) ? 2 : 5;
}

/* text_poke_bp() puts INT3 on a site, then its tail, then its first byte: a site under way has the
 * tail of one of its two forms.  It runs nothing: who handles INT3 is judged by other checks. */
static bool is_moving(const TextWork *work, uint64_t address, uint64_t target)
{
    static const uint8_t tail[] = {0x1f, 0x44, 0x00, 0x00};
    const uint8_t *now;

    if (!text_has(work, address, 5)) {
        return false;
    }
    now = text_now(work, address);
    if (now[0] != INT3) {
        return false;
    }
    return key_size(text_built(work, address)) == 2
               ? now[1] == 0x90 || address + 2 + (uint64_t)(int64_t)(int8_t)now[1] == target
               : memcmp(now + 1, tail, sizeof(tail)) == 0 || text_target(address, now, 1) == target;
}

static void explain_key(TextWork *work, uint64_t address, uint64_t target, uint64_t key)
{
    const uint8_t *built, *now;
    size_t size;

    if (!text_has(work, address, 5)) {
        return;
    }
    built = text_built(work, address);
    size = key_size(built);
    now = text_now(work, address);
    work->sites[TEXT_JUMP_LABELS]++;
    if (text_is_nop(now, size)) {
        judge_key(work, address, size, key, false);
        text_explain(work, TEXT_JUMP_LABELS, address, size, CHOICE_OFF);
    } else if ((size == 5 && now[0] == JUMP && text_target(address, now, 1) == target) ||
               (size == 2 && now[0] == JUMP_SHORT &&
                address + 2 + (uint64_t)(int64_t)(int8_t)now[1] == target)) {
        judge_key(work, address, size, key, true);
        text_explain(work, TEXT_JUMP_LABELS, address, size, CHOICE_ON);
    } else if (is_moving(work, address, target)) {
        text_explain(work, TEXT_JUMP_LABELS, address, size, CHOICE_MOVING);
    }
}

static void explain_keys(TextWork *work)
{
    TextTable table;

    if (!text_table_by_symbols(work, "__start___jump_table", "__stop___jump_table", &table)) {
        return;
    }
    /* Which sites are under way, before any is judged: a key leads its sites, or follows them. */
    for (size_t at = 0; at < table.size && table.size - at >= JUMP_ENTRY; at += JUMP_ENTRY) {
        uint64_t entry = table.address + at;
        work->moving += is_moving(work, entry + (uint64_t)(int64_t)text_s32(table.bytes + at),
                                  entry + 4 + (uint64_t)(int64_t)text_s32(table.bytes + at + 4));
    }
    for (size_t at = 0; at < table.size && table.size - at >= JUMP_ENTRY; at += JUMP_ENTRY) {
        uint64_t entry = table.address + at;
        explain_key(work, entry + (uint64_t)(int64_t)text_s32(table.bytes + at),
                    entry + 4 + (uint64_t)(int64_t)text_s32(table.bytes + at + 4),
                    entry + 8 + text_u64(table.bytes + at + 8));
    }
}

static bool is_return(const TextWork *work, uint64_t address, const uint8_t *now)
{
    uint64_t target = text_target(address, now, 1);
    return memcmp(now, RETURN, sizeof(RETURN)) == 0 ||
           (now[0] == JUMP && target != 0 &&
            (target == work->inputs.return_thunk || target == work->inputs.built_return_thunk ||
             target == work->inputs.its_return_thunk));
}

/* Whom a static call leads to must be somebody's. */
static void judge_callee(TextWork *work, uint64_t address, uint64_t function)
{
    char name[CHECK_OBJECT_SIZE];
    Owner owner;

    if (function == 0 || text_has(work, function, 1)) {
        return;
    }
    owners_find(work->context->owners, function, &owner);
    if ((owner.kind == OWNER_NONE && owners_missing(work->context->owners)[0] == '\0') ||
        owner.hidden) {
        check_name_address(work->context, function, name);
        text_disagree(work, TEXT_STATIC_CALLS, CHECK_COMPROMISED, address, 5,
                      "a function of the kernel or of a listed module",
                      "it calls code that nobody owns");
    }
}

/* Which legal value a call site has; false: none.  A tail call stays one and a call stays a call:
 * a return in place of a call would leave out what the caller does behind it. */
static bool call_fits(const TextWork *work, uint64_t address, const uint8_t *built,
                      const uint8_t *now, size_t size, uint64_t function, uint8_t *ret_choice)
{
    bool call = size == 5 && built[0] == CALL, tail = size == 5 && built[0] == JUMP;

    if (memcmp(now, built, size) == 0) {
        *ret_choice = CHOICE_BUILT;
    } else if ((call || tail) && now[0] == built[0] &&
               text_is_entry(work, text_target(address, now, 1), function)) {
        *ret_choice = CHOICE_DIRECT;
    } else if (size == 6 && now[0] == 0x0f && now[1] == built[1] &&
               text_is_entry(work, text_target(address, now, 2), function)) {
        *ret_choice = CHOICE_DIRECT;
    } else if (call && text_is_nop(now, 5) && function == 0) {
        *ret_choice = CHOICE_NOP;
    } else if (call && memcmp(now, RETURN0, 5) == 0 && function == work->inputs.return0) {
        *ret_choice = CHOICE_RETURN0;
    } else if (call && memcmp(now, TRAP, 5) == 0 && function != 0 &&
               function == work->inputs.warn_trap) {
        *ret_choice = CHOICE_TRAP;
    } else if (tail && function == 0 && is_return(work, address, now)) {
        *ret_choice = CHOICE_RETURN;
    } else {
        return false;
    }
    return true;
}

static void explain_calls(TextWork *work)
{
    TextTable table;

    if (!text_table_by_symbols(work, "__start_static_call_sites", "__stop_static_call_sites",
                               &table)) {
        return;
    }
    for (size_t at = 0; at < table.size && table.size - at >= CALL_SITE; at += CALL_SITE) {
        uint64_t entry = table.address + at, function;
        uint64_t address = entry + (uint64_t)(int64_t)text_s32(table.bytes + at);
        uint64_t key = entry + 4 + (uint64_t)(int64_t)text_s32(table.bytes + at + 4);
        const uint8_t *built;
        size_t size;
        uint8_t choice;

        if (!text_has(work, address, 6) ||
            !address_space_u64(&work->context->kernel->space, key & ~KEY_FLAGS, &function)) {
            continue;
        }
        built = text_built(work, address);
        size = built[0] == 0x0f ? 6 : 5;
        work->sites[TEXT_STATIC_CALLS]++;
        if (call_fits(work, address, built, text_now(work, address), size, function, &choice)) {
            if (choice == CHOICE_DIRECT) {
                judge_callee(work, address, function);
            }
            text_explain(work, TEXT_STATIC_CALLS, address, size, choice);
        }
    }
}

static void explain_trampolines(TextWork *work)
{
    for (size_t i = 0; i < work->plan->trampoline_count; i++) {
        uint64_t address = work->plan->trampolines[i].address, function = 0;
        uint64_t key = work->plan->trampolines[i].key;
        const uint8_t *built, *now;

        if (!text_has(work, address, TRAMPOLINE_SIZE)) {
            continue;
        }
        if (key && !address_space_u64(&work->context->kernel->space, key, &function)) {
            continue;
        }
        built = text_built(work, address);
        now = text_now(work, address);
        work->sites[TEXT_TRAMPOLINES]++;
        if (memcmp(now, built, TRAMPOLINE_SIZE) == 0) {
            continue; /* what is left of it, returns among it, is for the boot-time sites */
        }
        if (now[0] == JUMP && text_is_entry(work, text_target(address, now, 1), function)) {
            judge_callee(work, address, function);
            text_explain(work, TEXT_TRAMPOLINES, address, 5, CHOICE_DIRECT);
        } else if (function == 0 && is_return(work, address, now)) {
            text_explain(work, TEXT_TRAMPOLINES, address, 5, CHOICE_RETURN);
        } else if (function == work->inputs.return0 && function != 0 &&
                   (memcmp(now, RETURN0_TAIL, 5) == 0 || memcmp(now, RETURN0, 5) == 0)) {
            text_explain(work, TEXT_TRAMPOLINES, address, 5, CHOICE_RETURN0);
        }
    }
}

void text_explain_any_time(TextWork *work)
{
    text_explain_tracing(work); /* first: a probe may stand on any other site */
    explain_keys(work);
    explain_calls(work);
    explain_trampolines(work);
}
