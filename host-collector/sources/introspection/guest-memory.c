/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-memory.c - maps the device's RAM regions and copies out of them
 *
 * Must never hand out a pointer into the mapping, and never write to it.
 */
#include "host-collector/sources/introspection/guest-memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE_MAXIMUM (1ull << 30) /* x86-64 has 2 MiB and 1 GiB */

static bool check_region(const GuestMemory *memory, const MonattRamRegion *region, int fd,
                         MonattError *err)
{
    struct stat status;
    uint64_t physical_end, file_end;

    if (region->size == 0 || region->size % GUEST_PAGE_SIZE != 0 ||
        region->offset % GUEST_PAGE_SIZE != 0 || region->guest_physical % GUEST_PAGE_SIZE != 0 ||
        __builtin_add_overflow(region->guest_physical, region->size, &physical_end) ||
        __builtin_add_overflow(region->offset, region->size, &file_end) || file_end > INT64_MAX) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest memory: region at %#lx: not whole pages of a file",
                                (unsigned long)region->guest_physical);
    }
    if (fstat(fd, &status) < 0) {
        return monatt_error_set_errno(err, errno, "guest memory: descriptor %d", fd);
    }
    if ((uint64_t)status.st_size < file_end) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest memory: region at %#lx: ends at %#lx of a file of %#lx",
                                (unsigned long)region->guest_physical, (unsigned long)file_end,
                                (unsigned long)status.st_size);
    }
    for (size_t i = 0; i < memory->count; i++) {
        const GuestRegion *other = &memory->regions[i];
        if (region->guest_physical < other->guest_physical + other->size &&
            other->guest_physical < physical_end) {
            return monatt_error_set(
                err, MONATT_ERROR_FORMAT, "guest memory: regions at %#lx and %#lx overlap",
                (unsigned long)region->guest_physical, (unsigned long)other->guest_physical);
        }
    }
    return true;
}

static void unmap_all(GuestMemory *memory)
{
    for (size_t i = 0; i < memory->count; i++) {
        if (memory->regions[i].fd >= 0) {
            munmap(memory->regions[i].mapping, memory->regions[i].mapping_size);
        }
    }
}

/*
 * The whole pages of the file around a region: QEMU splits RAM below 1 MiB at any 4 KiB, and a file
 * of huge pages (hugetlbfs, whose st_blksize is their size) can be mapped only at its own.
 */
static bool map_region(const MonattRamRegion *from, int fd, GuestRegion *region)
{
    struct stat status;
    uint64_t page, start, end;

    if (fstat(fd, &status) < 0) {
        return false;
    }
    page = (uint64_t)status.st_blksize;
    if (page < GUEST_PAGE_SIZE || page > HUGE_PAGE_MAXIMUM || (page & (page - 1)) != 0) {
        page = GUEST_PAGE_SIZE;
    }
    start = from->offset & ~(page - 1);
    end = (from->offset + from->size + page - 1) & ~(page - 1);
    region->mapping_size = end - start;
    region->mapping =
        mmap(NULL, region->mapping_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
    if (region->mapping == MAP_FAILED) {
        return false;
    }
    region->bytes = (uint8_t *)region->mapping + (from->offset - start);
    /* A core file of the worker must not hold the guest's memory. */
    madvise(region->mapping, region->mapping_size, MADV_DONTDUMP);
    return true;
}

bool guest_memory_map(GuestMemory *memory, const MonattRamRegion *regions, const int *fds,
                      size_t count, MonattError *err)
{
    memory->count = 0;
    if (count == 0 || count > MONATT_RAM_REGIONS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "guest memory: %zu regions, 1 to %d are possible", count,
                                MONATT_RAM_REGIONS_MAXIMUM);
    }
    for (size_t i = 0; i < count; i++) {
        GuestRegion *region = &memory->regions[memory->count];

        if (!check_region(memory, &regions[i], fds[i], err)) {
            unmap_all(memory);
            return false;
        }
        *region = (GuestRegion){.guest_physical = regions[i].guest_physical,
                                .size = regions[i].size,
                                .offset = regions[i].offset,
                                .fd = fds[i]};
        if (!map_region(&regions[i], fds[i], region)) {
            int saved = errno;
            unmap_all(memory);
            return monatt_error_set_errno(err, saved, "guest memory: mapping %#lx bytes",
                                          (unsigned long)regions[i].size);
        }
        memory->count++;
    }
    return true;
}

void guest_memory_init_bytes(GuestMemory *memory, uint64_t guest_physical, void *bytes,
                             uint64_t size)
{
    memory->count = 1;
    memory->regions[0] =
        (GuestRegion){.guest_physical = guest_physical, .size = size, .fd = -1, .bytes = bytes};
}

void guest_memory_clear(GuestMemory *memory)
{
    unmap_all(memory);
    for (size_t i = 0; i < memory->count; i++) {
        if (memory->regions[i].fd >= 0) {
            close(memory->regions[i].fd);
        }
    }
    memory->count = 0;
}

bool guest_memory_copy(const GuestMemory *memory, uint64_t address, void *buffer, size_t size)
{
    for (size_t i = 0; i < memory->count; i++) {
        const GuestRegion *region = &memory->regions[i];
        uint64_t offset = address - region->guest_physical;
        if (address < region->guest_physical || offset >= region->size) {
            continue;
        }
        if (size > region->size - offset) {
            return false;
        }
        memcpy(buffer, region->bytes + offset, size);
        return true;
    }
    return false;
}

/* The next run of data of a region from *offset on; all of the rest where a file cannot tell. */
static bool next_run(const GuestRegion *region, uint64_t *offset, uint64_t *ret_end)
{
    off_t data, hole;

    *ret_end = region->size;
    if (region->fd < 0) {
        return true;
    }
    data = lseek(region->fd, (off_t)(region->offset + *offset), SEEK_DATA);
    if (data < 0) {
        return errno != ENXIO;
    }
    *offset = ((uint64_t)data - region->offset) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    hole = lseek(region->fd, data, SEEK_HOLE);
    if (hole > 0 && (uint64_t)hole - region->offset < region->size) {
        *ret_end = ((uint64_t)hole - region->offset + GUEST_PAGE_SIZE - 1) &
                   ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    }
    return *offset < region->size;
}

bool guest_memory_next_data(const GuestMemory *memory, uint64_t *address, uint64_t *ret_end)
{
    bool any = false;
    uint64_t best = 0;

    for (size_t i = 0; i < memory->count; i++) {
        const GuestRegion *region = &memory->regions[i];
        uint64_t offset = 0, end;
        if (*address > region->guest_physical) {
            offset = *address - region->guest_physical;
            offset = (offset + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
        }
        if (offset >= region->size || !next_run(region, &offset, &end)) {
            continue;
        }
        if (!any || region->guest_physical + offset < best) {
            best = region->guest_physical + offset;
            *ret_end = region->guest_physical + end;
            any = true;
        }
    }
    if (any) {
        *address = best;
    }
    return any;
}

uint64_t guest_memory_size(const GuestMemory *memory)
{
    uint64_t size = 0;
    for (size_t i = 0; i < memory->count; i++) {
        size += memory->regions[i].size;
    }
    return size;
}

uint64_t guest_memory_end(const GuestMemory *memory)
{
    uint64_t end = 0;
    for (size_t i = 0; i < memory->count; i++) {
        uint64_t this_end = memory->regions[i].guest_physical + memory->regions[i].size;
        end = this_end > end ? this_end : end;
    }
    return end;
}
