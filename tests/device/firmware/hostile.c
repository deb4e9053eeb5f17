/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile.c - a guest that writes at random: both BARs, configuration space, ring and its header
 *
 * Seeded, so that a finding can be repeated.  Every thousandth round begins with a working set-up
 * (BARs, bus mastering, a ring that is on): random bits alone would switch everything off for good.
 */
#include "tests/device/firmware/firmware.h"

#define PCI_COMMAND 0x04
#define PCI_BAR0 0x10
#define PCI_BAR2 0x18

static uint32_t state;

/* Marsaglia's xorshift, 13, 17, 5. */
static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Small numbers, powers of two and their neighbours, all ones, or anything. */
static uint32_t value(void)
{
    switch (next() & 3) {
    case 0:
        return next() & 0x1f;
    case 1:
        return (1u << (next() & 31)) + (next() & 2) - 1;
    case 2:
        return RING_MEMORY + (next() & 0x3000);
    default:
        return next();
    }
}

static void set_up(void)
{
    config_write(PCI_BAR0, machine.bar0);
    config_write(PCI_BAR2, machine.bar2);
    config_write(PCI_COMMAND, 6);
    write0(MONATT_REG_RING_CONTROL, 0);
    for (uint32_t at = 0; at < MONATT_RING_HEADER_SIZE; at += 4) {
        store32(RING_MEMORY + at, 0);
    }
    write0(MONATT_REG_RING_ADDRESS, RING_MEMORY);
    write0(MONATT_REG_RING_ADDRESS + 4, 0);
    write0(MONATT_REG_RING_SLOTS, 64);
    write0(MONATT_REG_RING_CONTROL, 1);
    write0(MONATT_REG_SHADOW_ADDRESS, SHADOW_MEMORY);
    write0(MONATT_REG_SHADOW_ADDRESS + 4, 0);
    write0(MONATT_REG_SHADOW_CONTROL, 1);
}

static void access(uint32_t bar)
{
    uint32_t address = bar + (next() & (next() & 1 ? 0x9f : 0xfff));
    switch (next() & 7) {
    case 0:
        (void)*(volatile uint8_t *)address;
        break;
    case 1:
        (void)*(volatile uint16_t *)(address & ~1u);
        break;
    case 2:
        (void)load32(address & ~3u);
        break;
    case 3:
        *(volatile uint8_t *)address = (uint8_t)value();
        break;
    case 4:
        *(volatile uint16_t *)(address & ~1u) = (uint16_t)value();
        break;
    default:
        store32(address & ~3u, value());
        break;
    }
}

static void touch_ring(void)
{
    uint32_t at = next() & 1 ? next() & 0x5c : next() & 0x1fffc;
    store32(RING_MEMORY + (at & ~3u), value());
    if (next() & 1) {
        write0(MONATT_REG_DOORBELL, 1);
    }
}

/* Nearly right: a command, or a slot, whose parts are each plausible. */
static void nearly_right(void)
{
    if (next() & 1) {
        write0(MONATT_REG_INDEX, next() % 26);
        write0(MONATT_REG_DATA_SIZE, next() % 1030);
        write0(MONATT_REG_COMMAND, next() % 0x24);
        return;
    }
    uint32_t consumed = load32(RING_MEMORY + MONATT_RING_CONSUMED);
    uint32_t slot = RING_MEMORY + MONATT_RING_HEADER_SIZE + consumed % 64 * MONATT_RING_SLOT_SIZE;
    store32(slot + MONATT_SLOT_OPERATION, (next() % 26) << 16 | next() % 5);
    store32(slot + MONATT_SLOT_BANKS, (next() % 1030) << 16 | next() % 5);
    store32(RING_MEMORY + MONATT_RING_PRODUCED, consumed + next() % 66);
    write0(MONATT_REG_DOORBELL, 1);
    /* While the device reads it. */
    store32(slot + MONATT_SLOT_BANKS, value());
}

void hostile(uint32_t seed)
{
    state = seed ? seed : 1;
    for (uint32_t at = 0; at < MONATT_RING_HEADER_SIZE + 64 * MONATT_RING_SLOT_SIZE; at += 4) {
        store32(RING_MEMORY + at, 0);
    }
    for (uint32_t at = 0; at < MONATT_SHADOW_SIZE; at += 4) {
        store32(SHADOW_MEMORY + at, 0);
    }
    for (uint32_t round = 0;; round++) {
        if (round % 1000 == 0) {
            set_up();
        }
        if (round % 10000 == 0) {
            note("rounds", round);
        }
        switch (next() & 7) {
        case 0:
            /* Not into the BARs and the command register's memory bit too often. */
            config_write((next() & 15) == 0 ? PCI_COMMAND : 0x3c + (next() & 0xc0), value());
            break;
        case 1:
        case 2:
            touch_ring();
            break;
        case 3:
            access(machine.bar2);
            break;
        case 4:
        case 5:
            nearly_right();
            break;
        default:
            access(machine.bar0);
            break;
        }
    }
}
