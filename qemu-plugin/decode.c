/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode.c - finds locked and system-call instructions at translation; must never read past size
 *
 * Guest bytes, but already accepted by QEMU's own decoder as one instruction of that size.  What
 * QEMU refuses (#UD) makes no memory access and is thus never counted, whatever is said here.
 */
#include "decode.h"

#define PREFIX_LOCK 0xf0
#define MODRM_REGISTER 3

typedef struct Opcode {
    bool lock;
    bool other_prefix; /* any legacy prefix but LOCK */
    uint8_t rex;       /* 0: none directly before the opcode */
    uint8_t two_byte;  /* 0f was there: code is the second byte */
    uint8_t code;
    bool has_modrm; /* a byte follows the opcode; whether it is a ModRM is the opcode's matter */
    uint8_t mod, reg, rm; /* without REX's fourth bit */
    size_t after_modrm;   /* offset of what follows it */
} Opcode;

static bool is_legacy_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

static bool opcode_of(const uint8_t *bytes, size_t size, Opcode *ret_opcode)
{
    Opcode opcode = {0};
    size_t i = 0;
    for (; i < size; i++) {
        if (bytes[i] == PREFIX_LOCK) {
            opcode.lock = true;
            opcode.rex = 0;
        } else if (is_legacy_prefix(bytes[i])) {
            opcode.other_prefix = true;
            opcode.rex = 0;
        } else if ((bytes[i] & 0xf0) == 0x40) {
            opcode.rex = bytes[i];
        } else {
            break;
        }
    }
    if (i < size && bytes[i] == 0x0f) {
        opcode.two_byte = 1;
        i++;
    }
    if (i >= size) {
        return false;
    }
    opcode.code = bytes[i++];
    if (i < size) {
        opcode.has_modrm = true;
        opcode.mod = bytes[i] >> 6;
        opcode.reg = bytes[i] >> 3 & 7;
        opcode.rm = bytes[i] & 7;
        opcode.after_modrm = i + 1;
    }
    *ret_opcode = opcode;
    return true;
}

/* The instructions that may carry LOCK, by opcode and, for groups, the ModRM reg field. */
static bool may_be_locked(const Opcode *opcode)
{
    if (opcode->two_byte) {
        switch (opcode->code) {
        case 0xab: /* BTS */
        case 0xb3: /* BTR */
        case 0xbb: /* BTC */
        case 0xb0: /* CMPXCHG */
        case 0xb1:
        case 0xc0: /* XADD */
        case 0xc1:
            return true;
        case 0xba: /* group 8 without BT */
            return opcode->reg >= 5;
        case 0xc7: /* CMPXCHG8B, CMPXCHG16B */
            return opcode->reg == 1;
        default:
            return false;
        }
    }
    switch (opcode->code) {
    case 0x80: /* group 1 without CMP */
    case 0x81:
    case 0x82:
    case 0x83:
        return opcode->reg != 7;
    case 0xf6: /* NOT, NEG */
    case 0xf7:
        return opcode->reg == 2 || opcode->reg == 3;
    case 0xfe: /* INC, DEC */
    case 0xff:
        return opcode->reg <= 1;
    case 0x86: /* XCHG */
    case 0x87:
        return true;
    default: /* ADD OR ADC SBB AND SUB XOR, memory first */
        return opcode->code <= 0x31 && (opcode->code & 7) <= 1;
    }
}

DecodeLock decode_lock(const uint8_t *bytes, size_t size)
{
    Opcode opcode;
    if (!opcode_of(bytes, size, &opcode) || !opcode.has_modrm || opcode.mod == MODRM_REGISTER) {
        return DECODE_LOCK_NONE;
    }
    bool exchange = !opcode.two_byte && (opcode.code & 0xfe) == 0x86;
    if (!exchange && !(opcode.lock && may_be_locked(&opcode))) {
        return DECODE_LOCK_NONE;
    }
    bool pair = opcode.two_byte && opcode.code == 0xc7 && (opcode.rex & 0x08) != 0;
    return pair ? DECODE_LOCK_PAIR : DECODE_LOCK_ACCESS;
}

DecodeSyscall decode_syscall(const uint8_t *bytes, size_t size)
{
    Opcode opcode;
    if (!opcode_of(bytes, size, &opcode)) {
        return DECODE_SYSCALL_NONE;
    }
    if (opcode.two_byte && opcode.code == 0x05) {
        return DECODE_SYSCALL_SYSCALL;
    }
    if (opcode.two_byte && opcode.code == 0x34) {
        return DECODE_SYSCALL_SYSENTER;
    }
    if (!opcode.two_byte && opcode.code == 0xcd && bytes[size - 1] == 0x80) {
        return DECODE_SYSCALL_INTERRUPT;
    }
    return DECODE_SYSCALL_NONE;
}

/* Little-endian, the last four bytes of the instruction. */
static uint32_t immediate_of(const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes + size - 4;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

DecodeEax decode_eax(const uint8_t *bytes, size_t size, uint32_t *ret_value)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    Opcode opcode;
    if (size == sizeof(endbr64) && __builtin_memcmp(bytes, endbr64, size) == 0) {
        return DECODE_EAX_KEPT;
    }
    if (!opcode_of(bytes, size, &opcode) || opcode.lock || opcode.other_prefix) {
        return DECODE_EAX_LOST;
    }
    bool wide = (opcode.rex & 0x08) != 0;
    bool reg_is_a = opcode.reg == 0 && (opcode.rex & 0x04) == 0;
    bool rm_is_a = opcode.rm == 0 && (opcode.rex & 0x01) == 0;
    bool direct = opcode.has_modrm && opcode.mod == MODRM_REGISTER;
    size_t rex_size = opcode.rex != 0;
    if (opcode.two_byte) {
        return opcode.code == 0x1f ? DECODE_EAX_KEPT : DECODE_EAX_LOST; /* NOP */
    }
    if ((opcode.code & 0xf8) == 0xb8) { /* MOV r32, imm32; with REX.W imm64 */
        bool to_a = opcode.code == 0xb8 && (opcode.rex & 0x01) == 0;
        if (!to_a) {
            return DECODE_EAX_KEPT;
        }
        if (wide || size != rex_size + 5) {
            return DECODE_EAX_LOST;
        }
        *ret_value = immediate_of(bytes, size);
        return DECODE_EAX_SET;
    }
    if ((opcode.code & 0xf0) == 0x50) { /* PUSH, POP */
        bool to_a = opcode.code == 0x58 && (opcode.rex & 0x01) == 0;
        return to_a ? DECODE_EAX_LOST : DECODE_EAX_KEPT;
    }
    if (opcode.code == 0x90 && opcode.rex == 0) {
        return DECODE_EAX_KEPT;
    }
    if (!opcode.has_modrm) {
        return DECODE_EAX_LOST;
    }
    switch (opcode.code) {
    case 0x89: /* MOV r/m, r */
        return direct && rm_is_a ? DECODE_EAX_LOST : DECODE_EAX_KEPT;
    case 0x8b: /* MOV r, r/m */
    case 0x8d: /* LEA */
        return reg_is_a ? DECODE_EAX_LOST : DECODE_EAX_KEPT;
    case 0xc7: /* MOV r/m, imm32 */
        if (opcode.reg != 0) {
            return DECODE_EAX_LOST;
        }
        if (!direct || !rm_is_a) {
            return DECODE_EAX_KEPT;
        }
        if (size != opcode.after_modrm + 4) {
            return DECODE_EAX_LOST;
        }
        *ret_value = immediate_of(bytes, size);
        return DECODE_EAX_SET;
    case 0x31: /* XOR r/m, r */
    case 0x33: /* XOR r, r/m */
        if (direct && reg_is_a && rm_is_a) {
            *ret_value = 0;
            return DECODE_EAX_SET;
        }
        if (opcode.code == 0x31) {
            return direct && rm_is_a ? DECODE_EAX_LOST : DECODE_EAX_KEPT;
        }
        return reg_is_a ? DECODE_EAX_LOST : DECODE_EAX_KEPT;
    default:
        return DECODE_EAX_LOST;
    }
}
