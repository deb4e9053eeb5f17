/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kernel-text-tracing.c - text that tracers and kprobes patch: only one that the kernel's own
 * records show explains it
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-text.h"

#define TRACED (TEXT + 0x1000) /* built as a call of the stub */
#define QUIET (TEXT + 0x1100)  /* built as a NOP */
#define CALLER (TEXT + 0x5000)
#define CALL_IN_CALLER (TEXT + 0x5020)
#define STUB (TEXT + 0x6000)
#define LIST (TEXT + 0x6100)
#define PROBED (TEXT + 0x2000)
#define COPY OUTSIDE             /* of the caller: a trampoline */
#define HOOK (OUTSIDE + 0x10000) /* what a tracer runs */
#define SLOT (OUTSIDE + 0x20000) /* of an optimised kprobe */
#define COPY_SIZE 16
#define BUCKETS 64

static const InventedRow rows[] = {
    {"ftrace_ops", NULL, 64, NULL},
    {NULL, "func", 0, NULL},
    {NULL, "next", 8, NULL},
    {NULL, "trampoline", 40, NULL},
    {"kprobe", NULL, 128, NULL},
    {NULL, "addr", 40, NULL},
    {NULL, "opcode", 96, "u8"},
    {"arch_optimized_insn", NULL, 32, NULL},
    {NULL, "copied_insn", 0, "u8[4]"},
    {NULL, "insn", 8, NULL},
    {"optimized_kprobe", NULL, 256, NULL},
    {NULL, "optinsn", 160, "arch_optimized_insn"},
};

static uint64_t operations, traced, probes, probe;

static void set_up(void)
{
    uint64_t table, list;

    text_begin();
    table = text_between("__start_mcount_loc", "__stop_mcount_loc", 16);
    list = invented_variable(&invented, "ftrace_ops_list", 8);
    traced = invented_variable(&invented, "ftrace_trace_function", 8);
    probes = invented_variable(&invented, "kprobe_table", (uint64_t)8 * BUCKETS);
    invented_symbol(&invented, "ftrace_caller", CALLER);
    invented_symbol(&invented, "ftrace_call", CALL_IN_CALLER);
    invented_symbol(&invented, "ftrace_stub", STUB);
    invented_symbol(&invented, "arch_ftrace_ops_list_func", LIST);
    invented_u64(&invented, table, TRACED);
    invented_u64(&invented, table + 8, QUIET);
    text_branch(TRACED, 0xe8, STUB);
    TEXT_PUT(QUIET, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    text_branch(CALL_IN_CALLER, 0xe8, STUB);
    TEXT_PUT(CALLER, 0x9c, 0x48, 0x83, 0xec, 0xa8);
    operations = invented_allocate(&invented, 64);
    invented_u64(&invented, list, operations);
    invented_u64(&invented, traced, STUB);
    probe = invented_allocate(&invented, 256);
    text_measure(rows, G_N_ELEMENTS(rows));
    text_judge(FINE, 0, "");
}

static void copy_caller(size_t size)
{
    memcpy(invented_at(&invented, COPY), invented_at(&invented, CALLER), size);
    invented_u64(&invented, operations + 40, COPY);
}

static void test_functions(void)
{
    set_up();
    for (size_t i = 0; i < 2; i++) {
        uint64_t site = i ? QUIET : TRACED;

        one_check_disown("");
        TEXT_PUT(site, 0x66, 0x66, 0x66, 0x66, 0x90);
        text_judge(FINE, 0, "");
        TEXT_PUT(site, 0x90, 0x90, 0x90, 0x90, 0x90);
        text_judge(UNEXPLAINED, site, "");
        text_branch(site, 0xe8, CALLER);
        text_judge(FINE, 0, "");
        text_branch(site, 0xe9, CALLER); /* a jump runs nothing of the function */
        text_judge(UNEXPLAINED, site, "");
        text_branch(site, 0xe8, ELSEWHERE);
        text_judge(COMPROMISED, site, "no tracer registered");
        text_branch(site, 0xe8, COPY);
        text_judge(COMPROMISED, site, "no tracer registered");
        copy_caller(COPY_SIZE);
        text_branch(site, 0xe8, COPY);
        text_judge(FINE, 0, "");
        copy_caller(1); /* an entry that says so of other code */
        text_branch(site, 0xe8, COPY);
        text_judge(COMPROMISED, site, "no tracer registered");
        one_check_own(COPY, COPY + 64, OWNER_BPF_TRAMPOLINE, "", false);
        text_branch(site, 0xe8, COPY);
        text_judge(FINE, 0, "");
        text_branch(site, 0xe9, COPY);
        text_judge(FINE, 0, "");
        one_check_disown("");
        one_check_own(COPY, COPY + 64, OWNER_MODULE, "a_module", false);
        text_branch(site, 0xe9, COPY);
        text_judge(UNEXPLAINED, site, "");
        one_check_disown("");
        one_check_own(COPY, COPY + 64, OWNER_MODULE, "a_module", false);
        text_branch(site, 0xe8, COPY);
        text_judge(COMPROMISED, site, "no tracer registered");
    }
    one_check_disown("");
    text_branch(TRACED, 0xe8, CALLER);
    text_branch(QUIET, 0xe8, CALLER);
    text_judge(FINE, 0, "");
    g_assert_cmpuint(one_check_counter(&one, "traced functions"), ==, 2);
    text_clear();
}

/* An entry of the list of tracers that says that text is its trampoline. */
static void test_trampoline_in_text(void)
{
    set_up();
    memcpy(invented_at(&invented, ELSEWHERE), invented_at(&invented, CALLER), COPY_SIZE);
    invented_u64(&invented, operations + 40, ELSEWHERE);
    text_branch(TRACED, 0xe8, ELSEWHERE);
    one_check_clear(&one, &check_kernel_text);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, 2); /* the copy and the call of it */
    text_clear();
}

