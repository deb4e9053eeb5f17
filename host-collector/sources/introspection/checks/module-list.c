/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module-list.c - reads struct module by BTF: one layout to Linux 6.3, another from 6.4 on
 *
 * Must never believe a size: ranges that cannot be a module's make it none.
 */
#include "host-collector/sources/introspection/checks/module-list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define TRIES 5            /* properties 8, torn reads */
#define FIRST_CAPACITY 128 /* modules; doubled when there are more */
#define MODULES_A_STEP 32  /* that are looked through for one step of the budget */
#define USED_BASE 1 /* MODULE_REF_BASE: what a module's count stands at when nobody uses it */
#define KERNEL_HALF 0xffff800000000000ull

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ModuleLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    LAYOUT_SIZE(ModuleLayout, size, "module"),
    MEMBER(list, "module", "list"),
    MEMBER(name, "module", "name"),
    MEMBER(state, "module", "state"),
    MEMBER(memory, "module", "mem"), /* 6.4 */
    MEMBER(memory_base, "module_memory", "base"),
    MEMBER(memory_size, "module_memory", "size"),
    MEMBER(memory_node, "module_memory", "mtn"),
    MEMBER(core, "module", "core_layout"), /* to 6.3 */
    MEMBER(core_base, "module_layout", "base"),
    MEMBER(core_size, "module_layout", "size"),
    MEMBER(core_text, "module_layout", "text_size"),
    MEMBER(core_ro, "module_layout", "ro_size"),
    MEMBER(core_init_ro, "module_layout", "ro_after_init_size"),
    MEMBER(init, "module", "init_layout"),
    MEMBER(used, "module", "refcnt"),
    MEMBER(taints, "module", "taints"),
    MEMBER(srcversion, "module", "srcversion"),
    MEMBER(kobject, "module", "mkobj.kobj"),
    MEMBER(kset, "kobject", "kset"),
    MEMBER(bugs, "module", "bug_list"),
};
/* Without its first four members nothing can be read. */
#define NEEDED offsetof(ModuleLayout, memory)

void module_list_lacks(ModuleList *list, const char *format, ...)
{
    va_list arguments;
    if (list->missing[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    vsnprintf(list->missing, sizeof(list->missing), format, arguments);
    va_end(arguments);
}

void module_list_clear(ModuleList *list)
{
    free(list->items);
    memset(list, 0, sizeof(*list));
}

Module *module_list_find(const ModuleList *list, uint64_t address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].address == address) {
            return &list->items[i];
        }
    }
    return NULL;
}

uint64_t module_size(const Module *module)
{
    uint64_t size = 0;
    for (int i = MODULE_TEXT; i <= MODULE_RO_AFTER_INIT; i++) {
        size += module->ranges[i].size;
    }
    return size;
}

/* 0 where the member is missing or does not fit into the struct. */
static uint64_t number_at(const uint8_t *bytes, uint32_t size, uint64_t offset, size_t width)
{
    uint64_t value = 0;
    if (offset >= size || width > size - offset) {
        return 0;
    }
    memcpy(&value, bytes + offset, width); /* the host is little-endian as x86 is */
    return value;
}

static bool set_range(Module *module, ModuleMemory memory, uint64_t start, uint64_t size)
{
    module->ranges[memory] = (ModuleRange){.start = size ? start : 0, .size = size};
    return size == 0 || (start >= KERNEL_HALF && size <= MODULE_MEMORY_MAXIMUM &&
                         start + size > start && start % GUEST_PAGE_SIZE == 0);
}

/* mem[]: one entry a kind of memory. */
static bool decode_memories(const ModuleLayout *layout, const uint8_t *bytes, uint32_t stride,
                            Module *module)
{
    for (uint32_t i = 0; i < MODULE_MEMORIES; i++) {
        uint64_t at = layout->memory + (uint64_t)i * stride;
        if (!set_range(module, (ModuleMemory)i,
                       number_at(bytes, layout->size, at + layout->memory_base, 8),
                       number_at(bytes, layout->size, at + layout->memory_size, 4))) {
            return false;
        }
    }
    return true;
}

/* One block that has text, read-only data, what gets read-only after init, and data in that order:
 * each size is where its part ends. */
static bool decode_block(const ModuleLayout *layout, const uint8_t *bytes, uint32_t block,
                         const ModuleMemory parts[4], Module *module)
{
    const uint32_t ends[4] = {layout->core_text, layout->core_ro, layout->core_init_ro,
                              layout->core_size};
    uint64_t base = number_at(bytes, layout->size, (uint64_t)block + layout->core_base, 8);
    uint64_t from = 0;

    for (int i = 0; i < 4; i++) {
        uint64_t end = number_at(bytes, layout->size, (uint64_t)block + ends[i], 4);
        /* The init block has no part of its own for data that gets read-only later. */
        end = end < from ? from : end;
        if (parts[i] != MODULE_MEMORIES && !set_range(module, parts[i], base + from, end - from)) {
            return false;
        }
        from = end;
    }
    return true;
}

