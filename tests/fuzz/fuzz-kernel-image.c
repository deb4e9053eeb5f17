/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-kernel-image.c - a kernel image that anybody may have made
 *
 * The first byte chooses: the input is a bzImage, or the ELF file that one would hold, which then
 * needs no packing.  What was opened must hold together: every section lies in it.
 */
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/kernel-image/kernel-image.h"
#include "host-collector/sources/introspection/kernel-image/unpack.h"
#include "tests/fuzz/fuzz.h"

static void check(KernelImage *kernel)
{
    for (size_t i = 0; i < kernel->section_count; i++) {
        const KernelSection *section = &kernel->sections[i];
        require(kernel_image_at(kernel, section->address + kernel->slide, section->size));
    }
    require(!kernel_image_at(kernel, kernel->linked + kernel->slide, kernel->size + 1));
    kernel_image_clear(kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char note[] = "OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81200000\n"
                               "SYMBOL(kallsyms_names)=ffffffff81200100\n"
                               "SYMBOL(kallsyms_num_syms)=ffffffff81200200\n"
                               "SYMBOL(kallsyms_token_table)=ffffffff81200300\n"
                               "SYMBOL(kallsyms_token_index)=ffffffff81200400\n"
                               "SYMBOL(kallsyms_offsets)=ffffffff81200500\n"
                               "SYMBOL(kallsyms_relative_base)=ffffffff81200600\n";
    static KernelImage kernel;
    Vmcoreinfo info = {.size = sizeof(note) - 1};
    MonattError err = {0};
    uint8_t *elf;
    size_t elf_size;

    memcpy(info.text, note, sizeof(note));
    if (size == 0) {
        return 0;
    }
    if (data[0] & 1) {
        if (kernel_image_lay_out(&kernel, data + 1, size - 1, &info, &err)) {
            check(&kernel);
        }
    } else if (kernel_unpack(data + 1, size - 1, &elf, &elf_size, &err)) {
        require(elf_size <= KERNEL_ELF_MAXIMUM);
        free(elf);
    }
    return 0;
}
