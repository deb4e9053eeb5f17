/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-ram.h - the guest's memory map as QEMU sent it last, its descriptors, and windows into it
 *
 * The device itself maps only what the guest named for it, ring and shadow page, and nothing of a
 * guest that named nothing; to the collector it hands out read-only descriptors.  The caller holds
 * the device's lock.
 */
#ifndef HW_ATTEST_GUEST_RAM_H
#define HW_ATTEST_GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/control/control.h"

#define GUEST_RAM_PAGE 4096u /* the guest's, whatever the host's is */

typedef struct GuestRam {
    size_t count;
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    int fds[MONATT_RAM_REGIONS_MAXIMUM]; /* as sent, read and write */
    size_t hidden;                       /* ranges that are mapped and not among the regions */
} GuestRam;

/*
 * A part of the guest's memory, mapped.  The guest writes it at any time: each byte that matters is
 * read once, into the reader's own memory.
 */
typedef struct GuestWindow {
    uint8_t *bytes; /* page-aligned; NULL: nothing is mapped */
    size_t size;
    /* What is behind it, to know it again in the next memory map. */
    uint64_t device;
    uint64_t inode;
    uint64_t offset;
    void *mapping;
    size_t mapping_size;
} GuestWindow;

void guest_ram_init(GuestRam *ram);
void guest_ram_clear(GuestRam *ram);
/* Takes over count descriptors, closes those of the old map. */
void guest_ram_replace(GuestRam *ram, const MonattRamRegion *regions, const int *fds, size_t count);
/* The same map with descriptors of its own, for use without the lock; SYSTEM. */
bool guest_ram_duplicate(const GuestRam *ram, GuestRam *ret, MonattError *err) MONATT_MUST_CHECK;
/* Opens files again, read-only, that this process may not open itself; waits. */
typedef bool GuestRamReopen(void *argument, const int *fds, size_t count, int *ret_fds,
                            MonattError *err);
/* Opens each again read-only, by reopen where that is needed (NULL: nobody can); ret_fds are the
 * caller's.  false: none is open. */
bool guest_ram_open_read_only(const GuestRam *ram, GuestRamReopen *reopen, void *argument,
                              int ret_fds[MONATT_RAM_REGIONS_MAXIMUM],
                              MonattError *err) MONATT_MUST_CHECK;
/*
 * Makes the window show size bytes at the guest-physical address, which are in one region's file;
 * one that shows them already stays as it is.  false: no such memory, or some of it was never
 * written by anybody, and nothing is mapped.
 */
bool guest_ram_map(const GuestRam *ram, uint64_t address, size_t size, GuestWindow *window);
/* Whether the window is what the map has at that address, and still whole. */
bool guest_ram_shows(const GuestRam *ram, uint64_t address, const GuestWindow *window);
void guest_window_unmap(GuestWindow *window);

/* Little-endian, aligned, once.  Offset and size lie in the window: the caller's constants. */
uint32_t guest_window_load32(const GuestWindow *window, size_t offset); /* acquire */
uint64_t guest_window_load64(const GuestWindow *window, size_t offset);
void guest_window_store32(GuestWindow *window, size_t offset, uint32_t value); /* release */
void guest_window_store64(GuestWindow *window, size_t offset, uint64_t value);
/* The compiler may not look at the guest's bytes a second time after this. */
void guest_window_copy_out(const GuestWindow *window, size_t offset, void *ret, size_t size);
void guest_window_copy_in(GuestWindow *window, size_t offset, const void *bytes, size_t size);

#endif
