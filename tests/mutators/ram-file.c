/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram-file.c - a guest's RAM and a kernel image from files, for the tools of tests and bench
 */
#include "tests/mutators/ram-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

size_t ram_file_regions(uint64_t size, uint64_t low, MonattRamRegion ret_regions[2])
{
    ret_regions[0] = (MonattRamRegion){.size = size};
    if (low == 0 || low >= size) {
        return 1;
    }
    ret_regions[0].size = low;
    ret_regions[1] =
        (MonattRamRegion){.guest_physical = RAM_ABOVE_HOLE, .size = size - low, .offset = low};
    return 2;
}

bool ram_file_open(const char *path, uint64_t low, GuestMemory *memory, MonattError *err)
{
    MonattRamRegion regions[2];
    struct stat status;
    int fds[2] = {open(path, O_RDONLY | O_CLOEXEC), -1};
    size_t count;

    if (fds[0] < 0 || fstat(fds[0], &status) < 0) {
        return monatt_error_set_errno(err, errno, "RAM file: '%s'", path);
    }
    count = ram_file_regions((uint64_t)status.st_size, low, regions);
    if (count == 2) {
        fds[1] = dup(fds[0]);
    }
    return guest_memory_map(memory, regions, fds, count, err);
}

bool ram_file_image(const char *path, CheckInputs *inputs, MonattError *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *bytes;

    if (fd < 0 || fstat(fd, &status) < 0 ||
        (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "kernel image: '%s'", path);
    }
    close(fd);
    inputs->image = bytes;
    inputs->image_size = (size_t)status.st_size;
    return true;
}

void ram_file_clock(unsigned long pid, GuestClocks *clocks)
{
    char path[64];
    if (pid > 0) {
        snprintf(path, sizeof(path), "/proc/%lu/schedstat", pid);
        clocks->vcpus[0].run_fd = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/%lu/stat", pid);
        clocks->vcpus[0].state_fd = open(path, O_RDONLY | O_CLOEXEC);
        clocks->count = 1;
    }
}

bool ram_file_number(const char *text, unsigned long *ret_value)
{
    char *end;
    errno = 0;
    *ret_value = strtoul(text, &end, 0);
    return errno == 0 && end != text && *end == '\0';
}
