/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.h - when is a RESET a reboot of the VM?
 *
 * A guest can cause a wire RESET of its own (secondary bus reset on a hot-plug port) and must not
 * clear its registers with it.  So a boot is a wire RESET *and* QMP's RESET within RESET_PAIR_MS.
 * QEMU sends two to four of each for one reboot: pairs within RESET_MERGE_MS of the last boot
 * count as that boot, unless the guest has used the device since.  Pure: time comes as argument.
 *
 * When is it a restore?  loadvm and snapshot-load send a wire RESET and no QMP RESET, while the VM
 * is stopped, when no guest can cause one (QEMU 11.1: STOP, wire RESET, RESUME).  From then on the
 * guest's past is not what the registers say, until the VM's next reset.  QEMU refuses both with
 * x-pci-proxy-dev and lets them pass with vfio-user-pci.
 */
#ifndef HW_ATTEST_RESET_H
#define HW_ATTEST_RESET_H

#include <stdbool.h>
#include <stdint.h>

#define RESET_PAIR_MS 2000  /* QMP's event follows the wire's within milliseconds; loaded host */
#define RESET_MERGE_MS 2000 /* all within 100 ms, over 500 ms on a host with ten times its load */
#define RESET_SLACK_MS 200  /* STOP and RESUME are read by another thread than the wire */

typedef struct Reset {
    bool wire;         /* seen, not yet paired */
    bool qmp;          /* seen, not yet paired */
    bool monitor;      /* QMP is connected; without it a wire RESET stays pending for good */
    bool guest_used;   /* a BAR access since the last boot */
    bool booted;       /* last_boot_ms is valid */
    bool can_restore;  /* set by the owner: QEMU restores a VM with this wire */
    bool attaching;    /* set by the owner: the RESETs of plugging the device are nobody's */
    bool stopped;      /* as QMP said last */
    bool resumed;      /* resume_ms is valid */
    bool wire_watched; /* QMP was connected when the pending wire RESET came */
    bool wire_stopped; /* it came, or one before it, while the VM stood still */
    bool restored;     /* until the next boot: the VM was put into another state */
    bool told;         /* set by the owner: of `restored` */
    int64_t wire_ms;
    int64_t qmp_ms;
    int64_t resume_ms;
    int64_t last_boot_ms;
} Reset;

void reset_init(Reset *reset);
/* True: the VM was reset, registers and log start again. */
bool reset_wire(Reset *reset, int64_t now_ms);
bool reset_qmp(Reset *reset, int64_t now_ms);
void reset_guest_used(Reset *reset);
/* QMP's STOP and RESUME, or what query-status says. */
void reset_stop(Reset *reset, int64_t now_ms);
void reset_resume(Reset *reset, int64_t now_ms);
/* QMP's WAKEUP: the wire's RESET at the end of S3 is no boot, and nothing waits for QMP's word. */
void reset_wakeup(Reset *reset);
/* True: a wire RESET waits for QMP's word, extends answer busy.  Forgets one that waited
 * RESET_PAIR_MS in vain (a bus reset); one that came while the VM stood still sets `restored`. */
bool reset_pending(Reset *reset, int64_t now_ms);

#endif
