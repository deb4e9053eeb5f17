/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-kernel.h - a kernel for the test of one check: what structures and symbols it has is the
 * test's choice
 *
 * guest-image.h is a whole guest that must be found; here a test lists the structures that its
 * check follows, with offsets of its own, takes memory for them and links them as it likes.
 */
#ifndef MONATT_TESTS_INVENTED_KERNEL_H
#define MONATT_TESTS_INVENTED_KERNEL_H

#include "host-collector/sources/introspection/guest-kernel.h"

#define INVENTED_SIZE (8u * 1024 * 1024)
#define INVENTED_KERNEL 0xffffffff80000000ull /* symbols: this plus the physical address */
#define INVENTED_DIRECT 0xffff888000000000ull /* what was allocated: this plus the physical one */
#define INVENTED_TEXT 0x10000u                /* core text; a function at each multiple of 0x100 */
#define INVENTED_TEXT_END 0x20000u
#define INVENTED_SYMBOLS 512

/* A struct (member NULL, offset its size), then its members; or an enumerator (its name, NULL, its
 * value, "enum"). */
typedef struct InventedRow {
    const char *structure;
    const char *member;
    uint32_t offset;
    /* NULL or "u64", "u32", "u16", "u8"; "u64[5]", "list_head[5]"; "function" (a pointer to one);
     * else the struct it is */
    const char *type;
} InventedRow;

typedef struct InventedKernel {
    uint8_t bytes[INVENTED_SIZE];
    GuestMemory memory;
    GuestKernel kernel;
    uint64_t used; /* physical, of the next allocation */
    struct {
        char name[48];
        uint64_t address;
    } symbols[INVENTED_SYMBOLS];
    uint32_t symbol_count;
} InventedKernel;

/* Empties it; static memory, as it is large. */
void invented_begin(InventedKernel *invented);
/* Zeroed, aligned to 64; as the guest addresses it. */
uint64_t invented_allocate(InventedKernel *invented, uint64_t size);
/* A variable of the kernel with this name, zeroed; as the guest addresses it. */
uint64_t invented_variable(InventedKernel *invented, const char *name, uint64_t size);
void invented_symbol(InventedKernel *invented, const char *name, uint64_t address);
/* Ends it: from now on invented->kernel answers. */
void invented_end(InventedKernel *invented, const InventedRow *rows, size_t count);
void invented_clear(InventedKernel *invented);

/* By guest address. */
uint8_t *invented_at(InventedKernel *invented, uint64_t address);
void invented_u64(InventedKernel *invented, uint64_t address, uint64_t value);
void invented_u32(InventedKernel *invented, uint64_t address, uint32_t value);
void invented_u16(InventedKernel *invented, uint64_t address, uint16_t value);
uint64_t invented_get(InventedKernel *invented, uint64_t address);
/* struct list_head: an empty one, and a node at the end of one. */
void invented_ring(InventedKernel *invented, uint64_t head);
void invented_ring_add(InventedKernel *invented, uint64_t head, uint64_t node);
void invented_ring_remove(InventedKernel *invented, uint64_t node);
/* struct hlist_head, or with end (odd) hlist_nulls_head: a node at its front. */
void invented_chain_add(InventedKernel *invented, uint64_t head, uint64_t node, uint64_t end);
void invented_chain_remove(InventedKernel *invented, uint64_t node);

#endif
