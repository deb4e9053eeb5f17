/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address-space.h - guest-virtual addresses by the guest's own x86-64 page tables
 *
 * Four or five levels, 4 KiB, 2 MiB and 1 GiB pages (Intel SDM volume 3, 4.5; AMD APM volume 2,
 * 5.3).  The tables are the guest's: they may loop, point outside RAM or change meanwhile; a walk
 * has as many steps as levels, so none of it can hold us up.
 */
#ifndef MONATT_INTROSPECTION_ADDRESS_SPACE_H
#define MONATT_INTROSPECTION_ADDRESS_SPACE_H

#include "host-collector/sources/introspection/guest-memory.h"

#define ADDRESS_SPACE_CACHE 1024 /* direct-mapped; a task list of 10,000 touches about as many */

typedef struct AddressSpace {
    const GuestMemory *memory;
    uint64_t root; /* guest-physical, page aligned */
    unsigned levels;
    struct {
        uint64_t page; /* virtual page number + 1; 0: empty */
        uint64_t frame;
    } cache[ADDRESS_SPACE_CACHE];
} AddressSpace;

/* root: CR3 or a symbol's address; the bits that are no address are masked. levels: 4 or 5. */
void address_space_init(AddressSpace *space, const GuestMemory *memory, uint64_t root,
                        unsigned levels);
/* Before each scan: the guest may have changed its tables. */
void address_space_forget(AddressSpace *space);
/* False: not canonical, not present, a reserved bit, or a table outside RAM. */
bool address_space_translate(AddressSpace *space, uint64_t address,
                             uint64_t *ret_physical) MONATT_MUST_CHECK;
/* Crosses pages; false leaves the buffer with nothing that may be used. */
bool address_space_read(AddressSpace *space, uint64_t address, void *buffer,
                        size_t size) MONATT_MUST_CHECK;
bool address_space_u64(AddressSpace *space, uint64_t address,
                       uint64_t *ret_value) MONATT_MUST_CHECK;
bool address_space_u32(AddressSpace *space, uint64_t address,
                       uint32_t *ret_value) MONATT_MUST_CHECK;

#endif
