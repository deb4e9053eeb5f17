/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address-space.c - walks the guest's page tables, one copy of eight bytes a level
 *
 * Must never follow more tables than there are levels, whatever stands in them.
 */
#include "host-collector/sources/introspection/address-space.h"

#include <endian.h>
#include <string.h>

#define ENTRY_PRESENT 0x1u
#define ENTRY_LARGE 0x80u
#define ENTRY_ADDRESS 0x000ffffffffff000ull /* bits 12 to 51; 63 is NX, 52 to 62 are ignored */
#define LARGE_LEVEL_LAST 2                  /* level 0 4 KiB, 1 2 MiB, 2 1 GiB */
#define INDEX_MASK 511u

void address_space_init(AddressSpace *space, const GuestMemory *memory, uint64_t root,
                        unsigned levels)
{
    memset(space, 0, sizeof(*space));
    space->memory = memory;
    space->root = root & ENTRY_ADDRESS;
    space->levels = levels == 5 ? 5 : 4;
}

void address_space_forget(AddressSpace *space)
{
    memset(space->cache, 0, sizeof(space->cache));
}

static bool canonical(uint64_t address, unsigned levels)
{
    unsigned unused = 64 - (12 + 9 * levels);
    return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

bool address_space_translate(AddressSpace *space, uint64_t address, uint64_t *ret_physical)
{
    uint64_t page = address / GUEST_PAGE_SIZE;
    size_t slot = page % ADDRESS_SPACE_CACHE;
    uint64_t table = space->root;

    if (space->cache[slot].page == page + 1) {
        *ret_physical = space->cache[slot].frame | (address & (GUEST_PAGE_SIZE - 1));
        return true;
    }
    if (!canonical(address, space->levels)) {
        return false;
    }
    for (unsigned level = space->levels; level-- > 0;) {
        unsigned shift = 12 + 9 * level;
        uint64_t entry;

        if (!guest_memory_copy(space->memory, table + ((address >> shift) & INDEX_MASK) * 8, &entry,
                               sizeof(entry))) {
            return false;
        }
        entry = le64toh(entry);
        if (!(entry & ENTRY_PRESENT)) {
            return false;
        }
        if (level == 0 || (entry & ENTRY_LARGE)) {
            uint64_t inside = (1ull << shift) - 1;
            if (level > LARGE_LEVEL_LAST) {
                return false; /* bit 7 is reserved there */
            }
            /* Bit 12 of a large leaf is PAT, so everything below its size is masked. */
            *ret_physical = (entry & ENTRY_ADDRESS & ~inside) | (address & inside);
            space->cache[slot].page = page + 1;
            space->cache[slot].frame = *ret_physical & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
            return true;
        }
        table = entry & ENTRY_ADDRESS;
    }
    return false;
}

bool address_space_read(AddressSpace *space, uint64_t address, void *buffer, size_t size)
{
    uint8_t *out = buffer;

    while (size > 0) {
        uint64_t physical;
        size_t chunk = GUEST_PAGE_SIZE - (address & (GUEST_PAGE_SIZE - 1));
        chunk = chunk < size ? chunk : size;
        if (!address_space_translate(space, address, &physical) ||
            !guest_memory_copy(space->memory, physical, out, chunk)) {
            return false;
        }
        address += chunk;
        out += chunk;
        size -= chunk;
    }
    return true;
}

bool address_space_u64(AddressSpace *space, uint64_t address, uint64_t *ret_value)
{
    uint64_t value;
    if (!address_space_read(space, address, &value, sizeof(value))) {
        return false;
    }
    *ret_value = le64toh(value);
    return true;
}

bool address_space_u32(AddressSpace *space, uint64_t address, uint32_t *ret_value)
{
    uint32_t value;
    if (!address_space_read(space, address, &value, sizeof(value))) {
        return false;
    }
    *ret_value = le32toh(value);
    return true;
}
