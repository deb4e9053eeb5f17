/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-memory.h - a guest's RAM by guest-physical address, read-only, while the guest runs
 *
 * Everything read is a copy: the guest may change a byte between two looks at it, so nobody else
 * gets a pointer into it.  A file offset is not a guest-physical address (the PCI hole): only the
 * region table says what lies where.
 */
#ifndef MONATT_INTROSPECTION_GUEST_MEMORY_H
#define MONATT_INTROSPECTION_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/control/control.h"

#define GUEST_PAGE_SIZE 4096u

typedef struct GuestRegion {
    uint64_t guest_physical;
    uint64_t size;
    uint64_t offset; /* in the descriptor's file */
    int fd;          /* owned; -1 when the bytes are the caller's */
    uint8_t *bytes;
    void *mapping; /* around it, of whole pages of the file; with its size */
    uint64_t mapping_size;
} GuestRegion;

typedef struct GuestMemory {
    GuestRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    size_t count;
} GuestMemory;

/*
 * Maps count regions with PROT_READ.  The descriptors are owned by memory from a success on and
 * stay the caller's after a failure.  FORMAT: sizes that overflow, overlap, are not whole pages
 * or lie outside their file.  A file that shrinks later raises SIGBUS at the next read.
 */
bool guest_memory_map(GuestMemory *memory, const MonattRamRegion *regions, const int *fds,
                      size_t count, MonattError *err) MONATT_MUST_CHECK;
/* One region over bytes that the caller owns and keeps; for tests and for fuzzing. */
void guest_memory_init_bytes(GuestMemory *memory, uint64_t guest_physical, void *bytes,
                             uint64_t size);
void guest_memory_clear(GuestMemory *memory);

/*
 * False when not all of it is RAM: ordinary while following a guest's pointers, so no error is
 * made of it.  The range must lie in one region.
 */
bool guest_memory_copy(const GuestMemory *memory, uint64_t address, void *buffer,
                       size_t size) MONATT_MUST_CHECK;
/*
 * The first page at or after *address that may hold something else than zeros, and where the run
 * of such pages ends (exclusive); skipping holes keeps a look at all RAM from making the host
 * allocate it.  False at the end of RAM.
 */
bool guest_memory_next_data(const GuestMemory *memory, uint64_t *address,
                            uint64_t *ret_end) MONATT_MUST_CHECK;
/* The sum of the regions' sizes. */
uint64_t guest_memory_size(const GuestMemory *memory);
/* One past the highest guest-physical address. */
uint64_t guest_memory_end(const GuestMemory *memory);

#endif
