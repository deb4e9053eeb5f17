/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-image.c - sections, relocations and symbols of a measured kernel
 *
 * ELF: gABI 4; the relocations are those that arch/x86/tools/relocs appends to vmlinux: behind the
 * section headers, three lists of 32-bit words that are read backwards, each ended by a zero: of
 * 32-bit places, of 32-bit places to be lowered (while .data..percpu is linked at 0), and of 64-bit
 * places.  Must never write outside of the room that it made for the image.
 */
#include "host-collector/sources/introspection/kernel-image/kernel-image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/kernel-image/unpack.h"

#define LINKED_MINIMUM 0xffffffff81000000ull /* __START_KERNEL, CONFIG_PHYSICAL_START */
#define LINKED_MAXIMUM 0xffffffffbfffffffull /* KERNEL_IMAGE_SIZE is 1 GiB at most */
#define ROOM_MAXIMUM (256u * 1024 * 1024)
#define LARGE_PAGE (2ull * 1024 * 1024)
#define TABLES (3u * GUEST_PAGE_SIZE) /* PML4, PDPT, PD */
#define ENTRIES 512u
#define ENTRY_PRESENT 0x1u
#define ENTRY_LARGE 0x80u

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static void put_u64(uint8_t *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static bool refuse(MonattError *err, const char *why)
{
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "kernel image: %s", why);
}

static bool read_header(const uint8_t *elf, size_t size, Elf64_Ehdr *ret_header, MonattError *err)
{
    if (size < sizeof(*ret_header)) {
        return refuse(err, "no ELF in it");
    }
    memcpy(ret_header, elf, sizeof(*ret_header));
    if (memcmp(ret_header->e_ident, ELFMAG, SELFMAG) != 0 ||
        ret_header->e_ident[EI_CLASS] != ELFCLASS64 || ret_header->e_machine != EM_X86_64 ||
        ret_header->e_shentsize != sizeof(Elf64_Shdr) ||
        ret_header->e_shnum > KERNEL_SECTIONS_MAXIMUM ||
        ret_header->e_shstrndx >= ret_header->e_shnum || ret_header->e_shoff > size ||
        (size - ret_header->e_shoff) / sizeof(Elf64_Shdr) < ret_header->e_shnum) {
        return refuse(err, "no x86-64 ELF with sections in it");
    }
    return true;
}

static void read_section(const uint8_t *elf, const Elf64_Ehdr *header, size_t index,
                         Elf64_Shdr *ret_section)
{
    memcpy(ret_section, elf + header->e_shoff + index * sizeof(*ret_section), sizeof(*ret_section));
}

static bool is_loaded(const Elf64_Shdr *section)
{
    return (section->sh_flags & SHF_ALLOC) && section->sh_addr >= LINKED_MINIMUM &&
           section->sh_addr <= LINKED_MAXIMUM && section->sh_size > 0 &&
           section->sh_size <= LINKED_MAXIMUM - section->sh_addr;
}

static void copy_name(const uint8_t *elf, size_t size, const Elf64_Shdr *names, uint32_t at,
                      char ret[KERNEL_SECTION_NAME])
{
    size_t length = 0;
    if (names->sh_offset < size && at < names->sh_size && at < size - names->sh_offset) {
        const uint8_t *name = elf + names->sh_offset + at;
        size_t room = size - names->sh_offset - at;
        while (length < room && length < KERNEL_SECTION_NAME - 1 && name[length]) {
            ret[length] = (char)name[length];
            length++;
        }
    }
    ret[length] = '\0';
}

/* Sections, and from where to where the loaded ones reach. */
static bool list_sections(KernelImage *kernel, const uint8_t *elf, size_t size,
                          const Elf64_Ehdr *header, bool *ret_per_cpu_at_zero, MonattError *err)
{
    uint64_t low = UINT64_MAX, high = 0;
    Elf64_Shdr names;

    read_section(elf, header, header->e_shstrndx, &names);
    *ret_per_cpu_at_zero = false;
    for (size_t i = 0; i < header->e_shnum; i++) {
        KernelSection *to = &kernel->sections[kernel->section_count];
        Elf64_Shdr section;

        read_section(elf, header, i, &section);
        copy_name(elf, size, &names, section.sh_name, to->name);
        if (strcmp(to->name, ".data..percpu") == 0 && section.sh_addr == 0) {
            *ret_per_cpu_at_zero = true;
        }
        if (!is_loaded(&section)) {
            continue;
        }
        to->address = section.sh_addr;
        to->size = section.sh_size;
        to->empty = section.sh_type == SHT_NOBITS;
        if (!to->empty &&
            (section.sh_offset > size || section.sh_size > size - section.sh_offset)) {
            return refuse(err, "a section is not in its ELF");
        }
        low = to->address < low ? to->address : low;
        high = to->address + to->size > high ? to->address + to->size : high;
        kernel->section_count++;
    }
    if (kernel->section_count == 0 || high - low > ROOM_MAXIMUM) {
        return refuse(err, "its sections are none or too far apart");
    }
    kernel->linked = low & ~(LARGE_PAGE - 1);
    kernel->size = high - kernel->linked;
    return true;
}

