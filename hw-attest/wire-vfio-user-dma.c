/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-vfio-user-dma.c - keeps mapped ranges; must never hold one that the client unmapped
 *
 * Bounded in every direction: ranges, descriptors, and the work of one message (a sort of at most
 * WIRE_DMA_MAXIMUM entries).
 */
#include "hw-attest/wire-vfio-user-dma.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/wire.h"

#define PAGE_SIZE 4096u /* the page size that we negotiate */

typedef struct WireDmaRange WireDmaRange;

void wire_dma_init(WireDma *dma)
{
    dma->count = 0;
    dma->dropped = 0;
}

void wire_dma_clear(WireDma *dma)
{
    for (size_t i = 0; i < dma->count; i++) {
        close(dma->ranges[i].fd);
    }
    dma->count = 0;
}

static uint64_t end_of(const MonattRamRegion *region)
{
    return region->guest_physical + region->size; /* wire_region_valid() */
}

static bool continues(const WireDmaRange *range, const WireDmaRange *next)
{
    return end_of(&range->region) == next->region.guest_physical &&
           range->region.offset + range->region.size == next->region.offset &&
           range->file_device == next->file_device && range->file_inode == next->file_inode;
}

/* Neighbours of one file as one; `merged` borrows the first one's descriptor. */
static size_t merge(const WireDma *dma, WireDmaRange merged[WIRE_DMA_MAXIMUM])
{
    size_t count = 0;
    for (size_t i = 0; i < dma->count; i++) {
        if (count > 0 && continues(&merged[count - 1], &dma->ranges[i])) {
            merged[count - 1].region.size += dma->ranges[i].region.size;
        } else {
            merged[count++] = dma->ranges[i];
        }
    }
    return count;
}

static void remove_range(WireDmaRange *ranges, size_t *count, size_t at)
{
    memmove(&ranges[at], &ranges[at + 1], (*count - at - 1) * sizeof(ranges[0]));
    (*count)--;
}

static size_t smallest(const WireDmaRange *ranges, size_t count)
{
    size_t found = 0;
    for (size_t i = 1; i < count; i++) {
        if (ranges[i].region.size < ranges[found].region.size) {
            found = i;
        }
    }
    return found;
}

static void publish(WireDma *dma, GuestRam *ram)
{
    WireDmaRange merged[WIRE_DMA_MAXIMUM];
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    int fds[MONATT_RAM_REGIONS_MAXIMUM];
    size_t left = merge(dma, merged);
    size_t hidden = dma->dropped;
    size_t count = 0;
    while (left > MONATT_RAM_REGIONS_MAXIMUM) {
        remove_range(merged, &left, smallest(merged, left));
        hidden++;
    }
    for (size_t i = 0; i < left; i++) {
        int fd = fcntl(merged[i].fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            hidden++; /* no descriptor free: rather less than something wrong */
            continue;
        }
        regions[count] = merged[i].region;
        fds[count++] = fd;
    }
    guest_ram_replace(ram, regions, fds, count);
    ram->hidden = hidden;
}

static void insert(WireDma *dma, const WireDmaRange *range)
{
    size_t at = dma->count;
    while (at > 0 && dma->ranges[at - 1].region.guest_physical > range->region.guest_physical) {
        dma->ranges[at] = dma->ranges[at - 1];
        at--;
    }
    dma->ranges[at] = *range;
    dma->count++;
}

uint32_t wire_dma_map(WireDma *dma, GuestRam *ram, const MonattRamRegion *region, int fd)
{
    struct stat file;
    if (!wire_region_valid(region) || region->guest_physical % PAGE_SIZE != 0 ||
        region->size % PAGE_SIZE != 0 || region->offset % PAGE_SIZE != 0) {
        close(fd);
        return EINVAL;
    }
    for (size_t i = 0; i < dma->count; i++) {
        if (region->guest_physical < end_of(&dma->ranges[i].region) &&
            dma->ranges[i].region.guest_physical < end_of(region)) {
            close(fd);
            return EEXIST;
        }
    }
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        close(fd);
        return 0;
    }
    if (dma->count == WIRE_DMA_MAXIMUM) {
        size_t least = smallest(dma->ranges, dma->count);
        dma->dropped++;
        if (region->size <= dma->ranges[least].region.size) {
            close(fd);
            ram->hidden++;
            return 0;
        }
        close(dma->ranges[least].fd);
        remove_range(dma->ranges, &dma->count, least);
    }
    const WireDmaRange range = {
        .region = *region, .fd = fd, .file_device = file.st_dev, .file_inode = file.st_ino};
    insert(dma, &range);
    publish(dma, ram);
    return 0;
}

uint32_t wire_dma_unmap(WireDma *dma, GuestRam *ram, uint64_t address, uint64_t size)
{
    if (size == 0 || size > UINT64_MAX - address) {
        return EINVAL;
    }
    uint64_t end = address + size;
    size_t inside = 0;
    for (size_t i = 0; i < dma->count; i++) {
        const MonattRamRegion *region = &dma->ranges[i].region;
        if (region->guest_physical >= end || address >= end_of(region)) {
            continue;
        }
        if (region->guest_physical < address || end_of(region) > end) {
            return EINVAL;
        }
        inside++;
    }
    if (inside == 0) {
        return 0;
    }
    for (size_t i = dma->count; i > 0; i--) {
        const MonattRamRegion *region = &dma->ranges[i - 1].region;
        if (region->guest_physical >= address && end_of(region) <= end) {
            close(dma->ranges[i - 1].fd);
            remove_range(dma->ranges, &dma->count, i - 1);
        }
    }
    publish(dma, ram);
    return 0;
}

void wire_dma_unmap_all(WireDma *dma, GuestRam *ram)
{
    wire_dma_clear(dma);
    dma->dropped = 0;
    publish(dma, ram);
}
