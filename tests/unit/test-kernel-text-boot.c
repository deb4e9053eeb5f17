/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kernel-text-boot.c - text that is patched once at boot and has one legal value besides what
 * was built: locks, paravirt, call depth, ENDBR seals, runtime constants
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "tests/lib/invented-text.h"

#define SITE (TEXT + 0x1008)
#define SECOND (TEXT + 0x1108)
#define FUNCTION (TEXT + 0x3000)
#define NOTHING (TEXT + 0x3100)
#define NOP2 0x66, 0x90
#define NOP5 0x0f, 0x1f, 0x44, 0x00, 0x00
#define TEMPLATE_SIZE 16
#define DISPLACEMENT 4 /* within the template */

static void test_locks(void)
{
    static const uint8_t legal[] = {0x3e, 0xf0}, others[] = {0x90, 0x2e, 0x64, 0xcc};
    uint64_t table;

    text_begin();
    table = text_section(".smp_locks", 8);
    text_place(table, SITE);
    text_place(table + 4, SECOND); /* no LOCK stands there */
    TEXT_PUT(SITE, 0xf0);
    text_measure(NULL, 0);
    for (size_t i = 0; i < sizeof(legal); i++) {
        text_put(SITE, &legal[i], 1);
        text_judge(FINE, 0, "");
        text_put(SECOND, &legal[i], 1);
        text_judge(UNEXPLAINED, SECOND, "");
    }
    for (size_t i = 0; i < sizeof(others); i++) {
        text_put(SITE, &others[i], 1);
        text_judge(UNEXPLAINED, SITE, "");
    }
    TEXT_PUT(SITE, 0x3e, 0x90);
    text_judge(UNEXPLAINED, SITE + 1, "");
    text_clear();
}

static uint64_t operations;

/* inlines: the kernel is one that writes instructions in place of calls. */
static void put_paravirt(bool inlines)
{
    uint64_t table;

    text_begin();
    table = text_section(".parainstructions", 2 * 16 - 6);
    operations = invented_variable(&invented, "pv_ops", 64);
    invented_symbol(&invented, "_paravirt_nop", NOTHING);
    invented_symbol(&invented, "native_irq_disable", FUNCTION + 1);
    if (inlines) {
        invented_symbol(&invented, "native_patch", FUNCTION + 2);
    }
    for (size_t i = 0; i < 2; i++) {
        invented_u64(&invented, table + 16 * i, i ? SECOND : SITE);
        *invented_at(&invented, table + 16 * i + 8) = (uint8_t)(2 + i);
        *invented_at(&invented, table + 16 * i + 9) = 7;
    }
    invented_u64(&invented, operations + 16, FUNCTION);
    invented_u64(&invented, operations + 24, NOTHING);
    TEXT_PUT(SITE, 0xff, 0x14, 0x25, 1, 2, 3, 4);
    TEXT_PUT(SECOND, 0xff, 0x14, 0x25, 1, 2, 3, 4);
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");
}

static void test_paravirt(void)
{
    put_paravirt(false);
    text_branch(SITE, 0xe8, FUNCTION);
    TEXT_PUT(SITE + 5, NOP2);
    text_judge(FINE, 0, "");
    text_branch(SITE, 0xe8, FUNCTION);
    TEXT_PUT(SITE + 5, 0x31, 0xc0);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe8, ELSEWHERE);
    TEXT_PUT(SITE + 5, NOP2);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe8, OUTSIDE);
    TEXT_PUT(SITE + 5, NOP2);
    invented_u64(&invented, operations + 16, OUTSIDE); /* both were changed by one hand */
    text_judge(UNEXPLAINED, SITE, "");
    TEXT_PUT(SECOND, NOP5, NOP2);
    text_judge(FINE, 0, "");
    TEXT_PUT(SITE, NOP5, NOP2); /* its function does something */
    text_judge(UNEXPLAINED, SITE, "");
    text_clear();
}

static void test_inline_paravirt(void)
{
    for (int inlines = 0; inlines < 2; inlines++) {
        put_paravirt(inlines);
        invented_u64(&invented, operations + 16, FUNCTION + 1);
        TEXT_PUT(SITE, 0xfa, NOP5, 0x90);
        text_judge(inlines ? FINE : UNEXPLAINED, SITE, "");
        invented_u64(&invented, operations + 16, FUNCTION + 1);
        TEXT_PUT(SITE, 0xfb, NOP5, 0x90); /* the opposite of what is called */
        text_judge(UNEXPLAINED, SITE, "");
        TEXT_PUT(SITE, 0xfa, NOP5, 0x90);
        text_judge(UNEXPLAINED, SITE, "");
        text_clear();
    }
}

