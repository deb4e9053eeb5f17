/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shadow.h - BAR2 once more, in a page of the guest's memory: reading a register costs no exit
 *
 * The caller holds the device's lock.  The device writes the page and never reads it.
 */
#ifndef HW_ATTEST_SHADOW_H
#define HW_ATTEST_SHADOW_H

#include <stdint.h>
#include "hw-attest/guest-ram.h"
#include "hw-attest/register-map.h"
#include "hw-attest/registers.h"

struct Device;

/* All that a device process which takes over from a dead one must know of the page. */
typedef struct ShadowState {
    uint64_t address; /* as the guest wrote it last */
    uint64_t base;    /* guest-physical, of the page that is on */
    uint32_t state;   /* MONATT_RING_OFF, _ON, _FAULT */
} ShadowState;

typedef struct Shadow {
    ShadowState kept;
    GuestWindow window;
} Shadow;

/* A write of the CONTROL register: 1 on, 0 off, anything else does nothing. */
void shadow_control(struct Device *device, uint32_t value);
void shadow_stop(Shadow *shadow);
/* The memory map is another one, or known again after `kept` came from a process that died. */
void shadow_memory_changed(struct Device *device);
/* The register or a count of it has changed, and BAR2's sequence with it; constant cost. */
void shadow_update(struct Device *device, unsigned index);
void shadow_update_all(struct Device *device);
/* A register as BAR2 and the page show it. */
void shadow_entry(const Register *mr, uint8_t ret[MONATT_BAR2_ENTRY_SIZE]);

#endif
