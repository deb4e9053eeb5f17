/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-bpf.c - which BPF programs are found, and whose digests are the same, over an invented
 * kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define FUNCTION(n) (INVENTED_KERNEL + INVENTED_TEXT + 0x100ull * (n))
#define BASE FUNCTION(2)
#define WRITE_USER (FUNCTION(3) + 0x40)
#define GROUP_SIZE 0x90u /* a control group; its state is its first member */
#define ONLINE 2u        /* the mark of one that was not removed */
#define CODES 0x60u      /* offset of the instructions */

static const InventedRow rows[] = {
    {"xarray", NULL, 0x10, NULL},
    {NULL, "xa_head", 0x8, NULL},
    {"idr", NULL, 0x20, NULL},
    {NULL, "idr_rt", 0x0, "xarray"},
    {"xa_node", NULL, 0x240, NULL},
    {NULL, "shift", 0x0, "u8"},
    {NULL, "offset", 0x1, "u8"},
    {NULL, "parent", 0x8, NULL},
    {NULL, "slots", 0x28, "u64[64]"},
    {"bpf_prog", NULL, 0x60, NULL},
    {NULL, "type", 0x8, "u32"},
    {NULL, "expected_attach_type", 0xc, "u32"},
    {NULL, "len", 0x10, "u32"},
    {NULL, "tag", 0x18, NULL},
    {NULL, "aux", 0x50, NULL},
    {NULL, "insnsi", CODES, NULL},
    {"bpf_ksym", NULL, 0x80, NULL},
    {NULL, "start", 0x0, NULL},
    {NULL, "lnode", 0x40, NULL},
    {NULL, "prog", 0x60, "u8"},
    {"bpf_prog_aux", NULL, 0x200, NULL},
    {NULL, "id", 0x20, "u32"},
    {NULL, "func_cnt", 0x24, "u32"},
    {NULL, "func", 0x28, NULL},
    {NULL, "attach_func_name", 0x30, NULL},
    {NULL, "prog", 0x40, NULL},
    {NULL, "name", 0x48, NULL},
    {NULL, "load_time", 0x60, NULL},
    {NULL, "ksym", 0x100, "bpf_ksym"},
    {"bpf_map", NULL, 0x80, NULL},
    {NULL, "map_type", 0x8, "u32"},
    {NULL, "key_size", 0xc, "u32"},
    {NULL, "value_size", 0x10, "u32"},
    {NULL, "max_entries", 0x14, "u32"},
    {NULL, "id", 0x18, "u32"},
    {NULL, "name", 0x20, NULL},
    {NULL, "frozen", 0x30, "u8"},
    {"bpf_link", NULL, 0x40, NULL},
    {NULL, "id", 0x8, "u32"},
    {NULL, "type", 0xc, "u32"},
    {NULL, "prog", 0x18, NULL},
    {"bpf_prog_array", NULL, 0x10, NULL},
    {NULL, "items", 0x10, NULL},
    {"bpf_prog_array_item", NULL, 0x18, NULL},
    {NULL, "prog", 0x0, NULL},
    {"trace_event_call", NULL, 0x80, NULL},
    {NULL, "list", 0x0, NULL},
    {NULL, "name", 0x18, NULL},
    {NULL, "flags", 0x58, "u32"},
    {NULL, "prog_array", 0x68, NULL},
    {"cgroup_subsys_state", NULL, 0x60, NULL},
    {NULL, "sibling", 0x10, NULL},
    {NULL, "children", 0x20, NULL},
    {NULL, "flags", 0x34, "u32"},
    {"cgroup_bpf", NULL, 0x18, NULL},
    {NULL, "effective", 0x0, "u64[3]"},
    {"cgroup", NULL, GROUP_SIZE, NULL},
    {NULL, "self", 0x0, "cgroup_subsys_state"},
    {NULL, "nr_populated_csets", 0x64, "u32"},
    {NULL, "bpf", 0x70, "cgroup_bpf"},
    {"cgroup_root", NULL, 0x100, NULL},
    {NULL, "cgrp", 0x10, "cgroup"},
    {"CSS_ONLINE", NULL, ONLINE, "enum"},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t symbols, events, programs, links, node, watcher, writer, event;

static void put(uint64_t program, unsigned at, uint8_t code, uint8_t registers, int32_t value)
{
    uint64_t address = program + CODES + 8ull * at;
    invented_at(&invented, address)[0] = code;
    invented_at(&invented, address)[1] = registers;
    invented_u32(&invented, address + 4, (uint32_t)value);
}

/* An id of an IDR: its slot in the one node that it has. */
static void enter(uint64_t idr_node, uint32_t id, uint64_t address)
{
    invented_u64(&invented, idr_node + 0x28 + 8ull * id, address);
}

static uint64_t idr(const char *name)
{
    uint64_t variable = invented_variable(&invented, name, 0x20);
    uint64_t first = invented_allocate(&invented, 0x240);
    invented_u64(&invented, variable + 0x8, first | 2);
    return first;
}

/* With a map's address in it and a call; two of the same differ in the map only. */
static uint64_t program(uint32_t id, uint32_t type, const char *name, uint64_t helper)
{
    uint64_t address = invented_allocate(&invented, CODES + 8 * 8);
    uint64_t aux = invented_allocate(&invented, 0x200), map = invented_allocate(&invented, 0x80);

    invented_u32(&invented, address + 0x8, type);
    invented_u32(&invented, address + 0x10, 4);
    invented_u64(&invented, address + 0x50, aux);
    invented_u32(&invented, aux + 0x20, id);
    invented_u64(&invented, aux + 0x40, address);
    memcpy(invented_at(&invented, aux + 0x48), name, strlen(name));
    invented_u64(&invented, aux + 0x60, 1000000000ull * id);
    invented_at(&invented, aux + 0x160)[0] = 1;
    invented_ring_add(&invented, symbols, aux + 0x140);
    put(address, 0, 0x18, 1, (int32_t)(uint32_t)map);
    put(address, 1, 0, 0, (int32_t)(uint32_t)(map >> 32));
    put(address, 2, 0x85, 0, (int32_t)(int64_t)(helper - BASE));
    put(address, 3, 0x95, 0, 0);
    enter(programs, id, address);
    return address;
}

/* All but invented_end(). */
static void prepare(void)
{
    uint64_t array, name;

    invented_begin(&invented);
    one_check_disown("");
    invented_symbol(&invented, "__bpf_call_base", BASE + 0x40);
    invented_symbol(&invented, "bpf_probe_write_user", WRITE_USER);
    symbols = invented_variable(&invented, "bpf_kallsyms", 16);
    events = invented_variable(&invented, "ftrace_events", 16);
    invented_ring(&invented, symbols);
    invented_ring(&invented, events);
    programs = idr("prog_idr");
    node = idr("map_idr");
    links = idr("link_idr");
    watcher = program(3, 5, "watcher", FUNCTION(4) - 0x40);
    writer = program(5, 5, "writer", WRITE_USER - 0x40);
    event = invented_allocate(&invented, 0x80);
    name = invented_allocate(&invented, 0x40);
    array = invented_allocate(&invented, 0x40);
    memcpy(invented_at(&invented, name), "sys_exit_getdents64", 20);
    invented_u64(&invented, event + 0x18, name);
    invented_u64(&invented, event + 0x68, array);
    invented_u64(&invented, array + 0x10, watcher);
    invented_ring_add(&invented, events, event);
}

static void set_up(void)
{
    prepare();
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void tear_down(void)
{
    one_check_clear(&one, &check_bpf);
    invented_clear(&invented);
}

static void run(void)
{
    one_check_run(&one, &check_bpf, &invented.kernel);
}

static const char *text(const char *id, const char *column)
{
    static TableCell cell;
    g_assert_true(one_check_cell(&one, "id", id, column, &cell));
    return cell.text;
}

/* A program that only watches is no finding, wherever; one that writes is, and where worse. */
static void test_power(void)
{
    set_up();
    run();
    g_assert_cmpuint(one_check_counter(&one, "programs"), ==, 2);
    g_assert_cmpstr(text("3", "power"), ==, "observe");
    g_assert_cmpstr(text("3", "attached"), ==, "event sys_exit_getdents64");
    g_assert_cmpstr(text("5", "power"), ==, "user memory");
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_DEGRADED);
    g_assert_cmpstr(one.sightings.items[0].object, ==, "BPF program 5 'writer'");
    invented_u64(&invented, invented_get(&invented, event + 0x68) + 0x10 + 0x18, writer);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    tear_down();
}

static void test_digest(void)
{
    char first[TABLE_CELL];

    set_up();
    program(9, 1, "twin", FUNCTION(4) - 0x40);
    program(10, 1, "other", FUNCTION(5) - 0x40);
    run();
    g_strlcpy(first, text("3", "digest"), sizeof(first));
    g_assert_cmpuint(strlen(first), ==, 64);
    g_assert_cmpstr(text("9", "digest"), ==, first);
    g_assert_cmpstr(text("10", "digest"), !=, first);
    tear_down();
}

/* Out of the list and still with a symbol, at an event or behind a link. */
static void test_hidden(void)
{
    uint64_t link;

    set_up();
    enter(programs, 3, 0);
    enter(programs, 5, 0);
    run();
    g_assert_cmpuint(one_check_counter(&one, "programs"), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 3); /* two symbols, one event */
    for (uint32_t i = 0; i < one.sightings.count; i++) {
        g_assert_cmpuint(one.sightings.items[i].severity, ==, CHECK_COMPROMISED);
        g_assert_nonnull(strstr(one.sightings.items[i].text, "hidden BPF program"));
    }
    g_assert_cmpstr(one.sightings.items[0].object, ==, "BPF program 'watcher'");
    /* Only a link is left of it. */
    invented_ring_remove(&invented, invented_get(&invented, writer + 0x50) + 0x140);
    enter(programs, 3, watcher);
    link = invented_allocate(&invented, 0x40);
    invented_u32(&invented, link + 0x8, 2);
    invented_u64(&invented, link + 0x18, writer);
    enter(links, 2, link);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmphex(one.sightings.items[0].address, ==, writer);
    g_assert_nonnull(strstr(one.sightings.items[0].text, "link 2"));
    /* One that is not yet attached has no number of its own, and hides nothing. */
    invented_u32(&invented, link + 0x8, 0);
    run();
    g_assert_null(strstr(one.result.text, "link_idr"));
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_nonnull(strstr(one.sightings.items[0].text, "link 2"));
    invented_u32(&invented, link + 0x8, 3); /* another's number */
    run();
    g_assert_nonnull(strstr(one.result.text, "link_idr"));
    tear_down();
}

/* A removed control group keeps pointers to what was freed; one that has processes is none. */
static void test_removed_group(void)
{
    uint64_t root, group, array;

    prepare();
    root = invented_variable(&invented, "cgrp_dfl_root", 0x100) + 0x10;
    group = invented_allocate(&invented, GROUP_SIZE);
    array = invented_allocate(&invented, 0x40);
    invented_ring(&invented, root + 0x20);
    invented_ring(&invented, group + 0x20);
    invented_ring_add(&invented, root + 0x20, group + 0x10);
    invented_u32(&invented, group + 0x34, ONLINE);
    invented_u64(&invented, group + 0x70 + 8, array);
    invented_u64(&invented, array + 0x10, invented_allocate(&invented, 0x80)); /* freed, reused */
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 2); /* and the writer */
    invented_u32(&invented, group + 0x34, 0);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpstr(one.sightings.items[0].object, ==, "BPF program 5 'writer'");
    invented_u32(&invented, group + 0x64, 1);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 2);
    tear_down();
}