static uint64_t put_template(void)
{
    static const uint8_t code[TEMPLATE_SIZE] = {0x65, 0x48, 0xc1, 0x3d, 1, 2,    3,    0,
                                                5,    0x90, 0x90, 0x90, 9, 0x90, 0x90, 0x90};
    uint64_t template = invented_variable(&invented, "skl_call_thunk_template", TEMPLATE_SIZE);
    text_put(template, code, sizeof(code));
    invented_symbol(&invented, "skl_call_thunk_tail", template + TEMPLATE_SIZE);
    return template;
}

static void test_call_sites(void)
{
    uint64_t table;

    text_begin();
    table = text_section(".call_sites", 8);
    text_place(table, SITE);
    text_place(table + 4, SECOND);
    put_template();
    text_branch(SITE, 0xe8, FUNCTION);
    text_branch(SECOND, 0xe9, FUNCTION); /* no call */
    text_measure(NULL, 0);
    text_branch(SITE, 0xe8, FUNCTION - TEMPLATE_SIZE);
    text_judge(FINE, 0, "");
    text_branch(SITE, 0xe8, FUNCTION - TEMPLATE_SIZE + 1);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe9, FUNCTION - TEMPLATE_SIZE);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SECOND, 0xe9, FUNCTION - TEMPLATE_SIZE);
    text_judge(UNEXPLAINED, SECOND, "");
    text_clear();
}

static void put_padding(uint64_t at, uint64_t template)
{
    uint32_t distance = (uint32_t)text_s32(invented_at(&invented, template + DISPLACEMENT));
    memcpy(invented_at(&invented, at), invented_at(&invented, template), TEMPLATE_SIZE);
    invented_u32(&invented, at + DISPLACEMENT, distance + (uint32_t)(template - at));
}

static void test_padding(void)
{
    const uint64_t place = FUNCTION - TEMPLATE_SIZE;
    uint64_t template;

    text_begin();
    template = put_template();
    text_measure(NULL, 0);
    put_padding(place, template);
    text_judge(FINE, 0, "");
    for (size_t i = 0; i < TEMPLATE_SIZE; i++) {
        put_padding(place, template);
        *invented_at(&invented, place + i) ^= 0x40;
        text_judge(UNEXPLAINED, place, "");
    }
    put_padding(place + 0x20, template); /* in front of no function */
    text_judge(UNEXPLAINED, place + 0x20, "");
    text_clear();
}

static void test_seals(void)
{
    static const uint8_t codes[][4] = {{0xf3, 0x0f, 0x1e, 0xfa}, {0x66, 0x0f, 0x1f, 0x00},
                                       {0x0f, 0x1f, 0x40, 0xd6}, {0x0f, 0x1f, 0x40, 0x00},
                                       {0xf3, 0x0f, 0x1e, 0xfb}, {0xc3, 0xcc, 0xcc, 0xcc}};

    text_begin();
    text_place(text_section(".ibt_endbr_seal", 4), SITE);
    text_put(SITE, codes[0], 4);
    text_put(SECOND, codes[0], 4); /* and one that is never sealed */
    text_measure(NULL, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        text_put(SITE, codes[i], 4);
        text_judge(i < 3 ? FINE : UNEXPLAINED, SITE, "");
        text_put(SECOND, codes[i], 4);
        text_judge(i == 0 ? FINE : UNEXPLAINED, SECOND, "");
    }
    text_clear();
}

static void test_constants(void)
{
    uint64_t table, variable, shift;

    text_begin();
    table = text_section("runtime_ptr_hash_table", 8);
    text_place(table, SITE);
    text_place(table + 4, SECOND);
    text_place(text_section("runtime_shift_hash_shift", 4), SITE + 0x20);
    variable = invented_variable(&invented, "hash_table", 8);
    shift = invented_variable(&invented, "hash_shift", 8);
    text_measure(NULL, 0);
    invented_u64(&invented, variable, 0xffff888000123400ull);
    invented_u64(&invented, SITE, 0xffff888000123400ull);
    text_judge(FINE, 0, "");
    invented_u64(&invented, variable, 0xffff888000123400ull);
    invented_u64(&invented, SITE, 0xffff888000123400ull);
    invented_u64(&invented, SECOND, 0xffff888000123408ull);
    text_judge(UNEXPLAINED, SECOND, "");
    *invented_at(&invented, shift) = 13;
    TEXT_PUT(SITE + 0x20, 13);
    text_judge(FINE, 0, "");
    *invented_at(&invented, shift) = 14;
    TEXT_PUT(SITE + 0x20, 13);
    text_judge(UNEXPLAINED, SITE + 0x20, "");
    *invented_at(&invented, shift) = 13;
    TEXT_PUT(SITE + 0x20, 13, 0); /* one byte of it is the constant */
    text_judge(UNEXPLAINED, SITE + 0x21, "");
    text_clear();
}

