/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * payload.c - a tiny guest that uses the attest device without an operating system
 *
 * Commands come over the serial line, one a line; each is answered by one line.  It has no paging
 * and no time-outs: who waits for it has them.
 *   r N     N extends into MR3 through the ring         -> ring ERRORS DOORBELLS
 *   s       the shadow page against BAR2, all registers -> shadow DIFFERENT
 *   i N     N slots, each awaited by interrupt          -> interrupt COUNT SPURIOUS, or none
 *   u N     N interrupts served, not acknowledged       -> standing MORE-AFTER-ACKNOWLEDGEMENT
 *   o       bus mastering off                           -> off RING-STATE SHADOW-STATE
 *   h N S   N random writes everywhere, seed S          -> hostile
 */
#include "hw-attest/register-map.h"
#include "machine.h"

#define SLOTS 16u
#define BUSES 4 /* a slot number counts on through buses */
#define COMMAND 4
#define MEMORY 2u
#define BUS_MASTER 4u

static _Alignas(4096) uint8_t ring[MONATT_RING_HEADER_SIZE + SLOTS * MONATT_RING_SLOT_SIZE];
static _Alignas(4096) uint8_t shadow[MONATT_SHADOW_SIZE];

static uint32_t slot_of_device;
static volatile uint8_t *bar0;
static volatile uint8_t *bar2;
static uint32_t produced;
static volatile uint32_t interrupts;
static volatile uint32_t spurious;
static volatile bool acknowledge = true;

void payload_main(void);
void interrupt_handler(uint32_t line);

static volatile uint32_t *cell(volatile uint8_t *base, uint32_t offset)
{
    return (volatile uint32_t *)(void *)(uintptr_t)(base + offset);
}

static uint32_t rd(uint32_t offset)
{
    return *cell(bar0, offset);
}

static void wr(uint32_t offset, uint32_t value)
{
    *cell(bar0, offset) = value;
}

static volatile uint32_t *header(uint32_t offset)
{
    return cell(ring, offset);
}

void interrupt_handler(uint32_t line)
{
    if (rd(MONATT_REG_INTERRUPT_STATUS) & MONATT_INTERRUPT_RING) {
        interrupts++;
        if (acknowledge) {
            wr(MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING);
        }
    } else {
        spurious++;
    }
    interrupt_end(line);
}

static uint32_t ring_on(void)
{
    wr(MONATT_REG_RING_CONTROL, 0); /* or the device writes into the header that is cleared */
    for (uint32_t i = 0; i < sizeof(ring); i += i < MONATT_RING_HEADER_SIZE ? 1 : 64) {
        ring[i] = 0; /* the header zero, all of it written once */
    }
    produced = 0;
    pci_write16(slot_of_device, COMMAND, MEMORY | BUS_MASTER);
    wr(MONATT_REG_RING_ADDRESS, (uint32_t)(uintptr_t)ring);
    wr(MONATT_REG_RING_ADDRESS + 4, 0);
    wr(MONATT_REG_RING_SLOTS, SLOTS);
    wr(MONATT_REG_RING_CONTROL, 1);
    return rd(MONATT_REG_RING_CONTROL);
}

static uint8_t *slot(uint32_t count)
{
    return ring + MONATT_RING_HEADER_SIZE + count % SLOTS * MONATT_RING_SLOT_SIZE;
}

/* Both digests are the number over and over, as the test computes them too. */
static void fill(uint32_t number)
{
    uint8_t *at = slot(produced);
    for (uint32_t i = 0; i < MONATT_SLOT_CONTENT; i++) {
        at[i] = 0;
    }
    at[MONATT_SLOT_OPERATION] = MONATT_RING_EXTEND;
    at[MONATT_SLOT_REGISTER] = 3;
    at[MONATT_SLOT_BANKS] = MONATT_SLOT_BANK_SHA256 | MONATT_SLOT_BANK_SHA384;
    at[MONATT_SLOT_SIZE] = 4;
    *cell(at, MONATT_SLOT_RESULT) = 0xffff;
    for (uint32_t i = 0; i < 48; i++) {
        uint8_t byte = (uint8_t)(number >> (8 * (i % 4)));
        at[MONATT_SLOT_SHA384 + i] = byte;
        if (i < 32) {
            at[MONATT_SLOT_SHA256 + i] = byte;
        }
        if (i < 4) {
            at[MONATT_SLOT_CONTENT + i] = byte;
        }
    }
    produced++;
}

