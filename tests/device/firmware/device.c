/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - finds the device by configuration cycles and speaks its registers
 */
#include "tests/device/firmware/firmware.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define PCI_COMMAND 0x04
#define PCI_BAR0 0x10
#define PCI_BAR2 0x18

Machine machine;

uint32_t config_read(uint32_t offset)
{
    out32(CONFIG_ADDRESS, machine.function | (offset & 0xfc));
    return in32(CONFIG_DATA);
}

void config_write(uint32_t offset, uint32_t value)
{
    out32(CONFIG_ADDRESS, machine.function | (offset & 0xfc));
    out32(CONFIG_DATA, value);
}

bool find_device(void)
{
    for (uint32_t slot = 0; slot < 32; slot++) {
        machine.function = 0x80000000 | slot << 11;
        if (config_read(0) == ((uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR)) {
            machine.bar0 = config_read(PCI_BAR0) & ~15u;
            machine.bar2 = config_read(PCI_BAR2) & ~15u;
            config_write(PCI_COMMAND, 2); /* memory space, no bus mastering yet */
            return machine.bar0 != 0 && machine.bar2 != 0;
        }
    }
    return false;
}

uint32_t read0(uint32_t offset)
{
    return load32(machine.bar0 + offset);
}

void write0(uint32_t offset, uint32_t value)
{
    store32(machine.bar0 + offset, value);
}

void fill_digest(volatile uint8_t *to, unsigned size, uint32_t seed)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = (uint8_t)(seed * 7 + i * 13);
    }
}

uint32_t command(uint32_t value)
{
    write0(MONATT_REG_COMMAND, value);
    return read0(MONATT_REG_ERROR);
}

uint32_t extend(uint32_t index, uint32_t banks, uint32_t seed, uint32_t size)
{
    uint8_t digests[80];
    unsigned used = 0;
    if (banks & MONATT_CMD_EXTEND_SHA256) {
        fill_digest(digests, 32, seed);
        used = 32;
    }
    if (banks & MONATT_CMD_EXTEND_SHA384) {
        fill_digest(digests + used, 48, seed);
        used += 48;
    }
    for (unsigned i = 0; i < used; i += 4) {
        uint32_t word;
        __builtin_memcpy(&word, digests + i, 4);
        write0(MONATT_REG_DATA + i, word);
    }
    write0(MONATT_REG_INDEX, index);
    write0(MONATT_REG_DATA_SIZE, used + size);
    uint32_t error = command(banks);
    if (error == MONATT_ERR_NONE) {
        report_extends(index, banks, seed, 1);
    }
    return error;
}

void report_extends(uint32_t index, uint32_t banks, uint32_t seed, uint32_t count)
{
    const uint32_t values[] = {index, banks, seed, count};
    say("x");
    for (unsigned i = 0; i < 4; i++) {
        say(" ");
        say_number(values[i]);
    }
    say("\n");
}

void report_reset(uint32_t index)
{
    report_extends(index, 0, 0, 1);
}

void wait_synced(void)
{
    while (read0(MONATT_REG_PENDING) != 0) {
    }
}
