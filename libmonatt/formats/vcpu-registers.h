/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-registers.h - a vCPU's control registers, and how QEMU's monitor writes them
 *
 * They come from the host's side of the guest, so a guest cannot put others in their place; what
 * it sets them to is its own affair and not to be trusted.
 */
#ifndef MONATT_FORMATS_VCPU_REGISTERS_H
#define MONATT_FORMATS_VCPU_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

typedef struct MonattVcpuRegisters {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t idt_base, gdt_base; /* guest-virtual */
    uint32_t idt_limit, gdt_limit;
    uint64_t rip;
    uint32_t cpl; /* 0: in the kernel when it was looked at */
} MonattVcpuRegisters;

/*
 * The answer to "info registers" (QEMU 7.2 to 11.1: target/i386/cpu-dump.c), of one vCPU or with -a
 * of all, in QEMU's order.  At most capacity of them; FORMAT: a register is missing, twice or not
 * a hexadecimal number that fits; LIMIT: more vCPUs; *ret_count is then not written.
 */
bool monatt_vcpu_registers_parse(const char *text, size_t size, MonattVcpuRegisters *ret,
                                 size_t capacity, size_t *ret_count,
                                 MonattError *err) MONATT_MUST_CHECK;

#endif