/* Whether the device had to be told. */
static uint32_t submit(void)
{
    *header(MONATT_RING_PRODUCED) = produced;
    __sync_synchronize();
    if (*header(MONATT_RING_DEVICE_FLAGS) & MONATT_RING_WANT_DOORBELL) {
        wr(MONATT_REG_DOORBELL, 1);
        return 1;
    }
    return 0;
}

static void wait_consumed(uint32_t left)
{
    while (produced - *header(MONATT_RING_CONSUMED) > left) {
        __asm__ volatile("pause");
    }
}

static uint32_t result(uint32_t count)
{
    return *cell(slot(count), MONATT_SLOT_RESULT);
}

static void do_ring(uint32_t count)
{
    uint32_t errors = ring_on() == MONATT_RING_ON ? 0 : 1000000;
    uint32_t doorbells = 0;
    for (uint32_t i = 0; errors == 0 && i < count; i++) {
        if (i >= SLOTS) {
            wait_consumed(SLOTS - 1);
            errors += result(i) != MONATT_ERR_NONE; /* its slot is that of i - SLOTS */
        }
        fill(i);
        doorbells += submit();
    }
    if (errors == 0) {
        wait_consumed(0);
        for (uint32_t i = count < SLOTS ? 0 : count - SLOTS; i < count; i++) {
            errors += result(i) != MONATT_ERR_NONE;
        }
    }
    put_text("ring");
    put_number(errors);
    put_number(doorbells);
}

static void do_shadow(void)
{
    uint32_t different = 0;
    shadow[0] = 0xff;
    wr(MONATT_REG_SHADOW_ADDRESS, (uint32_t)(uintptr_t)shadow);
    wr(MONATT_REG_SHADOW_ADDRESS + 4, 0);
    wr(MONATT_REG_SHADOW_CONTROL, 1);
    different += rd(MONATT_REG_SHADOW_CONTROL) != MONATT_RING_ON;
    while (rd(MONATT_REG_PENDING) != 0) {
    }
    for (uint32_t i = 0; i < MONATT_BAR2_SIZE; i += 4) {
        different += *cell(shadow, i) != *cell(bar2, i);
    }
    put_text("shadow");
    put_number(different);
}

static bool interrupts_on(void)
{
    if (!(rd(MONATT_REG_CAPABILITIES) & MONATT_CAP_INTERRUPT)) {
        return false;
    }
    interrupts = spurious = 0;
    interrupts_init(pci_read(slot_of_device, 0x3c) & 15);
    *header(MONATT_RING_GUEST_FLAGS) = MONATT_RING_WANT_INTERRUPT;
    wr(MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING);
    wr(MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING);
    return true;
}

static void interrupts_off(void)
{
    interrupts_allow(false);
    wr(MONATT_REG_INTERRUPT_ENABLE, 0);
    *header(MONATT_RING_GUEST_FLAGS) = 0;
}

