/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-netfilter.c - whose functions may stand in a packet's way, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define FUNCTION(n) (INVENTED_KERNEL + INVENTED_TEXT + 0x100ull * (n))
#define MODULE 0xffffffffc0000000ull /* nf_tables */
#define STRANGER 0xffffffffc0100000ull
#define HIDDEN 0xffffffffc0200000ull
#define NOBODY 0xffffc90000123000ull

static const InventedRow rows[] = {
    {"netns_nf", NULL, 0x100, NULL},
    {NULL, "hooks_ipv4", 0x20, "u64[5]"},
    {NULL, "hooks_arp", 0x60, "u64[3]"},
    {"ns_common", NULL, 0x20, NULL},
    {NULL, "inum", 0x8, "u32"},
    {"net", NULL, 0x300, NULL},
    {NULL, "list", 0x10, NULL},
    {NULL, "ns", 0x40, "ns_common"},
    {NULL, "dev_base_head", 0x80, NULL},
    {NULL, "nf", 0x100, "netns_nf"},
    {"nf_hook_entries", NULL, 0x8, NULL},
    {NULL, "num_hook_entries", 0x0, "u16"},
    {NULL, "hooks", 0x8, NULL},
    {"nf_hook_entry", NULL, 0x10, NULL},
    {NULL, "hook", 0x0, NULL},
    {"nf_hook_ops", NULL, 0x40, NULL},
    {NULL, "hook", 0x18, NULL},
    {NULL, "priority", 0x30, "u32"},
    {"net_device", NULL, 0x200, NULL},
    {NULL, "name", 0x8, NULL},
    {NULL, "dev_list", 0x20, NULL},
    {NULL, "nf_hooks_ingress", 0x40, NULL},
    {NULL, "ptype_all", 0x50, NULL},
    {NULL, "ptype_specific", 0x60, NULL},
    {NULL, "rx_handler", 0x70, NULL},
    {NULL, "netdev_ops", 0x78, NULL},
    {"net_device_ops", NULL, 0x40, NULL},
    {"packet_type", NULL, 0x60, NULL},
    {NULL, "type", 0x0, "u16"},
    {NULL, "func", 0x8, NULL},
    {NULL, "list", 0x28, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t namespaces, net, device, hooks, operations, registration, taps;

static uint64_t hook_table(uint64_t first, uint64_t second)
{
    uint64_t table = invented_allocate(&invented, 0x100);
    registration = invented_allocate(&invented, 0x80);
    invented_u16(&invented, table, 2);
    invented_u64(&invented, table + 0x8, first);
    invented_u64(&invented, table + 0x18, second);
    invented_u64(&invented, table + 0x28, registration);
    invented_u64(&invented, table + 0x30, registration + 0x40);
    invented_u64(&invented, registration + 0x18, first);
    invented_u32(&invented, registration + 0x30, (uint32_t)-225);
    invented_u64(&invented, registration + 0x58, second);
    return table;
}

static uint64_t tap(uint64_t head, uint64_t function)
{
    uint64_t type = invented_allocate(&invented, 0x60);
    invented_u64(&invented, type + 0x8, function);
    invented_ring_add(&invented, head, type + 0x28);
    return type;
}

static void set_up_with(const InventedRow *use, size_t count)
{
    uint64_t base;

    one_check_disown("");
    one_check_own(MODULE, MODULE + 0x1000, OWNER_MODULE, "nf_tables", false);
    one_check_own(STRANGER, STRANGER + 0x1000, OWNER_MODULE, "snd_pcm", false);
    one_check_own(HIDDEN, HIDDEN + 0x1000, OWNER_MODULE, "nf_evil", true);
    invented_begin(&invented);
    namespaces = invented_variable(&invented, "net_namespace_list", 16);
    taps = invented_variable(&invented, "ptype_all", 16);
    base = invented_variable(&invented, "ptype_base", 256);
    net = invented_allocate(&invented, 0x300);
    device = invented_allocate(&invented, 0x200);
    operations = invented_allocate(&invented, 0x40);
    invented_ring(&invented, namespaces);
    invented_ring(&invented, taps);
    for (uint64_t i = 0; i < 16; i++) {
        invented_ring(&invented, base + 16 * i);
    }
    invented_ring_add(&invented, namespaces, net + 0x10);
    invented_u32(&invented, net + 0x48, 4026531840u);
    invented_ring(&invented, net + 0x80);
    invented_ring_add(&invented, net + 0x80, device + 0x20);
    memcpy(invented_at(&invented, device + 0x8), "eth0", 4);
    invented_ring(&invented, device + 0x50);
    invented_ring(&invented, device + 0x60);
    invented_u64(&invented, device + 0x78, operations);
    invented_u64(&invented, operations, FUNCTION(3));
    invented_u64(&invented, operations + 0x8, 0x42); /* flags: no function */
    invented_u64(&invented, operations + 0x10, MODULE + 0x80);
    hooks = hook_table(FUNCTION(1), MODULE + 0x10);
    invented_u64(&invented, net + 0x120, hooks); /* ipv4/prerouting */
    tap(base + 16, FUNCTION(5));
    invented_end(&invented, use, count);
}

static void set_up(void)
{
    set_up_with(rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_netfilter, &invented.kernel);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_netfilter);
    invented_clear(&invented);
}

static void assert_found(CheckSeverity severity, uint64_t address, const char *object)
{
    run();
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
    run();
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "hooks"), ==, 3);
    g_assert_cmpuint(one_check_counter(&one, "devices"), ==, 1);
    g_assert_cmpuint(one.table.rows, ==, 3);
    g_assert_true(one_check_cell(&one, "place", "ipv4/prerouting net:[4026531840]", "note", &cell));
    g_assert_cmpstr(cell.text, ==, "priority -225");
    g_assert_true(one_check_cell(&one, "owner", "[nf_tables]", "state", &cell));
    g_assert_cmpstr(cell.text, ==, "good");
    tear_down();
}

