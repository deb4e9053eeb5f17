/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode.h - what the monitors must know of an x86 instruction, from its bytes alone
 *
 * The bytes are those of one instruction as QEMU delimited it, so the CPU's mode need not be
 * known: 40 to 4f followed by more bytes is a REX prefix, alone it is a 32-bit INC or DEC.
 */
#ifndef QEMU_PLUGIN_DECODE_H
#define QEMU_PLUGIN_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DecodeLock {
    DECODE_LOCK_NONE = 0,
    DECODE_LOCK_ACCESS = 1, /* a locked read-modify-write of memory, one store */
    DECODE_LOCK_PAIR = 2,   /* CMPXCHG16B: 16 aligned bytes, perhaps stored as two halves */
} DecodeLock;
/* LOCK prefix on an instruction that may have it and writes memory, or XCHG with memory
 * (Intel SDM volume 2, LOCK and XCHG). */
DecodeLock decode_lock(const uint8_t *bytes, size_t size);

typedef enum DecodeSyscall {
    DECODE_SYSCALL_NONE = 0,
    DECODE_SYSCALL_SYSCALL = 1,   /* 0f 05; number in eax */
    DECODE_SYSCALL_SYSENTER = 2,  /* 0f 34 */
    DECODE_SYSCALL_INTERRUPT = 3, /* cd 80 */
} DecodeSyscall;
DecodeSyscall decode_syscall(const uint8_t *bytes, size_t size);

/* What a 64-bit instruction does to eax; anything not in the small table of harmless
 * instructions is LOST. */
typedef enum DecodeEax {
    DECODE_EAX_LOST = 0,
    DECODE_EAX_KEPT = 1,
    DECODE_EAX_SET = 2, /* to the constant in *ret_value, untouched otherwise */
} DecodeEax;
DecodeEax decode_eax(const uint8_t *bytes, size_t size, uint32_t *ret_value);

#endif
