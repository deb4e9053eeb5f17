/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-kernel-rodata.c - the kernel's constants: what a healthy kernel changes of them, and
 * that every other byte is named
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-text.h"

#define SIZE 0x4000u
#define KEYS 0x1000u /* the table of static keys, within */
#define KEY_COUNT 4u
#define CALLS 0x1800u
#define CALL_COUNT 3u
#define AFTER_INIT 0x2000u
#define AFTER_INIT_SIZE 0x800u
#define OPTIONS 0x3000u
#define USED 0x3f00u /* where its last section ends */

static const char options[] = "!cmt,!mbmtotal,l3cat";
static uint64_t rodata;

/* Entry i of the table of keys, that was built as entry. */
static void put_key(unsigned i, unsigned entry)
{
    uint64_t at = rodata + KEYS + 16 * i;
    text_place(at, TEXT + 0x100 * entry);
    text_place(at + 4, TEXT + 0x100 * entry + 0x40);
    invented_u64(&invented, at + 8, OUTSIDE + 16 * entry - (at + 8));
}

static void put_call(unsigned i, unsigned entry)
{
    uint64_t at = rodata + CALLS + 8 * i;
    text_place(at, TEXT + 0x100 * entry);
    text_place(at + 4, OUTSIDE + 8 * entry);
}

static void symbol(const char *name, uint32_t offset)
{
    invented_symbol(&invented, name, rodata + offset);
}

static void set_up(void)
{
    text_begin();
    rodata = text_section(".rodata", USED);
    invented_allocate(&invented, 0x200); /* the rest of its page */
    symbol("__start_rodata", 0);
    symbol("__end_rodata", SIZE);
    symbol("__start___jump_table", KEYS);
    symbol("__stop___jump_table", KEYS + 16 * KEY_COUNT);
    symbol("__start_static_call_sites", CALLS);
    symbol("__stop_static_call_sites", CALLS + 8 * CALL_COUNT);
    symbol("__start_ro_after_init", AFTER_INIT);
    symbol("__end_ro_after_init", AFTER_INIT + AFTER_INIT_SIZE);
    symbol("a_constant", 0x80);
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        put_key(i, i);
    }
    for (unsigned i = 0; i < CALL_COUNT; i++) {
        put_call(i, i);
    }
    text_put(rodata + OPTIONS, options, sizeof(options));
    text_put(rodata + OPTIONS + 0x100, options + 1, sizeof(options) - 1);
    text_measure(NULL, 0);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_kernel_rodata);
    invented_clear(&invented);
}

/* One pass; then the guest is as it was. */
static void judge(uint32_t findings, uint64_t address, const char *why)
{
    one_check_run(&one, &check_kernel_rodata, &invented.kernel);
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.sightings.count, ==, findings);
    if (findings > 0) {
        const CheckFinding *finding = &one.sightings.items[0];
        g_test_message("%s: %s", finding->object, finding->text);
        g_assert_cmpuint(finding->severity, ==, CHECK_COMPROMISED);
        g_assert_cmphex(finding->address, ==, address);
        g_assert_nonnull(strstr(finding->text, why));
    }
    text_reset();
}

static void test_bytes(void)
{
    static const uint32_t places[] = {0,
                                      0x80,
                                      0xfff,
                                      KEYS - 1,
                                      KEYS + 16 * KEY_COUNT,
                                      0x17ff,
                                      AFTER_INIT - 1,
                                      AFTER_INIT + AFTER_INIT_SIZE,
                                      USED - 1};

    set_up();
    judge(0, 0, "");
    g_assert_cmpuint(one_check_counter(&one, "differing bytes"), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        *invented_at(&invented, rodata + places[i]) ^= 0x80;
        judge(1, rodata + places[i], "1 bytes of the kernel's constants");
        g_assert_cmpuint(one_check_counter(&one, "differing bytes"), ==, 1);
    }
    /* By the symbol that it stands behind, with what was built and what is there. */
    TEXT_PUT(rodata + 0x84, 0xde, 0xad);
    judge(1, rodata + 0x84, "2 bytes");
    g_assert_cmpstr(one.sightings.items[0].object, ==, "a_constant+0x4");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "0000");
    g_assert_cmpstr(one.sightings.items[0].observed, ==, "dead");
    /* Across a page, and more ranges than are shown. */
    memset(invented_at(&invented, rodata + 0x2ffe), 0xff, 2);
    *invented_at(&invented, rodata + 0x3000) ^= 0xff;
    judge(1, rodata + 0x2ffe, "3 bytes");
    for (uint32_t i = 0; i < 40; i++) {
        *invented_at(&invented, rodata + 2 * i) ^= 1;
    }
    judge(32, rodata, "1 bytes");
    g_assert_cmpuint(one_check_counter(&one, "differing bytes"), ==, 40);
    g_assert_cmpuint(one_check_counter(&one, "ranges not shown"), ==, 8);
    tear_down();
}

