/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-device.c - the attest device from inside the guest, through its driver or without one
 *
 * Must never fall back to the BARs when a driver is there: it owns the device, and two users of
 * one data window would extend each other's digests.
 */
#include "guest/guest-device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "hw-attest/register-map.h"

#define REPORT_POLL_MS 100
#define REPORT_POLLS 700 /* ten seconds more than the device waits for its host */

static bool refuse_open(const char *path, int error, MonattError *err)
{
    monatt_error_set_errno(err, error, "attest device's driver: '%s'", path);
    if (error == EACCES || error == EPERM) {
        err->code = MONATT_ERROR_PERMISSION;
        return monatt_error_hint(err, "run as root");
    }
    return false;
}

static bool driver_info(int driver, struct monatt_info *ret, MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    if (ioctl(driver, MONATT_IOC_INFO, ret) != 0) {
        return monatt_error_set_errno(err, errno, "attest device's driver: status");
    }
    return true;
}

static bool check_driver(GuestDevice *device, MonattError *err)
{
    struct monatt_info info;
    if (!driver_info(device->driver, &info, err)) {
        return false;
    }
    if (info.driver_version != MONATT_DRIVER_VERSION) {
        monatt_error_set(err, MONATT_ERROR_FORMAT,
                         "attest device's driver: version %u, this program knows %u",
                         info.driver_version, MONATT_DRIVER_VERSION);
        return monatt_error_hint(err, "use monatt-guest and driver of one release");
    }
    snprintf(device->name, sizeof(device->name), "%.*s", (int)sizeof(info.pci_name), info.pci_name);
    return true;
}

bool guest_device_open(GuestDevice *device, const char *driver, const char *sysfs, MonattError *err)
{
    memset(device, 0, sizeof(*device));
    device->pci.lock_fd = -1;
    device->driver = open(driver, O_RDWR | O_CLOEXEC);
    if (device->driver >= 0) {
        if (!check_driver(device, err)) {
            guest_device_close(device);
            return false;
        }
        return true;
    }
    if (errno != ENOENT && errno != ENXIO && errno != ENODEV && errno != ENOTDIR) {
        return refuse_open(driver, errno, err);
    }
    if (!pci_device_open(&device->pci, sysfs, err)) {
        return false;
    }
    memcpy(device->name, device->pci.name, sizeof(device->name));
    return true;
}

void guest_device_close(GuestDevice *device)
{
    monatt_close_pointer(&device->driver);
    pci_device_close(&device->pci);
}

bool guest_device_lock(GuestDevice *device, MonattError *err)
{
    return device->driver >= 0 || pci_device_lock(&device->pci, err);
}

void guest_device_unlock(GuestDevice *device)
{
    if (device->driver < 0) {
        pci_device_unlock(&device->pci);
    }
}

bool guest_device_info(GuestDevice *device, GuestDeviceInfo *ret, MonattError *err)
{
    const volatile uint8_t *bar0 = device->pci.bar0;
    struct monatt_info info;
    memset(ret, 0, sizeof(*ret));
    if (device->driver < 0) {
        ret->map_version = pci_device_read32(bar0, MONATT_REG_VERSION);
        ret->capabilities = pci_device_read32(bar0, MONATT_REG_CAPABILITIES);
        ret->status = pci_device_read32(bar0, MONATT_REG_STATUS);
        ret->pending = pci_device_read32(bar0, MONATT_REG_PENDING);
        ret->boot_count = pci_device_read32(bar0, MONATT_REG_BOOT_COUNT);
        pci_device_read_bytes(bar0, MONATT_REG_NONCE, ret->nonce, sizeof(ret->nonce));
        return true;
    }
    if (!driver_info(device->driver, &info, err)) {
        return false;
    }
    ret->driver_version = info.driver_version;
    ret->map_version = info.map_version;
    ret->capabilities = info.capabilities;
    ret->status = info.status;
    ret->features = info.features;
    ret->ring_slots = info.ring_slots;
    ret->pending = info.pending;
    ret->boot_count = info.boot_count;
    memcpy(ret->nonce, info.nonce, sizeof(ret->nonce));
    return true;
}

bool guest_device_read(GuestDevice *device, uint32_t index, RegistersValue *ret, MonattError *err)
{
    uint8_t page[MONATT_BAR2_SIZE];
    if (device->driver < 0) {
        return registers_access_read(&device->pci, index, ret, err);
    }
    ssize_t got = read(device->driver, page, sizeof(page));
    if (got != (ssize_t)sizeof(page)) {
        return monatt_error_set_errno(err, got < 0 ? errno : EIO,
                                      "register %u: read through the driver", index);
    }
    registers_access_decode(page + MONATT_BAR2_ENTRY + index * MONATT_BAR2_ENTRY_SIZE, ret);
    return true;
}

