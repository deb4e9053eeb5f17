/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-kprobes.c - whose handlers may stand at a kprobe, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define FUNCTION(n) (INVENTED_KERNEL + INVENTED_TEXT + 0x100ull * (n))
#define MODULE 0xffffffffc0100000ull
#define HIDDEN 0xffffffffc0200000ull
#define NOBODY 0xffffc90000123000ull
#define SENSITIVE (FUNCTION(8) + 0x40) /* __x64_sys_getdents64 */

static const InventedRow rows[] = {
    {"kprobe", NULL, 0x80, NULL},        {NULL, "hlist", 0x8, NULL},
    {NULL, "list", 0x18, NULL},          {NULL, "addr", 0x30, NULL},
    {NULL, "pre_handler", 0x38, NULL},   {NULL, "post_handler", 0x50, NULL},
    {NULL, "flags", 0x6c, "u32"},        {"kretprobe", NULL, 0xc0, NULL},
    {NULL, "kp", 0x10, "kprobe"},        {NULL, "handler", 0xa0, NULL},
    {NULL, "entry_handler", 0xb0, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t table, plain, group, first, second;

static uint64_t probe(uint64_t address, uint64_t handler)
{
    uint64_t at = invented_allocate(&invented, 0xc0) + 0x10;
    invented_u64(&invented, at + 0x30, address);
    invented_u64(&invented, at + 0x38, handler);
    invented_ring(&invented, at + 0x18);
    return at;
}

static void set_up(void)
{
    invented_begin(&invented);
    one_check_disown("");
    one_check_own(MODULE, MODULE + 0x1000, OWNER_MODULE, "tracer", false);
    one_check_own(HIDDEN, HIDDEN + 0x1000, OWNER_MODULE, "rootkit", true);
    table = invented_variable(&invented, "kprobe_table", 64 * 8);
    invented_symbol(&invented, "aggr_pre_handler", FUNCTION(1));
    invented_symbol(&invented, "pre_handler_kretprobe", FUNCTION(2));
    invented_symbol(&invented, "kprobe_dispatcher", FUNCTION(3));
    invented_symbol(&invented, "kretprobe_dispatcher", FUNCTION(4) + 0x40);
    invented_symbol(&invented, "__x64_sys_getdents64", SENSITIVE);
    /* tracefs: a probe alone, and a pair at one address of which one waits for the return. */
    plain = probe(SENSITIVE, FUNCTION(3));
    group = probe(FUNCTION(9), FUNCTION(1));
    first = probe(FUNCTION(9), FUNCTION(3));
    second = probe(FUNCTION(9), FUNCTION(2));
    invented_u64(&invented, second + 0x90, FUNCTION(4) + 0x40);
    invented_u32(&invented, plain + 0x6c, 8);
    invented_chain_add(&invented, table + 8 * 5, plain + 0x8, 0);
    invented_chain_add(&invented, table + 8 * 63, group + 0x8, 0);
    invented_ring_add(&invented, group + 0x18, first + 0x18);
    invented_ring_add(&invented, group + 0x18, second + 0x18);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void tear_down(void)
{
    one_check_clear(&one, &check_kprobes);
    invented_clear(&invented);
}

static void assert_found(CheckSeverity severity, uint64_t address, const char *object)
{
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, severity);
    g_assert_cmphex(one.sightings.items[0].address, ==, address);
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
}

static void test_clean(void)
{
    TableCell cell;

    set_up();
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "kprobes"), ==, 3);
    g_assert_cmpuint(one.table.rows, ==, 3);
    g_assert_true(one_check_cell(&one, "place", "__x64_sys_getdents64+0", "note", &cell));
    g_assert_cmpstr(cell.text, ==, "by ftrace ");
    g_assert_true(one_check_cell(&one, "kind", "kretprobe", "target", &cell));
    g_assert_cmpstr(cell.text, ==, "kretprobe_dispatcher+0");
    tear_down();
}

static void test_handlers(void)
{
    set_up();
    /* A module's: a tracer perhaps, on a function that hiding needs a rootkit. */
    invented_u64(&invented, first + 0x38, MODULE + 4);
    assert_found(CHECK_DEGRADED, first, "kprobe function_10900+0");
    invented_u64(&invented, first + 0x38, FUNCTION(3));
    invented_u64(&invented, plain + 0x38, MODULE + 4);
    assert_found(CHECK_COMPROMISED, plain, "kprobe __x64_sys_getdents64+0");
    invented_u64(&invented, plain + 0x38, FUNCTION(3));
    /* A hidden module's and nobody's are, wherever they stand. */
    invented_u64(&invented, first + 0x50, HIDDEN + 4);
    assert_found(CHECK_COMPROMISED, first, "kprobe-post function_10900+0");
    invented_u64(&invented, first + 0x50, 0);
    invented_u64(&invented, second + 0x90, NOBODY);
    assert_found(CHECK_COMPROMISED, second, "kretprobe function_10900+0");
    invented_u64(&invented, second + 0x90, FUNCTION(4) + 0x40);
    invented_u64(&invented, second + 0xa0, NOBODY);
    assert_found(CHECK_COMPROMISED, second, "kretprobe-in function_10900+0");
    tear_down();
}

/* What is nobody's is no proof while not all code is known. */
static void test_owners_missing(void)
{
    set_up();
    one_check_disown("module list torn");
    invented_u64(&invented, first + 0x38, NOBODY);
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    tear_down();
}

static void test_hostile(void)
{
    set_up();
    /* A ring that never comes back: torn, and the rest is still said. */
    invented_u64(&invented, first + 0x18, first + 0x18);
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    g_assert_true(one.table.rows >= 2);
    invented_u64(&invented, table + 8, 0x1234);
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();
}

static void test_lacks(void)
{
    set_up();
    invented_clear(&invented);
    invented_begin(&invented);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
    one_check_run(&one, &check_kprobes, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "kprobe_table"));
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-kprobes/clean", test_clean);
    g_test_add_func("/check-kprobes/handlers", test_handlers);
    g_test_add_func("/check-kprobes/owners-missing", test_owners_missing);
    g_test_add_func("/check-kprobes/hostile", test_hostile);
    g_test_add_func("/check-kprobes/lacks", test_lacks);
    return g_test_run();
}
