/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-special.c - changes that single words do not make: forged notes, a million tasks, loops of
 * trees, headers with hostile counts
 *
 * What the kernel at hand has no symbol for changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/macros.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/walk-change.h"

#define FAKE_TASKS 1000000u
#define FAKE_STRIDE 64u
#define NOTES 100u
#define NODE_SLOTS 64u

static GuestKernel *known;
static uint64_t direct_map;
static uint64_t unused; /* guest-physical, of a half of RAM that the chains are built in */

void walk_special_prepare(GuestKernel *kernel, uint64_t direct)
{
    known = kernel;
    direct_map = direct;
    unused = walk_memory_size() / 2 & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
}

static void put_u64(uint64_t address, uint64_t value)
{
    walk_memory_put(address, &value, sizeof(value));
}

static void put_u32(uint64_t address, uint32_t value)
{
    walk_memory_put(address, &value, sizeof(value));
}

static bool physical_of(uint64_t address, uint64_t *ret_physical)
{
    return address_space_translate(&known->space, address, ret_physical);
}

static bool symbol(const char *name, uint64_t *ret_physical)
{
    uint64_t address;
    return guest_kernel_symbol(known, name, &address) && physical_of(address, ret_physical);
}

/* The note once more, with another root, or another name. */
static void put_note(uint64_t page, uint64_t number)
{
    static const char *const words[] = {"swapper_pg_dir)=", "_stext)=",    "kallsyms_names)=",
                                        "OSRELEASE=",       "phys_base)=", "kallsyms_num_syms)="};
    char text[GUEST_PAGE_SIZE + 1];
    const uint8_t *from = walk_memory_at(known->note_address, GUEST_PAGE_SIZE);

    if (!from) {
        return;
    }
    memcpy(text, from, GUEST_PAGE_SIZE);
    text[GUEST_PAGE_SIZE] = '\0';
    const char *word = words[number % MONATT_ARRAY_SIZE(words)];
    char *at = strstr(text, word);
    if (at) {
        size_t place = (size_t)(at - text) + strlen(word) + number / 8 % 12;
        text[place < GUEST_PAGE_SIZE ? place : 0] = "0123456789abcdef"[number / 128 % 16];
    }
    walk_memory_put(page, text, GUEST_PAGE_SIZE);
}

static void second_note(uint64_t number)
{
    /* Before the real one, too. */
    put_note(number % 2 ? unused : GUEST_PAGE_SIZE, number / 2);
}

static void many_notes(uint64_t number)
{
    for (uint64_t i = 0; i < NOTES; i++) {
        put_note(unused + i * GUEST_PAGE_SIZE, number + i * 997);
    }
}

/* A ring through init_task of as many nodes as RAM has room for. */
static void fake_tasks(uint64_t number)
{
    uint64_t head = known->symbols.init_task + known->offsets.task_tasks, physical;
    uint64_t count = (walk_memory_size() - unused) / FAKE_STRIDE / 2, at = unused;

    if (known->symbols.init_task == 0 || !physical_of(head, &physical)) {
        return;
    }
    count = count < FAKE_TASKS ? count : FAKE_TASKS;
    put_u64(physical, direct_map + at);
    for (uint64_t i = 0; i < count; i++, at += FAKE_STRIDE) {
        uint64_t node[FAKE_STRIDE / 8];
        for (size_t k = 2; k < MONATT_ARRAY_SIZE(node); k++) {
            node[k] = number % 3 == 0 ? i << 32 | i : number % 3 == 1 ? direct_map + at : 0;
        }
        node[0] = i + 1 < count ? direct_map + at + FAKE_STRIDE : number % 2 ? head : direct_map;
        node[1] = i == 0 ? head : direct_map + at - FAKE_STRIDE;
        walk_memory_put(at, node, sizeof(node));
    }
}

/* The n-th task's next one is the first. */
static void task_cycle(uint64_t number)
{
    uint64_t head = known->symbols.init_task + known->offsets.task_tasks, physical;
    uint64_t first = 0, node = head;

    if (known->symbols.init_task == 0 || !physical_of(head, &physical)) {
        return;
    }
    first = walk_memory_u64(physical);
    for (uint64_t i = 0; i <= number % 50; i++) {
        if (!physical_of(node, &physical)) {
            return;
        }
        node = walk_memory_u64(physical);
    }
    if (physical_of(node, &physical)) {
        put_u64(physical, first);
    }
}