static bool submit_by_registers(GuestDevice *device, struct monatt_slot *slot, MonattError *err)
{
    if (slot->operation == MONATT_RING_RESET) {
        pci_device_write32(device->pci.bar0, MONATT_REG_INDEX, slot->index);
        return registers_access_command(&device->pci, MONATT_CMD_RESET_REGISTER, "reset", err);
    }
    return registers_access_extend(&device->pci, slot->index,
                                   slot->banks & MONATT_SLOT_BANK_SHA256 ? slot->sha256 : NULL,
                                   slot->banks & MONATT_SLOT_BANK_SHA384 ? slot->sha384 : NULL,
                                   slot->content, slot->content_size, err);
}

static const char *name_of(const struct monatt_slot *slot)
{
    return slot->operation == MONATT_RING_RESET ? "reset" : "extend";
}

bool guest_device_submit(GuestDevice *device, struct monatt_slot *slots, uint32_t count,
                         uint32_t *ret_done, MonattError *err)
{
    *ret_done = 0;
    if (device->driver < 0) {
        while (*ret_done < count && submit_by_registers(device, &slots[*ret_done], err)) {
            ++*ret_done;
        }
        return *ret_done == count;
    }
    struct monatt_submit submit = {
        .slots = (uintptr_t)slots, .count = count, .slot_size = sizeof(*slots)};
    if (ioctl(device->driver, MONATT_IOC_SUBMIT, &submit) != 0) {
        int error = errno;
        monatt_error_set_errno(err, error, "%s: through the driver", name_of(slots));
        if (error == ENODEV) {
            err->code = MONATT_ERROR_PEER;
        }
        return false;
    }
    while (*ret_done < count && slots[*ret_done].result == MONATT_ERR_NONE) {
        ++*ret_done;
    }
    for (uint32_t i = *ret_done; i < count; i++) {
        if (slots[i].result == MONATT_ERR_NONE) {
            return monatt_error_set(err, MONATT_ERROR_PEER,
                                    "%s: the device did slot %u and not the one before it",
                                    name_of(&slots[i]), i);
        }
    }
    return *ret_done == count ||
           registers_access_refuse(slots[*ret_done].result, name_of(&slots[*ret_done]), err);
}

bool guest_device_send_list(GuestDevice *device, const uint8_t *bytes, size_t size,
                            MonattError *err)
{
    if (device->driver < 0) {
        return registers_access_send_list(&device->pci, bytes, size, err);
    }
    struct monatt_list list = {.data = (uintptr_t)bytes, .size = (uint32_t)size};
    if (ioctl(device->driver, MONATT_IOC_LIST, &list) != 0) {
        int error = errno;
        monatt_error_set_errno(err, error, "process list: through the driver");
        err->code = error == EBUSY ? MONATT_ERROR_BUSY : err->code;
        return false;
    }
    return true;
}

/* Why the host gave none, as MONATT_REG_REPORT_SIZE says. */
static bool refuse_report(uint32_t refusal, MonattError *err)
{
    static const char *const reasons[] = {
        [0] = "it does not say why",
        [MONATT_REFUSAL_TIME] = "its collector did not answer in time",
        [MONATT_REFUSAL_NOBODY] = "no collector runs there",
        [MONATT_REFUSAL_SESSION] = "its collector's keys are not certified",
        [MONATT_REFUSAL_USED] = "the same was asked before",
        [MONATT_REFUSAL_BUSY] = "others measure this VM",
        [MONATT_REFUSAL_LARGE] = "the evidence is too large",
        [MONATT_REFUSAL_FAILED] = "it could not be made",
    };
    const char *reason = refusal < MONATT_ARRAY_SIZE(reasons) ? reasons[refusal] : "unknown reason";
    monatt_error_set(err, MONATT_ERROR_REFUSED, "report: the host gives none: %s", reason);
    return monatt_error_hint(err, refusal == MONATT_REFUSAL_USED
                                      ? "draw a fresh inblob for each question"
                                      : "ask again later; the host's logs say more");
}

