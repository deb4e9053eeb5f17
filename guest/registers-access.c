/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registers-access.c - read and extend the device's registers from inside the guest
 *
 * Each access to the device traps, so they are few and wide.  Must never repeat an extend whose
 * outcome it does not know: only "busy" says that nothing was done.
 */
#include "guest/registers-access.h"

#include <string.h>
#include <time.h>
#include "hw-attest/register-map.h"

#define READ_TRIES 1000          /* an entry changes in microseconds, a read of it takes longer */
#define EXTEND_PATIENCE_MS 10000 /* a reset of the VM's TPM and a loaded host */
#define EXTEND_PAUSE_MS 2

void registers_access_decode(const uint8_t entry[MONATT_BAR2_ENTRY_SIZE], RegistersValue *ret)
{
    memcpy(ret->sha256, entry + MONATT_ENTRY_SHA256, sizeof(ret->sha256));
    memcpy(ret->sha384, entry + MONATT_ENTRY_SHA384, sizeof(ret->sha384));
    memcpy(&ret->extends, entry + MONATT_ENTRY_EXTENDS, sizeof(ret->extends));
    memcpy(&ret->synced, entry + MONATT_ENTRY_SYNCED, sizeof(ret->synced));
}

bool registers_access_read(PciDevice *device, uint32_t index, RegistersValue *ret, MonattError *err)
{
    uint8_t entry[MONATT_BAR2_ENTRY_SIZE];
    uint32_t at = MONATT_BAR2_ENTRY + index * MONATT_BAR2_ENTRY_SIZE;
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t before = pci_device_read32(device->bar2, MONATT_BAR2_SEQUENCE);
        pci_device_read_bytes(device->bar2, at, entry, sizeof(entry));
        uint32_t after = pci_device_read32(device->bar2, MONATT_BAR2_SEQUENCE);
        if (before == UINT32_MAX && after == UINT32_MAX) {
            return monatt_error_set(err, MONATT_ERROR_MISSING,
                                    "attest device '%s': does not answer", device->name);
        }
        if (before != after || (before & 1) != 0) {
            continue;
        }
        registers_access_decode(entry, ret);
        return true;
    }
    return monatt_error_set(err, MONATT_ERROR_BUSY,
                            "register %u: read: it changed %d times meanwhile", index, READ_TRIES);
}

bool registers_access_refuse(uint32_t code, const char *what, MonattError *err)
{
    switch (code) {
    case MONATT_ERR_INDEX:
        return monatt_error_set(err, MONATT_ERROR_USAGE, "%s: there is no such register", what);
    case MONATT_ERR_LOCALITY:
        monatt_error_set(err, MONATT_ERROR_PERMISSION, "%s: the register belongs to the host",
                         what);
        return monatt_error_hint(err, "a guest extends MR0 to MR16 and MR23");
    case MONATT_ERR_SIZE:
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "%s: the device takes no such size", what);
    case MONATT_ERR_BUSY:
        monatt_error_set(err, MONATT_ERROR_BUSY, "%s: device busy for %d s", what,
                         EXTEND_PATIENCE_MS / 1000);
        return monatt_error_hint(err, "the host's disk may be full, or its TPM may hang");
    case MONATT_ERR_FAULT:
        monatt_error_set(err, MONATT_ERROR_FAULT, "%s: device and its TPM disagree", what);
        return monatt_error_hint(err, "a reset of the VM mends it; nothing was extended");
    case MONATT_ERR_FULL:
        monatt_error_set(err, MONATT_ERROR_LIMIT, "%s: the guest's share of the event log is full",
                         what);
        return monatt_error_hint(err, "a reset of the VM begins a new one");
    case UINT32_MAX:
        return monatt_error_set(err, MONATT_ERROR_MISSING, "%s: device does not answer any more",
                                what);
    default:
        return monatt_error_set(err, MONATT_ERROR_PEER, "%s: device says error %u", what, code);
    }
}

bool registers_access_command(PciDevice *device, uint32_t command, const char *what,
                              MonattError *err)
{
    const struct timespec pause = {.tv_nsec = EXTEND_PAUSE_MS * 1000000L};
    uint32_t code = MONATT_ERR_BUSY;
    for (int waited = 0; code == MONATT_ERR_BUSY && waited <= EXTEND_PATIENCE_MS;
         waited += EXTEND_PAUSE_MS) {
        if (waited > 0) {
            nanosleep(&pause, NULL);
        }
        pci_device_write32(device->bar0, MONATT_REG_COMMAND, command);
        code = pci_device_read32(device->bar0, MONATT_REG_ERROR);
    }
    return code == MONATT_ERR_NONE || registers_access_refuse(code, what, err);
}

bool registers_access_extend(PciDevice *device, uint32_t index, const uint8_t *sha256,
                             const uint8_t *sha384, const void *content, size_t content_size,
                             MonattError *err)
{
    uint8_t window[MONATT_DATA_SIZE];
    size_t used = 0;
    uint32_t command = 0;
    if (sha256) {
        memcpy(window, sha256, MONATT_SHA256_SIZE);
        used += MONATT_SHA256_SIZE;
        command |= MONATT_CMD_EXTEND_SHA256;
    }
    if (sha384) {
        memcpy(window + used, sha384, MONATT_SHA384_SIZE);
        used += MONATT_SHA384_SIZE;
        command |= MONATT_CMD_EXTEND_SHA384;
    }
    if (content_size > sizeof(window) - used) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "extend: content of %zu bytes, the limit is %zu", content_size,
                                sizeof(window) - used);
    }
    if (content_size > 0) {
        memcpy(window + used, content, content_size);
        used += content_size;
    }
    pci_device_write_bytes(device->bar0, MONATT_REG_DATA, window, used);
    pci_device_write32(device->bar0, MONATT_REG_INDEX, index);
    pci_device_write32(device->bar0, MONATT_REG_DATA_SIZE, (uint32_t)used);
    return registers_access_command(device, command, "extend", err);
}

static bool append(PciDevice *device, const uint8_t *bytes, size_t size, MonattError *err)
{
    for (size_t at = 0; at < size; at += MONATT_DATA_SIZE) {
        size_t part = size - at < MONATT_DATA_SIZE ? size - at : MONATT_DATA_SIZE;
        pci_device_write_bytes(device->bar0, MONATT_REG_DATA, bytes + at, part);
        pci_device_write32(device->bar0, MONATT_REG_DATA_SIZE, (uint32_t)part);
        if (!registers_access_command(device, MONATT_CMD_LIST_APPEND, "process list", err)) {
            return false;
        }
    }
    return true;
}

bool registers_access_send_list(PciDevice *device, const uint8_t *bytes, size_t size,
                                MonattError *err)
{
    return registers_access_command(device, MONATT_CMD_LIST_BEGIN, "process list", err) &&
           append(device, bytes, size, err) &&
           registers_access_command(device, MONATT_CMD_LIST_END, "process list", err);
}
