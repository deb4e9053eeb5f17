/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-ftrace.c - who may trace functions and send their calls elsewhere, over an invented
 * kernel
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
#define SENSITIVE (FUNCTION(8) + 0x40) /* filldir64 */
#define ENABLED 1u
#define MODIFY 0x1000u
#define RECORD_MODIFY 0x4000000u

static const InventedRow rows[] = {
    {"ftrace_ops", NULL, 0x60, NULL},
    {NULL, "func", 0x0, NULL},
    {NULL, "next", 0x8, NULL},
    {NULL, "flags", 0x10, NULL},
    {NULL, "saved_func", 0x20, NULL},
    {NULL, "func_hash", 0x28, NULL},
    {NULL, "list", 0x30, NULL},
    {"ftrace_ops_hash", NULL, 0x20, NULL},
    {NULL, "filter_hash", 0x8, NULL},
    {"ftrace_hash", NULL, 0x20, NULL},
    {NULL, "size_bits", 0x0, NULL},
    {NULL, "buckets", 0x8, NULL},
    {NULL, "count", 0x10, NULL},
    {"ftrace_func_entry", NULL, 0x20, NULL},
    {NULL, "hlist", 0x0, NULL},
    {NULL, "ip", 0x10, NULL},
    {NULL, "direct", 0x18, NULL},
    {"ftrace_page", NULL, 0x18, NULL},
    {NULL, "next", 0x0, NULL},
    {NULL, "records", 0x8, NULL},
    {NULL, "index", 0x10, "u32"},
    {"dyn_ftrace", NULL, 0x10, NULL},
    {NULL, "ip", 0x0, NULL},
    {NULL, "flags", 0x8, NULL},
    {"klp_patch", NULL, 0x40, NULL},
    {NULL, "list", 0x10, NULL},
    {NULL, "obj_list", 0x20, NULL},
    {"klp_object", NULL, 0x40, NULL},
    {NULL, "func_list", 0x10, NULL},
    {NULL, "node", 0x20, NULL},
    {"klp_func", NULL, 0x40, NULL},
    {NULL, "old_name", 0x0, NULL},
    {NULL, "new_func", 0x8, NULL},
    {NULL, "node", 0x10, NULL},
    {"tracepoint", NULL, 0x40, NULL},
    {NULL, "name", 0x0, NULL},
    {NULL, "funcs", 0x38, NULL},
    {"tracepoint_func", NULL, 0x18, NULL},
    {NULL, "func", 0x0, NULL},
    {NULL, "data", 0x8, NULL},
    {"FTRACE_OPS_FL_ENABLED", NULL, ENABLED, "enum"},
    {"FTRACE_OPS_FL_IPMODIFY", NULL, MODIFY, "enum"},
    {"FTRACE_FL_IPMODIFY", NULL, RECORD_MODIFY, "enum"},
    {"FTRACE_FL_DISABLED", NULL, 0x100000, "enum"},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t tracepoint, probes;
static uint64_t head, end, trampolines, tracer, records, patches, taint, direct;

/* A filter of one function; address 0: none, which means every function. */
static uint64_t filter(uint64_t address, uint64_t target)
{
    uint64_t hash = invented_allocate(&invented, 0x20), buckets = invented_allocate(&invented, 64);
    uint64_t entry = invented_allocate(&invented, 0x20);

    invented_u64(&invented, hash, 3);
    invented_u64(&invented, hash + 0x8, buckets);
    if (address != 0) {
        invented_u64(&invented, hash + 0x10, 1);
        invented_u64(&invented, entry + 0x10, address);
        invented_u64(&invented, entry + 0x18, target);
        invented_chain_add(&invented, buckets + 8 * 7, entry, 0);
    }
    return hash;
}

static uint64_t ops(uint64_t function, uint64_t flags, uint64_t address)
{
    uint64_t at = invented_allocate(&invented, 0x60), pair = invented_allocate(&invented, 0x20);

    invented_u64(&invented, at, function);
    invented_u64(&invented, at + 0x8, invented_get(&invented, head));
    invented_u64(&invented, at + 0x10, flags);
    invented_u64(&invented, at + 0x28, pair);
    invented_u64(&invented, pair + 0x8, filter(address, 0));
    invented_u64(&invented, head, at);
    return at;
}

/* One tracepoint, with two of the kernel's own. */
static void put_tracepoint(void)
{
    uint64_t start = invented_variable(&invented, "__start___tracepoints_ptrs", 4);
    uint64_t name = invented_allocate(&invented, 0x20);

    invented_symbol(&invented, "__stop___tracepoints_ptrs", start + 4);
    tracepoint = invented_variable(&invented, "__tracepoint_sys_enter", 0x40);
    probes = invented_allocate(&invented, 0x18 * 4);
    invented_u32(&invented, start, (uint32_t)(tracepoint - start));
    memcpy(invented_at(&invented, name), "sys_enter", 10);
    invented_u64(&invented, tracepoint, name);
    invented_u64(&invented, tracepoint + 0x38, probes);
    invented_u64(&invented, probes, FUNCTION(4));
    invented_u64(&invented, probes + 0x18, FUNCTION(6));
}

static void set_up(void)
{
    uint64_t page;

    invented_begin(&invented);
    one_check_disown("");
    one_check_own(MODULE, MODULE + 0x1000, OWNER_MODULE, "patch", false);
    one_check_own(HIDDEN, HIDDEN + 0x1000, OWNER_MODULE, "rootkit", true);
    head = invented_variable(&invented, "ftrace_ops_list", 8);
    end = invented_variable(&invented, "ftrace_list_end", 0x60);
    trampolines = invented_variable(&invented, "ftrace_ops_trampoline_list", 16);
    patches = invented_variable(&invented, "klp_patches", 16);
    taint = invented_variable(&invented, "tainted_mask", 8);
    direct = invented_variable(&invented, "direct_functions", 8);
    invented_symbol(&invented, "klp_ftrace_handler", FUNCTION(5));
    invented_symbol(&invented, "filldir64", SENSITIVE);
    invented_ring(&invented, patches);
    invented_ring(&invented, trampolines);
    invented_u64(&invented, head, end);
    invented_u64(&invented, direct, filter(0, 0));
    /* tracefs follows two functions, of which each has a record that says so. */
    tracer = ops(FUNCTION(4), ENABLED, FUNCTION(9));
    ops(FUNCTION(4), ENABLED, SENSITIVE);
    records = invented_allocate(&invented, 0x10 * 3);
    invented_u64(&invented, records, FUNCTION(7));
    invented_u64(&invented, records + 0x10, FUNCTION(9));
    invented_u64(&invented, records + 0x18, 0x80000001);
    invented_u64(&invented, records + 0x20, SENSITIVE);
    invented_u64(&invented, records + 0x28, 0x80000001);
    page = invented_allocate(&invented, 0x18);
    invented_u64(&invented, invented_variable(&invented, "ftrace_pages_start", 8), page);
    invented_u64(&invented, page + 0x8, records);
    invented_u32(&invented, page + 0x10, 3);
    put_tracepoint();
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void tear_down(void)
{
    one_check_clear(&one, &check_ftrace);
    invented_clear(&invented);
}

static void run(void)
{
    one_check_run(&one, &check_ftrace, &invented.kernel);
    g_assert_cmpstr(one.result.text, ==, "");
}

static void assert_found(uint32_t index, CheckSeverity severity, uint64_t address,
                         const char *object)
{
    g_assert_cmpuint(one.sightings.count, >, index);
    g_assert_cmpstr(one.sightings.items[index].object, ==, object);
    g_assert_cmpuint(one.sightings.items[index].severity, ==, severity);
    g_assert_cmphex(one.sightings.items[index].address, ==, address);
}

static void test_clean(void)
{
    TableCell cell;

    set_up();
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "tracers"), ==, 2);
    g_assert_cmpuint(one_check_counter(&one, "functions"), ==, 3);
    g_assert_cmpuint(one_check_counter(&one, "traced"), ==, 2);
    g_assert_true(one_check_cell(&one, "place", "filldir64", "state", &cell));
    g_assert_cmpstr(cell.text, ==, "good");
    tear_down();
}

