/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-modules.c - page tables of 4 KiB and two modules, for an invented kernel
 */
#include "tests/lib/invented-modules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PRESENT 1ull
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define RODATA 0x20000u /* behind core text */
#define RODATA_END 0x30000u
/* struct module; its kobject is the first member of struct module_kobject. */
#define LIST 0x10u
#define NAME 0x20u
#define HOLDER 0x60u
#define BUGS 0x180u
#define CALL_SITES 0x190u
#define SITE_COUNT 0x198u
#define NODE (MODULE_CORE + 0x20u) /* core_layout.mtn: mod, then two rb_nodes */
#define KSET_LIST 0x8u
#define ENTRY 0x8u /* of struct kobject */
#define KOBJECT_KSET 0x18u
#define MODULE_BYTES 0x1a0u

static const InventedRow rows[] = {
    {"mod_tree_node", NULL, 0x40, NULL},
    {NULL, "mod", 0x0, NULL},
    {NULL, "node", 0x8, "latch_tree_node"},
    {"latch_tree_node", NULL, 0x30, NULL},
    {NULL, "node", 0x0, "u64[6]"},
    {"latch_tree_root", NULL, 0x18, NULL},
    {NULL, "seq", 0x0, "u32"},
    {NULL, "tree", 0x8, "u64[2]"},
    {"module_layout", NULL, 0x60, NULL},
    {NULL, "base", 0x0, NULL},
    {NULL, "size", 0x8, "u32"},
    {NULL, "text_size", 0xc, "u32"},
    {NULL, "ro_size", 0x10, "u32"},
    {NULL, "ro_after_init_size", 0x14, "u32"},
    {NULL, "mtn", 0x20, "mod_tree_node"},
    {"kobject", NULL, 0x20, NULL},
    {NULL, "entry", ENTRY, NULL},
    {NULL, "kset", KOBJECT_KSET, NULL},
    {"module_kobject", NULL, 0x28, NULL},
    {NULL, "kobj", 0x0, "kobject"},
    {NULL, "mod", 0x20, NULL},
    {"kset", NULL, 0x18, NULL},
    {NULL, "list", KSET_LIST, NULL},
    {"module", NULL, MODULE_BYTES, NULL},
    {NULL, "state", MODULE_STATE, "u32"},
    {NULL, "list", LIST, NULL},
    {NULL, "name", NAME, NULL},
    {NULL, "mkobj", HOLDER, "module_kobject"},
    {NULL, "core_layout", MODULE_CORE, "module_layout"},
    {NULL, "bug_list", BUGS, NULL},
    {NULL, "ftrace_callsites", CALL_SITES, NULL},
    {NULL, "num_ftrace_callsites", SITE_COUNT, "u32"},
    {"vmap_area", NULL, 0x28, NULL},
    {NULL, "va_start", 0x0, NULL},
    {NULL, "va_end", 0x8, NULL},
    {NULL, "rb_node", 0x10, NULL},
    {"bpf_prog_pack", NULL, 0x20, NULL},
    {NULL, "list", 0x0, NULL},
    {NULL, "ptr", 0x10, NULL},
    {NULL, "bitmap", 0x18, NULL},
    {"bpf_ksym", NULL, 0x60, NULL},
    {NULL, "start", 0x0, NULL},
    {NULL, "end", 0x8, NULL},
    {NULL, "name", 0x10, "u8[48]"},
    {NULL, "lnode", 0x40, NULL},
    {NULL, "prog", 0x50, "u8"},
    {"bpf_prog_aux", NULL, 0x80, NULL},
    {NULL, "prog", 0x0, NULL},
    {NULL, "ksym", 0x20, "bpf_ksym"},
    {"bpf_prog", NULL, 0x40, NULL},
    {NULL, "aux", 0x0, NULL},
    {NULL, "bpf_func", 0x8, NULL},
    {"bpf_tramp_image", NULL, 0x80, NULL},
    {NULL, "image", 0x0, NULL},
    {NULL, "ksym", 0x10, "bpf_ksym"},
    {"mutex", NULL, 0x20, NULL},
    {NULL, "owner", 0x0, NULL},
    {"bpf_trampoline", NULL, 0x40, NULL},
    {NULL, "hlist", 0x0, NULL},
    {NULL, "cur_image", 0x18, NULL},
    {NULL, "mutex", 0x20, "mutex"},
    {"real_mode_header", NULL, 0x8, NULL},
    {NULL, "text_start", 0x0, "u32"},
    {NULL, "ro_end", 0x4, "u32"},
};

uint8_t *invented_modules_at(InventedModules *made, uint64_t address)
{
    if (address >= MODULES_SPACE && address - MODULES_SPACE < MODULES_PAGES * GUEST_PAGE_SIZE) {
        address = INVENTED_DIRECT + made->space + (address - MODULES_SPACE);
    }
    return invented_at(&made->invented, address);
}

