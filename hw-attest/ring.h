/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.h - the submission ring in guest memory: many extends for one access of a BAR, or for none
 *
 * The ring thread does the slots; the wire thread only switches the ring and wakes it.  All of the
 * guest's memory is touched under the device's lock, so that a ring that is off stays untouched
 * from the moment the access that switched it off is answered.
 */
#ifndef HW_ATTEST_RING_H
#define HW_ATTEST_RING_H

#include <stdbool.h>
#include <stdint.h>
#include "hw-attest/guest-ram.h"
#include "hw-attest/register-map.h"

struct Device;

#define RING_BATCH 8 /* slots under one hold of the lock: about 25 us */

/* All that a device process which takes over from a dead one must know of the ring. */
typedef struct RingState {
    /* Registers, as the guest wrote them last. */
    uint64_t address;
    uint32_t slots;
    uint32_t state; /* MONATT_RING_OFF, _ON, _FAULT */
    uint32_t error; /* MONATT_ERR_* */
    /* Of the ring that is on: nothing the guest writes changes them. */
    uint32_t count;
    uint64_t base;     /* guest-physical */
    uint32_t consumed; /* counted before the slot's record is: both are kept at once */
} RingState;

typedef struct Ring {
    RingState kept;
    uint32_t flags;  /* MONATT_RING_WANT_DOORBELL..., as they stand in the header */
    uint64_t synced; /* as it stands in the header */
    GuestWindow window;
    /* The ring thread. */
    bool asleep;
    int wake_fd; /* eventfd; -1 in tests */
} Ring;

typedef enum RingStep {
    RING_STEP_OFF,    /* there is no ring */
    RING_STEP_IDLE,   /* nothing to do */
    RING_STEP_WORKED, /* some slots were done, there may be more */
    RING_STEP_WAITS,  /* the next slot cannot be done yet */
} RingStep;

/* The lock is held for all of them. */
void ring_init(Ring *ring);
/* A write of the CONTROL register: 1 on, 0 off, anything else does nothing. */
void ring_control(struct Device *device, uint32_t value);
void ring_stop(Ring *ring);
void ring_doorbell(struct Device *device);
/* The memory map is another one. */
void ring_memory_changed(struct Device *device);
/* After `kept` came from a device process that died and the memory map is known again. */
void ring_resume(struct Device *device);
/* Does at most RING_BATCH slots. */
RingStep ring_step(struct Device *device);
/* Asks for doorbells and looks once more: false when there is something to do after all. */
bool ring_fall_asleep(struct Device *device);
/* Ends the thread's sleep; from any thread, with the lock. */
void ring_wake(struct Device *device);

/* The ring thread, without the lock: until device->ending. */
void ring_run(struct Device *device);

#endif
