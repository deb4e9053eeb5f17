/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.c - the map of kernel code, sorted, and questions to it
 *
 * Ranges may lie within others: a BPF program in its pack, or what a hostile guest claims.  The one
 * that begins last is asked first.
 */
#include "host-collector/sources/introspection/checks/owner-map.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define FIRST_CAPACITY 256
#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define STATE_SCHEDULING 1 /* enum system_states: until then init text is in place */

void owner_map_lacks(Owners *owners, const char *format, ...)
{
    va_list arguments;
    if (owners->missing[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    vsnprintf(owners->missing, sizeof(owners->missing), format, arguments);
    va_end(arguments);
}

OwnerRange *owner_map_add(Owners *owners, uint64_t start, uint64_t end, OwnerKind kind,
                          const char *name)
{
    OwnerRange *range;

    if (end <= start || end - start > OWNER_RANGE_MAXIMUM) {
        return NULL;
    }
    if (owners->count == owners->capacity) {
        size_t capacity = owners->capacity ? 2 * owners->capacity : FIRST_CAPACITY;
        OwnerRange *ranges;
        if (owners->count >= OWNER_RANGES_MAXIMUM) {
            owner_map_lacks(owners, "more than %d pieces of code", OWNER_RANGES_MAXIMUM);
            return NULL;
        }
        ranges = realloc(owners->ranges, capacity * sizeof(*ranges));
        if (!ranges) {
            owner_map_lacks(owners, "out of memory for owners of code");
            return NULL;
        }
        owners->ranges = ranges;
        owners->capacity = capacity;
    }
    range = &owners->ranges[owners->count++];
    memset(range, 0, sizeof(*range));
    range->start = start;
    range->end = end;
    range->owner.kind = kind;
    if (name) {
        monatt_text_printable(name, strnlen(name, OWNER_NAME_SIZE - 1), range->owner.name,
                              OWNER_NAME_SIZE);
    }
    return range;
}

/* For people, when nobody else has it. */
void owner_map_claim(Owners *owners, uint64_t start, uint64_t end, OwnerKind kind, const char *name,
                     const char *doubt)
{
    char printable[OWNER_NAME_SIZE];
    OwnerClaim *claim;

    if (owners->claim_count == OWNER_CLAIMS_MAXIMUM) {
        return;
    }
    monatt_text_printable(name ? name : "", name ? strnlen(name, OWNER_NAME_SIZE - 1) : 0,
                          printable, sizeof(printable));
    claim = &owners->claims[owners->claim_count++];
    claim->start = start;
    claim->end = end;
    snprintf(claim->text, sizeof(claim->text), "%s '%s' says that it is its own, but %s",
             owner_kind_name(kind), printable, doubt);
}

OwnerRange *owner_map_made(Owners *owners, uint64_t start, uint64_t end, uint64_t maximum,
                           OwnerKind kind, const char *name, const char *doubt)
{
    const VmapArea *area = vmap_areas_find(&owners->areas, start);

    if (end <= start) {
        return NULL;
    }
    if (end - start > maximum) {
        doubt = "such code is smaller";
    } else if (start < OWNER_MODULES_START || end > OWNER_MODULES_END) {
        doubt = "it lies outside of the space of modules";
    } else if (owners->areas.missing[0] == '\0' && (!area || end > area->end)) {
        doubt = "no vmalloc area holds it";
    }
    if (doubt) {
        owner_map_claim(owners, start, end, kind, name, doubt);
        return NULL;
    }
    return owner_map_add(owners, start, end, kind, name);
}

void owner_map_cut(Owners *owners, size_t count, size_t claims)
{
    while (owners->count > count) {
        free(owners->ranges[--owners->count].chunks);
    }
    owners->claim_count = claims;
}

const char *owners_claim(const Owners *owners, uint64_t address, uint64_t end)
{
    for (size_t i = 0; i < owners->claim_count; i++) {
        if (owners->claims[i].start < end && owners->claims[i].end > address) {
            return owners->claims[i].text;
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const OwnerRange *left = a, *right = b;
    if (left->start != right->start) {
        return left->start < right->start ? -1 : 1;
    }
    /* Of two that begin together the smaller is asked first, so it comes last. */
    return left->end > right->end ? -1 : left->end < right->end;
}

static void sort(Owners *owners)
{
    uint64_t reach = 0, block = 0;
    if (owners->count > 0) {
        qsort(owners->ranges, owners->count, sizeof(owners->ranges[0]), compare);
    }
    for (size_t i = 0; i < owners->count; i++) {
        uint64_t end = owners->ranges[i].end;
        reach = end > reach ? end : reach;
        block = i % OWNER_BLOCK == 0 || end > block ? end : block;
        owners->ranges[i].reach = reach;
        owners->ranges[i].block = block;
    }
}

static void add_kernel(CheckContext *context, Owners *owners)
{
    GuestKernel *kernel = context->kernel;
    uint64_t start, end, variable;
    uint32_t state;

    if (guest_kernel_symbol(kernel, "_stext", &start) &&
        guest_kernel_symbol(kernel, "_etext", &end)) {
        (void)owner_map_add(owners, start, end, OWNER_KERNEL, NULL);
    } else {
        owner_map_lacks(owners, "no symbols '_stext' and '_etext'");
    }
    if (guest_kernel_symbol(kernel, "system_state", &variable) &&
        address_space_u32(&kernel->space, variable, &state) && state <= STATE_SCHEDULING &&
        guest_kernel_symbol(kernel, "_sinittext", &start) &&
        guest_kernel_symbol(kernel, "_einittext", &end)) {
        (void)owner_map_add(owners, start, end, OWNER_INIT, NULL);
    }
}

static void add_modules(Owners *owners)
{
    for (size_t i = 0; i < owners->modules.count; i++) {
        const Module *module = &owners->modules.items[i];
        for (int k = 0; k < MODULE_MEMORIES; k++) {
            const ModuleRange *range = &module->ranges[k];
            OwnerRange *added;
            if ((k != MODULE_TEXT && k != MODULE_INIT_TEXT) || range->size == 0) {
                continue; /* a function pointer into data is owned by nobody */
            }
            added = owner_map_made(owners, range->start, range->start + range->size,
                                   MODULE_MEMORY_MAXIMUM, OWNER_MODULE, module->name, NULL);
            if (added) {
                added->owner.hidden = !(module->views & MODULE_VIEW_LIST);
            }
        }
    }
}

Owners *owners_read(GuestKernel *kernel, WalkBudget *budget)
{
    Owners *owners = calloc(1, sizeof(*owners));
    CheckResult said = {0};
    CheckContext context = {.kernel = kernel, .budget = *budget, .result = &said};

    if (!owners) {
        return NULL;
    }
    add_kernel(&context, owners);
    module_list_read(&context, &owners->modules);
    vmap_areas_read(&context, OWNER_MODULES_START, OWNER_MODULES_END, &owners->areas);
    owner_sources_read(&context, owners);
    owner_carve_modules(&context, owners);
    add_modules(owners);
    if (owners->modules.missing[0] != '\0') {
        owner_map_lacks(owners, "%s", owners->modules.missing);
    }
    if (owners->areas.missing[0] != '\0') {
        owner_map_lacks(owners, "%s", owners->areas.missing);
    }
    sort(owners);
    *budget = context.budget;
    return owners;
}

void owners_free(Owners *owners)
{
    if (!owners) {
        return;
    }
    for (size_t i = 0; i < owners->count; i++) {
        free(owners->ranges[i].chunks);
    }
    free(owners->ranges);
    free(owners->programs);
    module_list_clear(&owners->modules);
    vmap_areas_clear(&owners->areas);
    free(owners);
}

/* How many ranges begin before address. */
static size_t ranges_before(const Owners *owners, uint64_t address)
{
    size_t low = 0, high = owners->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (owners->ranges[middle].start < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The range that begins last and holds a byte of address to end (exclusive); NULL: none does. */
static const OwnerRange *range_in(const Owners *owners, uint64_t address, uint64_t end)
{
    for (size_t i = ranges_before(owners, end); i > 0;) {
        const OwnerRange *range = &owners->ranges[i - 1];
        if (range->reach <= address) {
            return NULL;
        }
        if (range->end > address) {
            return range;
        }
        /* A guest may hang a large range before all others, and ask for its last byte often. */
        i = range->block <= address ? (i - 1) / OWNER_BLOCK * OWNER_BLOCK : i - 1;
    }
    return NULL;
}

static bool chunk_is_used(const OwnerRange *range, uint64_t address)
{
    uint64_t chunk = (address - range->start) / OWNER_PACK_CHUNK;
    return range->chunks[chunk / 8] & 1u << chunk % 8;
}

void owners_find(const Owners *owners, uint64_t address, Owner *ret_owner)
{
    const OwnerRange *range = range_in(owners, address, address + 1);

    if (range && (!range->chunks || chunk_is_used(range, address))) {
        *ret_owner = range->owner;
    } else {
        memset(ret_owner, 0, sizeof(*ret_owner));
    }
}

bool owners_pack(const Owners *owners, size_t index, uint64_t *ret_start, uint64_t *ret_end,
                 const uint8_t **ret_chunks)
{
    for (size_t i = 0; i < owners->count; i++) {
        const OwnerRange *range = &owners->ranges[i];
        if (range->chunks && index-- == 0) {
            *ret_start = range->start;
            *ret_end = range->end;
            *ret_chunks = range->chunks;
            return true;
        }
    }
    return false;
}

void owners_find_page(const Owners *owners, uint64_t address, Owner *ret_owner, uint64_t *ret_end)
{
    uint64_t page = address & PAGE_MASK;
    size_t next = ranges_before(owners, page + GUEST_PAGE_SIZE);
    const OwnerRange *range = range_in(owners, page, page + GUEST_PAGE_SIZE);

    memset(ret_owner, 0, sizeof(*ret_owner));
    /* Where the next range begins somebody else may have it. */
    *ret_end =
        next < owners->count ? owners->ranges[next].start & PAGE_MASK : UINT64_MAX & PAGE_MASK;
    if (range) {
        uint64_t end = (range->end + GUEST_PAGE_SIZE - 1) & PAGE_MASK;
        *ret_owner = range->owner;
        *ret_end = end < *ret_end ? end : *ret_end;
    }
    if (*ret_end < page + GUEST_PAGE_SIZE) {
        *ret_end = page + GUEST_PAGE_SIZE;
    }
}

const ModuleList *owners_modules(const Owners *owners)
{
    return &owners->modules;
}

const VmapAreas *owners_areas(const Owners *owners)
{
    return &owners->areas;
}

const char *owners_missing(const Owners *owners)
{
    return owners->missing;
}

const char *owner_kind_name(OwnerKind kind)
{
    static const char *const names[] = {
        [OWNER_NONE] = "nobody",
        [OWNER_KERNEL] = "kernel",
        [OWNER_INIT] = "init text",
        [OWNER_MODULE] = "module",
        [OWNER_BPF_PROGRAM] = "BPF program",
        [OWNER_BPF_TRAMPOLINE] = "BPF trampoline",
        [OWNER_FTRACE_TRAMPOLINE] = "ftrace trampoline",
        [OWNER_KPROBE] = "kprobe slot",
        [OWNER_ITS] = "ITS thunk",
        [OWNER_EXECMEM] = "executable-memory cache",
        [OWNER_ENTRY] = "CPU entry area",
        [OWNER_EFI] = "EFI",
        [OWNER_REALMODE] = "real-mode code",
        [OWNER_OTHER] = "other",
    };
    return (size_t)kind < MONATT_ARRAY_SIZE(names) && names[kind] ? names[kind] : "unknown";
}