static bool report_by_driver(GuestDevice *device, const uint8_t *inblob, size_t inblob_size,
                             uint8_t *buffer, size_t *ret_size, MonattError *err)
{
    struct monatt_report report = {.buffer = (uintptr_t)buffer,
                                   .buffer_size = MONATT_GUEST_REPORT_MAXIMUM,
                                   .inblob_size = (uint32_t)inblob_size};
    memcpy(report.inblob, inblob, inblob_size);
    if (ioctl(device->driver, MONATT_IOC_REPORT, &report) == 0) {
        *ret_size = report.size;
        return report.size <= MONATT_GUEST_REPORT_MAXIMUM ||
               monatt_error_set(err, MONATT_ERROR_LIMIT, "report: %u bytes", report.size);
    }
    int error = errno;
    if (error == EACCES) {
        return refuse_report(0, err);
    }
    monatt_error_set_errno(err, error, "report: through the driver");
    if (error == EBUSY) {
        err->code = MONATT_ERROR_BUSY;
        return monatt_error_hint(err, "ask again in a minute");
    }
    err->code = error == EOPNOTSUPP ? MONATT_ERROR_MISSING : err->code;
    return false;
}

/* Waits without the lock: what the host measures meanwhile may need the device's list. */
static bool wait_for_report(GuestDevice *device, MonattError *err)
{
    const struct timespec pause = {.tv_nsec = REPORT_POLL_MS * 1000000L};
    const volatile uint8_t *bar0 = device->pci.bar0;
    for (int i = 0; i < REPORT_POLLS; i++) {
        uint32_t state = pci_device_read32(bar0, MONATT_REG_REPORT_STATE);
        if (state == MONATT_REPORT_READY) {
            return true;
        }
        if (state == MONATT_REPORT_REFUSED) {
            return refuse_report(pci_device_read32(bar0, MONATT_REG_REPORT_SIZE), err);
        }
        if (state != MONATT_REPORT_WAITING) {
            return monatt_error_set(err, MONATT_ERROR_PEER, "report: the device dropped it");
        }
        guest_device_unlock(device);
        nanosleep(&pause, NULL);
        if (!guest_device_lock(device, err)) {
            return false;
        }
    }
    return monatt_error_set(err, MONATT_ERROR_BUSY, "report: still waited for after %d s",
                            REPORT_POLLS * REPORT_POLL_MS / 1000);
}

static bool read_report(GuestDevice *device, uint8_t *buffer, size_t *ret_size, MonattError *err)
{
    volatile uint8_t *bar0 = device->pci.bar0;
    size_t size = pci_device_read32(bar0, MONATT_REG_REPORT_SIZE);
    if (size > MONATT_GUEST_REPORT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "report: %zu bytes", size);
    }
    for (size_t at = 0; at < size;) {
        uint8_t window[MONATT_DATA_SIZE];
        pci_device_write32(bar0, MONATT_REG_REPORT_OFFSET, (uint32_t)at);
        if (!registers_access_command(&device->pci, MONATT_CMD_REPORT_READ, "report", err)) {
            return false;
        }
        size_t part = pci_device_read32(bar0, MONATT_REG_DATA_SIZE);
        if (part < 1 || part > sizeof(window) || part > size - at) {
            return monatt_error_set(err, MONATT_ERROR_PEER, "report: %zu bytes at %zu of %zu", part,
                                    at, size);
        }
        pci_device_read_bytes(bar0, MONATT_REG_DATA, window, (part + 7) & ~(size_t)7);
        memcpy(buffer + at, window, part);
        at += part;
    }
    *ret_size = size;
    return true;
}

static bool report_by_registers(GuestDevice *device, const uint8_t *inblob, size_t inblob_size,
                                uint8_t *buffer, size_t *ret_size, MonattError *err)
{
    volatile uint8_t *bar0 = device->pci.bar0;
    if (!(pci_device_read32(bar0, MONATT_REG_CAPABILITIES) & MONATT_CAP_REPORT)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "report: this device gives none");
    }
    pci_device_write_bytes(bar0, MONATT_REG_DATA, inblob, inblob_size);
    pci_device_write32(bar0, MONATT_REG_DATA_SIZE, (uint32_t)inblob_size);
    if (!registers_access_command(&device->pci, MONATT_CMD_REPORT_BEGIN, "report", err)) {
        if (err && err->code == MONATT_ERROR_BUSY) {
            return monatt_error_hint(err, "one report at a time, one a minute in the long run");
        }
        return false;
    }
    return wait_for_report(device, err) && read_report(device, buffer, ret_size, err);
}

bool guest_device_report(GuestDevice *device, const uint8_t *inblob, size_t inblob_size,
                         uint8_t **ret_bytes, size_t *ret_size, MonattError *err)
{
    uint8_t *buffer MONATT_CLEANUP_FREE = malloc(MONATT_GUEST_REPORT_MAXIMUM);
    if (!buffer) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "report: no memory");
    }
    bool good = device->driver >= 0
                    ? report_by_driver(device, inblob, inblob_size, buffer, ret_size, err)
                    : report_by_registers(device, inblob, inblob_size, buffer, ret_size, err);
    if (good) {
        *ret_bytes = buffer;
        buffer = NULL;
    }
    return good;
}
