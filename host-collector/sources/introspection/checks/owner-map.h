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
#define OWNER_BLOCK 256                  /* ranges that a search passes over at once */
#define OWNER_RANGE_MAXIMUM (1ull << 30) /* bytes of one; more is no code */
#define OWNER_PACK_MAXIMUM (64u << 20)   /* 2 MiB for each NUMA node */
#define OWNER_KERNEL_HALF 0xffff800000000000ull
#define OWNER_PROGRAMS_MAXIMUM 65536u
#define OWNER_IMAGES_MAXIMUM 4096u
#define OWNER_CLAIMS_MAXIMUM 64
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

/* A struct bpf_prog that lies where such lie and agrees with itself. */
typedef struct OwnerProgram {
    uint64_t start; /* of its image, which has a header */
    uint64_t end;
} OwnerProgram;

/* What a record of the kernel says and nothing else agrees with. */
typedef struct OwnerClaim {
    uint64_t start;
    uint64_t end;
    char text[OWNER_CLAIM_SIZE];
} OwnerClaim;

struct Owners {
    OwnerRange *ranges; /* owned, ascending by start */
    size_t count;
    size_t capacity;
    ModuleList modules;
    VmapAreas areas;        /* of the space of modules */
    OwnerProgram *programs; /* owned */
    size_t program_count;
    size_t program_capacity;
    OwnerClaim claims[OWNER_CLAIMS_MAXIMUM];
    size_t claim_count;
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
/*
 * As owner_map_add(), for code that the kernel made while it ran: it lies whole in one area of the
 * space of modules and has at most maximum bytes.  What does not, or is in doubt (a reason, or
 * NULL), is no owner: it is remembered as a claim.
 */
OwnerRange *owner_map_made(Owners *owners, uint64_t start, uint64_t end, uint64_t maximum,
                           OwnerKind kind, const char *name, const char *doubt);
/* Remembers it for people; the first ones stay. name: NULL for "". */
void owner_map_claim(Owners *owners, uint64_t start, uint64_t end, OwnerKind kind, const char *name,
                     const char *doubt);
/* Takes back what was added since there were count ranges and claims claims. */
void owner_map_cut(Owners *owners, size_t count, size_t claims);

/* All BPF programs; packs: whether several share an area, with headers that count bytes.  False: it
 * is not known which there are. */
bool owner_programs_read(CheckContext *context, Owners *owners, bool packs);
/* What symbols of BPF code are compared with. */
typedef struct OwnerImages {
    uint32_t aux_symbol, aux_prefix, aux_program;
    uint32_t program_aux, program_function;
    uint32_t symbol_start, symbol_end, symbol_name, symbol_program;
    uint32_t image_symbol, image_place, image_count, image_end;
    uint32_t trampoline_node, trampoline_image, trampoline_lock;
    uint32_t dispatcher_symbol, dispatcher_image;
    bool tried, has_table;
    bool changing; /* somebody has a trampoline's lock */
    size_t count;
    uint64_t current[OWNER_IMAGES_MAXIMUM]; /* ascending */
} OwnerImages;
void owner_images_begin(CheckContext *context, OwnerImages *images);
/* Why a BPF symbol is not believed; NULL: it is. */
const char *owner_image_doubt(CheckContext *context, OwnerImages *images, uint64_t symbol,
                              uint64_t start, uint64_t end, const char *name);

/* Marks what is not known: structs of modules that nothing but their memory knows. */
void owner_carve_modules(CheckContext *context, Owners *owners);

#endif
