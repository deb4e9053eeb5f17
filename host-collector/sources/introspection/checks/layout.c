/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.c - many members of the guest's structures looked up at once, by rows
 */
#include "host-collector/sources/introspection/checks/layout.h"

#include <stdio.h>
#include <string.h>

static uint32_t target_of(const void *base, size_t target)
{
    uint32_t value;
    memcpy(&value, (const char *)base + target, sizeof(value));
    return value;
}

static bool look_up(GuestKernel *kernel, const LayoutRow *row, uint32_t *ret_value)
{
    if (row->path) {
        return guest_kernel_member(kernel, row->structure, row->path, ret_value);
    }
    *ret_value = guest_kernel_sizeof(kernel, row->structure);
    return *ret_value != 0;
}

void layout_read(GuestKernel *kernel, const LayoutRow *rows, size_t count, void *base)
{
    const uint32_t missing = LAYOUT_MISSING;

    for (size_t i = 0; i < count; i++) {
        memcpy((char *)base + rows[i].target, &missing, sizeof(missing));
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t value;
        if (!layout_has(target_of(base, rows[i].target)) && look_up(kernel, &rows[i], &value)) {
            memcpy((char *)base + rows[i].target, &value, sizeof(value));
        }
    }
}

uint64_t layout_symbol(GuestKernel *kernel, const char *name)
{
    uint64_t address;
    return guest_kernel_symbol(kernel, name, &address) ? address : 0;
}

const char *layout_lacks(const LayoutRow *rows, size_t count, const void *base, size_t size,
                         char *text, size_t capacity)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].target < size && !layout_has(target_of(base, rows[i].target))) {
            snprintf(text, capacity, "%s%s%s", rows[i].structure, rows[i].path ? "." : "",
                     rows[i].path ? rows[i].path : " in its BTF");
            return text;
        }
    }
    return NULL;
}