static void test_not_compared(void)
{
    set_up();
    memset(invented_at(&invented, rodata + AFTER_INIT), 0x77, AFTER_INIT_SIZE);
    judge(0, 0, "");
    g_assert_cmpuint(one_check_counter(&one, "not compared"), >=, AFTER_INIT_SIZE);
    memset(invented_at(&invented, rodata + USED), 0x77, SIZE - USED); /* freed at boot */
    judge(0, 0, "");
    tear_down();
}

static void test_sorted(void)
{
    set_up();
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        put_key(i, (i + 2) % KEY_COUNT);
    }
    for (unsigned i = 0; i < CALL_COUNT; i++) {
        put_call(i, CALL_COUNT - 1 - i);
    }
    judge(0, 0, "");
    g_assert_cmpuint(one_check_counter(&one, "sorted entries"), !=, UINT64_MAX);
    put_key(1, 0); /* one twice, and so one is lost */
    judge(1, TEXT + 0x100, "static keys");
    put_call(2, 1);
    judge(1, TEXT + 0x200, "static calls");
    for (unsigned part = 0; part < 3; part++) { /* its code, its target, its key */
        *invented_at(&invented, rodata + KEYS + 16 * 3 + 4 * part) ^= 0x20;
        judge(1, TEXT + 0x300, "static keys");
    }
    *invented_at(&invented, rodata + KEYS + 16 * 3 + 8) ^= 1; /* on by default, or not */
    judge(1, TEXT + 0x300, "static keys");
    *invented_at(&invented, rodata + CALLS + 8 + 4) ^= 1; /* a tail call, or not */
    judge(1, TEXT + 0x100, "static calls");
    *invented_at(&invented, rodata + KEYS + 16 * 3 + 8) ^= 2; /* that its code is init text */
    *invented_at(&invented, rodata + CALLS + 8 + 4) ^= 2;
    judge(0, 0, "");
    tear_down();
}

/* A table that was good is not looked at again; one that was not is, as often as it is there. */
static void test_sorted_again(void)
{
    set_up();
    for (int look = 0; look < 3; look++) {
        put_key(3, 7);
        judge(1, TEXT + 0x300, "static keys");
    }
    for (int look = 0; look < 3; look++) {
        judge(0, 0, "");
    }
    put_key(3, 7);
    judge(1, TEXT + 0x300, "static keys");
    tear_down();
}

/* strsep() of the RDT quirk ends words of "!cmt,..." in place, and writes nothing else. */
static void test_cut_options(void)
{
    const uint64_t first = rodata + OPTIONS + 4, other = rodata + OPTIONS + 0x100 + 3;

    set_up();
    g_assert_cmpint(*invented_at(&invented, first), ==, ',');
    g_assert_cmpint(*invented_at(&invented, other), ==, ',');
    TEXT_PUT(first, 0);
    judge(0, 0, "");
    TEXT_PUT(first, 0);
    TEXT_PUT(rodata + OPTIONS + 14, 0);
    judge(0, 0, "");
    TEXT_PUT(first, ';'); /* no end */
    judge(1, first, "1 bytes");
    TEXT_PUT(first + 1, 0); /* no comma */
    judge(1, first + 1, "1 bytes");
    TEXT_PUT(other, 0); /* of a string without the mark */
    judge(1, other, "1 bytes");
    TEXT_PUT(first, 0, 0); /* and what stands behind it */
    judge(1, first, "2 bytes");
    tear_down();
}

static void test_no_reference(void)
{
    set_up();
    one.reference = NULL;
    one_check_run(&one, &check_kernel_rodata, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpuint(one_check_counter(&one, "reference"), ==, 0);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-rodata/bytes", test_bytes);
    g_test_add_func("/kernel-rodata/not-compared", test_not_compared);
    g_test_add_func("/kernel-rodata/sorted-tables", test_sorted);
    g_test_add_func("/kernel-rodata/sorted-again", test_sorted_again);
    g_test_add_func("/kernel-rodata/cut-options", test_cut_options);
    g_test_add_func("/kernel-rodata/no-reference", test_no_reference);
    return g_test_run();
}