void invented_modules_put(InventedModules *made, uint64_t address, uint64_t value)
{
    memcpy(invented_modules_at(made, address), &value, sizeof(value));
}

static uint64_t get(InventedModules *made, uint64_t address)
{
    uint64_t value;
    memcpy(&value, invented_modules_at(made, address), sizeof(value));
    return value;
}

static void put32(InventedModules *made, uint64_t address, uint32_t value)
{
    memcpy(invented_modules_at(made, address), &value, sizeof(value));
}

static uint64_t new_page(InventedModules *made)
{
    made->invented.used = (made->invented.used + GUEST_PAGE_SIZE - 1) & ~(GUEST_PAGE_SIZE - 1ull);
    return invented_allocate(&made->invented, GUEST_PAGE_SIZE) - INVENTED_DIRECT;
}

uint64_t *invented_modules_entry(InventedModules *made, uint64_t address)
{
    uint64_t table = made->invented.kernel.space.root;
    for (unsigned level = 3;; level--) {
        uint64_t *entry = (uint64_t *)(void *)(made->invented.bytes + table) +
                          (address >> (12 + 9 * level)) % 512;
        if (level == 0) {
            return entry;
        }
        if (!(*entry & PRESENT)) {
            *entry = new_page(made) | PRESENT | PAGE_WRITE;
        }
        table = *entry & ENTRY_ADDRESS;
    }
}

void invented_modules_map(InventedModules *made, uint64_t address, uint64_t physical,
                          uint64_t rights)
{
    *invented_modules_entry(made, address) = physical | rights | PRESENT;
}

/* All RAM by the direct map and the kernel's; text is executable there, and constants read-only. */
static void map_all(InventedModules *made)
{
    made->invented.kernel.space.root = new_page(made);
    for (uint64_t at = 0; at < INVENTED_SIZE; at += GUEST_PAGE_SIZE) {
        bool text = at >= INVENTED_TEXT && at < INVENTED_TEXT_END;
        bool fixed = text || (at >= RODATA && at < RODATA_END);
        uint64_t rights = fixed ? 0 : PAGE_WRITE;
        /* What is the module's is mapped where the module is. */
        if (at >= made->space && at < made->space + MODULES_PAGES * GUEST_PAGE_SIZE) {
            rights = 0;
        }
        invented_modules_map(made, INVENTED_DIRECT + at, at, rights | PAGE_NO_EXECUTE);
        invented_modules_map(made, INVENTED_KERNEL + at, at, rights | (text ? 0 : PAGE_NO_EXECUTE));
    }
}

static void ring_add(InventedModules *made, uint64_t head, uint64_t node)
{
    uint64_t last = get(made, head + 8);
    invented_modules_put(made, last, node);
    invented_modules_put(made, node + 8, last);
    invented_modules_put(made, node, head);
    invented_modules_put(made, head + 8, node);
}

static void ring_remove(InventedModules *made, uint64_t node)
{
    uint64_t next = get(made, node), last = get(made, node + 8);
    invented_modules_put(made, last, next);
    invented_modules_put(made, next + 8, last);
}

static void make_module(InventedModules *made, uint64_t base, const char *name)
{
    uint64_t module = base + MODULE_STRUCT, core = module + MODULE_CORE;

    invented_modules_map(made, base, made->space + (base - MODULES_SPACE), 0);
    invented_modules_map(made, base + 0x1000, made->space + (base - MODULES_SPACE) + 0x1000,
                         PAGE_NO_EXECUTE);
    invented_modules_map(made, base + 0x2000, made->space + (base - MODULES_SPACE) + 0x2000,
                         PAGE_WRITE | PAGE_NO_EXECUTE);
    memset(invented_modules_at(made, base), 0x90, 0x1000);
    snprintf((char *)invented_modules_at(made, module + NAME), 56, "%s", name);
    invented_modules_put(made, core, base);
    put32(made, core + 0x8, 0x3000);
    put32(made, core + 0xc, 0x1000);
    put32(made, core + 0x10, 0x2000);
    put32(made, core + 0x14, 0x2000);
    invented_modules_put(made, module + NODE, module);
    invented_modules_put(made, module + HOLDER + 0x20, module);
    invented_modules_put(made, module + HOLDER + KOBJECT_KSET, made->kset);
    ring_add(made, made->list, module + LIST);
    ring_add(made, made->kset + KSET_LIST, module + HOLDER + ENTRY);
    /* Its own list of functions, in its data. */
    invented_modules_put(made, base + 0x2800, base + MODULE_SITE);
    invented_modules_put(made, module + CALL_SITES, base + 0x2800);
    put32(made, module + SITE_COUNT, 1);
}

/* Two nodes: the first at the root, the second to its right. */
static void make_tree(InventedModules *made, uint64_t root, uint64_t first, uint64_t second)
{
    invented_modules_put(made, root, first);
    invented_modules_put(made, first, 1);
    invented_modules_put(made, first + 8, second);
    invented_modules_put(made, second, first);
}

