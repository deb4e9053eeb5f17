/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.h - the PC under the payload: ports, serial line, PCI configuration, interrupt controller
 */
#ifndef MONATT_TESTS_PAYLOAD_MACHINE_H
#define MONATT_TESTS_PAYLOAD_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tests/device/firmware/ports.h"

#define SERIAL 0x3f8
#define LINE_MAXIMUM 80

/* The serial line, polled. */
static inline void put_char(char c)
{
    while (!(in8(SERIAL + 5) & 0x20)) {
    }
    out8(SERIAL, (uint8_t)c);
}

static inline void put_text(const char *text)
{
    while (*text) {
        put_char(*text++);
    }
}

static inline void put_number(uint32_t value)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put_char(' ');
    while (count > 0) {
        put_char(digits[--count]);
    }
}

static inline void get_line(char line[LINE_MAXIMUM])
{
    size_t size = 0;
    for (;;) {
        while (!(in8(SERIAL + 5) & 1)) {
        }
        char c = (char)in8(SERIAL);
        if (c == '\n') {
            line[size] = 0;
            return;
        }
        if (size < LINE_MAXIMUM - 1) {
            line[size++] = c;
        }
    }
}

/* The next decimal number of a line, moving on; 0 when there is none. */
static inline uint32_t next_number(const char **text)
{
    uint32_t value = 0;
    while (**text == ' ') {
        (*text)++;
    }
    while (**text >= '0' && **text <= '9') {
        value = value * 10 + (uint32_t)(*(*text)++ - '0');
    }
    return value;
}

/* PCI configuration mechanism 1; slot: 32 × bus + device. */
static inline uint32_t pci_read(uint32_t slot, uint32_t offset)
{
    out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
    return in32(0xcfc);
}

static inline void pci_write16(uint32_t slot, uint32_t offset, uint16_t value)
{
    out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
    out16((uint16_t)(0xcfc + (offset & 2)), value);
}

static inline void pci_write32(uint32_t slot, uint32_t offset, uint32_t value)
{
    out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
    out32(0xcfc, value);
}

/* Lines 0 to 15 become vectors 32 to 47 of start.S; all are masked but this one. */
void interrupts_init(unsigned line);
/* In-service bits of both controllers are given back. */
static inline void interrupt_end(unsigned line)
{
    if (line >= 8) {
        out8(0xa0, 0x20);
    }
    out8(0x20, 0x20);
}

static inline void interrupts_allow(bool allowed)
{
    if (allowed) {
        __asm__ volatile("sti" : : : "memory");
    } else {
        __asm__ volatile("cli" : : : "memory");
    }
}

#endif
