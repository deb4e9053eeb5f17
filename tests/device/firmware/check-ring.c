/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-ring.c - shadow page, submission ring, bus mastering and interrupt, in the guest's memory
 */
#include "tests/device/firmware/firmware.h"

#define PCI_COMMAND 0x04
#define PCI_INTERRUPT 0x3c
#define MASTER_ON 6
#define MASTER_OFF 2
#define SLOTS 64u
#define PATTERN 0xa5a5a5a5u
#define PATIENCE_TICKS 60000000000ull /* 20 s and more of any CPU */
#define RING_SIZE (MONATT_RING_HEADER_SIZE + SLOTS * MONATT_RING_SLOT_SIZE)

static uint32_t produced;

static uint32_t header(uint32_t offset)
{
    return load32(RING_MEMORY + offset);
}

static void fill(uint32_t address, uint32_t size, uint32_t value)
{
    for (uint32_t at = 0; at < size; at += 4) {
        store32(address + at, value);
    }
}

static uint32_t differing(uint32_t address, uint32_t size, uint32_t value)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < size; at += 4) {
        count += load32(address + at) != value;
    }
    return count;
}

static uint32_t shadow_to(uint32_t address, uint32_t high, uint32_t value)
{
    write0(MONATT_REG_SHADOW_ADDRESS, address);
    write0(MONATT_REG_SHADOW_ADDRESS + 4, high);
    write0(MONATT_REG_SHADOW_CONTROL, value);
    return read0(MONATT_REG_SHADOW_CONTROL);
}

static uint32_t differs_from_bar2(void)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < MONATT_SHADOW_SIZE; at += 4) {
        count += load32(SHADOW_MEMORY + at) != load32(machine.bar2 + at);
    }
    return count;
}

void check_shadow(void)
{
    if (!(machine.capabilities & MONATT_CAP_SHADOW)) {
        return;
    }
    wait_synced();
    fill(SHADOW_MEMORY, MONATT_SHADOW_SIZE, PATTERN);
    config_write(PCI_COMMAND, MASTER_OFF);
    check("shadow: not without bus mastering", shadow_to(SHADOW_MEMORY, 0, 1), MONATT_RING_FAULT);
    config_write(PCI_COMMAND, MASTER_ON);
    check("shadow: not by switching that on alone", read0(MONATT_REG_SHADOW_CONTROL),
          MONATT_RING_FAULT);
    check("shadow: not at an odd address", shadow_to(SHADOW_MEMORY + 8, 0, 1), MONATT_RING_FAULT);
    check("shadow: not behind the memory", shadow_to(BEHIND_MEMORY, 0, 1), MONATT_RING_FAULT);
    check("shadow: not at the device itself", shadow_to(machine.bar0, 0, 1), MONATT_RING_FAULT);
    check("shadow: not far away", shadow_to(SHADOW_MEMORY, 0x8000, 1), MONATT_RING_FAULT);
    check("shadow: not at the end of all", shadow_to(0xfffff000, ~0u, 1), MONATT_RING_FAULT);
    check("shadow: nothing was written", differing(SHADOW_MEMORY, MONATT_SHADOW_SIZE, PATTERN), 0);
    check("shadow: off", shadow_to(SHADOW_MEMORY, 0, 0), MONATT_RING_OFF);
    check("shadow: on", shadow_to(SHADOW_MEMORY, 0, 1), MONATT_RING_ON);
    check("shadow: is BAR2, all 4096 bytes", differs_from_bar2(), 0);
    check("shadow: not a byte more", differing(SHADOW_MEMORY + MONATT_SHADOW_SIZE, 64, 0), 0);
    check("an extend", extend(3, MONATT_CMD_EXTEND_BOTH, 50, 8), MONATT_ERR_NONE);
    wait_synced();
    uint32_t patience = 20;
    while (differs_from_bar2() && patience-- > 0) {
    }
    check("shadow: follows", differs_from_bar2(), 0);
    config_write(PCI_COMMAND, MASTER_OFF);
    check("shadow: off with bus mastering", read0(MONATT_REG_SHADOW_CONTROL), MONATT_RING_OFF);
    fill(SHADOW_MEMORY, MONATT_SHADOW_SIZE, PATTERN);
    check("an extend", extend(3, MONATT_CMD_EXTEND_BOTH, 51, 8), MONATT_ERR_NONE);
    wait_synced();
    check("shadow: untouched from then on", differing(SHADOW_MEMORY, MONATT_SHADOW_SIZE, PATTERN),
          0);
    config_write(PCI_COMMAND, MASTER_ON);
    check("shadow: does not come back by itself",
          differing(SHADOW_MEMORY, MONATT_SHADOW_SIZE, PATTERN), 0);
    check("shadow: on again", shadow_to(SHADOW_MEMORY, 0, 1), MONATT_RING_ON);
    check("shadow: is BAR2 again", differs_from_bar2(), 0);
}

