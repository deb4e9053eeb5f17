/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.h - the device's one interrupt, a level, by KVM's irqfd with a resample eventfd
 *
 * QEMU's x-pci-proxy-dev connects the two eventfds that it sends with KVM's interrupt controller
 * and with nothing else, so there is an interrupt under KVM only.  A write to the first asserts the
 * line; KVM takes it back when the guest has served it (end of interrupt) and says so by the
 * second; then it is asserted again if there still is a reason.  The ring thread does all of it.
 * The caller holds the device's lock.
 */
#ifndef HW_ATTEST_INTERRUPT_H
#define HW_ATTEST_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>
#include "hw-attest/register-map.h"

struct Device;

/* A reason that the guest leaves standing interrupts it after 1, 2, 4... ms, not all the time. */
#define INTERRUPT_AGAIN_FIRST_MS 1
#define INTERRUPT_AGAIN_MAXIMUM_MS 64

typedef struct Interrupt {
    uint32_t status; /* MONATT_INTERRUPT_* */
    uint32_t enable;
    int assert_fd; /* QEMU's; -1: none */
    int resample_fd;
    bool asserted;    /* as far as we know: a line too many is served once too often, no more */
    int64_t again_ms; /* not before, device_now_ms() */
    int64_t wait_ms;  /* the next pause */
} Interrupt;

void interrupt_init(Interrupt *interrupt);
/* Closes the descriptors. */
void interrupt_clear(Interrupt *interrupt);
/* Takes over QEMU's two descriptors; later ones replace them. */
void interrupt_take(struct Device *device, int assert_fd, int resample_fd);
/* Whether the guest is told that there is one. */
bool interrupt_available(const struct Device *device);
/* A RESET of the wire: no reason, nothing enabled. */
void interrupt_reset(struct Device *device);
/* The guest's writes. */
void interrupt_acknowledge(struct Device *device, uint32_t bits);
void interrupt_enable(struct Device *device, uint32_t bits);
void interrupt_raise(struct Device *device, uint32_t bits);
/*
 * The ring thread's part: asserts what is due, takes note of what was served.  Returns the
 * milliseconds after which it is to be called again, -1: when something happens.
 */
int interrupt_work(struct Device *device);
/* What the thread waits for besides, or -1. */
int interrupt_wait_fd(const struct Device *device);

#endif
