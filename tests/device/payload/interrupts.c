/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupts.c - descriptor table and the two 8259s of a PC
 */
#include "machine.h"

#define FIRST_VECTOR 32

typedef struct Gate {
    uint16_t low;
    uint16_t selector;
    uint16_t kind;
    uint16_t high;
} Gate;

extern uint8_t interrupt_entries[16][16];

static Gate gates[FIRST_VECTOR + 16];

void interrupts_init(unsigned line)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } pointer = {sizeof(gates) - 1, (uint32_t)(uintptr_t)gates};
    for (unsigned i = 0; i < 16; i++) {
        uint32_t entry = (uint32_t)(uintptr_t)interrupt_entries[i];
        gates[FIRST_VECTOR + i] = (Gate){(uint16_t)entry, 8, 0x8e00, (uint16_t)(entry >> 16)};
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
    /* Edge or level is the firmware's choice (ELCR); vectors and masks are ours. */
    out8(0x20, 0x11);
    out8(0xa0, 0x11);
    out8(0x21, FIRST_VECTOR);
    out8(0xa1, FIRST_VECTOR + 8);
    out8(0x21, 4);
    out8(0xa1, 2);
    out8(0x21, 1);
    out8(0xa1, 1);
    uint32_t open = 1u << line | (line >= 8 ? 4u : 0);
    out8(0x21, (uint8_t)~open);
    out8(0xa1, (uint8_t) ~(open >> 8));
}
