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
#define TRACED_MAXIMUM 131072u /* functions; a kernel has some 50,000 */
#define RECORDS_BYTES 4096u
#define RECORD_MAXIMUM 64u

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

typedef struct RecordsLayout {
    uint32_t next, records, count, address, size;
} RecordsLayout;

/* Addresses of one page of records, a part of it at a time. */
static bool read_records(TextPlan *plan, CheckContext *context, const RecordsLayout *layout,
                         uint64_t records, uint32_t count)
{
    uint8_t chunk[RECORDS_BYTES];
    uint32_t each = RECORDS_BYTES / layout->size;

    for (uint32_t done = 0; done < count; done += each) {
        uint32_t some = count - done < each ? count - done : each;
        if (plan->traced_count > TRACED_MAXIMUM - some || !check_step(context) ||
            !address_space_read(&context->kernel->space, records + (uint64_t)done * layout->size,
                                chunk, (size_t)some * layout->size)) {
            return false;
        }
        for (uint32_t i = 0; i < some; i++) {
            plan->traced[plan->traced_count++] =
                text_u64(chunk + (size_t)i * layout->size + layout->address);
        }
    }
    return true;
}

bool text_plan_read_traced(TextPlan *plan, CheckContext *context)
{
    GuestKernel *kernel = context->kernel;
    RecordsLayout layout = {.size = guest_kernel_sizeof(kernel, "dyn_ftrace")};
    uint64_t head, page, records;
    uint32_t count;

    if (!guest_kernel_symbol(kernel, "ftrace_pages_start", &head) ||
        !guest_kernel_member(kernel, "ftrace_page", "next", &layout.next) ||
        !guest_kernel_member(kernel, "ftrace_page", "records", &layout.records) ||
        !guest_kernel_member(kernel, "ftrace_page", "index", &layout.count) ||
        !guest_kernel_member(kernel, "dyn_ftrace", "ip", &layout.address) || layout.size < 16 ||
        layout.size > RECORD_MAXIMUM || layout.address > layout.size - 8 ||
        !address_space_u64(&kernel->space, head, &page)) {
        return true;
    }
    plan->traced = malloc(TRACED_MAXIMUM * sizeof(*plan->traced));
    if (!plan->traced) {
        return false;
    }
    while (page && check_step(context) &&
           address_space_u64(&kernel->space, page + layout.records, &records) &&
           address_space_u32(&kernel->space, page + layout.count, &count) &&
           read_records(plan, context, &layout, records, count) &&
           address_space_u64(&kernel->space, page + layout.next, &page)) {
    }
    return true;
}

void text_plan_clear(TextPlan *plan)
{
    free(plan->traced);
    free(plan->returns);
    free(plan->retpolines);
    free(plan->functions);
    free(plan->trampolines);
    memset(plan, 0, sizeof(*plan));
}