static bool decode_ranges(CheckContext *context, const ModuleLayout *layout, const uint8_t *bytes,
                          Module *module)
{
    static const ModuleMemory core[4] = {MODULE_TEXT, MODULE_RODATA, MODULE_RO_AFTER_INIT,
                                         MODULE_DATA};
    static const ModuleMemory init[4] = {MODULE_INIT_TEXT, MODULE_INIT_RODATA, MODULE_MEMORIES,
                                         MODULE_INIT_DATA};
    uint32_t elements, stride;

    if (layout_has(layout->memory) && layout_has(layout->memory_base) &&
        layout_has(layout->memory_size)) {
        return guest_kernel_array(context->kernel, "module", "mem", &elements, &stride) &&
               elements == MODULE_MEMORIES && decode_memories(layout, bytes, stride, module);
    }
    return layout_has(layout->core) && layout_has(layout->core_base) &&
           layout_has(layout->core_text) && layout_has(layout->core_ro) &&
           layout_has(layout->core_init_ro) && layout_has(layout->core_size) &&
           decode_block(layout, bytes, layout->core, core, module) &&
           (!layout_has(layout->init) || decode_block(layout, bytes, layout->init, init, module));
}

static bool is_name(const char *name)
{
    size_t length = strnlen(name, MODULE_NAME_SIZE);
    if (length == 0 || length >= MODULE_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return false;
        }
    }
    return true;
}

/* A struct's bytes as a module; what its name is worth is the caller's to say. */
static bool decode(CheckContext *context, const ModuleList *list, uint64_t address, Module *module)
{
    const ModuleLayout *layout = &list->layout;
    uint8_t bytes[MODULE_STRUCT_MAXIMUM];

    *module = (Module){.address = address};
    if (layout->size > sizeof(bytes) ||
        !address_space_read(&context->kernel->space, address, bytes, layout->size)) {
        return false;
    }
    for (size_t i = 0; i + 1 < MODULE_NAME_SIZE && layout->name + i < layout->size; i++) {
        module->name[i] = (char)bytes[layout->name + i];
    }
    module->state = (uint32_t)number_at(bytes, layout->size, layout->state, 4);
    module->used = (uint32_t)number_at(bytes, layout->size, layout->used, 4);
    module->used -= module->used >= USED_BASE ? USED_BASE : 0;
    module->taints = number_at(bytes, layout->size, layout->taints, 8);
    module->srcversion = number_at(bytes, layout->size, layout->srcversion, 8);
    if (layout_has(layout->kobject) && layout_has(layout->kset)) {
        module->holder =
            number_at(bytes, layout->size, (uint64_t)layout->kobject + layout->kset, 8);
    }
    return decode_ranges(context, layout, bytes, module);
}

bool module_list_decode(CheckContext *context, const ModuleList *list, uint64_t address,
                        Module *ret_module)
{
    return decode(context, list, address, ret_module) && is_name(ret_module->name) &&
           (ret_module->ranges[MODULE_TEXT].size > 0 || ret_module->ranges[MODULE_DATA].size > 0);
}

static bool add(ModuleList *list, const Module *module)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : FIRST_CAPACITY;
        Module *items;
        if (list->count >= MODULES_MAXIMUM) {
            module_list_lacks(list, "more than %d modules", MODULES_MAXIMUM);
            return false;
        }
        items = realloc(list->items, capacity * sizeof(*items));
        if (!items) {
            module_list_lacks(list, "out of memory for modules");
            return false;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *module;
    return true;
}

bool module_list_seen(CheckContext *context, ModuleList *list, uint64_t address, uint32_t view)
{
    Module *known;
    Module module;

    if (!walk_budget_take(&context->budget, list->count / MODULES_A_STEP)) {
        return false; /* so the walk of whoever calls is over too */
    }
    known = module_list_find(list, address);
    if (known) {
        known->views |= view;
        return true;
    }
    if (!module_list_decode(context, list, address, &module)) {
        return false;
    }
    module.views = view;
    return add(list, &module);
}

static MonattReason walk(CheckContext *context, uint64_t head, ModuleList *list)
{
    GuestListWalk walk;
    uint64_t node;

    list->count = 0;
    guest_list_begin(&walk, context, GUEST_LIST_RING, head);
    while (guest_list_next(&walk, &node)) {
        Module module;
        uint64_t address = node - list->layout.list;
        /* What is in the list is in it, whatever it says of itself: a module that blanks its
         * name or its ranges is shown with what can be read. */
        if (!decode(context, list, address, &module)) {
            memset(module.ranges, 0, sizeof(module.ranges));
        }
        char name[MODULE_NAME_SIZE];
        monatt_text_printable(module.name, strnlen(module.name, sizeof(module.name)), name,
                              sizeof(name));
        memcpy(module.name, name, sizeof(name));
        module.views = MODULE_VIEW_LIST;
        if (!add(list, &module)) {
            return MONATT_REASON_BUDGET;
        }
    }
    return walk.reason;
}

void module_list_read(CheckContext *context, ModuleList *list)
{
    MonattReason reason = MONATT_REASON_TORN;
    char text[96];
    const char *lacks;
    uint64_t head;

    list->sequence = module_sequence(context);
    layout_read(context->kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &list->layout);
    lacks = layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &list->layout, NEEDED, text,
                         sizeof(text));
    if (lacks) {
        module_list_lacks(list, "BTF has no %.70s", lacks);
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "modules", &head)) {
        module_list_lacks(list, "no symbol 'modules'");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = walk(context, head, list);
    }
    if (reason != MONATT_REASON_NONE) {
        module_list_lacks(list, "the list of modules ended after %zu", list->count);
    }
    module_views_read(context, list);
}