static void await_interrupt(uint32_t count)
{
    while (interrupts < count) {
        /* sti takes effect after the next instruction: none is lost between look and halt. */
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}

static void do_interrupts(uint32_t count)
{
    ring_on();
    if (!interrupts_on()) {
        put_text("none");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = interrupts;
        fill(i);
        submit();
        await_interrupt(before + 1);
        wait_consumed(0);
    }
    interrupts_off();
    put_text("interrupt");
    put_number(interrupts);
    put_number(spurious);
}

/* A reason that is left standing comes back; acknowledged, it does not. */
static void do_standing(uint32_t count)
{
    ring_on();
    if (!interrupts_on()) {
        put_text("none");
        return;
    }
    acknowledge = false;
    fill(0);
    submit();
    await_interrupt(count);
    acknowledge = true;
    wr(MONATT_REG_INTERRUPT_STATUS, MONATT_INTERRUPT_RING);
    uint32_t before = interrupts;
    interrupts_allow(true);
    for (uint32_t i = 0; i < 3000; i++) {
        (void)rd(MONATT_REG_STATUS); /* a trapped access each: longer than the longest pause */
    }
    interrupts_off();
    put_text("standing");
    put_number(interrupts - before);
}

static void do_off(void)
{
    pci_write16(slot_of_device, COMMAND, MEMORY);
    put_text("off");
    put_number(rd(MONATT_REG_RING_CONTROL));
    put_number(rd(MONATT_REG_SHADOW_CONTROL));
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Everything the device lets a guest write, except what takes the BARs away from us. */
static void do_hostile(uint32_t count, uint32_t seed)
{
    uint32_t state = seed | 1;
    uint32_t base0 = pci_read(slot_of_device, 0x10);
    uint32_t base2 = pci_read(slot_of_device, 0x18);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t random = next_random(&state);
        uint32_t value = next_random(&state);
        switch (random >> 28) {
        case 0:
            pci_write32(slot_of_device, random & 0xfc, value);
            pci_write32(slot_of_device, 0x10, base0);
            pci_write32(slot_of_device, 0x18, base2);
            pci_write16(slot_of_device, COMMAND, (uint16_t)(MEMORY | (value & BUS_MASTER)));
            break;
        case 1:
            ring_on();
            break;
        case 2:
            bar2[random & 0xfff] = (uint8_t)value;
            break;
        case 3:
            bar0[random & 0xfff] = (uint8_t)value;
            break;
        case 4:
            wr(random & 0x8c, value & 1 ? (uint32_t)(uintptr_t)ring : value >> (random & 31));
            break;
        case 5:
            wr(random & 0xffc, value);
            break;
        case 6:
        case 7:
            *header(MONATT_RING_PRODUCED) = *header(MONATT_RING_CONSUMED) + (random & 31);
            wr(MONATT_REG_DOORBELL, value);
            break;
        default:
            ring[random % sizeof(ring)] = (uint8_t)(value & (random & 256 ? 3 : 255));
            break;
        }
    }
    pci_write32(slot_of_device, 0x10, base0);
    pci_write32(slot_of_device, 0x18, base2);
    pci_write16(slot_of_device, COMMAND, MEMORY);
    put_text("hostile");
}

static bool find_device(void)
{
    for (slot_of_device = 0; slot_of_device < BUSES * 32; slot_of_device++) {
        if (pci_read(slot_of_device, 0) ==
            ((uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR)) {
            bar0 = (volatile uint8_t *)(uintptr_t)(pci_read(slot_of_device, 0x10) & ~15u);
            bar2 = (volatile uint8_t *)(uintptr_t)(pci_read(slot_of_device, 0x18) & ~15u);
            pci_write16(slot_of_device, COMMAND, MEMORY);
            return rd(MONATT_REG_MAGIC) == MONATT_MAGIC;
        }
    }
    return false;
}

void payload_main(void)
{
    char line[LINE_MAXIMUM];
    bool found = find_device();
    put_text(found ? "ready" : "missing");
    if (found) {
        put_number(rd(MONATT_REG_CAPABILITIES));
    }
    for (;;) {
        put_char('\n');
        get_line(line);
        const char *rest = line + 1;
        uint32_t count = line[0] ? next_number(&rest) : 0;
        switch (line[0]) {
        case 'r':
            do_ring(count);
            break;
        case 's':
            do_shadow();
            break;
        case 'i':
            do_interrupts(count);
            break;
        case 'u':
            do_standing(count);
            break;
        case 'o':
            do_off();
            break;
        case 'h':
            do_hostile(count, next_number(&rest));
            break;
        default:
            put_text("what?");
            break;
        }
    }
}
