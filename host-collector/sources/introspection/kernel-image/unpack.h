/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unpack.h - the ELF file within an x86 kernel image (bzImage)
 *
 * Documentation/arch/x86/boot.rst: the setup header says where the payload lies; it is packed with
 * gzip, xz, lz4 (its old frame format) or zstd, and its size unpacked follows as a 32-bit word. The
 * image is the operator's, and still parsed as foreign bytes: one that lies costs a refusal.
 */
#ifndef MONATT_INTROSPECTION_UNPACK_H
#define MONATT_INTROSPECTION_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define KERNEL_ELF_MAXIMUM (256u * 1024 * 1024) /* Debian's are 40 to 75 MiB */

/*
 * The unpacked bytes, to be freed with free().  FORMAT: no bzImage, another packing, or damaged;
 * LIMIT: unpacked it would be larger than KERNEL_ELF_MAXIMUM; SYSTEM: out of memory.
 */
bool kernel_unpack(const uint8_t *image, size_t size, uint8_t **ret_elf, size_t *ret_size,
                   MonattError *err) MONATT_MUST_CHECK;

#endif
