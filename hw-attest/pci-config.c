/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-config.c - identity and two BARs; must never let a write reach a read-only byte
 */
#include "hw-attest/pci-config.h"

#include <string.h>
#include "hw-attest/register-map.h"

#define COMMAND 0x04
#define BUS_MASTER 0x04
#define INTERRUPT_DISABLE 0x0400
#define CACHE_LINE 0x0c
#define BAR0 0x10
#define BAR2 0x18
#define SUBSYSTEM 0x2c
#define INTERRUPT_LINE 0x3c
#define INTERRUPT_PIN 0x3d

static void put(PciConfig *config, uint32_t offset, uint32_t value, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        config->bytes[offset + i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get(const PciConfig *config, uint32_t offset, uint32_t size)
{
    uint32_t value = 0;
    for (uint32_t i = size; i > 0; i--) {
        value = value << 8 | config->bytes[offset + i - 1];
    }
    return value;
}

void pci_config_init(PciConfig *config)
{
    memset(config, 0, sizeof(*config));
    put(config, 0x00, MONATT_PCI_VENDOR, 2);
    put(config, 0x02, MONATT_PCI_DEVICE, 2);
    put(config, 0x08, MONATT_MAP_VERSION, 1);
    put(config, 0x09, MONATT_PCI_CLASS, 3);
    put(config, SUBSYSTEM, MONATT_PCI_VENDOR, 2);
    put(config, SUBSYSTEM + 2, MONATT_PCI_DEVICE, 2);
}

static bool valid(uint32_t address, uint32_t size)
{
    return (size == 1 || size == 2 || size == 4) && address % size == 0;
}

uint32_t pci_config_read(const PciConfig *config, uint32_t address, uint32_t size)
{
    if (!valid(address, size)) {
        return UINT32_MAX;
    }
    return address < PCI_CONFIG_SIZE ? get(config, address, size) : 0;
}

void pci_config_write(PciConfig *config, uint32_t address, uint32_t value, uint32_t size)
{
    if (!valid(address, size) || address >= PCI_CONFIG_SIZE) {
        return;
    }
    switch (address & ~3u) {
    case BAR0:
    case BAR2: {
        /* Sizing: all ones come back with the size's bits clear (6.2.5.1). */
        uint32_t mask = address < BAR2 ? MONATT_BAR0_SIZE - 1 : MONATT_BAR2_SIZE - 1;
        put(config, address, value, size);
        put(config, address & ~3u, get(config, address & ~3u, 4) & ~mask, 4);
        break;
    }
    case COMMAND:
        if (address == COMMAND) {
            /* I/O space, memory space, bus master, interrupt disable; status is read-only. */
            put(config, COMMAND, value & 0x0407, size < 2 ? 1 : 2);
        } else if (address == COMMAND + 1) {
            put(config, COMMAND + 1, value & 0x04, 1);
        }
        break;
    case CACHE_LINE:
        if (address == CACHE_LINE) {
            put(config, CACHE_LINE, value, size < 2 ? 1 : 2);
        } else if (address == CACHE_LINE + 1) {
            put(config, CACHE_LINE + 1, value, 1);
        }
        break;
    case INTERRUPT_LINE:
        if (address == INTERRUPT_LINE) {
            put(config, INTERRUPT_LINE, value, 1);
        }
        break;
    default:
        break;
    }
}

bool pci_config_bus_master(const PciConfig *config)
{
    return get(config, COMMAND, 2) & BUS_MASTER;
}

bool pci_config_interrupts(const PciConfig *config)
{
    return !(get(config, COMMAND, 2) & INTERRUPT_DISABLE);
}

void pci_config_set_interrupt_pin(PciConfig *config, bool present)
{
    config->bytes[INTERRUPT_PIN] = present ? 1 : 0;
}

bool pci_config_find_bar(const PciConfig *config, uint64_t address, unsigned *ret_bar,
                         uint32_t *ret_offset)
{
    static const struct {
        unsigned bar;
        uint32_t offset;
        uint32_t size;
    } bars[] = {{0, BAR0, MONATT_BAR0_SIZE}, {2, BAR2, MONATT_BAR2_SIZE}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t base = get(config, bars[i].offset, 4);
        if (base != 0 && address >= base && address - base < bars[i].size) {
            *ret_bar = bars[i].bar;
            *ret_offset = (uint32_t)(address - base);
            return true;
        }
    }
    return false;
}