static uint32_t ring_to(uint32_t address, uint32_t slots, uint32_t value)
{
    write0(MONATT_REG_RING_ADDRESS, address);
    write0(MONATT_REG_RING_ADDRESS + 4, 0);
    write0(MONATT_REG_RING_SLOTS, slots);
    write0(MONATT_REG_RING_CONTROL, value);
    return read0(MONATT_REG_RING_CONTROL);
}

static bool new_ring(void)
{
    fill(RING_MEMORY, RING_SIZE, 0); /* memory that was never written is refused */
    produced = 0;
    return check("ring: on", ring_to(RING_MEMORY, SLOTS, 1), MONATT_RING_ON);
}

static uint32_t slot_at(uint32_t count)
{
    return RING_MEMORY + MONATT_RING_HEADER_SIZE + count % SLOTS * MONATT_RING_SLOT_SIZE;
}

static void fill_slot(uint32_t operation, uint32_t index, uint32_t banks, uint32_t size,
                      uint32_t seed)
{
    uint32_t slot = slot_at(produced);
    store32(slot + MONATT_SLOT_OPERATION, index << 16 | operation);
    store32(slot + MONATT_SLOT_BANKS, size << 16 | banks);
    store32(slot + MONATT_SLOT_RESULT, PATTERN);
    fill_digest((volatile uint8_t *)(slot + MONATT_SLOT_SHA256), 32, seed);
    fill_digest((volatile uint8_t *)(slot + MONATT_SLOT_SHA384), 48, seed);
    produced++;
}

static void submit(void)
{
    store32(RING_MEMORY + MONATT_RING_PRODUCED, produced);
    barrier();
    if (header(MONATT_RING_DEVICE_FLAGS) & MONATT_RING_WANT_DOORBELL) {
        write0(MONATT_REG_DOORBELL, 1);
    }
}

static bool wait_left(uint32_t left)
{
    uint64_t until = ticks() + PATIENCE_TICKS;
    while (produced - header(MONATT_RING_CONSUMED) > left && ticks() < until) {
    }
    return produced - header(MONATT_RING_CONSUMED) <= left;
}

/* One slot, done: its result. */
static uint32_t one(uint32_t operation, uint32_t index, uint32_t banks, uint32_t size,
                    uint32_t seed)
{
    uint32_t slot = slot_at(produced);
    fill_slot(operation, index, banks, size, seed);
    submit();
    if (!wait_left(0)) {
        return ~0u;
    }
    uint32_t result = load32(slot + MONATT_SLOT_RESULT);
    if (result == MONATT_ERR_NONE && operation == MONATT_RING_EXTEND) {
        report_extends(index, banks, seed, 1);
    } else if (result == MONATT_ERR_NONE) {
        report_reset(index);
    }
    return result;
}