static void test_callers(void)
{
    static const Outcome by_owner[] = {UNEXPLAINED, FINE, UNEXPLAINED};

    set_up();
    text_branch(CALL_IN_CALLER, 0xe8, LIST);
    text_judge(FINE, 0, "");
    TEXT_PUT(CALL_IN_CALLER, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    text_judge(FINE, 0, "");
    text_branch(CALL_IN_CALLER, 0xe8, ELSEWHERE);
    text_judge(UNEXPLAINED, CALL_IN_CALLER, "");
    invented_u64(&invented, traced, ELSEWHERE);
    text_branch(CALL_IN_CALLER, 0xe8, ELSEWHERE);
    text_judge(FINE, 0, "");
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(by_owner); i++) {
        one_check_disown("");
        if (i / 2 > 0) {
            one_check_own(HOOK, HOOK + 64, OWNER_MODULE, "a_module", i / 2 == 2);
        }
        /* By the variable or by the list: either is the guest's word. */
        invented_u64(&invented, i % 2 ? traced : operations, HOOK);
        text_branch(CALL_IN_CALLER, 0xe8, HOOK);
        text_judge(by_owner[i / 2], CALL_IN_CALLER, "");
    }
    text_clear();
}

/* A record of a probe at the site, with what it says to have saved. */
static void put_probe(const uint8_t saved[5])
{
    invented_u64(&invented, probes + 8 * 7, probe);
    invented_u64(&invented, probe + 40, PROBED);
    *invented_at(&invented, probe + 96) = saved[0];
    memcpy(invented_at(&invented, probe + 160), saved + 1, 4);
    invented_u64(&invented, probe + 168, SLOT);
}

static void test_kprobes(void)
{
    uint8_t saved[5], lie[5];

    set_up();
    one_check_own(SLOT, SLOT + 64, OWNER_KPROBE, "", false);
    memcpy(saved, invented_at(&invented, PROBED), sizeof(saved));
    for (size_t i = 0; i < sizeof(saved); i++) {
        memcpy(lie, saved, sizeof(lie));
        lie[i] ^= 0x10;
        put_probe(lie);
        text_branch(PROBED, 0xe9, SLOT);
        text_judge(UNEXPLAINED, PROBED, "");
        put_probe(lie);
        *invented_at(&invented, PROBED) = 0xcc;
        text_judge(i == 0 ? UNEXPLAINED : FINE, PROBED, "");
    }
    *invented_at(&invented, PROBED) = 0xcc; /* and no record */
    text_judge(UNEXPLAINED, PROBED, "");
    put_probe(saved);
    text_branch(PROBED, 0xe9, SLOT);
    text_judge(FINE, 0, "");
    put_probe(saved);
    text_branch(PROBED, 0xe9, SLOT + 32);
    text_judge(UNEXPLAINED, PROBED, "");
    put_probe(saved);
    text_branch(PROBED, 0xe8, SLOT);
    text_judge(UNEXPLAINED, PROBED, "");
    one_check_disown("");
    put_probe(saved);
    text_branch(PROBED, 0xe9, SLOT);
    text_judge(UNEXPLAINED, PROBED, "");
    text_clear();
}

/* A chain of probes without an end is a reason, and a probe outside of text is nothing. */
static void test_hostile_kprobes(void)
{
    static const uint64_t places[] = {TEXT_END - 4, TEXT_END, TEXT - 1, 0, UINT64_MAX};

    set_up();
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        put_probe((const uint8_t[]){1, 2, 3, 4, 5});
        invented_u64(&invented, probe + 40, places[i]);
        text_judge(FINE, 0, "");
    }
    put_probe((const uint8_t[]){1, 2, 3, 4, 5});
    invented_u64(&invented, probe, probe);
    one_check_clear(&one, &check_kernel_text);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
    text_clear();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-text/traced-functions", test_functions);
    g_test_add_func("/kernel-text/trampoline-in-text", test_trampoline_in_text);
    g_test_add_func("/kernel-text/callers-of-tracers", test_callers);
    g_test_add_func("/kernel-text/kprobes", test_kprobes);
    g_test_add_func("/kernel-text/hostile-kprobes", test_hostile_kprobes);
    return g_test_run();
}
