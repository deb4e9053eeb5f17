/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-ram.c - holds descriptors of guest memory; must never hand out a writable one
 */
#include "hw-attest/guest-ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

bool guest_ram_open_read_only(const GuestRam *ram, int ret_fds[MONATT_RAM_REGIONS_MAXIMUM])
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
            errno = saved;
            return false;
        }
    }
    return true;
}