static void check_slots(void)
{
    check("slot: SHA-256", one(MONATT_RING_EXTEND, 4, 1, 0, 60), MONATT_ERR_NONE);
    check("slot: SHA-384", one(MONATT_RING_EXTEND, 4, 2, 7, 61), MONATT_ERR_NONE);
    check("slot: both, full content", one(MONATT_RING_EXTEND, 4, 3, 1024, 62), MONATT_ERR_NONE);
    check("slot: reset", one(MONATT_RING_RESET, 23, 0, 0, 0), MONATT_ERR_NONE);
    check("slot: reset of another", one(MONATT_RING_RESET, 4, 0, 0, 0), MONATT_ERR_LOCALITY);
    check("slot: no operation 0", one(0, 4, 1, 0, 63), MONATT_ERR_COMMAND);
    check("slot: no operation 4", one(4, 4, 1, 0, 63), MONATT_ERR_COMMAND);
    check("slot: no bank", one(MONATT_RING_EXTEND, 4, 0, 0, 63), MONATT_ERR_COMMAND);
    check("slot: no such bank", one(MONATT_RING_EXTEND, 4, 5, 0, 63), MONATT_ERR_COMMAND);
    check("slot: no such register", one(MONATT_RING_EXTEND, 24, 1, 0, 63), MONATT_ERR_INDEX);
    check("slot: no register 65535", one(MONATT_RING_EXTEND, 0xffff, 1, 0, 63), MONATT_ERR_INDEX);
    check("slot: the host's register", one(MONATT_RING_EXTEND, 17, 1, 0, 63), MONATT_ERR_LOCALITY);
    check("slot: too much content", one(MONATT_RING_EXTEND, 4, 1, 1025, 63), MONATT_ERR_SIZE);
    check("slot: 65535 bytes of content", one(MONATT_RING_EXTEND, 4, 1, 0xffff, 63),
          MONATT_ERR_SIZE);
    check("slot: goes on after errors", one(MONATT_RING_EXTEND, 4, 3, 1, 64), MONATT_ERR_NONE);
    if (machine.capabilities & MONATT_CAP_REPORT) {
        check("slot: a report that is not there", one(MONATT_RING_REPORT_READ, 0, 0, 0, 0),
              MONATT_ERR_SEQUENCE);
    }
}

/* 4,096 extends through 64 slots: many wraps, and the pipe to the TPM fills up on the way. */
static void check_burst(void)
{
    const uint32_t count = 4096;
    uint32_t bad = 0;
    uint64_t began = ticks();
    for (uint32_t i = 0; i < count; i++) {
        if (!wait_left(SLOTS - 1)) {
            bad++;
            break;
        }
        fill_slot(MONATT_RING_EXTEND, 7, 3, 16, 1000 + i);
        submit();
    }
    bad += !wait_left(0);
    note("ticks an extend of a burst:", (uint32_t)((ticks() - began) >> 12));
    check("burst: all done", bad, 0);
    report_extends(7, 3, 1000, count);
    wait_synced();
    check("burst: records are counted", header(MONATT_RING_RECORDS) >= count, true);
}

static void check_off(void)
{
    config_write(PCI_COMMAND, MASTER_OFF);
    check("ring: off with bus mastering", read0(MONATT_REG_RING_CONTROL), MONATT_RING_OFF);
    fill(RING_MEMORY, RING_SIZE, PATTERN);
    write0(MONATT_REG_DOORBELL, 1);
    check("an extend", extend(8, MONATT_CMD_EXTEND_BOTH, 70, 1), MONATT_ERR_NONE);
    wait_synced();
    check("ring: untouched from then on", differing(RING_MEMORY, RING_SIZE, PATTERN), 0);
    check("ring: cannot be switched on", ring_to(RING_MEMORY, SLOTS, 1), MONATT_RING_FAULT);
    check("ring: and says why", read0(MONATT_REG_RING_ERROR), MONATT_ERR_ADDRESS);
    config_write(PCI_COMMAND, MASTER_ON);
}

static void check_overrun(void)
{
    store32(RING_MEMORY + MONATT_RING_PRODUCED, header(MONATT_RING_CONSUMED) + SLOTS + 1);
    barrier();
    write0(MONATT_REG_DOORBELL, 1);
    uint64_t until = ticks() + PATIENCE_TICKS;
    while (read0(MONATT_REG_RING_CONTROL) == MONATT_RING_ON && ticks() < until) {
    }
    check("ring: produced too far", read0(MONATT_REG_RING_CONTROL), MONATT_RING_FAULT);
    check("ring: ERR_SIZE is why", read0(MONATT_REG_RING_ERROR), MONATT_ERR_SIZE);
    check("ring: and its flags say it", header(MONATT_RING_DEVICE_FLAGS) & MONATT_RING_FAULTED,
          MONATT_RING_FAULTED);
}

