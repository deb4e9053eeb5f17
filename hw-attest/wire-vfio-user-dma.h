/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-vfio-user-dma.h - the ranges of guest memory a vfio-user client has mapped
 *
 * QEMU maps and unmaps one range after the other at any moment, dozens in a boot, and cuts RAM
 * where firmware changes the memory map.  Here they are kept as they came; what the device hands
 * out (guest-ram.h) is made of them anew with each change: neighbours of one file as one region,
 * and of more than MONATT_RAM_REGIONS_MAXIMUM the biggest.
 */
#ifndef HW_ATTEST_WIRE_VFIO_USER_DMA_H
#define HW_ATTEST_WIRE_VFIO_USER_DMA_H

#include "hw-attest/guest-ram.h"

/* Ranges with a descriptor at once: QEMU needs about 20; each holds one of our descriptors. */
#define WIRE_DMA_MAXIMUM 64

typedef struct WireDma {
    size_t count;
    struct WireDmaRange {
        MonattRamRegion region;
        int fd;
        uint64_t file_device; /* st_dev and st_ino: is it the neighbour's file? */
        uint64_t file_inode;
    } ranges[WIRE_DMA_MAXIMUM]; /* by address, none overlaps another */
    size_t dropped;             /* ranges forgotten because there was no room */
} WireDma;

void wire_dma_init(WireDma *dma);
/* Closes what is held; *ram keeps what it was given last. */
void wire_dma_clear(WireDma *dma);
/*
 * Takes over fd in any case.  0, or an errno value for the reply: EINVAL (a range that wraps or is
 * not of whole pages), EEXIST (it lies over another one).  A descriptor that is no regular file is
 * not memory and ignored.
 */
uint32_t wire_dma_map(WireDma *dma, GuestRam *ram, const MonattRamRegion *region, int fd);
/*
 * Forgets the ranges inside; there may be none, as ranges without a descriptor are not kept.
 * EINVAL: it wraps, is empty, or cuts a range.
 */
uint32_t wire_dma_unmap(WireDma *dma, GuestRam *ram, uint64_t address, uint64_t size);
void wire_dma_unmap_all(WireDma *dma, GuestRam *ram);

#endif