static bool lay_out(KernelImage *kernel, const uint8_t *elf, const Elf64_Ehdr *header,
                    MonattError *err)
{
    size_t pages = (kernel->size + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);

    /* The bytes lie at 2 MiB of the room, so that large pages can map them. */
    kernel->room = calloc(1, LARGE_PAGE + pages);
    if (!kernel->room) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kernel image: out of memory");
    }
    kernel->bytes = kernel->room + LARGE_PAGE;
    for (size_t i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr section;
        read_section(elf, header, i, &section);
        if (is_loaded(&section) && section.sh_type != SHT_NOBITS) {
            memcpy(kernel->bytes + (section.sh_addr - kernel->linked), elf + section.sh_offset,
                   section.sh_size);
        }
    }
    guest_memory_init_bytes(&kernel->memory, 0, kernel->room, LARGE_PAGE + pages);
    return true;
}

typedef struct Relocations {
    const uint8_t *words;
    size_t count;
} Relocations;

/* The next list from the end; false: there is none. */
static bool next_list(Relocations *left, Relocations *ret_list)
{
    size_t begin = left->count;

    if (left->count == 0) {
        return false;
    }
    while (begin > 0 && get_u32(left->words + 4 * (begin - 1)) != 0) {
        begin--;
    }
    ret_list->words = left->words + 4 * begin;
    ret_list->count = left->count - begin;
    left->count = begin > 0 ? begin - 1 : 0;
    return true;
}

static void apply(KernelImage *kernel, const Relocations *list, size_t width, uint64_t change)
{
    for (size_t i = 0; i < list->count; i++) {
        uint64_t place = get_u32(list->words + 4 * i) | 0xffffffff00000000ull;
        uint64_t offset = place - kernel->linked;

        if (place < kernel->linked || offset > kernel->size || kernel->size - offset < width) {
            continue; /* .data..percpu, which the guest copies anyway */
        }
        if (width == 8) {
            put_u64(kernel->bytes + offset, get_u64(kernel->bytes + offset) + change);
        } else {
            uint32_t value = get_u32(kernel->bytes + offset) + (uint32_t)change;
            memcpy(kernel->bytes + offset, &value, sizeof(value));
        }
    }
}

static bool relocate(KernelImage *kernel, const uint8_t *elf, size_t size, const Elf64_Ehdr *header,
                     bool per_cpu_at_zero, MonattError *err)
{
    size_t begin = header->e_shoff + header->e_shnum * sizeof(Elf64_Shdr);
    size_t odd = (size - begin) % 4;
    Relocations left = {elf + begin + odd, (size - begin) / 4};
    Relocations list;

    if (!next_list(&left, &list)) {
        return kernel->slide == 0 || refuse(err, "it has no relocations and the guest has KASLR");
    }
    apply(kernel, &list, 4, kernel->slide);
    if (per_cpu_at_zero) {
        if (!next_list(&left, &list)) {
            return refuse(err, "its relocations end early");
        }
        apply(kernel, &list, 4, 0 - kernel->slide);
    }
    if (!next_list(&left, &list)) {
        return refuse(err, "its relocations end early");
    }
    apply(kernel, &list, 8, kernel->slide);
    return true;
}

