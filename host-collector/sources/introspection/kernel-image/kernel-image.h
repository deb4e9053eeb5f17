/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-image.h - the kernel as it was measured, laid out as it is loaded
 *
 * The sections of the vmlinux within a bzImage at the addresses where a guest's KASLR put them, its
 * relocations applied, and its own kallsyms: nothing in it comes from the guest but the slide,
 * which cannot make other bytes of it.  Code that the kernel patches while it runs is here as it
 * was built.
 */
#ifndef MONATT_INTROSPECTION_KERNEL_IMAGE_H
#define MONATT_INTROSPECTION_KERNEL_IMAGE_H

#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/kallsyms.h"

#define KERNEL_SECTIONS_MAXIMUM 256
#define KERNEL_SECTION_NAME 48

typedef struct KernelSection {
    char name[KERNEL_SECTION_NAME];
    uint64_t address; /* as linked: add the slide */
    uint64_t size;
    bool empty; /* .bss: no bytes in the file */
} KernelSection;

typedef struct KernelImage {
    KernelSection sections[KERNEL_SECTIONS_MAXIMUM];
    size_t section_count;
    uint64_t linked; /* address of bytes[0] as linked */
    uint64_t slide;
    uint8_t *bytes; /* from linked + slide on; owned by room */
    size_t size;
    uint8_t *room;      /* page tables of its own, then bytes */
    GuestMemory memory; /* room */
    AddressSpace space; /* so that what reads guests reads it too */
    Kallsyms symbols;
} KernelImage;

/*
 * Unpacks, lays out and relocates.  stext: the guest's address of _stext, which gives the slide;
 * info: the guest's VMCOREINFO, which says where kallsyms lie (they are read from the image).
 * FORMAT, LIMIT, SYSTEM; MISSING: no kallsyms in it where VMCOREINFO says, so another kernel's.
 * After a failure there is nothing to clear.
 */
bool kernel_image_open(KernelImage *kernel, const uint8_t *image, size_t size,
                       const Vmcoreinfo *info, MonattError *err) MONATT_MUST_CHECK;
/* As above, of the vmlinux itself; its bytes are not kept. */
bool kernel_image_lay_out(KernelImage *kernel, const uint8_t *elf, size_t size,
                          const Vmcoreinfo *info, MonattError *err) MONATT_MUST_CHECK;
void kernel_image_clear(KernelImage *kernel);
/* size bytes at an address of the guest's; NULL: not in the image. */
const uint8_t *kernel_image_at(const KernelImage *kernel, uint64_t address, size_t size);
/* A section's bytes and its address in the guest; false: there is none, or it is empty. */
bool kernel_image_section(const KernelImage *kernel, const char *name, uint64_t *ret_address,
                          const uint8_t **ret_bytes, size_t *ret_size) MONATT_MUST_CHECK;
/* By the image's own kallsyms; the address is the guest's. */
bool kernel_image_symbol(const KernelImage *kernel, const char *name,
                         uint64_t *ret_address) MONATT_MUST_CHECK;

#endif
