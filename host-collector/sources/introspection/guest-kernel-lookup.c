/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel-lookup.c - what checks ask a kernel: symbols, members, per-CPU places, strings
 *
 * Must never give an offset that a structure of the kernel cannot have.
 */
#include "host-collector/sources/introspection/guest-kernel.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define STRUCT_SIZE_MAXIMUM (1u << 24) /* struct rq and pglist_data have tens of KiB */
#define WORD_BITS 32u

bool guest_kernel_symbol(GuestKernel *kernel, const char *name, uint64_t *ret_address)
{
    return kallsyms_find(&kernel->table, name, ret_address);
}

bool guest_kernel_symbol_at(GuestKernel *kernel, uint64_t address,
                            char ret_name[KALLSYMS_NAME_MAXIMUM], uint64_t *ret_offset)
{
    const KallsymsEntry *entry = kallsyms_at(&kernel->table, address);
    const char *name;

    if (!entry) {
        return false;
    }
    name = kernel->table.text + entry->text;
    monatt_text_printable(name, strlen(name), ret_name, KALLSYMS_NAME_MAXIMUM);
    *ret_offset = address - entry->address;
    return true;
}

static uint32_t slot_of(const char *structure, const char *path)
{
    uint32_t hash = 2166136261u;
    for (; *structure; structure++) {
        hash = (hash ^ (uint8_t)*structure) * 16777619u;
    }
    for (; *path; path++) {
        hash = (hash ^ (uint8_t)*path) * 16777619u;
    }
    return (hash ^ hash >> 16) % GUEST_KERNEL_CACHE;
}

static bool find_member(GuestKernel *kernel, const char *structure, const char *path,
                        BtfMember *ret_member)
{
    CachedMember *cached = &kernel->cache[slot_of(structure, path)];

    if (!cached->used || strcmp(cached->structure, structure) != 0 ||
        strcmp(cached->path, path) != 0) {
        if (strlen(structure) >= sizeof(cached->structure) ||
            strlen(path) >= sizeof(cached->path)) {
            return btf_find_member(&kernel->types, structure, path, ret_member);
        }
        *cached = (CachedMember){.used = true};
        memcpy(cached->structure, structure, strlen(structure) + 1);
        memcpy(cached->path, path, strlen(path) + 1);
        cached->found = btf_find_member(&kernel->types, structure, path, &cached->member);
    }
    *ret_member = cached->member;
    return cached->found;
}

bool guest_kernel_member(GuestKernel *kernel, const char *structure, const char *path,
                         uint32_t *ret_offset)
{
    BtfMember member;

    if (!find_member(kernel, structure, path, &member) || member.bit_size != 0 ||
        member.bit_offset % 8 != 0 || member.bit_offset / 8 >= STRUCT_SIZE_MAXIMUM) {
        return false;
    }
    *ret_offset = member.bit_offset / 8;
    return true;
}

bool guest_kernel_bits(GuestKernel *kernel, const char *structure, const char *path,
                       uint32_t *ret_word_offset, uint32_t *ret_shift, uint32_t *ret_width)
{
    BtfMember member;
    uint32_t width, left;

    if (!find_member(kernel, structure, path, &member) ||
        member.bit_offset / 8 >= STRUCT_SIZE_MAXIMUM) {
        return false;
    }
    left = WORD_BITS - member.bit_offset % WORD_BITS;
    width = member.bit_size;
    if (width == 0) {
        uint32_t size = btf_type_size(&kernel->types, member.type);
        width = size < WORD_BITS / 8 ? size * 8 : WORD_BITS;
        width = width < left ? width : left;
    }
    if (width == 0 || width > left) {
        return false;
    }
    *ret_word_offset = member.bit_offset / WORD_BITS * (WORD_BITS / 8);
    *ret_shift = member.bit_offset % WORD_BITS;
    *ret_width = width;
    return true;
}

uint32_t guest_kernel_sizeof(GuestKernel *kernel, const char *structure)
{
    uint32_t size = btf_find_size(&kernel->types, structure);
    return size <= STRUCT_SIZE_MAXIMUM ? size : 0;
}

bool guest_kernel_enumerator(GuestKernel *kernel, const char *name, int64_t *ret_value)
{
    return btf_find_enumerator(&kernel->types, name, ret_value);
}

bool guest_kernel_array(GuestKernel *kernel, const char *structure, const char *path,
                        uint32_t *ret_elements, uint32_t *ret_element_size)
{
    BtfMember member;
    return find_member(kernel, structure, path, &member) &&
           btf_type_array(&kernel->types, member.type, ret_elements, ret_element_size);
}

uint32_t guest_kernel_cpus(GuestKernel *kernel)
{
    uint32_t cpus;

    if (kernel->symbols.nr_cpu_ids == 0 ||
        !address_space_u32(&kernel->space, kernel->symbols.nr_cpu_ids, &cpus)) {
        return 0;
    }
    return cpus < GUEST_KERNEL_CPUS_MAXIMUM ? cpus : GUEST_KERNEL_CPUS_MAXIMUM;
}

bool guest_kernel_per_cpu(GuestKernel *kernel, uint64_t symbol, uint32_t cpu, uint64_t *ret_address)
{
    uint64_t base;

    if (kernel->symbols.per_cpu_offset == 0 || cpu >= GUEST_KERNEL_CPUS_MAXIMUM ||
        !address_space_u64(&kernel->space, kernel->symbols.per_cpu_offset + 8ull * cpu, &base)) {
        return false;
    }
    *ret_address = symbol + base;
    return true;
}

bool guest_kernel_string(GuestKernel *kernel, uint64_t address, char *ret, size_t capacity)
{
    char bytes[256];
    size_t size = 0;

    if (capacity == 0) {
        return false;
    }
    *ret = '\0';
    /* By what is left of each page: a short string may be the last thing that is mapped. */
    while (size < sizeof(bytes) && size < capacity) {
        size_t chunk = GUEST_PAGE_SIZE - ((address + size) & (GUEST_PAGE_SIZE - 1));
        chunk = chunk < sizeof(bytes) - size ? chunk : sizeof(bytes) - size;
        if (!address_space_read(&kernel->space, address + size, bytes + size, chunk)) {
            return false;
        }
        if (memchr(bytes + size, '\0', chunk)) {
            size += chunk;
            break;
        }
        size += chunk;
    }
    monatt_text_printable(bytes, size, ret, capacity);
    return true;
}
