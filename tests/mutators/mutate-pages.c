/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-pages.c - page tables that let memory run which nobody owns, or let code be written
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define PRESENT 0x1ull
#define WRITABLE 0x2ull
#define LARGE 0x80ull
#define NO_EXECUTE (1ull << 63)
#define FRAME 0x000ffffffffff000ull
#define DRAWS 1000

/* The leaf that maps an address: where its entry is, what stands there, and its level. */
static bool find_leaf(Mutator *mutator, uint64_t address, uint64_t *ret_place, uint64_t *ret_entry,
                      unsigned *ret_level)
{
    uint64_t table = mutator->kernel.space.root;

    for (unsigned level = mutator->kernel.space.levels; level-- > 0;) {
        *ret_place = table + ((address >> (12 + 9 * level)) & 511) * 8;
        *ret_level = level;
        if (!guest_memory_copy(&mutator->memory, *ret_place, ret_entry, sizeof(*ret_entry)) ||
            !(*ret_entry & PRESENT)) {
            return false;
        }
        if (level == 0 || (*ret_entry & LARGE)) {
            return true;
        }
        table = *ret_entry & FRAME;
    }
    return false;
}

static bool set_leaf(Mutator *mutator, uint64_t address, uint64_t clear, uint64_t set,
                     const char *what, MonattError *err)
{
    uint64_t place, entry, changed;
    unsigned level;

    if (!find_leaf(mutator, address, &place, &entry, &level)) {
        return mutator_none(err, "leaf of that page");
    }
    changed = (entry & ~clear) | set;
    if (changed == entry) {
        return mutator_none(err, "leaf without that");
    }
    address &= ~((1ull << (12 + 9 * level)) - 1);
    mutator_say(mutator, address, "", "the page at %#lx (level %u) %s", (unsigned long)address,
                level, what);
    return mutator_write_physical(mutator, place, &changed, sizeof(changed), err);
}

/* A kernel stack, or a page of the direct map: what an exploit can fill, made to run.  It stays as
 * writable as it is: a guest that cannot write to its own stack any more ends. */
static bool page_executable(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t address;
    (void)argument;
    return mutator_foreign(mutator, &address, err) &&
           set_leaf(mutator, address, NO_EXECUTE, 0, "may be executed", err);
}

static bool page_writable_executable(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t address;
    (void)argument;
    return mutator_foreign(mutator, &address, err) &&
           set_leaf(mutator, address, NO_EXECUTE, WRITABLE, "may be executed and written", err);
}

static bool page_text_writable(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t address, size;
    (void)argument;
    return mutator_function(mutator, &address, &size, err) &&
           set_leaf(mutator, address, 0, WRITABLE, "is kernel text that may be written", err);
}

/* Constants that may be written are the first step of many attacks. */
static bool page_rodata_writable(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t start, end;
    (void)argument;
    return mutator_symbol(mutator, "__start_rodata", &start, err) &&
           mutator_symbol(mutator, "__end_rodata", &end, err) &&
           set_leaf(mutator, start + mutator_draw(mutator, end - start), NO_EXECUTE, WRITABLE,
                    "are constants that may be written and executed", err);
}

/* The same code by another name: a second mapping in a free slot of a page table in use. */
static bool page_alias(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t stack, place, entry, target, physical;
        unsigned level;
        if (!mutator_foreign(mutator, &stack, err) || !mutator_foreign(mutator, &target, err)) {
            return false;
        }
        if (!find_leaf(mutator, stack, &place, &entry, &level) || level != 0 ||
            !address_space_translate(&mutator->kernel.space, target, &physical)) {
            continue;
        }
        for (uint64_t slot = 0; slot < 512; slot++) {
            uint64_t at = (place & ~0xfffull) + slot * 8, free_entry;
            uint64_t address = (stack & ~0x1fffffull) + slot * 4096;
            if (guest_memory_copy(&mutator->memory, at, &free_entry, sizeof(free_entry)) &&
                free_entry == 0) {
                entry = (physical & FRAME) | 0x121 /* present, accessed, global */;
                mutator_say(mutator, address, "", "a new page at %#lx may be executed",
                            (unsigned long)address);
                return mutator_write_physical(mutator, at, &entry, sizeof(entry), err);
            }
        }
    }
    return mutator_none(err, "free slot in a page table");
}

/* A BPF symbol of nobody's that says whose the page is. */
static bool page_claimed(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char name[] = "bpf_trampoline_6442481921";
    uint32_t start, end, text, node;
    uint64_t address, symbol, head, last;

    if (!mutator_member(mutator, "bpf_ksym", "start", &start, err) ||
        !mutator_member(mutator, "bpf_ksym", "end", &end, err) ||
        !mutator_member(mutator, "bpf_ksym", "name", &text, err) ||
        !mutator_member(mutator, "bpf_ksym", "lnode", &node, err) ||
        !mutator_symbol(mutator, "bpf_kallsyms", &head, err) ||
        !mutator_read_u64(mutator, head + 8, &last, err) ||
        !mutator_scratch(mutator, &symbol, err) || !page_executable(mutator, argument, err)) {
        return false;
    }
    address = mutator->address;
    return mutator_write_u64(mutator, symbol + start, address, err) &&
           mutator_write_u64(mutator, symbol + end, address + 0x200000, err) &&
           mutator_write(mutator, symbol + text, name, sizeof(name), err) &&
           mutator_write_u64(mutator, symbol + node, head, err) &&
           mutator_write_u64(mutator, symbol + node + 8, last, err) &&
           mutator_write_u64(mutator, last, symbol + node, err) &&
           mutator_write_u64(mutator, head + 8, symbol + node, err);
}

/* The kernel's record of its real-mode code, stretched over the page. */
static bool page_real_mode(Mutator *mutator, const char *argument, MonattError *err)
{
    uint32_t start, end, from = 0x1000, to;
    uint64_t variable, header, physical;

    if (!mutator_member(mutator, "real_mode_header", "text_start", &start, err) ||
        !mutator_member(mutator, "real_mode_header", "ro_end", &end, err) ||
        !mutator_symbol(mutator, "real_mode_header", &variable, err) ||
        !mutator_read_u64(mutator, variable, &header, err) ||
        !page_executable(mutator, argument, err)) {
        return false;
    }
    if (!address_space_translate(&mutator->kernel.space, mutator->address, &physical) ||
        physical > UINT32_MAX - 0x200000) {
        return mutator_none(err, "page below 4 GiB");
    }
    to = (uint32_t)physical + 0x200000;
    return mutator_write(mutator, header + start, &from, sizeof(from), err) &&
           mutator_write(mutator, header + end, &to, sizeof(to), err);
}

#define PAGES MUTATION_BIT(MONATT_SUBCHECK_EXECUTABLE_PAGES)
const Mutation mutations_of_pages[] = {
    {"page-executable", PAGES, true, "an executable page that nobody owns", page_executable},
    {"page-writable-executable", PAGES, true, "a page to write and to execute",
     page_writable_executable},
    {"page-text-writable", PAGES, true, "kernel text that may be written", page_text_writable},
    {"page-rodata-writable", PAGES, true, "constants to write and to execute",
     page_rodata_writable},
    {"page-alias", PAGES, true, "a new executable mapping in the kernel's half", page_alias},
    {"page-claimed", PAGES, true, "an executable page that a forged BPF symbol has", page_claimed},
    {"page-real-mode", PAGES, true, "an executable page that the real-mode code is said to have",
     page_real_mode},
    {NULL},
};