static void test_hooks(void)
{
    set_up();
    invented_u64(&invented, hooks + 0x8, NOBODY);
    invented_u64(&invented, registration + 0x18, NOBODY);
    assert_found(CHECK_COMPROMISED, NOBODY, "netfilter ipv4/prerouting net:[4026531840]");
    invented_u64(&invented, hooks + 0x8, HIDDEN + 4);
    invented_u64(&invented, registration + 0x18, HIDDEN + 4);
    assert_found(CHECK_COMPROMISED, HIDDEN + 4, "netfilter ipv4/prerouting net:[4026531840]");
    /* A listed module that is no filter, and the middle of a function: odd, not proven. */
    invented_u64(&invented, hooks + 0x8, STRANGER + 4);
    invented_u64(&invented, registration + 0x18, STRANGER + 4);
    assert_found(CHECK_DEGRADED, STRANGER + 4, "netfilter ipv4/prerouting net:[4026531840]");
    invented_u64(&invented, hooks + 0x8, FUNCTION(1) + 5);
    invented_u64(&invented, registration + 0x18, FUNCTION(1) + 5);
    assert_found(CHECK_DEGRADED, FUNCTION(1) + 5, "netfilter ipv4/prerouting net:[4026531840]");
    tear_down();
}

/* What runs is not what was registered, though both are honest code. */
static void test_replaced(void)
{
    set_up();
    invented_u64(&invented, hooks + 0x8, FUNCTION(2));
    assert_found(CHECK_COMPROMISED, hooks + 0x28, "netfilter ipv4/prerouting net:[4026531840]");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "function_10100+0");
    g_assert_cmpstr(one.sightings.items[0].observed, ==, "function_10200+0");
    tear_down();
}

