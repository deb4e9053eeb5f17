/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-registers.c - PCI identity, and every row of BAR0 and BAR2: access, size, what lies between
 */
#include "tests/device/firmware/firmware.h"

#define PCI_COMMAND 0x04
#define PCI_BAR0 0x10
#define PCI_BAR2 0x18

static uint32_t sized(uint32_t bar)
{
    uint32_t before = config_read(bar);
    config_write(PCI_COMMAND, 0); /* or the BAR would lie at the end of the memory meanwhile */
    config_write(bar, ~0u);
    uint32_t size = ~config_read(bar) + 1;
    config_write(bar, before);
    config_write(PCI_COMMAND, 2);
    return size;
}

void check_pci(void)
{
    check("PCI: class and revision", config_read(0x08), MONATT_PCI_CLASS << 8 | MONATT_MAP_VERSION);
    check("PCI: subsystem", config_read(0x2c),
          (uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR);
    check("PCI: header type 0", config_read(0x0c) & 0xff0000, 0);
    check("PCI: no capability list", config_read(PCI_COMMAND) & 0x100000, 0);
    check("PCI: BAR0 size", sized(PCI_BAR0), MONATT_BAR0_SIZE);
    check("PCI: BAR2 size", sized(PCI_BAR2), MONATT_BAR2_SIZE);
    check("PCI: no BAR1", config_read(0x14), 0);
    check("PCI: no expansion ROM", sized(0x30), 0);
    for (uint32_t offset = 0; offset < 12; offset += 8) {
        uint32_t before = config_read(offset);
        config_write(offset, ~before);
        check("PCI: identity is read-only", config_read(offset), before);
    }
    config_write(PCI_COMMAND, 0xffffffff);
    check("PCI: of the command register the bits that mean something",
          config_read(PCI_COMMAND) & 0xffff, 0x0407);
    config_write(PCI_COMMAND, 0);
    check("PCI: without memory space BAR0 is not there", read0(MONATT_REG_MAGIC) != MONATT_MAGIC,
          true);
    config_write(PCI_COMMAND, 2);
}

typedef enum Access { RO, WO, RW, STATE } Access;

/* Words of 4 bytes; STATE: only some values do something, 0x01020304 is none of them. */
static const struct {
    const char *name;
    uint32_t offset;
    Access access;
    uint32_t needs;
} words[] = {
    {"REG_MAGIC", MONATT_REG_MAGIC, RO, 0},
    {"REG_VERSION", MONATT_REG_VERSION, RO, 0},
    {"REG_CAPABILITIES", MONATT_REG_CAPABILITIES, RO, 0},
    {"REG_STATUS", MONATT_REG_STATUS, RO, 0},
    {"REG_COMMAND", MONATT_REG_COMMAND, WO, 0},
    {"REG_INDEX", MONATT_REG_INDEX, RW, 0},
    {"REG_DATA_SIZE", MONATT_REG_DATA_SIZE, RW, 0},
    {"REG_ERROR", MONATT_REG_ERROR, RO, 0},
    {"REG_PENDING", MONATT_REG_PENDING, RO, 0},
    {"REG_BOOT_COUNT", MONATT_REG_BOOT_COUNT, RO, 0},
    {"REG_INTERRUPT_STATUS", MONATT_REG_INTERRUPT_STATUS, STATE, MONATT_CAP_INTERRUPT},
    {"REG_INTERRUPT_ENABLE", MONATT_REG_INTERRUPT_ENABLE, STATE, MONATT_CAP_INTERRUPT},
    {"REG_NONCE", MONATT_REG_NONCE, RO, 0},
    {"REG_NONCE, its end", MONATT_REG_NONCE + 28, RO, 0},
    {"REG_RING_ADDRESS, low", MONATT_REG_RING_ADDRESS, RW, MONATT_CAP_RING},
    {"REG_RING_ADDRESS, high", MONATT_REG_RING_ADDRESS + 4, RW, MONATT_CAP_RING},
    {"REG_RING_SLOTS", MONATT_REG_RING_SLOTS, RW, MONATT_CAP_RING},
    {"REG_RING_CONTROL", MONATT_REG_RING_CONTROL, STATE, MONATT_CAP_RING},
    {"REG_DOORBELL", MONATT_REG_DOORBELL, WO, MONATT_CAP_RING},
    {"REG_RING_ERROR", MONATT_REG_RING_ERROR, RO, MONATT_CAP_RING},
    {"REG_SHADOW_ADDRESS, low", MONATT_REG_SHADOW_ADDRESS, RW, MONATT_CAP_SHADOW},
    {"REG_SHADOW_ADDRESS, high", MONATT_REG_SHADOW_ADDRESS + 4, RW, MONATT_CAP_SHADOW},
    {"REG_SHADOW_CONTROL", MONATT_REG_SHADOW_CONTROL, STATE, MONATT_CAP_SHADOW},
    {"REG_REPORT_STATE", MONATT_REG_REPORT_STATE, RO, MONATT_CAP_REPORT},
    {"REG_REPORT_SIZE", MONATT_REG_REPORT_SIZE, RO, MONATT_CAP_REPORT},
    {"REG_REPORT_OFFSET", MONATT_REG_REPORT_OFFSET, RW, MONATT_CAP_REPORT},
    {"REG_DATA", MONATT_REG_DATA, RW, 0},
    {"REG_DATA, its end", MONATT_REG_DATA + MONATT_DATA_SIZE - 4, RW, 0},
};

static void check_word(unsigned i)
{
    const uint32_t value = 0x01020304;
    uint32_t before = read0(words[i].offset);
    uint32_t wanted = words[i].access == RW ? value : words[i].access == WO ? 0 : before;
    if (words[i].needs && !(machine.capabilities & words[i].needs)) {
        wanted = 0;
    }
    write0(words[i].offset, value);
    check(words[i].name, read0(words[i].offset), wanted);
    write0(words[i].offset, words[i].access == RW ? 0 : value);
}

static bool is_named(uint32_t offset)
{
    if (offset >= MONATT_REG_DATA) {
        return offset < MONATT_REG_DATA + MONATT_DATA_SIZE;
    }
    return offset < 0x30 || (offset >= MONATT_REG_NONCE && offset < 0x90);
}

static void check_sizes(void)
{
    volatile uint8_t *bytes = (volatile uint8_t *)machine.bar0;
    volatile uint16_t *halves = (volatile uint16_t *)machine.bar0;
    check("a byte of a register", bytes[MONATT_REG_MAGIC + 1], MONATT_MAGIC >> 8 & 0xff);
    check("half of a register", halves[MONATT_REG_MAGIC / 2 + 1], MONATT_MAGIC >> 16);
    write0(MONATT_REG_INDEX, 7);
    bytes[MONATT_REG_INDEX] = 1;
    halves[MONATT_REG_INDEX / 2] = 2;
    check("a register takes 4 bytes only", read0(MONATT_REG_INDEX), 7);
    write0(MONATT_REG_DATA, 0x44332211);
    bytes[MONATT_REG_DATA + 1] = 0xaa;
    check("the window takes a byte", read0(MONATT_REG_DATA), 0x4433aa11);
    halves[MONATT_REG_DATA / 2 + 1] = 0xbbcc;
    check("the window takes two bytes", read0(MONATT_REG_DATA), 0xbbccaa11);
    check("and gives two", halves[MONATT_REG_DATA / 2], 0xaa11);
    bytes[MONATT_REG_COMMAND] = MONATT_CMD_LIST_BEGIN;
    check("a command is 4 bytes", command(MONATT_CMD_LIST_APPEND), MONATT_ERR_SEQUENCE);
}

static void check_holes(void)
{
    uint32_t first = 0;
    for (uint32_t offset = 0; offset < MONATT_BAR0_SIZE && !first; offset += 4) {
        if (!is_named(offset)) {
            write0(offset, ~0u);
            first = read0(offset) != 0 ? offset : 0;
        }
    }
    check("offsets of no register read 0", first, 0);
}

static void check_bar2(void)
{
    uint32_t sequence = load32(machine.bar2 + MONATT_BAR2_SEQUENCE);
    check("BAR2_SEQUENCE is even at rest", sequence & 1, 0);
    check("BAR2_COUNT", load32(machine.bar2 + MONATT_BAR2_COUNT), REGISTERS);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < REGISTERS; i++) {
        uint32_t entry = machine.bar2 + MONATT_BAR2_ENTRY + i * MONATT_BAR2_ENTRY_SIZE;
        uint32_t start = i >= 17 && i <= 22 ? ~0u : 0;
        for (uint32_t at = 0; at < MONATT_BAR2_ENTRY_SIZE; at += 4) {
            uint32_t seen = load32(entry + at);
            /* The host may have measured its boot items into MR20 by now. */
            bad += i != 20 && seen != (at < MONATT_ENTRY_EXTENDS ? start : 0);
            store32(entry + at, ~seen);
        }
    }
    check("BAR2: start values", bad, 0);
    check("BAR2 takes no write", load32(machine.bar2 + MONATT_BAR2_ENTRY), 0);
    bad = 0;
    for (uint32_t at = MONATT_BAR2_COUNT + 4; at < MONATT_BAR2_ENTRY; at += 4) {
        bad += load32(machine.bar2 + at) != 0;
    }
    for (uint32_t at = MONATT_BAR2_ENTRY + REGISTERS * MONATT_BAR2_ENTRY_SIZE;
         at < MONATT_BAR2_SIZE; at += 4) {
        bad += load32(machine.bar2 + at) != 0;
    }
    check("BAR2: the rest reads 0", bad, 0);
}

void check_registers(void)
{
    check("the magic number", read0(MONATT_REG_MAGIC), MONATT_MAGIC);
    check("the version", read0(MONATT_REG_VERSION), MONATT_MAP_VERSION);
    check("ready", read0(MONATT_REG_STATUS), MONATT_STATUS_READY);
    check_bar2();
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        check_word(i);
    }
    check("an unknown command was one", read0(MONATT_REG_ERROR), MONATT_ERR_COMMAND);
    check_sizes();
    check_holes();
}
