/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-plan.c - what of the image's tables is sorted or looked up by name, once a boot
 */
#include <stdio.h>
#include <stdlib.h>
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define TRAMPOLINE_PREFIX "__SCT__"
#define KEY_PREFIX "__SCK__"

static bool read_places(const KernelImage *image, const char *section, uint64_t **ret_list,
                        size_t *ret_count)
{
    TextTable table;

    *ret_list = NULL;
    *ret_count = 0;
    if (!kernel_image_section(image, section, &table.address, &table.bytes, &table.size) ||
        table.size < 4) {
        return true;
    }
    *ret_list = malloc(table.size / 4 * sizeof(**ret_list));
    if (!*ret_list) {
        return false;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        (*ret_list)[(*ret_count)++] = text_table_place(&table, i);
    }
    addresses_sort(*ret_list, *ret_count);
    return true;
}

static bool read_symbols(TextPlan *plan, const KernelImage *image)
{
    const Kallsyms *symbols = &image->symbols;
    uint64_t low, high;

    if (!kernel_image_symbol(image, "_stext", &low) ||
        !kernel_image_symbol(image, "_etext", &high)) {
        return true;
    }
    plan->functions = malloc((symbols->count + 1) * sizeof(*plan->functions));
    plan->trampolines = malloc((symbols->count + 1) * sizeof(*plan->trampolines));
    if (!plan->functions || !plan->trampolines) {
        return false;
    }
    for (uint32_t i = 0; i < symbols->count; i++) {
        const KallsymsEntry *entry = &symbols->entries[i];
        const char *name = symbols->text + entry->text;
        char key[KALLSYMS_NAME_MAXIMUM + sizeof(KEY_PREFIX)];

        if (entry->address < low || entry->address >= high) {
            continue;
        }
        if (plan->function_count == 0 ||
            plan->functions[plan->function_count - 1] != entry->address) {
            plan->functions[plan->function_count++] = entry->address;
        }
        if (strncmp(name, TRAMPOLINE_PREFIX, sizeof(TRAMPOLINE_PREFIX) - 1) == 0) {
            struct TextTrampoline *to = &plan->trampolines[plan->trampoline_count++];
            snprintf(key, sizeof(key), KEY_PREFIX "%s", name + sizeof(TRAMPOLINE_PREFIX) - 1);
            to->address = entry->address;
            if (!kernel_image_symbol(image, key, &to->key)) {
                to->key = 0;
            }
        }
    }
    return true;
}

bool text_plan_make(TextPlan *plan, const KernelImage *image)
{
    memset(plan, 0, sizeof(*plan));
    return read_places(image, ".return_sites", &plan->returns, &plan->return_count) &&
           read_places(image, ".retpoline_sites", &plan->retpolines, &plan->retpoline_count) &&
           read_symbols(plan, image);
}

void text_plan_clear(TextPlan *plan)
{
    free(plan->returns);
    free(plan->retpolines);
    free(plan->functions);
    free(plan->trampolines);
    memset(plan, 0, sizeof(*plan));
}
