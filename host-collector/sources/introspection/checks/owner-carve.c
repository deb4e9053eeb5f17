/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-carve.c - modules that only their memory knows: a struct module, found by its shape
 *
 * A module that took itself out of list, kobjects and tree still lies in an area of the module
 * space, and the area belongs to nobody then.  Such areas are searched, no others: on an honest
 * machine there are none.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/owner-map.h"

#define CARVE_AREAS 64    /* searched in one pass */
#define CARVE_PAGES 4096u /* of them, in one pass */
#define RANGES_A_STEP 64  /* that are looked through for one step of the budget */
#define WORD 8u

static bool overlaps(uint64_t start, uint64_t end, const VmapArea *area)
{
    return start < area->end && end > area->start;
}

static bool is_owned(const Owners *owners, const VmapArea *area)
{
    for (size_t i = 0; i < owners->count; i++) {
        if (overlaps(owners->ranges[i].start, owners->ranges[i].end, area)) {
            return true;
        }
    }
    for (size_t i = 0; i < owners->modules.count; i++) {
        for (int k = 0; k < MODULE_MEMORIES; k++) {
            const ModuleRange *range = &owners->modules.items[i].ranges[k];
            if (range->size != 0 && overlaps(range->start, range->start + range->size, area)) {
                return true;
            }
        }
    }
    return false;
}

/* A struct module lies in its own data and its kobject belongs to the kset of modules, or to none
 * any more. */
static bool has_shape(const Module *module, const VmapArea *area, uint64_t kset)
{
    const ModuleRange *data = NULL;
    for (int i = MODULE_TEXT; i < MODULE_MEMORIES && !data; i++) {
        const ModuleRange *range = &module->ranges[i];
        if (module->address >= range->start && module->address - range->start < range->size) {
            data = range;
        }
    }
    return data && overlaps(data->start, data->start + data->size, area) &&
           module->ranges[MODULE_TEXT].size > 0 && (module->holder == kset || module->holder == 0);
}

static void search(CheckContext *context, Owners *owners, const VmapArea *area, uint64_t kset,
                   uint32_t *pages)
{
    const ModuleLayout *layout = &owners->modules.layout;
    uint64_t bytes[GUEST_PAGE_SIZE / WORD];
    uint32_t base_at = layout_has(layout->memory) ? layout->memory + layout->memory_base
                                                  : layout->core + layout->core_base;

    for (uint64_t page = area->start; page < area->end && *pages < CARVE_PAGES;
         page += GUEST_PAGE_SIZE) {
        (*pages)++;
        if (!check_step(context)) {
            return;
        }
        if (!address_space_read(&context->kernel->space, page, bytes, sizeof(bytes))) {
            continue;
        }
        for (size_t i = 0; i < GUEST_PAGE_SIZE / WORD; i++) {
            uint64_t base = le64toh(bytes[i]);
            uint64_t address = page + i * WORD - base_at;
            Module module;
            /* What leads to its text is a rare word: all else is looked at only there. */
            if (base % GUEST_PAGE_SIZE == 0 && base >= OWNER_MODULES_START &&
                base < OWNER_MODULES_END &&
                module_list_decode(context, &owners->modules, address, &module) &&
                has_shape(&module, area, kset) &&
                !module_list_seen(context, &owners->modules, address, MODULE_VIEW_CARVED)) {
                return;
            }
        }
    }
}

void owner_carve_modules(CheckContext *context, Owners *owners)
{
    const ModuleLayout *layout = &owners->modules.layout;
    uint64_t variable, kset = 0;
    uint32_t areas = 0, pages = 0;

    if (owners->modules.missing[0] != '\0' || owners->areas.missing[0] != '\0' ||
        (!layout_has(layout->memory) && !layout_has(layout->core))) {
        return; /* who owns an area is not known */
    }
    if (guest_kernel_symbol(context->kernel, "module_kset", &variable) &&
        !address_space_u64(&context->kernel->space, variable, &kset)) {
        kset = 0;
    }
    for (size_t i = 0; i < owners->areas.count && areas < CARVE_AREAS; i++) {
        if (!walk_budget_take(&context->budget,
                              (owners->count + owners->modules.count * MODULE_MEMORIES) /
                                  RANGES_A_STEP)) {
            owner_map_lacks(owners, "too many pieces of code to look for hidden modules");
            return;
        }
        if (!is_owned(owners, &owners->areas.items[i])) {
            areas++;
            search(context, owners, &owners->areas.items[i], kset, &pages);
        }
    }
}