void check_ring(void)
{
    static const uint32_t slots[] = {0, 1, 8, 15, 17, 63, 1025, 2048, 0x80000000, ~0u};
    static const uint32_t places[] = {RING_MEMORY + 4, RING_MEMORY + 2048, BEHIND_MEMORY,
                                      0xfffff000};
    if (!(machine.capabilities & MONATT_CAP_RING)) {
        return;
    }
    config_write(PCI_COMMAND, MASTER_ON);
    fill(RING_MEMORY, MONATT_RING_HEADER_SIZE, PATTERN);
    for (unsigned i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        check("ring: number of slots", ring_to(RING_MEMORY, slots[i], 1), MONATT_RING_FAULT);
        check("ring: ERR_SIZE", read0(MONATT_REG_RING_ERROR), MONATT_ERR_SIZE);
    }
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        check("ring: address", ring_to(places[i], SLOTS, 1), MONATT_RING_FAULT);
        check("ring: ERR_ADDRESS", read0(MONATT_REG_RING_ERROR), MONATT_ERR_ADDRESS);
    }
    check("ring: nothing was written", differing(RING_MEMORY, MONATT_RING_HEADER_SIZE, PATTERN), 0);
    if (!new_ring()) {
        return;
    }
    write0(MONATT_REG_RING_CONTROL, 2);
    check("ring: 2 does nothing", read0(MONATT_REG_RING_CONTROL), MONATT_RING_ON);
    check_slots();
    check_burst();
    check_off();
    if (!new_ring()) {
        return;
    }
    check("slot: as before", one(MONATT_RING_EXTEND, 9, 3, 0, 71), MONATT_ERR_NONE);
    check_overrun();
    if (!new_ring()) {
        return;
    }
    check("slot: after a fault", one(MONATT_RING_EXTEND, 9, 3, 0, 72), MONATT_ERR_NONE);
}

/* Interrupt requests of the two 8259s, interrupts themselves being off. */
static bool requested(uint32_t line)
{
    uint16_t port = line < 8 ? 0x20 : 0xa0;
    out8(port, 0x0a);
    return in8(port) >> (line & 7) & 1;
}

static bool wait_request(uint32_t line, bool wanted)
{
    uint32_t patience = 2000000;
    while (requested(line) != wanted && patience-- > 0) {
    }
    return requested(line);
}

void check_interrupt(void)
{
    uint32_t line = config_read(PCI_INTERRUPT) & 0xff;
    bool offered = machine.capabilities & MONATT_CAP_INTERRUPT;
    check("interrupt: a pin exactly when it is offered", config_read(PCI_INTERRUPT) >> 8 & 0xff,
          offered);
    note("interrupt: line", line);
    if (!offered || line > 15) {
        return;
    }
    write0(MONATT_REG_INTERRUPT_ENABLE, ~0u);
    check("interrupt: reasons that are there", read0(MONATT_REG_INTERRUPT_ENABLE),
          MONATT_INTERRUPT_RING);
    store32(RING_MEMORY + MONATT_RING_GUEST_FLAGS, MONATT_RING_WANT_INTERRUPT);
    check("interrupt: none before", requested(line), false);
    check("interrupt: a slot", one(MONATT_RING_EXTEND, 9, 3, 0, 73), MONATT_ERR_NONE);
    check("interrupt: is requested", wait_request(line, true), true);
    check("interrupt: and why", read0(MONATT_REG_INTERRUPT_STATUS), MONATT_INTERRUPT_RING);
    write0(MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING);
    check("interrupt: 1 clears the reason", read0(MONATT_REG_INTERRUPT_STATUS), 0);
    store32(RING_MEMORY + MONATT_RING_GUEST_FLAGS, 0);
    check("interrupt: a slot without wanting one", one(MONATT_RING_EXTEND, 9, 3, 0, 74),
          MONATT_ERR_NONE);
    check("interrupt: no reason then", read0(MONATT_REG_INTERRUPT_STATUS), 0);
    write0(MONATT_REG_INTERRUPT_ENABLE, 0);
    check("interrupt: off", read0(MONATT_REG_INTERRUPT_ENABLE), 0);
}

/* Time of an access: of the guest's clock, for the bench; a test asserts no time. */
void measure(void)
{
    const uint32_t count = 1000;
    uint64_t began = ticks();
    for (uint32_t i = 0; i < count; i++) {
        (void)read0(MONATT_REG_MAGIC);
    }
    note("ticks a read of BAR0:", (uint32_t)(ticks() - began) / count);
    began = ticks();
    for (uint32_t i = 0; i < count; i++) {
        write0(MONATT_REG_INDEX, 0);
    }
    note("ticks a write of BAR0:", (uint32_t)(ticks() - began) / count);
    began = ticks();
    for (uint32_t i = 0; i < count; i++) {
        (void)load32(SHADOW_MEMORY + MONATT_BAR2_ENTRY);
    }
    note("ticks a read of the shadow page:", (uint32_t)(ticks() - began) / count);
}