static void test_tracers(void)
{
    set_up();
    invented_u64(&invented, tracer, MODULE + 8);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_DEGRADED, tracer, "ftrace function_10900");
    invented_u64(&invented, tracer, HIDDEN + 8);
    run();
    assert_found(0, CHECK_COMPROMISED, tracer, "ftrace function_10900");
    /* Behind the kernel's filter by process. */
    invented_u64(&invented, tracer, FUNCTION(4));
    invented_u64(&invented, tracer + 0x20, NOBODY);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_COMPROMISED, tracer, "ftrace-saved function_10900");
    tear_down();
}

/* Another place for a call: only a livepatch may, and only what it lists. */
static void test_redirect(void)
{
    uint64_t patch, object, function, name, at;

    set_up();
    at = ops(FUNCTION(5), ENABLED | MODIFY, FUNCTION(7));
    invented_u64(&invented, records + 0x8, 0x80000001 | RECORD_MODIFY);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_COMPROMISED, at, "redirect function_10700");
    patch = invented_allocate(&invented, 0x40);
    object = invented_allocate(&invented, 0x40);
    function = invented_allocate(&invented, 0x40);
    name = invented_allocate(&invented, 0x20);
    memcpy(invented_at(&invented, name), "function_10700", 15);
    invented_u64(&invented, function, name);
    invented_u64(&invented, function + 0x8, MODULE + 0x20);
    invented_ring(&invented, patch + 0x20);
    invented_ring(&invented, object + 0x10);
    invented_ring_add(&invented, patches, patch + 0x10);
    invented_ring_add(&invented, patch + 0x20, object + 0x20);
    invented_ring_add(&invented, object + 0x10, function + 0x10);
    invented_u64(&invented, taint, 1 << 15);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    invented_u64(&invented, taint, 0);
    run();
    assert_found(0, CHECK_DEGRADED, taint, "tainted_mask");
    invented_u64(&invented, taint, 1 << 15);
    invented_u64(&invented, function + 0x8, NOBODY);
    run();
    assert_found(0, CHECK_COMPROMISED, function, "livepatch function_10700");
    /* A function of a module: it has no name here. */
    invented_u64(&invented, function + 0x8, MODULE + 0x20);
    invented_u64(&invented, records + 0x8, 0);
    ops(FUNCTION(5), ENABLED | MODIFY, MODULE + 0x80);
    invented_u64(&invented, at + 0x10, 0);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    invented_u64(&invented, at + 0x10, ENABLED | MODIFY);
    /* A rootkit's own tracer for the patched function is no livepatch. */
    invented_u64(&invented, function + 0x8, MODULE + 0x20);
    invented_u64(&invented, at, MODULE + 0x40);
    run();
    assert_found(0, CHECK_DEGRADED, at, "ftrace function_10700");
    assert_found(1, CHECK_COMPROMISED, at, "redirect function_10700");
    tear_down();
}

