/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-first-look.c - where no kernel was measured: what was found first is the reference, what may
 * be patched at any time still may, and it is said each time
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-text.h"

#define KEY_SITE (TEXT + 0x1008)
#define KEY_TARGET (TEXT + 0x1040)
#define CALL_SITE (TEXT + 0x1208)
#define TAIL_SITE (TEXT + 0x1308)
#define TRAMPOLINE (TEXT + 0x1400)
#define FUNCTION (TEXT + 0x3000)
#define TRACED (TEXT + 0x2000)
#define QUIET (TEXT + 0x2100)
#define PROBED (TEXT + 0x2200)
#define CALLER (TEXT + 0x5000)
#define SIZE 0x4000u /* of the constants */
#define KEYS 0x1000u
#define CALLS 0x1800u
#define CONSTANT 0x80u
#define RUNNING 3

static const InventedRow rows[] = {
    {"dyn_ftrace", NULL, 16, NULL},
    {NULL, "ip", 0, NULL},
    {NULL, "flags", 8, NULL},
    {"ftrace_page", NULL, 24, NULL},
    {NULL, "next", 0, NULL},
    {NULL, "records", 8, NULL},
    {NULL, "index", 16, "u32"},
    {"kprobe", NULL, 128, NULL},
    {NULL, "addr", 40, NULL},
    {NULL, "opcode", 96, "u8"},
    {"SYSTEM_RUNNING", NULL, RUNNING, "enum"},
};

static uint64_t state, key, call_key, constants, probes, page, records;

