/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-config.h - the device's PCI configuration space (PCI Local Bus 3.0, 6.1 and 6.2.5)
 */
#ifndef HW_ATTEST_PCI_CONFIG_H
#define HW_ATTEST_PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_CONFIG_SIZE 256

typedef struct PciConfig {
    uint8_t bytes[PCI_CONFIG_SIZE];
} PciConfig;

void pci_config_init(PciConfig *config);
/* All ones for an access that is not 1, 2 or 4 aligned bytes, zeros beyond 256. */
uint32_t pci_config_read(const PciConfig *config, uint32_t address, uint32_t size);
void pci_config_write(PciConfig *config, uint32_t address, uint32_t value, uint32_t size);
/* May the device use the guest's memory now (6.2.2, bit 2)? */
bool pci_config_bus_master(const PciConfig *config);
/* May it interrupt (6.2.2, bit 10)? */
bool pci_config_interrupts(const PciConfig *config);
/* Whether there is an INTA#, which the guest's firmware then routes (6.2.4). */
void pci_config_set_interrupt_pin(PciConfig *config, bool present);
/* Which BAR (0 or 2) a bus address lies in and where; false: in none. */
bool pci_config_find_bar(const PciConfig *config, uint64_t address, unsigned *ret_bar,
                         uint32_t *ret_offset);

#endif