static void test_devices(void)
{
    uint64_t second, table;

    set_up();
    table = hook_table(FUNCTION(1), NOBODY);
    invented_u64(&invented, device + 0x40, table);
    assert_found(CHECK_COMPROMISED, NOBODY, "netfilter ingress of eth0 net:[4026531840]");
    invented_u64(&invented, device + 0x40, 0);
    invented_u64(&invented, device + 0x70, NOBODY);
    assert_found(CHECK_COMPROMISED, NOBODY, "receive eth0 net:[4026531840]");
    invented_u64(&invented, device + 0x70, STRANGER);
    assert_found(CHECK_DEGRADED, STRANGER, "receive eth0 net:[4026531840]");
    invented_u64(&invented, device + 0x70, 0);
    /* One function of the driver's; a second device with the same table says nothing more. */
    invented_u64(&invented, operations + 0x18, NOBODY);
    second = invented_allocate(&invented, 0x200);
    invented_ring(&invented, second + 0x50);
    invented_ring(&invented, second + 0x60);
    invented_u64(&invented, second + 0x78, operations);
    invented_ring_add(&invented, net + 0x80, second + 0x20);
    assert_found(CHECK_COMPROMISED, NOBODY, "device netdev_ops of eth0 net:[4026531840]");
    g_assert_cmpuint(one_check_counter(&one, "devices"), ==, 2);
    tear_down();
}

static void test_taps(void)
{
    uint64_t type;

    set_up();
    type = tap(device + 0x50, FUNCTION(7));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    invented_u64(&invented, type + 0x8, STRANGER);
    assert_found(CHECK_DEGRADED, STRANGER, "tap eth0 net:[4026531840]");
    invented_u64(&invented, type + 0x8, HIDDEN);
    assert_found(CHECK_COMPROMISED, HIDDEN, "tap eth0 net:[4026531840]");
    invented_ring_remove(&invented, type + 0x28);
    tap(taps, NOBODY);
    assert_found(CHECK_COMPROMISED, NOBODY, "tap all packets");
    tear_down();
}

/* An orphan is none while not all code is known, and the check is then not whole. */
static void test_owners_missing(void)
{
    set_up();
    one_check_disown("module list torn");
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "module list torn"));
    tear_down();
}

/* Lists without an end, counts beyond all bounds, pointers into nothing. */
static void test_hostile(void)
{
    set_up();
    invented_u16(&invented, hooks, 0xffff);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up();
    invented_u64(&invented, net + 0x120, 0xdead000000000100ull);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up();
    invented_u64(&invented, net + 0x10, net + 0x10); /* the only namespace follows itself */
    invented_u64(&invented, net + 0x18, net + 0x10);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up();
    invented_u64(&invented, device + 0x20, 0x1122334455667788ull);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up();
    invented_u64(&invented, net + 0x10, net + 0x30); /* a ring that leaves out its head */
    invented_u64(&invented, net + 0x38, net + 0x10);
    invented_u64(&invented, net + 0x30, net + 0x10);
    invented_u64(&invented, net + 0x18, net + 0x30);
    run();
    g_assert_cmpuint(one.result.reason, !=, MONATT_REASON_NONE);
    tear_down();
}

/* A kernel without one of the members: that part says so, the rest goes on. */
static void test_lacking(void)
{
    InventedRow fewer[G_N_ELEMENTS(rows)];

    memcpy(fewer, rows, sizeof(rows));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (fewer[i].member && strcmp(fewer[i].member, "dev_base_head") == 0) {
            fewer[i].member = "renamed";
        }
    }
    set_up_with(fewer, G_N_ELEMENTS(fewer));
    invented_u64(&invented, hooks + 0x8, NOBODY);
    invented_u64(&invented, registration + 0x18, NOBODY);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "dev_base_head"));
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netfilter/clean", test_clean);
    g_test_add_func("/netfilter/hooks", test_hooks);
    g_test_add_func("/netfilter/replaced", test_replaced);
    g_test_add_func("/netfilter/devices", test_devices);
    g_test_add_func("/netfilter/taps", test_taps);
    g_test_add_func("/netfilter/owners-missing", test_owners_missing);
    g_test_add_func("/netfilter/hostile", test_hostile);
    g_test_add_func("/netfilter/lacking", test_lacking);
    return g_test_run();
}