/* Page tables over the room: as many 2 MiB pages as one table holds at most. */
static void map_room(KernelImage *kernel)
{
    uint64_t address = kernel->linked + kernel->slide;
    size_t pages = (kernel->size + LARGE_PAGE - 1) / LARGE_PAGE;

    put_u64(kernel->room + 8 * (address >> 39 & (ENTRIES - 1)), GUEST_PAGE_SIZE | ENTRY_PRESENT);
    for (size_t i = 0; i < pages; i++) {
        uint64_t at = address + i * LARGE_PAGE;
        uint64_t table = at >> 30 == address >> 30 ? 2 : 3; /* it may reach into the next GiB */
        put_u64(kernel->room + GUEST_PAGE_SIZE + 8 * (at >> 30 & (ENTRIES - 1)),
                table * GUEST_PAGE_SIZE | ENTRY_PRESENT);
        put_u64(kernel->room + table * GUEST_PAGE_SIZE + 8 * (at >> 21 & (ENTRIES - 1)),
                (LARGE_PAGE + i * LARGE_PAGE) | ENTRY_PRESENT | ENTRY_LARGE);
    }
    address_space_init(&kernel->space, &kernel->memory, 0, 4);
}

static bool build(KernelImage *kernel, const uint8_t *elf, size_t size, const Vmcoreinfo *info,
                  MonattError *err)
{
    Elf64_Ehdr header;
    bool per_cpu_at_zero;
    uint64_t text, guest_text;
    MonattError why = {0};

    if (!read_header(elf, size, &header, err) ||
        !list_sections(kernel, elf, size, &header, &per_cpu_at_zero, err)) {
        return false;
    }
    if (!vmcoreinfo_number(info, "SYMBOL(_stext)", 16, &guest_text)) {
        return refuse(err, "the guest's VMCOREINFO has no _stext");
    }
    text = 0;
    for (size_t i = 0; i < kernel->section_count; i++) {
        if (strcmp(kernel->sections[i].name, ".text") == 0) {
            text = kernel->sections[i].address;
        }
    }
    /* KASLR moves by whole 2 MiB; _stext is the begin of .text, or one page of startup code on. */
    kernel->slide = (guest_text - text) & ~(LARGE_PAGE - 1);
    if (text == 0 || guest_text < text || kernel->slide > LINKED_MAXIMUM - kernel->linked) {
        return refuse(err, "it cannot lie where the guest says that its text begins");
    }
    if (!lay_out(kernel, elf, &header, err) ||
        !relocate(kernel, elf, size, &header, per_cpu_at_zero, err)) {
        return false;
    }
    map_room(kernel);
    if (!kallsyms_load(&kernel->symbols, &kernel->space, info, &why)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "kernel image: not the kernel that runs (%.120s)", why.message);
    }
    return true;
}

bool kernel_image_lay_out(KernelImage *kernel, const uint8_t *elf, size_t size,
                          const Vmcoreinfo *info, MonattError *err)
{
    memset(kernel, 0, sizeof(*kernel));
    if (!build(kernel, elf, size, info, err)) {
        kernel_image_clear(kernel);
        return false;
    }
    return true;
}

bool kernel_image_open(KernelImage *kernel, const uint8_t *image, size_t size,
                       const Vmcoreinfo *info, MonattError *err)
{
    uint8_t *elf;
    size_t elf_size;
    bool good;

    if (!kernel_unpack(image, size, &elf, &elf_size, err)) {
        return false;
    }
    good = kernel_image_lay_out(kernel, elf, elf_size, info, err);
    free(elf);
    return good;
}

void kernel_image_clear(KernelImage *kernel)
{
    kallsyms_clear(&kernel->symbols);
    free(kernel->room);
    memset(kernel, 0, sizeof(*kernel));
}

const uint8_t *kernel_image_at(const KernelImage *kernel, uint64_t address, size_t size)
{
    uint64_t offset = address - (kernel->linked + kernel->slide);
    return offset <= kernel->size && size <= kernel->size - offset ? kernel->bytes + offset : NULL;
}

bool kernel_image_section(const KernelImage *kernel, const char *name, uint64_t *ret_address,
                          const uint8_t **ret_bytes, size_t *ret_size)
{
    for (size_t i = 0; i < kernel->section_count; i++) {
        const KernelSection *section = &kernel->sections[i];
        if (!section->empty && strcmp(section->name, name) == 0) {
            *ret_address = section->address + kernel->slide;
            *ret_bytes = kernel->bytes + (section->address - kernel->linked);
            *ret_size = section->size;
            return true;
        }
    }
    return false;
}

bool kernel_image_symbol(const KernelImage *kernel, const char *name, uint64_t *ret_address)
{
    return kallsyms_find(&kernel->symbols, name, ret_address);
}