/* Parts of a program have symbols of their own and no number. */
static void test_parts(void)
{
    uint64_t part, list;

    set_up();
    part = program(6, 5, "part", FUNCTION(4) - 0x40);
    enter(programs, 6, 0);
    list = invented_allocate(&invented, 0x10);
    invented_u64(&invented, list, part);
    invented_u64(&invented, invented_get(&invented, watcher + 0x50) + 0x28, list);
    invented_u32(&invented, invented_get(&invented, watcher + 0x50) + 0x24, 1);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1); /* the writer */
    tear_down();
}

static void test_hostile(void)
{
    set_up();
    /* A count of instructions that no program has; a list of programs that cannot be. */
    invented_u32(&invented, watcher + 0x10, 0xffffffff);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    invented_u64(&invented, programs + 0x8, 0x1234);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    g_assert_cmpuint(one.sightings.count, ==, 0); /* what was not read is not hidden */
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-bpf/power", test_power);
    g_test_add_func("/check-bpf/digest", test_digest);
    g_test_add_func("/check-bpf/hidden", test_hidden);
    g_test_add_func("/check-bpf/parts", test_parts);
    g_test_add_func("/check-bpf/removed-group", test_removed_group);
    g_test_add_func("/check-bpf/hostile", test_hostile);
    return g_test_run();
}
