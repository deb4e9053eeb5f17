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
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define JUMP_ENTRY 16
#define CALL_SITE 8
#define CALL 0xe8
#define JUMP 0xe9
#define INT3 0xcc
#define JUMP_SHORT 0xeb
#define KEY_FLAGS 3ull
#define SITE_TRIES 5
#define SITE_MAXIMUM 8
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

/* A site and the variable that says what stands there. */
typedef struct Site {
    uint64_t address;
    size_t size;
    uint64_t variable;
    uint64_t lock; /* is held while the two disagree; 0: not known */
    const uint8_t *built;
    bool inverted; /* of a key: its code is a jump when it is off */
    bool (*fits)(const TextWork *work, const struct Site *site, const uint8_t *now, uint64_t value);
} Site;

typedef enum Now { NOW_AGREES, NOW_DIFFERS, NOW_MOVING } Now;

/* The text was copied before its variable is read: whether both, read now, agree at any of some
 * looks.  What an attacker wrote never does, and while the kernel is at it, it has the lock: who
 * holds that to hide behind it makes the look torn and never good. */
static Now look_again(TextWork *work, const Site *site)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    GuestKernel *kernel = work->context->kernel;
    AddressSpace *space = &kernel->space;
    bool differs = site->lock == 0;

    for (int tries = 0; tries < SITE_TRIES; tries++) {
        uint8_t before[SITE_MAXIMUM], after[SITE_MAXIMUM];
        bool held = guest_kernel_lock_owner(kernel, site->lock) != 0;
        uint64_t value;
        if (address_space_read(space, site->address, before, site->size) &&
            address_space_u64(space, site->variable, &value) &&
            address_space_read(space, site->address, after, site->size) &&
            memcmp(before, after, site->size) == 0 && site->fits(work, site, before, value)) {
            return NOW_AGREES;
        }
        differs = differs || (!held && guest_kernel_lock_owner(kernel, site->lock) == 0);
        if (work->waits++ >= WAITS_MAXIMUM) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    return differs ? NOW_DIFFERS : NOW_MOVING;
}

