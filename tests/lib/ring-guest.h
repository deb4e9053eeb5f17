/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-guest.h - a memfd in the guest's place, with a ring and a shadow page in it
 *
 * There is no ring thread: its work is done by calls of ring_step().  Log and swtpm are played by
 * moving the pipe's cursors.
 */
#ifndef MONATT_TESTS_LIB_RING_GUEST_H
#define MONATT_TESTS_LIB_RING_GUEST_H

#include <stdint.h>
#include "hw-attest/device.h"

#define RAM_SIZE (4u << 20)
#define RAM_GUEST 0x100000u /* guest-physical */
#define RING_AT 0x4000u     /* in the RAM */
#define SHADOW_AT 0x1000u
#define SLOTS 16u

typedef struct RingGuest {
    Device *device;
    int fd;
    uint8_t *ram;
    uint32_t produced;
} RingGuest;

/* A device with that memory, bus mastering on, ring and shadow page off. */
RingGuest ring_guest_new(void);
void ring_guest_end(RingGuest *guest);
/* The one region of a new memory map; fd is duplicated. */
void ring_guest_map(RingGuest *guest, uint64_t at, uint64_t size, uint64_t offset, int fd);
uint32_t ring_guest_read(RingGuest *guest, uint32_t offset);
void ring_guest_write(RingGuest *guest, uint32_t offset, uint64_t value, uint32_t size);
/* The state after it was switched on; produced goes on from the header's. */
uint32_t ring_guest_ring_on(RingGuest *guest, uint64_t address, uint32_t slots);
uint32_t ring_guest_shadow_on(RingGuest *guest, uint64_t address);
/* A word of the ring's header. */
uint32_t *ring_guest_word(RingGuest *guest, uint32_t offset);
uint64_t *ring_guest_quad(RingGuest *guest, uint32_t offset);
uint8_t *ring_guest_slot(RingGuest *guest, uint32_t count);
/* The next slot, handed over: digests are 0xee..., content begins with its count. */
void ring_guest_produce(RingGuest *guest, unsigned operation, unsigned index, unsigned banks,
                        unsigned size);
uint32_t ring_guest_result(RingGuest *guest, uint32_t count);
/* Log and TPM have caught up. */
void ring_guest_synced(RingGuest *guest);
/* Until nothing can be done. */
void ring_guest_run(RingGuest *guest);

#endif