/* Of caches that have no variable any more: all sites name one cache of that name. */
static void test_caches(void)
{
    static const InventedRow rows[] = {{"kmem_cache", NULL, 64, NULL}, {NULL, "name", 16, NULL}};
    uint64_t table, caches[3], names;

    text_begin();
    table = text_section("runtime_ptr___dentry_cache", 8);
    text_place(table, SITE);
    text_place(table + 4, SECOND);
    names = invented_allocate(&invented, 64);
    text_put(names, "dentry", sizeof("dentry"));
    text_put(names + 32, "dentries", sizeof("dentries"));
    for (size_t i = 0; i < G_N_ELEMENTS(caches); i++) {
        caches[i] = invented_allocate(&invented, 64);
        invented_u64(&invented, caches[i] + 16, names + (i == 2 ? 32 : 0));
    }
    text_measure(rows, G_N_ELEMENTS(rows));
    for (size_t i = 0; i < G_N_ELEMENTS(caches); i++) {
        invented_u64(&invented, SITE, caches[0]);
        invented_u64(&invented, SECOND, caches[i]);
        text_judge(i == 0 ? FINE : UNEXPLAINED, SECOND, "");
    }
    invented_u64(&invented, SITE, caches[2]); /* of another name */
    text_judge(UNEXPLAINED, SITE, "");
    invented_u64(&invented, SITE, 0x4141414141414142ull);
    text_judge(UNEXPLAINED, SITE, "");
    text_clear();
}

/* What was explained once is known in later passes, and a change after it is judged. */
static void test_later_passes(void)
{
    text_begin();
    text_place(text_section(".smp_locks", 4), SITE);
    TEXT_PUT(SITE, 0xf0);
    text_measure(NULL, 0);
    one_check_clear(&one, &check_kernel_text);
    TEXT_PUT(SITE, 0x3e);
    text_judge_again(FINE, 0, "");
    text_judge_again(FINE, 0, "");
    TEXT_PUT(SECOND, 0xc3);
    text_judge_again(UNEXPLAINED, SECOND, "");
    text_judge_again(UNEXPLAINED, SECOND, ""); /* it does not become known by being there */
    TEXT_PUT(SECOND, 0x41);
    text_judge_again(FINE, 0, "");
    TEXT_PUT(SITE, 0x90);
    text_judge_again(UNEXPLAINED, SITE, "");
    text_clear();
}

/* Places at the ends of text and outside it. */
static void test_ends(void)
{
    static const uint64_t ends[] = {TEXT_END - 1, TEXT_END - 3, TEXT_END - 4,
                                    TEXT_END - 5, TEXT_END - 6, TEXT_END,
                                    TEXT - 1,     TEXT - 7,     OUTSIDE};
    static const char *const sections[] = {".smp_locks",      ".retpoline_sites", ".return_sites",
                                           ".call_sites",     ".ibt_endbr_seal",  "runtime_ptr_x",
                                           "runtime_shift_x", "runtime_",         "runtime_ptr"};
    const size_t count = G_N_ELEMENTS(ends);
    uint64_t table;

    text_begin();
    put_template();
    invented_variable(&invented, "x", 8);
    invented_variable(&invented, "pv_ops", 8 * 256);
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        table = text_section(sections[i], 4 * count + 3);
        for (size_t k = 0; k < count; k++) {
            text_place(table + 4 * k, ends[k]);
        }
    }
    table = text_section(".parainstructions", 16 * count + 9);
    for (size_t k = 0; k < count; k++) {
        invented_u64(&invented, table + 16 * k, ends[k]);
        *invented_at(&invented, table + 16 * k + 8) = 0xff;
        *invented_at(&invented, table + 16 * k + 9) = (uint8_t)(k % 2 ? 7 : 255);
    }
    text_measure(NULL, 0);
    for (size_t size = 1; size <= 8; size++) {
        memset(invented_at(&invented, TEXT_END - size), 0xe9, size);
        text_judge(UNEXPLAINED, TEXT_END - size, "");
    }
    text_clear();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-text/locks", test_locks);
    g_test_add_func("/kernel-text/paravirt", test_paravirt);
    g_test_add_func("/kernel-text/inline-paravirt", test_inline_paravirt);
    g_test_add_func("/kernel-text/call-depth", test_call_sites);
    g_test_add_func("/kernel-text/call-depth-padding", test_padding);
    g_test_add_func("/kernel-text/endbr-seals", test_seals);
    g_test_add_func("/kernel-text/runtime-constants", test_constants);
    g_test_add_func("/kernel-text/constants-of-caches", test_caches);
    g_test_add_func("/kernel-text/later-passes", test_later_passes);
    g_test_add_func("/kernel-text/boot-ends-of-text", test_ends);
    return g_test_run();
}