static bool key_fits(const TextWork *work, const Site *site, const uint8_t *now, uint64_t value)
{
    (void)work;
    return now[0] != INT3 &&
           text_is_nop(now, site->size) == (((uint32_t)value != 0) == site->inverted);
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
    if (work->moving > 0 || is_on == (on != (bool)(key & 1))) {
        return;
    }
    const Site site = {.address = address,
                       .size = size,
                       .variable = key & ~KEY_FLAGS,
                       .lock = work->inputs.key_lock,
                       .inverted = key & 1,
                       .fits = key_fits};
    Now again = look_again(work, &site);
    if (again == NOW_MOVING) {
        text_moves(work, address);
    }
    if (again == NOW_DIFFERS) {
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
        uint64_t address = entry + (uint64_t)(int64_t)text_s32(table.bytes + at);
        if (is_moving(work, address,
                      entry + 4 + (uint64_t)(int64_t)text_s32(table.bytes + at + 4))) {
            text_moves(work, address);
        }
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

static bool site_fits(const TextWork *work, const Site *site, const uint8_t *now, uint64_t value)
{
    uint8_t choice;
    return call_fits(work, site->address, site->built, now, site->size, value, &choice);
}

/* The beginning of a function of the kernel or of a listed module. */
static bool is_function(const TextWork *work, uint64_t target)
{
    const TextPlan *plan = work->plan;
    Owner owner;

    if (text_has(work, target, 1)) {
        return addresses_have(plan->functions, plan->function_count, target) ||
               addresses_have(plan->functions, plan->function_count,
                              target + work->inputs.call_template_size);
    }
    owners_find(work->context->owners, target, &owner);
    return owner.kind == OWNER_MODULE && !owner.hidden;
}

/* What stands at a static call that is being switched: the value of another function than its key
 * has already, or INT3 and the tail of one. */
static bool is_between(const TextWork *work, const Site *site, const uint8_t *now)
{
    uint64_t address = site->address;
    bool call = site->built[0] == CALL; /* else a tail call, or a trampoline, which is one */
    static const uint8_t tails[][4] = {{0x1f, 0x44, 0x00, 0x00},  /* NOP */
                                       {0x2e, 0x2e, 0x31, 0xc0},  /* RETURN0 */
                                       {0xcc, 0xcc, 0xcc, 0xcc},  /* RETURN */
                                       {0xc0, 0xc3, 0xcc, 0xcc}}; /* RETURN0_TAIL */

    if (site->size == 6) {
        return (now[0] == INT3 || now[0] == 0x0f) && now[1] == site->built[1] &&
               is_function(work, text_target(address, now, 2));
    }
    for (size_t i = 0; now[0] == INT3 && i < MONATT_ARRAY_SIZE(tails); i++) {
        if (memcmp(now + 1, tails[i], sizeof(tails[i])) == 0) {
            return true;
        }
    }
    if (memcmp(now, RETURN0, 5) == 0 ||
        (call ? text_is_nop(now, 5)
              : memcmp(now, RETURN0_TAIL, 5) == 0 || is_return(work, address, now))) {
        return true;
    }
    return (now[0] == (call ? CALL : JUMP) || now[0] == INT3) &&
           is_function(work, text_target(address, now, 1));
}

/* A site that does not fit its key: explained when the kernel is switching it. */
static void explain_switch(TextWork *work, TextMechanism mechanism, const Site *site)
{
    Now again;

    if (!is_between(work, site, text_now(work, site->address)) ||
        (again = look_again(work, site)) == NOW_DIFFERS) {
        return;
    }
    if (again == NOW_MOVING) {
        text_moves(work, site->address);
    }
    text_explain(work, mechanism, site->address, site->size, CHOICE_MOVING);
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
        } else {
            const Site site = {.address = address,
                               .size = size,
                               .variable = key & ~KEY_FLAGS,
                               .lock = work->inputs.call_lock,
                               .built = built,
                               .fits = site_fits};
            explain_switch(work, TEXT_STATIC_CALLS, &site);
        }
    }
}

static bool trampoline_choice(const TextWork *work, uint64_t address, const uint8_t *now,
                              uint64_t function, uint8_t *ret_choice)
{
    if (now[0] == JUMP && text_is_entry(work, text_target(address, now, 1), function)) {
        *ret_choice = CHOICE_DIRECT;
    } else if (function == 0 && is_return(work, address, now)) {
        *ret_choice = CHOICE_RETURN;
    } else if (function == work->inputs.return0 && function != 0 &&
               (memcmp(now, RETURN0_TAIL, 5) == 0 || memcmp(now, RETURN0, 5) == 0)) {
        *ret_choice = CHOICE_RETURN0;
    } else {
        return false;
    }
    return true;
}

static bool trampoline_fits(const TextWork *work, const Site *site, const uint8_t *now,
                            uint64_t value)
{
    uint8_t choice;
    return memcmp(now, site->built, site->size) == 0 ||
           trampoline_choice(work, site->address, now, value, &choice);
}

static void explain_trampolines(TextWork *work)
{
    for (size_t i = 0; i < work->plan->trampoline_count; i++) {
        uint64_t address = work->plan->trampolines[i].address, function = 0;
        uint64_t key = work->plan->trampolines[i].key;
        const uint8_t *built, *now;
        uint8_t choice;

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
        if (trampoline_choice(work, address, now, function, &choice)) {
            if (choice == CHOICE_DIRECT) {
                judge_callee(work, address, function);
            }
            text_explain(work, TEXT_TRAMPOLINES, address, 5, choice);
        } else if (key) {
            const Site site = {.address = address,
                               .size = 5,
                               .variable = key,
                               .lock = work->inputs.call_lock,
                               .built = built,
                               .fits = trampoline_fits};
            explain_switch(work, TEXT_TRAMPOLINES, &site);
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
