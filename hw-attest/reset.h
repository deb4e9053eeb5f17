/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.h - when is a RESET a reboot of the VM?
 *
 * A guest can cause a wire RESET of its own (secondary bus reset on a hot-plug port) and must not
 * clear its registers with it.  So a boot is a wire RESET *and* QMP's RESET within RESET_PAIR_MS.
 * QEMU sends two to four of each for one reboot: pairs within RESET_MERGE_MS of the last boot
 * count as that boot, unless the guest has used the device since.  Pure: time comes as argument.
 */
#ifndef HW_ATTEST_RESET_H
#define HW_ATTEST_RESET_H

#include <stdbool.h>
#include <stdint.h>

#define RESET_PAIR_MS 2000 /* QMP's event follows the wire's within milliseconds; loaded host */
#define RESET_MERGE_MS 500 /* measured: all within 100 ms */

typedef struct Reset {
    bool wire;       /* seen, not yet paired */
    bool qmp;        /* seen, not yet paired */
    bool monitor;    /* QMP is connected; without it a wire RESET stays pending for good */
    bool guest_used; /* a BAR access since the last boot */
    bool booted;     /* last_boot_ms is valid */
    int64_t wire_ms;
    int64_t qmp_ms;
    int64_t last_boot_ms;
} Reset;

void reset_init(Reset *reset);
/* True: the VM was reset, registers and log start again. */
bool reset_wire(Reset *reset, int64_t now_ms);
bool reset_qmp(Reset *reset, int64_t now_ms);
void reset_guest_used(Reset *reset);
/* True: a wire RESET waits for QMP's word, extends answer busy.  Forgets one that waited
 * RESET_PAIR_MS in vain (a bus reset). */
bool reset_pending(Reset *reset, int64_t now_ms);

#endif
