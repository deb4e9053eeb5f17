/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registers-access.h - read and extend the device's registers from inside the guest
 */
#ifndef GUEST_REGISTERS_ACCESS_H
#define GUEST_REGISTERS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "guest/pci-device.h"
#include "hw-attest/register-map.h"
#include "libmonatt/formats/limits.h"

typedef struct RegistersValue {
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint64_t extends; /* since the VM's reset */
    uint64_t synced;  /* of those, confirmed by the device's TPM */
} RegistersValue;

/* index < MONATT_REGISTER_COUNT.  BUSY when it changes faster than it can be read. */
bool registers_access_read(PciDevice *device, uint32_t index, RegistersValue *ret,
                           MonattError *err) MONATT_MUST_CHECK;
/*
 * MR[index] <- H(MR[index] || digest); a NULL digest leaves that bank alone, one must be there.
 * content: what was measured, for the event log, may be NULL with size 0; LIMIT when it does not
 * fit beside the digests.  PERMISSION: the register belongs to the host; FAULT: device and TPM
 * disagree; BUSY: the device took nothing for EXTEND_PATIENCE_MS.
 */
bool registers_access_extend(PciDevice *device, uint32_t index, const uint8_t *sha256,
                             const uint8_t *sha384, const void *content, size_t content_size,
                             MonattError *err) MONATT_MUST_CHECK;
/* Executes a command of register-map.h, asking again while the device is busy.  what: for messages.
 */
bool registers_access_command(PciDevice *device, uint32_t command, const char *what,
                              MonattError *err) MONATT_MUST_CHECK;
/* A whole process list in pieces of the data window. */
bool registers_access_send_list(PciDevice *device, const uint8_t *bytes, size_t size,
                                MonattError *err) MONATT_MUST_CHECK;
/* What a MONATT_ERR_ of the device means to a user; returns false.  what: "extend". */
bool registers_access_refuse(uint32_t code, const char *what, MonattError *err);
/* An entry of BAR2's layout, from wherever it was copied. */
void registers_access_decode(const uint8_t entry[MONATT_BAR2_ENTRY_SIZE], RegistersValue *ret);

#endif
