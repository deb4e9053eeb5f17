/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the test firmware: finds the device, tries all of the register map, says what it saw
 *
 * Runs on the bare machine, so what it sees is what the device does, not what a driver makes of it.
 * The host's test reads its serial port and counts the registers again by itself.
 */
#include "tests/device/firmware/firmware.h"

extern uint8_t bss_begin[];
extern uint8_t bss_end[];

void firmware_entry(uint32_t mode, uint32_t seed);

/* gcc makes calls of these out of loops. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void *memset(void *to, int value, size_t size)
{
    volatile uint8_t *p = to;
    for (size_t i = 0; i < size; i++) {
        p[i] = (uint8_t)value;
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    volatile uint8_t *p = to;
    const uint8_t *q = from;
    for (size_t i = 0; i < size; i++) {
        p[i] = q[i];
    }
    return to;
}

/* "r INDEX SHA256 SHA384 EXTENDS" of BAR2, byte for byte. */
static void print_registers(void)
{
    wait_synced();
    for (uint32_t i = 0; i < REGISTERS; i++) {
        uint32_t entry = machine.bar2 + MONATT_BAR2_ENTRY + i * MONATT_BAR2_ENTRY_SIZE;
        say("r ");
        say_number(i);
        for (uint32_t at = 0; at < 80; at += 4) {
            if (at == MONATT_ENTRY_SHA256 || at == MONATT_ENTRY_SHA384) {
                say(" ");
            }
            say_hex(__builtin_bswap32(load32(entry + at)), 8);
        }
        say(" ");
        say_number(load32(entry + MONATT_ENTRY_EXTENDS));
        say("\n");
    }
}

__attribute__((section(".text.entry"))) void firmware_entry(uint32_t mode, uint32_t seed)
{
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    say("begin\n");
    if (!check("the device is on bus 0, its BARs are set", find_device(), true)) {
        say("end\n");
        return;
    }
    /* A machine's start is a reset of the VM, which may not be over yet. */
    uint32_t patience = 1000000;
    while (read0(MONATT_REG_STATUS) == MONATT_STATUS_BUSY && patience-- > 0) {
    }
    machine.capabilities = read0(MONATT_REG_CAPABILITIES);
    if (mode == MODE_HOSTILE) {
        hostile(seed);
        return;
    }
    check_pci();
    check_registers();
    check_commands();
    check_shadow();
    check_ring();
    check_interrupt();
    measure();
    check_busy();
    print_registers();
    check_fault();
    say("1..");
    say_number(machine.checks);
    say("\nend\n");
}
