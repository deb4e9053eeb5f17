/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmap-areas.h - the kernel's own list of what is mapped in a range of its vmalloc space
 *
 * One tree to Linux 6.8 (vmap_area_root), one in each of several nodes after (vmap_nodes).  Only
 * areas of the wanted range are read: a guest has one for each of its threads elsewhere.
 */
#ifndef MONATT_INTROSPECTION_VMAP_AREAS_H
#define MONATT_INTROSPECTION_VMAP_AREAS_H

#include <stddef.h>
#include "host-collector/sources/introspection/checks/check.h"

#define VMAP_AREAS_MAXIMUM 65536

typedef struct VmapArea {
    uint64_t start; /* guest-virtual */
    uint64_t end;   /* with the page that guards it */
} VmapArea;

typedef struct VmapAreas {
    VmapArea *items; /* owned, ascending */
    size_t count;
    size_t capacity;
    char missing[96]; /* why it is not all of them, "" when it is */
} VmapAreas;

/* Fills areas (which is all zeros) with those that overlap from to to. */
void vmap_areas_read(CheckContext *context, uint64_t from, uint64_t to, VmapAreas *areas);
void vmap_areas_clear(VmapAreas *areas);
/* The one that holds address; NULL: none. */
const VmapArea *vmap_areas_find(const VmapAreas *areas, uint64_t address);

#endif
