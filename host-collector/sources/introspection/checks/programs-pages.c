/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * programs-pages.c - the pages of a file that lie in the guest's page cache
 *
 * An XArray of folios (Documentation/core-api/xarray.rst): nodes of 64 slots; a pointer with the
 * low bits 10 is a node, or when it is small a sibling, which says in which slot its folio stands;
 * an odd one is what is left of a page that went.  A folio of several pages stands in the first of
 * its slots.
 */
#include <endian.h>
#include "host-collector/sources/introspection/checks/programs.h"

#define DEPTH_MAXIMUM 11
#define SLOT_BITS 6
#define SLOT_MASK 63u
#define INTERNAL 2u
#define SIBLING_MAXIMUM 62u

static bool is_internal(uint64_t entry)
{
    return (entry & 3) == INTERNAL;
}

static bool is_node(uint64_t entry)
{
    return is_internal(entry) && entry > GUEST_PAGE_SIZE;
}

static uint64_t read_slot(CheckContext *context, const ProgramLayout *layout, uint64_t node,
                          uint64_t slot)
{
    uint64_t entry;
    return address_space_u64(&context->kernel->space, node + layout->node_slots + 8 * slot, &entry)
               ? entry
               : 0;
}

/* The address of the struct page of this index; 0: it is not in memory. */
static uint64_t find_page(CheckContext *context, const ProgramLayout *layout, uint64_t mapping,
                          uint64_t index)
{
    uint64_t entry;

    if (!address_space_u64(&context->kernel->space, mapping + layout->mapping_root, &entry)) {
        return 0;
    }
    if (!is_node(entry)) {
        return index == 0 && !(entry & 3) ? entry : 0;
    }
    for (int depth = 0; depth < DEPTH_MAXIMUM; depth++) {
        uint64_t node = entry - INTERNAL, slot, first;
        uint8_t shift;

        if (!address_space_read(&context->kernel->space, node + layout->node_shift, &shift, 1) ||
            shift > SLOT_BITS * DEPTH_MAXIMUM || shift >= 64 ||
            (depth == 0 && shift + SLOT_BITS < 64 && index >> (shift + SLOT_BITS) != 0)) {
            return 0;
        }
        slot = first = index >> shift & SLOT_MASK;
        entry = read_slot(context, layout, node, slot);
        if (is_internal(entry) && !is_node(entry) && entry >> 2 <= SIBLING_MAXIMUM) {
            first = entry >> 2;
            entry = read_slot(context, layout, node, first);
        }
        if (is_node(entry)) {
            continue;
        }
        if ((entry & 3) != 0 || entry == 0 || first > slot) {
            return 0;
        }
        /* Of the pages of a folio, whose struct pages lie one after the other. */
        return entry + (((slot - first) << shift) + (index & ((1ull << shift) - 1))) *
                           context->kernel->offsets.page_size;
    }
    return 0;
}

static bool read_page(CheckContext *context, uint64_t page, uint8_t bytes[GUEST_PAGE_SIZE])
{
    GuestKernel *kernel = context->kernel;
    uint64_t pages;

    if (kernel->offsets.page_size == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.vmemmap_base, &pages) || page < pages ||
        (page - pages) % kernel->offsets.page_size != 0) {
        return false;
    }
    return guest_memory_copy(kernel->space.memory,
                             (page - pages) / kernel->offsets.page_size * GUEST_PAGE_SIZE, bytes,
                             GUEST_PAGE_SIZE);
}

void program_hash_pages(CheckContext *context, const ProgramLayout *layout, Program *program,
                        uint32_t *hashes, uint32_t *looks)
{
    uint64_t mapping, count = program->size / GUEST_PAGE_SIZE;

    count += program->size % GUEST_PAGE_SIZE != 0;
    count = count < PROGRAM_PAGES_MAXIMUM ? count : PROGRAM_PAGES_MAXIMUM;
    if (program->done || !layout_has(layout->inode_mapping) || !layout_has(layout->mapping_root) ||
        !layout_has(layout->node_shift) || !layout_has(layout->node_slots) ||
        !address_space_u64(&context->kernel->space, program->inode + layout->inode_mapping,
                           &mapping)) {
        return;
    }
    if (program->next == 0) {
        sha256_init(&program->hash);
        program->hashed = 0;
    }
    for (; program->next<count && * hashes> 0 && *looks > 0; program->next++) {
        uint8_t bytes[GUEST_PAGE_SIZE], digest[SHA256_DIGEST_SIZE];
        uint64_t page = find_page(context, layout, mapping, program->next);
        uint64_t index = htobe64(program->next);
        struct sha256_ctx one;

        (*looks)--;
        if (page == 0 || !read_page(context, page, bytes)) {
            continue;
        }
        (*hashes)--;
        sha256_init(&one);
        sha256_update(&one, sizeof(bytes), bytes);
        sha256_digest(&one, sizeof(digest), digest);
        sha256_update(&program->hash, sizeof(index), (const uint8_t *)&index);
        sha256_update(&program->hash, sizeof(digest), digest);
        program->hashed++;
    }
    if (program->next >= count) {
        sha256_digest(&program->hash, sizeof(program->digest), program->digest);
        program->done = true;
    }
}
