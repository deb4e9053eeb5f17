/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window.h - one vCPU's counts of the window that is open, and their way into its ring
 *
 * One thread at a time uses a Window: the vCPU's own.  Nothing here waits, allocates or locks.
 * A window is closed by what comes after it: the vCPU's next event or its going to sleep.  A
 * vCPU that computes on without an event hands its last window over late, under its right number.
 */
#ifndef QEMU_PLUGIN_WINDOW_H
#define QEMU_PLUGIN_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/formats/plugin-ring.h"

/* Records that one window of one vCPU may take, so that a guest that calls many different system
 * calls, or wakes and sleeps all the time, cannot push older windows out of the ring. */
#define WINDOW_RECORDS_MAXIMUM 4

typedef struct Window {
    MonattPluginProducer producer;
    uint64_t epoch_ns;
    uint64_t length_ns;
    uint64_t end_ns;                    /* of the open window */
    uint32_t written;                   /* records of the open window */
    MonattPluginRecord record;          /* what is counted and not written yet */
} __attribute__((aligned(128))) Window; /* no two vCPUs share a line */

void window_init(Window *window, const MonattPluginRing *ring, uint32_t vcpu, uint64_t epoch_ns,
                 uint64_t length_ns);
/* CLOCK_BOOTTIME, the clock that the VM's device counts its start in. */
uint64_t window_now_ns(void);
/* One locked access. */
void window_lock(Window *window, uint64_t now_ns, bool split);
/* One system call; number is MONATT_PLUGIN_SYSCALL_UNKNOWN when not known. */
void window_syscall(Window *window, uint64_t now_ns, uint16_t number);
/* The vCPU goes to sleep: hands over what was counted, unless this window had its records. */
void window_sleep(Window *window, uint64_t now_ns);

#endif