static void set_up(void)
{
    static const uint64_t traced[] = {TRACED, QUIET};
    uint64_t probe;

    text_begin();
    state = invented_variable(&invented, "system_state", 8);
    key = invented_variable(&invented, "a_key", 16);
    call_key = invented_variable(&invented, "__SCK__x", 16);
    probes = invented_variable(&invented, "kprobe_table", 8u * 64);
    page = invented_variable(&invented, "ftrace_pages_start", 8);
    invented_symbol(&invented, "__SCT__x", TRAMPOLINE);
    invented_symbol(&invented, "ftrace_caller", CALLER);
    constants = text_section(".rodata", SIZE);
    invented_symbol(&invented, "__start_rodata", constants);
    invented_symbol(&invented, "__end_rodata", constants + SIZE);
    invented_symbol(&invented, "__start___jump_table", constants + KEYS);
    invented_symbol(&invented, "__stop___jump_table", constants + KEYS + 16);
    invented_symbol(&invented, "__start_static_call_sites", constants + CALLS);
    invented_symbol(&invented, "__stop_static_call_sites", constants + CALLS + 16);
    text_place(constants + KEYS, KEY_SITE);
    text_place(constants + KEYS + 4, KEY_TARGET);
    invented_u64(&invented, constants + KEYS + 8, key - (constants + KEYS + 8));
    for (uint64_t i = 0; i < 2; i++) {
        text_place(constants + CALLS + 8 * i, i ? TAIL_SITE : CALL_SITE);
        text_place(constants + CALLS + 8 * i + 4, call_key | i);
    }
    records = invented_allocate(&invented, 64);
    invented_u64(&invented, page, records);
    invented_u64(&invented, records + 8, records + 24);
    invented_u32(&invented, records + 16, 2);
    invented_u64(&invented, records + 24, traced[0]);
    invented_u64(&invented, records + 40, traced[1]);
    invented_u32(&invented, state, RUNNING);

    /* As it is found: a key on, calls of nothing, a tracer and a probe at work. */
    invented_u32(&invented, key, 1);
    text_branch(KEY_SITE, 0xe9, KEY_TARGET);
    TEXT_PUT(CALL_SITE, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    TEXT_PUT(TAIL_SITE, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc);
    TEXT_PUT(TRAMPOLINE, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0x0f, 0xb9, 0xcc);
    text_branch(TRACED, 0xe8, CALLER);
    TEXT_PUT(QUIET, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    probe = invented_allocate(&invented, 128);
    invented_u64(&invented, probe + 40, PROBED);
    *invented_at(&invented, probe + 96) = 0x55;
    invented_u64(&invented, probes, probe);
    TEXT_PUT(PROBED, 0xcc);

    text_measure(rows, G_N_ELEMENTS(rows));
    memset(one.reference, 0, sizeof(*one.reference));
    one.inputs = (CheckInputs){0};
}

static void tear_down(void)
{
    kernel_image_clear(&one.reference->first);
    text_clear();
}

/* What a pass says besides that its reference is the first look; NULL: nothing. */
static const CheckFinding *look(const Check *check)
{
    const CheckFinding *other = NULL;
    bool said = false;

    one_check_run(&one, check, &invented.kernel);
    for (uint32_t i = 0; i < one.sightings.count; i++) {
        const CheckFinding *finding = &one.sightings.items[i];
        if (strcmp(finding->object, "reference") == 0) {
            g_assert_cmpuint(finding->severity, ==, CHECK_DEGRADED);
            said = true;
        } else {
            other = finding;
        }
    }
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_true(said);
    g_assert_cmpuint(one_check_counter(&one, "first look"), ==, 1);
    return other;
}

static void assert_fine(void)
{
    const CheckFinding *finding = look(&check_kernel_text);
    if (finding) {
        g_error("%s: %s", finding->object, finding->text);
    }
    g_assert_cmpuint(one_check_counter(&one, "unexplained bytes"), ==, 0);
}

static void assert_found(uint64_t address)
{
    const CheckFinding *finding = look(&check_kernel_text);
    g_assert_nonnull(finding);
    g_assert_cmpuint(finding->severity, ==, CHECK_COMPROMISED);
    g_assert_cmphex(finding->address, >=, address);
    g_assert_cmphex(finding->address, <, address + 8);
    text_reset();
    assert_fine();
}

static void test_text(void)
{
    set_up();
    assert_fine();
    /* All that may change changes. */
    invented_u32(&invented, key, 0);
    TEXT_PUT(KEY_SITE, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    invented_u64(&invented, call_key, FUNCTION);
    text_branch(CALL_SITE, 0xe8, FUNCTION);
    text_branch(TAIL_SITE, 0xe9, FUNCTION);
    text_branch(TRAMPOLINE, 0xe9, FUNCTION);
    TEXT_PUT(TRACED, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    text_branch(QUIET, 0xe8, CALLER);
    invented_u64(&invented, probes, 0);
    TEXT_PUT(PROBED, 0x55);
    assert_fine();
    text_reset();
    assert_fine();

    TEXT_PUT(ELSEWHERE, 0xc3);
    assert_found(ELSEWHERE);
    TEXT_PUT(KEY_SITE, 0x0f, 0x1f, 0x44, 0x00, 0x00); /* the key is still on */
    assert_found(KEY_SITE);
    text_branch(CALL_SITE, 0xe8, FUNCTION); /* and the call still leads nowhere */
    assert_found(CALL_SITE);
    text_branch(QUIET, 0xe8, ELSEWHERE);
    assert_found(QUIET);
    /* A probe that went, and left other code than it had saved. */
    invented_u64(&invented, probes, 0);
    TEXT_PUT(PROBED, 0x90);
    assert_found(PROBED);
    tear_down();
}

/* A site that is being patched is no reference for later, nor is what is there during the boot. */
static void test_not_yet(void)
{
    set_up();
    TEXT_PUT(KEY_SITE, 0xcc);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "being patched"));
    g_assert_false(one.reference->has_first);
    text_reset();
    invented_u32(&invented, state, RUNNING - 1);
    one_check_run(&one, &check_kernel_rodata, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "booting"));
    text_reset();
    assert_fine();
    tear_down();
}

static void test_constants(void)
{
    set_up();
    g_assert_null(look(&check_kernel_rodata));
    *invented_at(&invented, constants + CONSTANT) ^= 1;
    g_assert_nonnull(look(&check_kernel_rodata));
    text_reset();
    *invented_at(&invented, constants + SIZE - 1) ^= 1; /* of its last page some is free */
    g_assert_null(look(&check_kernel_rodata));
    one_check_clear(&one, &check_kernel_rodata);
    tear_down();
}

/* A measured kernel that is given later takes the place of the first look. */
static void test_measured_later(void)
{
    set_up();
    assert_fine();
    TEXT_PUT(ELSEWHERE, 0xc3);
    one.inputs.image = invented.bytes;
    one.inputs.image_size = sizeof(invented.bytes);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    /* What was given is no kernel: that is said, and the first look is not used in its place. */
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpuint(one_check_counter(&one, "reference"), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/first-look/text", test_text);
    g_test_add_func("/first-look/not-yet", test_not_yet);
    g_test_add_func("/first-look/constants", test_constants);
    g_test_add_func("/first-look/measured-later", test_measured_later);
    return g_test_run();
}
