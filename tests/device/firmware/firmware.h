/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firmware.h - the test firmware's view of the machine, its device and its serial port
 *
 * TAP lines for the host's test, and lines that begin with "x " for its recount: what was extended,
 * in order.  Must never print an extend that the device did not take.
 */
#ifndef TESTS_DEVICE_FIRMWARE_FIRMWARE_H
#define TESTS_DEVICE_FIRMWARE_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw-attest/register-map.h"
#include "tests/device/firmware/layout.h"
#include "tests/device/firmware/ports.h"

/* Guest memory that the device is told of, above the image. */
#define RING_MEMORY 0x200000u
#define SHADOW_MEMORY 0x400000u
#define BEHIND_MEMORY 0x80000000u /* no RAM in a VM with 64 MiB */
#define REGISTERS 24u

typedef struct Machine {
    uint32_t function; /* of configuration mechanism 1: 0x80000000 | device << 11 */
    uint32_t bar0;
    uint32_t bar2;
    uint32_t capabilities;
    uint32_t checks;
    uint32_t failed;
} Machine;

extern Machine machine;

static inline uint64_t ticks(void)
{
    uint32_t low;
    uint32_t high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline void barrier(void)
{
    __asm__ volatile("lock; addl $0, (%%esp)" : : : "memory", "cc");
}

static inline uint32_t load32(uint32_t address)
{
    return *(volatile uint32_t *)address;
}

static inline void store32(uint32_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

/* console.c */
void say(const char *text);
void say_hex(uint32_t value, unsigned digits);
void say_number(uint32_t value);
/* One TAP line; what was seen and wanted is printed when they differ. */
bool check(const char *name, uint32_t seen, uint32_t wanted);
void note(const char *name, uint32_t value);

/* device.c */
bool find_device(void);
uint32_t config_read(uint32_t offset);
void config_write(uint32_t offset, uint32_t value);
uint32_t read0(uint32_t offset);
void write0(uint32_t offset, uint32_t value);
/* Digest byte i of a seed is seed × 7 + i × 13: the host's test computes the same. */
void fill_digest(volatile uint8_t *to, unsigned size, uint32_t seed);
/* Window and registers of an extend; its ERR_.  size: of the content; an extend that was taken is
 * reported to the host. */
uint32_t extend(uint32_t index, uint32_t banks, uint32_t seed, uint32_t size);
uint32_t command(uint32_t value);
/* "x INDEX BANKS SEED COUNT": count extends with seeds seed, seed + 1… */
void report_extends(uint32_t index, uint32_t banks, uint32_t seed, uint32_t count);
void report_reset(uint32_t index);
void wait_synced(void);

/* The checks. */
void check_pci(void);
void check_registers(void);
void check_commands(void);
void check_shadow(void);
void check_ring(void);
void check_interrupt(void);
void check_busy(void);
void check_fault(void);
void measure(void);
void hostile(uint32_t seed);

#endif