static void xarray_loop(uint64_t number)
{
    uint64_t head = known->symbols.init_pid_ns + known->offsets.namespace_idr_root, physical, node;

    if (known->symbols.init_pid_ns == 0 || !physical_of(head, &physical)) {
        return;
    }
    node = walk_memory_u64(physical);
    if (physical_of(node & ~(uint64_t)3, &physical)) {
        for (uint64_t i = 0; i < NODE_SLOTS; i++) {
            if (number >> i & 1) {
                put_u64(physical + known->offsets.node_slots + 8 * i, node);
            }
        }
    }
}

static void tree_loop(uint64_t number)
{
    static const char *const roots[] = {
        "vmap_area_root", "mod_tree",        "bpf_tree",      "free_vmap_area_root",
        "prog_idr",       "map_idr",         "link_idr",      "net_namespace_list",
        "modules",        "ftrace_ops_list", "bpf_ksym_list", "kprobe_table"};
    uint64_t root, physical, pointer;

    if (!symbol(roots[number % MONATT_ARRAY_SIZE(roots)], &root)) {
        return;
    }
    number /= MONATT_ARRAY_SIZE(roots);
    pointer = walk_memory_u64(root + 8 * (number % 2));
    if (!physical_of(pointer & ~(uint64_t)3, &physical)) {
        return;
    }
    for (uint64_t i = 0; i < 8; i++) {
        if (number >> (i + 1) & 1) {
            put_u64(physical + 8 * i, pointer);
        }
    }
}

static uint32_t hostile_count(uint64_t number)
{
    static const uint32_t counts[] = {0,          1,          0x7fffffff, 0x80000000, 0xffffffff,
                                      0xfffffffc, 0x10000000, 0x00ffffff, 0x1000000,  0x18};
    return counts[number % MONATT_ARRAY_SIZE(counts)];
}

static void symbol_counts(uint64_t number)
{
    uint64_t count, physical;
    if (vmcoreinfo_number(&known->info, "SYMBOL(kallsyms_num_syms)", 16, &count) &&
        physical_of(count, &physical)) {
        put_u32(physical, number % 3
                              ? hostile_count(number / 3)
                              : (uint32_t)walk_memory_u64(physical) + (number & 4 ? 1 : 1000));
    }
}

static void types_header(uint64_t number)
{
    uint64_t physical;
    if (symbol("__start_BTF", &physical)) {
        /* hdr_len, type_off, type_len, str_off, str_len (Documentation/bpf/btf.rst) */
        put_u32(physical + 4 + 4 * (number % 5), hostile_count(number / 5));
        if (number & 1ull << 40) {
            put_u32(physical + 4 + 4 * (number / 64 % 5), hostile_count(number / 512));
        }
    }
}

/* Members of a type: as many as its 16 bits hold. */
static void type_members(uint64_t number)
{
    uint64_t physical, address;
    if (symbol("__start_BTF", &physical) && guest_kernel_symbol(known, "__start_BTF", &address)) {
        uint64_t length = walk_memory_u64(physical + 8) >> 32;
        uint64_t at = length > 16 ? number % (length / 4) * 4 : 0;
        if (physical_of(address + 24 + at, &physical)) {
            put_u32(physical, number >> 32 & 1 ? 0x0400ffff : hostile_count(number >> 33));
        }
    }
}

static const struct {
    const char *name;
    void (*apply)(uint64_t number);
} specials[] = {{"second-note", second_note},   {"many-notes", many_notes},
                {"fake-tasks", fake_tasks},     {"task-cycle", task_cycle},
                {"xarray-loop", xarray_loop},   {"tree-loop", tree_loop},
                {"tree-loop", tree_loop},       {"symbol-counts", symbol_counts},
                {"types-header", types_header}, {"type-members", type_members}};

const char *walk_special_name(size_t index)
{
    return index < MONATT_ARRAY_SIZE(specials) ? specials[index].name : NULL;
}

bool walk_special_apply(const char *name, uint64_t number)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(specials); i++) {
        if (strcmp(specials[i].name, name) == 0) {
            address_space_forget(&known->space); /* of what the change before made of it */
            specials[i].apply(number);
            return true;
        }
    }
    return false;
}