static uint64_t make_area(InventedModules *made, uint64_t start, uint64_t end)
{
    uint64_t area = invented_allocate(&made->invented, 0x28);
    invented_modules_put(made, area, start);
    invented_modules_put(made, area + 8, end);
    return area + 0x10;
}

void invented_modules_make(InventedModules *made)
{
    InventedKernel *invented = &made->invented;
    uint64_t pointer, base;

    invented_begin(invented);
    made->space = new_page(made);
    for (unsigned i = 1; i < MODULES_PAGES; i++) {
        (void)new_page(made);
    }
    made->list = invented_variable(invented, "modules", 16);
    made->kset = invented_allocate(invented, 0x18);
    pointer = invented_variable(invented, "module_kset", 8);
    made->tree = invented_variable(invented, "mod_tree", 0x30) + 8;
    made->areas = invented_variable(invented, "vmap_area_root", 8);
    base = invented_variable(invented, "page_offset_base", 8);
    made->packs = invented_variable(invented, "pack_list", 16);
    made->symbols = invented_variable(invented, "bpf_kallsyms", 16);
    made->lock = invented_variable(invented, "module_mutex", 0x20);
    made->trampolines = invented_variable(invented, "trampoline_table", 8192);
    made->real_mode = invented_variable(invented, "real_mode_header", 8);
    invented_symbol(invented, "__start_rodata", INVENTED_KERNEL + RODATA);
    invented_symbol(invented, "__end_rodata", INVENTED_KERNEL + RODATA_END);
    invented_end(invented, rows, sizeof(rows) / sizeof(rows[0]));
    invented->kernel.symbols.page_offset_base = base;
    map_all(made);
    invented_u64(invented, base, INVENTED_DIRECT);
    invented_u64(invented, pointer, made->kset);
    invented_ring(invented, made->list);
    invented_ring(invented, made->kset + KSET_LIST);
    invented_ring(invented, made->packs);
    invented_ring(invented, made->symbols);
    make_module(made, MODULE_FIRST, "first");
    make_module(made, MODULE_SECOND, "second");
    make_tree(made, made->tree, MODULE_FIRST + MODULE_STRUCT + NODE + 8,
              MODULE_SECOND + MODULE_STRUCT + NODE + 8);
    make_tree(made, made->areas, make_area(made, MODULE_FIRST, MODULE_FIRST + 0x4000),
              make_area(made, MODULE_SECOND, MODULE_SECOND + 0x4000));
}

uint64_t invented_modules_pack(InventedModules *made)
{
    uint64_t pack = invented_allocate(&made->invented, 0x28), root = get(made, made->areas);
    uint64_t area = make_area(made, MODULES_PACK, MODULES_PACK + 0x3000);
    uint64_t second = get(made, root + 8);

    invented_modules_put(made, second + 8, area);
    invented_modules_put(made, area, second);
    for (uint64_t at = 0; at < 0x2000; at += GUEST_PAGE_SIZE) {
        invented_modules_map(made, MODULES_PACK + at,
                             made->space + (MODULES_PACK - MODULES_SPACE) + at, 0);
    }
    memset(invented_modules_at(made, MODULES_PACK), 0xcc, 0x2000);
    invented_modules_put(made, pack + 0x10, MODULES_PACK);
    ring_add(made, made->packs, pack);
    return pack + 0x18;
}

void invented_modules_clear(InventedModules *made)
{
    invented_clear(&made->invented);
}

void invented_modules_leave_list(InventedModules *made)
{
    ring_remove(made, MODULE_SECOND + MODULE_STRUCT + LIST);
}

void invented_modules_leave_kset(InventedModules *made)
{
    ring_remove(made, MODULE_SECOND + MODULE_STRUCT + HOLDER + ENTRY);
}

void invented_modules_leave_tree(InventedModules *made)
{
    invented_modules_put(made, MODULE_FIRST + MODULE_STRUCT + NODE + 16, 0);
}

void invented_pass_run(InventedPass *pass, const Check *check, InventedModules *made)
{
    GuestKernel *kernel = &made->invented.kernel;
    WalkBudget budget = {.steps = CHECK_STEPS};
    Owners *owners;

    address_space_forget(&kernel->space);
    owners = owners_read(kernel, &budget);
    assert(owners);
    memset(&pass->result, 0, sizeof(pass->result));
    memset(&pass->sightings, 0, sizeof(pass->sightings));
    CheckContext context = {.check = check,
                            .kernel = kernel,
                            .owners = owners,
                            .budget = {.steps = CHECK_STEPS},
                            .state = &pass->state,
                            .result = &pass->result,
                            .sightings = &pass->sightings};
    check->run(&context);
    snprintf(pass->missing, sizeof(pass->missing), "%s", owners_missing(owners));
    owners_free(owners);
}

void invented_pass_clear(InventedPass *pass, const Check *check)
{
    if (pass->state && check->clear) {
        check->clear(pass->state);
    }
    pass->state = NULL;
}
