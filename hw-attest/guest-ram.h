/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-ram.h - the guest's memory map as QEMU sent it last, and its descriptors
 *
 * The device never maps or reads guest memory; it keeps the descriptors and hands out read-only
 * ones to the collector.
 */
#ifndef HW_ATTEST_GUEST_RAM_H
#define HW_ATTEST_GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include "libmonatt/control/control.h"

typedef struct GuestRam {
    size_t count;
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    int fds[MONATT_RAM_REGIONS_MAXIMUM]; /* as sent, read and write */
    size_t hidden;                       /* ranges that are mapped and not among the regions */
} GuestRam;

void guest_ram_init(GuestRam *ram);
void guest_ram_clear(GuestRam *ram);
/* Takes over count descriptors, closes those of the old map. */
void guest_ram_replace(GuestRam *ram, const MonattRamRegion *regions, const int *fds, size_t count);
/* Opens each again read-only; ret_fds are the caller's.  false: errno says why, none is open. */
bool guest_ram_open_read_only(const GuestRam *ram, int ret_fds[MONATT_RAM_REGIONS_MAXIMUM]);

#endif