/* A tracer that took itself out of the list still counts where it is called. */
static void test_unlisted(void)
{
    set_up();
    invented_u64(&invented, head, invented_get(&invented, invented_get(&invented, head) + 0x8));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_COMPROMISED, SENSITIVE, "traced filldir64+0");
    /* Every function: then each may have one more. */
    ops(FUNCTION(4), ENABLED, 0);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    invented_u64(&invented, records + 0x18, 0x80000003);
    run();
    assert_found(0, CHECK_COMPROMISED, FUNCTION(9), "traced function_10900+0");
    invented_u64(&invented, records + 0x18, 0x80000001 | RECORD_MODIFY);
    run();
    assert_found(0, CHECK_COMPROMISED, FUNCTION(9), "traced function_10900+0");
    tear_down();
}

/* Its trampoline is still called: what it runs is judged, and it covers no record. */
static void test_trampolines(void)
{
    uint64_t at;

    set_up();
    invented_ring_add(&invented, trampolines, tracer + 0x30);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    /* Out of the list, as the one that was added last. */
    at = ops(FUNCTION(4), 0, FUNCTION(9));
    invented_u64(&invented, head, invented_get(&invented, at + 0x8));
    invented_ring_add(&invented, trampolines, at + 0x30);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "tracers"), ==, 2);
    invented_u64(&invented, at, MODULE + 8);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_DEGRADED, at, "ftrace function_10900");
    invented_u64(&invented, at, HIDDEN + 8);
    run();
    assert_found(0, CHECK_COMPROMISED, at, "ftrace function_10900");
    /* That it says it is enabled covers nothing. */
    invented_u64(&invented, at, FUNCTION(4));
    invented_u64(&invented, at + 0x10, ENABLED);
    invented_u64(&invented, records + 0x18, 0x80000002);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_COMPROMISED, FUNCTION(9), "traced function_10900+0");
    /* A ring that is none. */
    invented_u64(&invented, at + 0x30, at + 0x30);
    one_check_run(&one, &check_ftrace, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();
}

