/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-ram.c - descriptors of guest memory and windows into it; must never hand out a writable
 * descriptor, and never map what lies behind the end of a file
 */
#include "hw-attest/guest-ram.h"

#include <errno.h>
#include <fcntl.h>
#include <endian.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

void guest_ram_init(GuestRam *ram)
{
    ram->count = 0;
    ram->hidden = 0;
}

void guest_ram_clear(GuestRam *ram)
{
    for (size_t i = 0; i < ram->count; i++) {
        close(ram->fds[i]);
    }
    ram->count = 0;
}

void guest_ram_replace(GuestRam *ram, const MonattRamRegion *regions, const int *fds, size_t count)
{
    guest_ram_clear(ram);
    for (size_t i = 0; i < count; i++) {
        ram->regions[i] = regions[i];
        ram->fds[i] = fds[i];
    }
    ram->count = count;
}

bool guest_ram_duplicate(const GuestRam *ram, GuestRam *ret, MonattError *err)
{
    *ret = *ram;
    for (ret->count = 0; ret->count < ram->count; ret->count++) {
        ret->fds[ret->count] = fcntl(ram->fds[ret->count], F_DUPFD_CLOEXEC, 0);
        if (ret->fds[ret->count] < 0) {
            int saved = errno;
            guest_ram_clear(ret);
            return monatt_error_set_errno(err, saved, "guest RAM: duplicate a descriptor");
        }
    }
    return true;
}

bool guest_ram_open_read_only(const GuestRam *ram, GuestRamReopen *reopen, void *argument,
                              int ret_fds[MONATT_RAM_REGIONS_MAXIMUM], MonattError *err)
{
    for (size_t i = 0; i < ram->count; i++) {
        /* A duplicate would share the writable open file: only a new open is read-only. */
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", ram->fds[i]);
        /* A FIFO in memory's place must not hold us up: QEMU may be in the guest's hands. */
        ret_fds[i] = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (ret_fds[i] < 0) {
            int saved = errno;
            while (i > 0) {
                close(ret_fds[--i]);
            }
            return saved == EACCES && reopen
                       ? reopen(argument, ram->fds, ram->count, ret_fds, err)
                       : monatt_error_set_errno(err, saved, "guest RAM: open read-only");
        }
    }
    return true;
}

/* The region that holds all of it, and where in its file; NULL: none. */
static const MonattRamRegion *find(const GuestRam *ram, uint64_t address, size_t size,
                                   uint64_t *ret_offset)
{
    for (size_t i = 0; i < ram->count; i++) {
        const MonattRamRegion *region = &ram->regions[i];
        uint64_t inside = address - region->guest_physical;
        if (address >= region->guest_physical && inside < region->size &&
            size <= region->size - inside) {
            *ret_offset = region->offset + inside; /* the wire saw to it that this cannot wrap */
            return region;
        }
    }
    return NULL;
}

/* What offsets and sizes of a mapping of this file must be multiples of. */
static uint64_t granule(int fd)
{
    struct statfs fs;
    long page = sysconf(_SC_PAGESIZE);
    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return (uint64_t)fs.f_bsize;
    }
    return (uint64_t)page;
}

static bool map(int fd, uint64_t offset, size_t size, GuestWindow *window)
{
    uint64_t unit = granule(fd);
    if (unit == 0 || (unit & (unit - 1)) != 0) {
        return false;
    }
    uint64_t start = offset & ~(unit - 1);
    uint64_t length = ((offset - start) + size + unit - 1) & ~(unit - 1);
    /* Present before it is used: what the wire thread waits for is then no page fault. */
    void *mapping =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)start);
    if (mapping == MAP_FAILED) {
        return false;
    }
    window->mapping = mapping;
    window->mapping_size = length;
    window->bytes = (uint8_t *)mapping + (offset - start);
    return true;
}

/* Where in which file these bytes are, all of them there: its descriptor, or -1. */
static int locate(const GuestRam *ram, uint64_t address, size_t size, GuestWindow *ret)
{
    struct stat file;
    const MonattRamRegion *region = find(ram, address, size, &ret->offset);
    int fd = region ? ram->fds[region - ram->regions] : -1;
    if (!region || ret->offset % GUEST_RAM_PAGE != 0 || fstat(fd, &file) != 0 ||
        !S_ISREG(file.st_mode) || file.st_size < 0 || ret->offset > (uint64_t)file.st_size ||
        size > (uint64_t)file.st_size - ret->offset) {
        return -1;
    }
    ret->size = size;
    ret->device = file.st_dev;
    ret->inode = file.st_ino;
    return fd;
}

static bool same_place(const GuestWindow *a, const GuestWindow *b)
{
    return a->size == b->size && a->offset == b->offset && a->device == b->device &&
           a->inode == b->inode;
}

bool guest_ram_shows(const GuestRam *ram, uint64_t address, const GuestWindow *window)
{
    GuestWindow place = {0};
    return window->bytes && locate(ram, address, window->size, &place) >= 0 &&
           same_place(window, &place);
}

/*
 * Whether all of it has been written once.  Memory that nobody has touched yet would be allocated
 * by our touching it, and charged to us: a guest must not make the device pay for all its RAM, one
 * ring after the other.  Page by page: a search for the next hole could go through the whole file.
 */
static bool present(int fd, const GuestWindow *place)
{
    for (uint64_t at = place->offset; at < place->offset + place->size; at += GUEST_RAM_PAGE) {
        if (lseek(fd, (off_t)at, SEEK_DATA) != (off_t)at) {
            return false;
        }
    }
    return true;
}

bool guest_ram_map(const GuestRam *ram, uint64_t address, size_t size, GuestWindow *window)
{
    GuestWindow place = {0};
    int fd = locate(ram, address, size, &place);
    if (fd >= 0 && window->bytes && same_place(window, &place)) {
        return true;
    }
    guest_window_unmap(window);
    if (fd < 0 || !present(fd, &place)) {
        return false;
    }
    *window = place;
    return map(fd, place.offset, size, window);
}

void guest_window_unmap(GuestWindow *window)
{
    if (window->bytes) {
        munmap(window->mapping, window->mapping_size);
    }
    *window = (GuestWindow){0};
}

uint32_t guest_window_load32(const GuestWindow *window, size_t offset)
{
    const uint32_t *cell = (const void *)(window->bytes + offset);
    return le32toh(__atomic_load_n(cell, __ATOMIC_ACQUIRE));
}

uint64_t guest_window_load64(const GuestWindow *window, size_t offset)
{
    const uint64_t *cell = (const void *)(window->bytes + offset);
    return le64toh(__atomic_load_n(cell, __ATOMIC_ACQUIRE));
}

void guest_window_store32(GuestWindow *window, size_t offset, uint32_t value)
{
    uint32_t *cell = (void *)(window->bytes + offset);
    __atomic_store_n(cell, htole32(value), __ATOMIC_RELEASE);
}

void guest_window_store64(GuestWindow *window, size_t offset, uint64_t value)
{
    uint64_t *cell = (void *)(window->bytes + offset);
    __atomic_store_n(cell, htole64(value), __ATOMIC_RELEASE);
}

void guest_window_copy_out(const GuestWindow *window, size_t offset, void *ret, size_t size)
{
    memcpy(ret, window->bytes + offset, size);
    atomic_signal_fence(memory_order_seq_cst);
}

void guest_window_copy_in(GuestWindow *window, size_t offset, const void *bytes, size_t size)
{
    memcpy(window->bytes + offset, bytes, size);
}
