/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-device.h - the attest device found on the guest's PCI bus and its two BARs mapped
 *
 * Through sysfs only, so that no kernel driver is needed.  While it is open no other monatt-guest
 * uses the device: index, data window and command are shared by all of them.
 */
#ifndef GUEST_PCI_DEVICE_H
#define GUEST_PCI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define PCI_DEVICE_NAME_SIZE 64 /* "0000:00:02.0" and longer domains */

typedef struct PciDevice {
    char name[PCI_DEVICE_NAME_SIZE];
    int lock_fd;            /* resource0, locked while the device is used */
    volatile uint8_t *bar0; /* NULL when not open */
    volatile uint8_t *bar2;
} PciDevice;

/*
 * sysfs: where it is mounted, "/sys".  Switches the device's memory space on when it is off.
 * MISSING: no attest device; PERMISSION: not root, or kernel lockdown; FORMAT: something that
 * answers like no attest device that is known here; SYSTEM.
 */
bool pci_device_open(PciDevice *device, const char *sysfs, MonattError *err) MONATT_MUST_CHECK;
/* Also of a device that could not be opened. */
void pci_device_close(PciDevice *device);
/* Between uses others may have the device; it stays mapped. */
bool pci_device_lock(PciDevice *device, MonattError *err) MONATT_MUST_CHECK;
void pci_device_unlock(PciDevice *device);

uint32_t pci_device_read32(volatile const uint8_t *bar, uint32_t offset);
uint64_t pci_device_read64(volatile const uint8_t *bar, uint32_t offset);
void pci_device_write32(volatile uint8_t *bar, uint32_t offset, uint32_t value);
/* offset and size are multiples of 8; each access traps, so they are as wide as they can be. */
void pci_device_read_bytes(volatile const uint8_t *bar, uint32_t offset, void *bytes, size_t size);
/* Any size; the last eight bytes written are padded with zeros. */
void pci_device_write_bytes(volatile uint8_t *bar, uint32_t offset, const void *bytes, size_t size);

#endif
