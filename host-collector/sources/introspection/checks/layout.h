/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout.h - many members of the guest's structures looked up at once, by rows
 *
 * What a check follows stands in one table of its file.  Several rows of one target are names that
 * kernels of different years have for it: the first that is there is taken.  A member that no
 * kernel name fits stays LAYOUT_MISSING, which is no offset: a reader must ask layout_has() first.
 */
#ifndef MONATT_INTROSPECTION_LAYOUT_H
#define MONATT_INTROSPECTION_LAYOUT_H

#include "host-collector/sources/introspection/guest-kernel.h"

#define LAYOUT_MISSING UINT32_MAX

typedef struct LayoutRow {
    const char *structure;
    const char *path; /* NULL: the size of the structure */
    size_t target;    /* of the uint32_t within the caller's struct */
} LayoutRow;
#define LAYOUT_MEMBER(type, field, structure, path)                                                \
    {                                                                                              \
        structure, path, offsetof(type, field)                                                     \
    }
#define LAYOUT_SIZE(type, field, structure)                                                        \
    {                                                                                              \
        structure, NULL, offsetof(type, field)                                                     \
    }

/* Fills every target of the rows in base, in bytes. */
void layout_read(GuestKernel *kernel, const LayoutRow *rows, size_t count, void *base);
/* 0: the kernel has no symbol of that name. */
uint64_t layout_symbol(GuestKernel *kernel, const char *name);
static inline bool layout_has(uint32_t offset)
{
    return offset != LAYOUT_MISSING;
}
/* "STRUCT.MEMBER" (the first name) of the first target that is missing and lies within the first
 * size bytes of base; NULL: none is.  text: at least 96 bytes. */
const char *layout_lacks(const LayoutRow *rows, size_t count, const void *base, size_t size,
                         char *text, size_t capacity);

#endif
