/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module-sites.c - where the kernel may patch a module's code at any time
 */
#include "host-collector/sources/introspection/checks/module-sites.h"

#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "libmonatt/base/macros.h"

#define SITES_MAXIMUM 262144u /* of one module */
#define PROBE_BUCKETS 64      /* KPROBE_TABLE_SIZE */
#define ENTRY_SIZE 8u         /* of a list of function entries */

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ModuleSitesLayout, field, structure, path)
static const LayoutRow site_rows[] = {
    MEMBER(keys, "module", "jump_entries"),
    MEMBER(key_count, "module", "num_jump_entries"),
    LAYOUT_SIZE(ModuleSitesLayout, key_size, "jump_entry"),
    MEMBER(calls, "module", "static_call_sites"),
    MEMBER(call_count, "module", "num_static_call_sites"),
    LAYOUT_SIZE(ModuleSitesLayout, call_size, "static_call_site"),
    MEMBER(entries, "module", "ftrace_callsites"),
    MEMBER(entry_count, "module", "num_ftrace_callsites"),
    MEMBER(directory, "module", "mkobj.kobj.sd"),
    MEMBER(directory_number, "kernfs_node", "id"),
    MEMBER(probe_node, "kprobe", "hlist"),
    MEMBER(probe_address, "kprobe", "addr"),
};

void module_sites_layout(ModuleSites *sites, CheckContext *context)
{
    layout_read(context->kernel, site_rows, MONATT_ARRAY_SIZE(site_rows), &sites->layout);
}

void module_sites_clear(ModuleSites *sites)
{
    free(sites->items);
    memset(sites, 0, sizeof(*sites));
}

static bool add(ModuleSites *sites, uint64_t address)
{
    if (sites->count == sites->capacity) {
        size_t capacity = sites->capacity ? 2 * sites->capacity : 1024;
        uint64_t *items;
        if (sites->count >= SITES_MAXIMUM) {
            return false;
        }
        items = realloc(sites->items, capacity * sizeof(*items));
        if (!items) {
            return false;
        }
        sites->items = items;
        sites->capacity = capacity;
    }
    sites->items[sites->count++] = address;
    return true;
}

/* A table of entries of size bytes; relative: the site is its first 32 bits away from it. */
static void read_table(ModuleSites *sites, CheckContext *context, uint64_t module, uint32_t at,
                       uint32_t count_at, uint32_t size, bool relative)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t table;
    uint32_t count;

    if (!layout_has(at) || !layout_has(count_at) || !layout_has(size) ||
        !address_space_u64(space, module + at, &table) || table == 0 ||
        !address_space_u32(space, module + count_at, &count)) {
        return;
    }
    for (uint32_t i = 0; i < count && i < SITES_MAXIMUM && check_step(context); i++) {
        uint64_t entry = table + (uint64_t)i * size, address;
        uint32_t offset;
        if (relative) {
            if (!address_space_u32(space, entry, &offset)) {
                return;
            }
            address = entry + (uint64_t)(int64_t)(int32_t)offset;
        } else if (!address_space_u64(space, entry, &address)) {
            return;
        }
        if (!add(sites, address)) {
            return;
        }
    }
}

static void read_probes(ModuleSites *sites, CheckContext *context, const ModuleRange *text)
{
    const ModuleSitesLayout *layout = &sites->layout;
    uint64_t table, node, address;

    if (!layout_has(layout->probe_node) || !layout_has(layout->probe_address) ||
        !guest_kernel_symbol(context->kernel, "kprobe_table", &table)) {
        return;
    }
    for (int i = 0; i < PROBE_BUCKETS; i++) {
        GuestListWalk walk;
        guest_list_begin(&walk, context, GUEST_LIST_CHAIN, table + 8ull * (unsigned)i);
        while (guest_list_next(&walk, &node)) {
            if (address_space_u64(&context->kernel->space,
                                  node - layout->probe_node + layout->probe_address, &address) &&
                address >= text->start && address - text->start < text->size &&
                !add(sites, address)) {
                return;
            }
        }
    }
}

void module_sites_begin(ModuleSites *sites, CheckContext *context, const Module *module)
{
    const ModuleSitesLayout *layout = &sites->layout;

    sites->count = 0;
    read_table(sites, context, module->address, layout->keys, layout->key_count, layout->key_size,
               true);
    read_table(sites, context, module->address, layout->calls, layout->call_count,
               layout->call_size, true);
    read_table(sites, context, module->address, layout->entries, layout->entry_count, ENTRY_SIZE,
               false);
    read_probes(sites, context, &module->ranges[MODULE_TEXT]);
    if (sites->count > 0) {
        addresses_sort(sites->items, sites->count);
    }
}

uint64_t module_sites_use(const ModuleSites *sites, CheckContext *context, uint64_t module)
{
    uint64_t directory, number;
    if (layout_has(sites->layout.directory) && layout_has(sites->layout.directory_number) &&
        address_space_u64(&context->kernel->space, module + sites->layout.directory, &directory) &&
        directory != 0 &&
        address_space_u64(&context->kernel->space, directory + sites->layout.directory_number,
                          &number)) {
        return number;
    }
    return 0;
}

/* Where a call or jump at offset start leads. */
static uint64_t target_of(const uint8_t *now, size_t start, size_t limit, uint64_t address)
{
    uint32_t offset;
    if (limit - start < MODULE_SITE_SIZE || (now[start] != 0xe8 && now[start] != 0xe9)) {
        return 0;
    }
    memcpy(&offset, now + start + 1, sizeof(offset)); /* little-endian, as the host */
    return address + MODULE_SITE_SIZE + (uint64_t)(int64_t)(int32_t)offset;
}

/* The trampoline of a static call: five bytes that are patched, then ud1 %esp,%ecx as a mark. */
static bool is_trampoline(const uint8_t *before, const uint8_t *now, size_t start, size_t limit)
{
    static const uint8_t mark[] = {0x0f, 0xb9, 0xcc};
    size_t at = start + MODULE_SITE_SIZE;
    return limit - start >= MODULE_SITE_SIZE + sizeof(mark) &&
           memcmp(before + at, mark, sizeof(mark)) == 0 &&
           memcmp(now + at, mark, sizeof(mark)) == 0;
}

/* The last site that begins at or before address; UINT64_MAX: none. */
static uint64_t site_before(const ModuleSites *sites, uint64_t address)
{
    size_t low = 0, high = sites->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sites->items[middle] <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? sites->items[low - 1] : UINT64_MAX;
}

size_t module_sites_allow(const ModuleSites *sites, uint64_t address, const uint8_t *before,
                          const uint8_t *now, size_t at, size_t limit, uint64_t *ret_target)
{
    uint64_t site = site_before(sites, address);

    *ret_target = 0;
    if (site != UINT64_MAX && address - site < MODULE_SITE_SIZE && address - site <= at) {
        size_t start = at - (size_t)(address - site);
        *ret_target = target_of(now, start, limit, site);
        return MODULE_SITE_SIZE - (size_t)(address - site);
    }
    for (size_t back = 0; back < MODULE_SITE_SIZE && back <= at; back++) {
        if (is_trampoline(before, now, at - back, limit)) {
            *ret_target = target_of(now, at - back, limit, address - back);
            return MODULE_SITE_SIZE - back;
        }
    }
    /* LOCK, and DS in its place where there is one CPU. */
    if ((before[at] == 0xf0 && now[at] == 0x3e) || (before[at] == 0x3e && now[at] == 0xf0)) {
        return 1;
    }
    return 0;
}
