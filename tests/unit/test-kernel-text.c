/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kernel-text.c - text that a healthy kernel patches while it runs: what explains it, and what
 * does not
 *
 * Every legal value of a site is taken back to what was built, another one is a finding, and so is
 * a legal value that its key or record does not agree with.
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "tests/lib/invented-text.h"

#define SITE (TEXT + 0x1008)
#define SHORT_SITE (TEXT + 0x1108)
#define TARGET (TEXT + 0x1040)
#define SHORT_TARGET (TEXT + 0x1128)
#define FUNCTION (TEXT + 0x3000)
#define TAIL_SITE (TEXT + 0x1208)
#define JUMP_SITE (TEXT + 0x1308)
#define TRAMPOLINE (TEXT + 0x1400)
#define RETURN0 (TEXT + 0x6000)
#define RETURN_THUNK (TEXT + 0x6100)
#define WARN_TRAP (TEXT + 0x6200)

#define NOP5 0x0f, 0x1f, 0x44, 0x00, 0x00

static void test_nops(void)
{
    static const struct {
        uint8_t size;
        uint8_t bytes[15];
    } nops[] = {
        {1, {0x90}},
        {2, {0x66, 0x90}},
        {3, {0x0f, 0x1f, 0x00}},
        {4, {0x0f, 0x1f, 0x40, 0x00}},
        {5, {NOP5}},
        {6, {0x66, NOP5}},
        {7, {0x0f, 0x1f, 0x80, 0, 0, 0, 0}},
        {8, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
        {9, {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
        {10, {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
        {11, {0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
    };
    static const uint8_t others[][5] = {
        {0x0f, 0x1f, 0x44, 0x00, 0x01}, /* a displacement */
        {0x0f, 0x1f, 0x45, 0x00, 0x00}, {0x0f, 0x0b, 0x44, 0x00, 0x00},
        {0x90, 0x90, 0x90, 0x90, 0x90}, /* five, not one */
        {0x66, 0x66, 0x66, 0x66, 0x66}, {0x2e, 0x2e, 0x0f, 0x1f, 0x00},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(nops); i++) {
        /* In a block of its own size, so that nothing behind it may be read. */
        g_autofree uint8_t *exact = g_memdup2(nops[i].bytes, nops[i].size);
        g_assert_true(text_is_nop(exact, nops[i].size));
        g_assert_true(text_is_filler(exact, nops[i].size));
        g_assert_false(text_is_nop(exact, nops[i].size - 1u));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_assert_false(text_is_nop(others[i], sizeof(others[i])));
    }
}

static void test_filler(void)
{
    static const struct {
        bool fits;
        uint8_t size;
        uint8_t bytes[12];
    } cases[] = {
        {true, 0, {0}},
        {true, 5, {0x90, 0x90, 0x90, 0x90, 0x90}},
        {true, 3, {0xcc, 0xcc, 0xcc}},
        {true, 6, {NOP5, 0xcc}},
        {true, 4, {0xeb, 0x02, 0xcc, 0xcc}},
        {true, 7, {0xe9, 0x02, 0, 0, 0, 0xcc, 0xcc}},
        {true, 2, {0xeb, 0x00}},
        {false, 4, {0xeb, 0x02, 0x90, 0xcc}}, /* what is jumped over is no INT3 */
        {false, 4, {0xeb, 0x03, 0xcc, 0xcc}}, /* it leads out of the site */
        {false, 4, {0xeb, 0xfe, 0xcc, 0xcc}}, /* and back */
        {false, 7, {0xe9, 0xff, 0xff, 0xff, 0x7f, 0xcc, 0xcc}},
        {false, 1, {0xeb}},
        {false, 4, {0xe9, 0x00, 0x00, 0x00}},
        {false, 2, {0xcc, 0x90}}, /* INT3 that is run */
        {false, 1, {0xc3}},
        {false, 3, {0x66, 0x66, 0x66}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *exact = g_memdup2(cases[i].bytes, cases[i].size);
        uint8_t within[32];

        /* And where more of the like follows. */
        memset(within, cases[i].size ? cases[i].bytes[cases[i].size - 1] : 0, sizeof(within));
        memcpy(within, cases[i].bytes, cases[i].size);
        g_test_message("filler %zu", i);
        g_assert_true(text_is_filler(within, cases[i].size) == cases[i].fits);
        g_assert_true(text_is_filler(exact, cases[i].size) == cases[i].fits);
    }
}

static void put_key(uint64_t entry, uint64_t site, uint64_t target, uint64_t key)
{
    text_place(entry, site);
    text_place(entry + 4, target);
    invented_u64(&invented, entry + 8, key - (entry + 8));
}

static void test_keys(void)
{
    uint64_t keys[2], table;

    text_begin();
    keys[0] = invented_variable(&invented, "a_key", 16);
    keys[1] = invented_variable(&invented, "a_key_on_by_default", 16);
    table = text_between("__start___jump_table", "__stop___jump_table", 48);
    put_key(table, SITE, TARGET, keys[0]);
    put_key(table + 16, SHORT_SITE, SHORT_TARGET, keys[0]);
    put_key(table + 32, SITE + 0x200, TARGET, keys[1] | 1);
    TEXT_PUT(SITE, NOP5);
    TEXT_PUT(SHORT_SITE, 0x66, 0x90);
    TEXT_PUT(SITE + 0x200, NOP5);
    invented_u32(&invented, keys[1], 1);
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");

    for (uint32_t count = UINT32_MAX; count != 3; count++) { /* -1: it is being switched on */
        invented_u32(&invented, keys[0], count);
        text_branch(SITE, 0xe9, TARGET);
        TEXT_PUT(SHORT_SITE, 0xeb, SHORT_TARGET - SHORT_SITE - 2);
        if (count == 0) {
            TEXT_PUT(SHORT_SITE, 0x66, 0x90);
        }
        text_judge(count == 0 ? COMPROMISED : FINE, SITE, "does not agree with its key");
    }
    TEXT_PUT(SHORT_SITE, 0xeb, SHORT_TARGET - SHORT_SITE - 2);
    text_judge(COMPROMISED, SHORT_SITE, "does not agree with its key");
    invented_u32(&invented, keys[1], 0);
    text_judge(COMPROMISED, SITE + 0x200, "does not agree with its key");
    invented_u32(&invented, keys[1], 0);
    text_branch(SITE + 0x200, 0xe9, TARGET);
    text_judge(FINE, 0, "");

    text_branch(SITE, 0xe9, ELSEWHERE);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe8, TARGET);
    text_judge(UNEXPLAINED, SITE, "");
    TEXT_PUT(SHORT_SITE, 0xeb, SHORT_TARGET - SHORT_SITE - 1);
    text_judge(UNEXPLAINED, SHORT_SITE, "");
    text_branch(SITE, 0xcc, ELSEWHERE);
    text_judge(UNEXPLAINED, SITE, "");
    text_clear();
}

/* INT3 over the tail of a legal form is a patch under way: not healthy, and seen, so that one which
 * is left so is a finding by check-runner's rule: with nobody at it at once, else of one holder. */
static void test_moving_key(void)
{
    static const InventedRow rows[] = {{"mutex", NULL, 0x20, NULL}, {NULL, "owner", 0x0, NULL}};
    uint64_t table, lock, first;

    text_begin();
    lock = invented_variable(&invented, "text_mutex", 8);
    table = text_between("__start___jump_table", "__stop___jump_table", 16);
    put_key(table, SITE, TARGET, invented_variable(&invented, "a_key", 16));
    TEXT_PUT(SITE, NOP5);
    text_measure(rows, G_N_ELEMENTS(rows));
    for (int jump = 0; jump < 2; jump++) {
        if (jump) {
            text_branch(SITE, 0xcc, TARGET);
        } else {
            TEXT_PUT(SITE, 0xcc);
        }
        one_check_clear(&one, &check_kernel_text);
        one_check_run(&one, &check_kernel_text, &invented.kernel);
        g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
        g_assert_cmpuint(one_check_counter(&one, "unexplained bytes"), ==, 0);
        g_assert_cmpuint(one.sightings.count, ==, 1);
        g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
        g_assert_cmpuint(one.sightings.items[0].address, ==, SITE);
        invented_u64(&invented, lock, 0xffff888000001000ull);
        one_check_run(&one, &check_kernel_text, &invented.kernel);
        g_assert_cmpuint(one.sightings.count, ==, 1);
        g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_DEGRADED);
        first = one.sightings.generations[0];
        one_check_run(&one, &check_kernel_text, &invented.kernel);
        g_assert_cmpuint(one.sightings.generations[0], ==, first);
        invented_u64(&invented, lock, 0xffff888000002000ull); /* the next who patches */
        one_check_run(&one, &check_kernel_text, &invented.kernel);
        g_assert_cmpuint(one.sightings.generations[0], !=, first);
        invented_u64(&invented, lock, 0);
        text_reset();
    }
    text_clear();
}

static uint64_t call_key;

static void put_calls(void)
{
    static const uint64_t sites[] = {SITE, TAIL_SITE, JUMP_SITE};
    uint64_t table, template, thunk;

    text_begin();
    call_key = invented_variable(&invented, "__SCK__x", 16);
    thunk = invented_variable(&invented, "x86_return_thunk", 8);
    table = text_between("__start_static_call_sites", "__stop_static_call_sites", 24);
    template = invented_variable(&invented, "skl_call_thunk_template", 16);
    invented_symbol(&invented, "skl_call_thunk_tail", template + 16);
    invented_symbol(&invented, "__SCT__x", TRAMPOLINE);
    invented_symbol(&invented, "__static_call_return0", RETURN0);
    invented_symbol(&invented, "__WARN_trap", WARN_TRAP);
    invented_u64(&invented, thunk, RETURN_THUNK);
    invented_u64(&invented, call_key, FUNCTION);
    for (size_t i = 0; i < G_N_ELEMENTS(sites); i++) {
        text_place(table + 8 * i, sites[i]);
        text_place(table + 8 * i + 4, call_key | (i == 1)); /* that it is a tail call */
    }
    text_branch(SITE, 0xe8, TRAMPOLINE);
    text_branch(TAIL_SITE, 0xe9, TRAMPOLINE);
    text_branch_two(JUMP_SITE, 0x0f, 0x84, TRAMPOLINE);
    text_branch(TRAMPOLINE, 0xe9, FUNCTION);
    TEXT_PUT(TRAMPOLINE + 5, 0x0f, 0xb9, 0xcc);
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");
}

/* What is put there is legal with one function in the key, and with no other. */
static void judge_call(uint64_t site, const uint8_t code[5], uint64_t function)
{
    static const uint64_t functions[] = {0, FUNCTION, RETURN0, WARN_TRAP};

    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        text_put(site, code, 5);
        invented_u64(&invented, call_key, functions[i]);
        text_judge(functions[i] == function ? FINE : UNEXPLAINED, site, "");
    }
}

static void test_calls(void)
{
    static const uint8_t nop[] = {NOP5}, nothing[] = {0x2e, 0x2e, 0x2e, 0x31, 0xc0},
                         trap[] = {0x67, 0x48, 0x0f, 0xb9, 0x3a},
                         back[] = {0xc3, 0xcc, 0xcc, 0xcc, 0xcc},
                         other[] = {0x31, 0xc0, 0x90, 0x90, 0x90};

    put_calls();
    judge_call(SITE, nop, 0);
    judge_call(SITE, nothing, RETURN0);
    judge_call(SITE, trap, WARN_TRAP);
    judge_call(SITE, other, UINT64_MAX);
    judge_call(TAIL_SITE, back, 0);
    /* A return where the function goes on after its call, and a NOP where it does not. */
    judge_call(SITE, back, UINT64_MAX);
    judge_call(TAIL_SITE, nop, UINT64_MAX);
    judge_call(TAIL_SITE, nothing, UINT64_MAX);
    for (uint64_t to = FUNCTION - 16; to <= FUNCTION + 16; to += 16) {
        /* At its begin, or where call depth tracking enters it. */
        Outcome outcome = to <= FUNCTION ? FINE : UNEXPLAINED;
        text_branch(SITE, 0xe8, to);
        text_judge(outcome, SITE, "");
        text_branch(TAIL_SITE, 0xe9, to);
        text_judge(outcome, TAIL_SITE, "");
        text_branch_two(JUMP_SITE, 0x0f, 0x84, to);
        text_judge(outcome, JUMP_SITE, "");
    }
    text_branch(SITE, 0xe9, FUNCTION);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(TAIL_SITE, 0xe8, FUNCTION);
    text_judge(UNEXPLAINED, TAIL_SITE, "");
    text_branch_two(JUMP_SITE, 0x0f, 0x85, FUNCTION); /* the opposite condition */
    text_judge(UNEXPLAINED, JUMP_SITE, "");
    invented_u64(&invented, call_key, 0);
    text_branch(TAIL_SITE, 0xe9, RETURN_THUNK);
    text_judge(FINE, 0, "");
    text_branch(TAIL_SITE, 0xe9, RETURN_THUNK);
    text_judge(UNEXPLAINED, TAIL_SITE, "");
    text_clear();
}

static void call_outside(uint64_t site, uint8_t opcode)
{
    invented_u64(&invented, call_key, OUTSIDE);
    text_branch(site, opcode, OUTSIDE);
}

static void test_callee(void)
{
    put_calls();
    for (size_t i = 0; i < 2; i++) {
        uint64_t site = i ? TRAMPOLINE : SITE;
        uint8_t opcode = i ? 0xe9 : 0xe8;

        one_check_disown("");
        call_outside(site, opcode);
        text_judge(COMPROMISED, site, "nobody owns");
        one_check_own(OUTSIDE, OUTSIDE + 64, OWNER_MODULE, "a_module", true);
        call_outside(site, opcode);
        text_judge(COMPROMISED, site, "nobody owns");
        one_check_own(OUTSIDE, OUTSIDE + 64, OWNER_MODULE, "a_module", false);
        call_outside(site, opcode);
        text_judge(FINE, 0, "");
        one_check_disown("modules cannot be read"); /* so it may be somebody's */
        call_outside(site, opcode);
        text_judge(FINE, 0, "");
    }
    text_clear();
}

static void test_trampolines(void)
{
    static const uint8_t nothing[] = {0x31, 0xc0, 0xc3, 0xcc, 0xcc},
                         back[] = {0xc3, 0xcc, 0xcc, 0xcc, 0xcc};

    put_calls();
    judge_call(TRAMPOLINE, nothing, RETURN0);
    judge_call(TRAMPOLINE, back, 0);
    text_branch(TRAMPOLINE, 0xe9, ELSEWHERE);
    text_judge(UNEXPLAINED, TRAMPOLINE, "");
    text_branch(TRAMPOLINE, 0xe9, ELSEWHERE);
    invented_u64(&invented, call_key, ELSEWHERE);
    text_judge(FINE, 0, "");
    text_branch(TRAMPOLINE, 0xe9, RETURN_THUNK);
    invented_u64(&invented, call_key, 0);
    text_judge(FINE, 0, "");
    TEXT_PUT(TRAMPOLINE + 5, 0x0f, 0x0b, 0xcc);
    text_judge(UNEXPLAINED, TRAMPOLINE, "");
    text_clear();
}

/* Places at the ends of text and outside it, for every mechanism that reads a table. */
static void test_ends(void)
{
    static const uint64_t ends[] = {TEXT_END - 1, TEXT_END - 4, TEXT_END - 5,      TEXT_END,
                                    TEXT - 1,     TEXT - 5,     TEXT_END + 0x1000, OUTSIDE};
    const size_t count = G_N_ELEMENTS(ends);
    uint64_t keys, calls, functions;

    text_begin();
    call_key = invented_variable(&invented, "a_key", 16);
    keys = text_between("__start___jump_table", "__stop___jump_table", 16 * count + 15);
    calls = text_between("__start_static_call_sites", "__stop_static_call_sites", 8 * count + 7);
    functions = text_between("__start_mcount_loc", "__stop_mcount_loc", 8 * count + 7);
    invented_symbol(&invented, "__SCT__x", TEXT_END - 7);
    invented_symbol(&invented, "ftrace_call", TEXT_END - 4);
    invented_symbol(&invented, "ftrace_regs_call", TEXT_END);
    for (size_t i = 0; i < count; i++) {
        put_key(keys + 16 * i, ends[i], TARGET, call_key);
        text_place(calls + 8 * i, ends[i]);
        text_place(calls + 8 * i + 4, call_key);
        invented_u64(&invented, functions + 8 * i, ends[i]);
    }
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");
    for (size_t size = 1; size <= 5; size++) {
        memset(invented_at(&invented, TEXT_END - size), 0xcc, size);
        text_judge(UNEXPLAINED, TEXT_END - size, "");
    }
    text_clear();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-text/nops", test_nops);
    g_test_add_func("/kernel-text/filler", test_filler);
    g_test_add_func("/kernel-text/static-keys", test_keys);
    g_test_add_func("/kernel-text/static-key-under-way", test_moving_key);
    g_test_add_func("/kernel-text/static-calls", test_calls);
    g_test_add_func("/kernel-text/callee", test_callee);
    g_test_add_func("/kernel-text/trampolines", test_trampolines);
    g_test_add_func("/kernel-text/ends-of-text", test_ends);
    return g_test_run();
}