static void test_direct(void)
{
    set_up();
    invented_u64(&invented, direct, filter(SENSITIVE, MODULE + 8));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_COMPROMISED, SENSITIVE, "direct filldir64+0");
    one_check_own(NOBODY, NOBODY + 0x1000, OWNER_BPF_TRAMPOLINE, "bpf_trampoline_1", false);
    invented_u64(&invented, direct, filter(SENSITIVE, NOBODY + 8));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

static void test_tracepoints(void)
{
    set_up();
    invented_u64(&invented, probes + 0x18, MODULE + 8);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    assert_found(0, CHECK_DEGRADED, tracepoint, "tracepoint sys_enter");
    invented_u64(&invented, probes + 0x18, HIDDEN + 8);
    run();
    assert_found(0, CHECK_COMPROMISED, tracepoint, "tracepoint sys_enter");
    invented_u64(&invented, probes + 0x18, NOBODY);
    run();
    assert_found(0, CHECK_COMPROMISED, tracepoint, "tracepoint sys_enter");
    tear_down();
}

static void test_hostile(void)
{
    set_up();
    invented_u64(&invented, tracer + 0x8, tracer); /* a list without an end */
    one_check_run(&one, &check_ftrace, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
    invented_u64(&invented, tracer + 0x8, 0x1234);
    one_check_run(&one, &check_ftrace, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    /* What was not read is not missing from the list. */
    g_assert_cmpuint(one.sightings.count, ==, 0);
    /* Without a filter that could be read its code is judged all the same. */
    invented_u64(&invented, tracer + 0x8, end);
    invented_u64(&invented, tracer + 0x28, 0);
    invented_u64(&invented, tracer, NOBODY);
    one_check_run(&one, &check_ftrace, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    assert_found(0, CHECK_COMPROMISED, tracer, "ftrace functions that are not readable");
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-ftrace/clean", test_clean);
    g_test_add_func("/check-ftrace/tracers", test_tracers);
    g_test_add_func("/check-ftrace/redirect", test_redirect);
    g_test_add_func("/check-ftrace/unlisted", test_unlisted);
    g_test_add_func("/check-ftrace/trampolines", test_trampolines);
    g_test_add_func("/check-ftrace/direct", test_direct);
    g_test_add_func("/check-ftrace/tracepoints", test_tracepoints);
    g_test_add_func("/check-ftrace/hostile", test_hostile);
    return g_test_run();
}
