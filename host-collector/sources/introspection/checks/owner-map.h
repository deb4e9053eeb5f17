/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-map.h - what owner.c and owner-sources.c share: the ranges that are being gathered
 */
#ifndef MONATT_INTROSPECTION_OWNER_MAP_H
#define MONATT_INTROSPECTION_OWNER_MAP_H

#include "host-collector/sources/introspection/checks/module-list.h"
#include "host-collector/sources/introspection/checks/owner.h"
#include "host-collector/sources/introspection/checks/vmap-areas.h"

#define OWNER_RANGES_MAXIMUM 65536
#define OWNER_BLOCK 256                           /* ranges that a search passes over at once */
#define OWNER_RANGE_MAXIMUM (1ull << 30)          /* bytes of one; more is no code */
#define OWNER_PACK_MAXIMUM (64u << 20)            /* 2 MiB for each NUMA node */
#define OWNER_MODULES_START 0xffffffff80000000ull /* with KASLR off too */
#define OWNER_MODULES_END 0xffffffffff000000ull   /* MODULES_END: the fixmap follows */

typedef struct OwnerRange {
    uint64_t start;
    uint64_t end;
    uint64_t reach; /* the greatest end of this and all ranges before it */
    uint64_t block; /* as reach, of those in its block of OWNER_BLOCK */
    Owner owner;
    uint8_t *chunks; /* owned; a pack of BPF programs: one bit a chunk that is in use */
} OwnerRange;

struct Owners {
    OwnerRange *ranges; /* owned, ascending by start */
    size_t count;
    size_t capacity;
    ModuleList modules;
    VmapAreas areas; /* of the space of modules */
    char missing[96];
};

/* Empty, too large or beyond the bound: left out. name: NULL for "". NULL when it was left out;
 * else valid until the next range is added. */
OwnerRange *owner_map_add(Owners *owners, uint64_t start, uint64_t end, OwnerKind kind,
                          const char *name);
/* The first reason stays. */
void owner_map_lacks(Owners *owners, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* All but core text and modules. */
void owner_sources_read(CheckContext *context, Owners *owners);
/* Classic BPF programs (socket filters, seccomp) of kernels that have no packs, to 5.17. */
void owner_classic_read(CheckContext *context, Owners *owners);
/* Marks what is not known: structs of modules that nothing but their memory knows. */
void owner_carve_modules(CheckContext *context, Owners *owners);

#endif
