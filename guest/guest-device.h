/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-device.h - the attest device from inside the guest, through its driver or without one
 *
 * /dev/monatt when the Linux driver is there: it works under kernel lockdown, has the ring and
 * needs no lock.  Else the BARs, mapped through sysfs (pci-device.h), which other users of the
 * device are kept from while they are locked.
 */
#ifndef GUEST_GUEST_DEVICE_H
#define GUEST_GUEST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "guest/linux/monatt-ioctl.h"
#include "guest/pci-device.h"
#include "guest/registers-access.h"

typedef struct GuestDevice {
    int driver; /* -1: through the BARs */
    PciDevice pci;
    char name[PCI_DEVICE_NAME_SIZE]; /* "0000:00:02.0" */
} GuestDevice;

typedef struct GuestDeviceInfo {
    uint32_t driver_version; /* 0: no driver */
    uint32_t map_version;
    uint32_t capabilities; /* MONATT_CAP_* */
    uint32_t status;       /* MONATT_STATUS_* */
    uint32_t features;     /* MONATT_FEATURE_* in use */
    uint32_t ring_slots;
    uint32_t pending;
    uint32_t boot_count;
    uint8_t nonce[MONATT_NONCE_SIZE];
} GuestDeviceInfo;

/* driver: its device file, "/dev/monatt"; when nothing is there the BARs below sysfs.  Errors of
 * pci_device_open(); FORMAT: a driver of another version. */
bool guest_device_open(GuestDevice *device, const char *driver, const char *sysfs,
                       MonattError *err) MONATT_MUST_CHECK;
void guest_device_close(GuestDevice *device);
/* Open means locked; between uses others may have the device. */
bool guest_device_lock(GuestDevice *device, MonattError *err) MONATT_MUST_CHECK;
void guest_device_unlock(GuestDevice *device);

bool guest_device_info(GuestDevice *device, GuestDeviceInfo *ret,
                       MonattError *err) MONATT_MUST_CHECK;
bool guest_device_read(GuestDevice *device, uint32_t index, RegistersValue *ret,
                       MonattError *err) MONATT_MUST_CHECK;
/*
 * Extends and resets in their order, each with its result in its slot; *ret_done of them, from the
 * first on, are done, whatever is returned.  False with the error of the first that was not:
 * those of registers_access_extend().  PEER: what became of the rest is not known.
 */
bool guest_device_submit(GuestDevice *device, struct monatt_slot *slots, uint32_t count,
                         uint32_t *ret_done, MonattError *err) MONATT_MUST_CHECK;
/* A whole process list, as docs/formats/guest-list.md says. */
bool guest_device_send_list(GuestDevice *device, const uint8_t *bytes, size_t size,
                            MonattError *err) MONATT_MUST_CHECK;
/*
 * Evidence about this VM, a minute's patience: *ret_bytes is the caller's (free()).  inblob: 1 to
 * MONATT_INBLOB_MAXIMUM bytes.  REFUSED: the host gives none, the message says why when the device
 * did; BUSY: asked too often; MISSING: the device gives no reports.
 */
bool guest_device_report(GuestDevice *device, const uint8_t *inblob, size_t inblob_size,
                         uint8_t **ret_bytes, size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;

#endif
