/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-device.c - the attest device found on the guest's PCI bus and its two BARs mapped
 *
 * Must never touch another device: vendor and device id are checked in sysfs before anything is
 * opened for writing, and the magic in BAR0 before anything is stored to it.
 */
#include "guest/pci-device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/register-map.h"

#define BUS_PATH_SIZE 1024 /* of /sys/bus/pci/devices */
#define DEVICE_PATH_SIZE (BUS_PATH_SIZE + PCI_DEVICE_NAME_SIZE + 1)
#define SYSFS_TEXT_SIZE 128 /* the files read here hold one short line */
#define PCI_DEVICES_MAXIMUM                                                                        \
    65536                    /* directory entries looked at: a domain's bus, slot, function        \
                              */
#define PCI_COMMAND_OFFSET 4 /* configuration space: command register */
#define PCI_COMMAND_MEMORY 0x2

/* The first line of DIRECTORY/NAME without its newline. */
static bool read_line(const char *directory, const char *name, char text[SYSFS_TEXT_SIZE],
                      MonattError *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return monatt_error_set_errno(err, errno, "attest device: '%s'", path);
    }
    ssize_t size = read(fd, text, SYSFS_TEXT_SIZE - 1);
    if (size < 0) {
        return monatt_error_set_errno(err, errno, "attest device: '%s'", path);
    }
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}

static bool has_number(const char *directory, const char *name, unsigned long wanted)
{
    char text[SYSFS_TEXT_SIZE];
    char *end;
    if (!read_line(directory, name, text, NULL)) {
        return false; /* it may have been unplugged a moment ago */
    }
    unsigned long value = strtoul(text, &end, 16);
    return end != text && *end == '\0' && value == wanted;
}

/* The folder of the first attest device. */
static bool find(const char *sysfs, char directory[DEVICE_PATH_SIZE],
                 char name[PCI_DEVICE_NAME_SIZE], MonattError *err)
{
    char bus[BUS_PATH_SIZE];
    if ((size_t)snprintf(bus, sizeof(bus), "%s/bus/pci/devices", sysfs) >= sizeof(bus)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "attest device: '%s': path is too long",
                                sysfs);
    }
    DIR *stream = opendir(bus);
    if (!stream) {
        monatt_error_set_errno(err, errno, "attest device: '%s'", bus);
        return monatt_error_hint(err, "is sysfs mounted at %s?", sysfs);
    }
    bool found = false;
    struct dirent *entry;
    for (unsigned i = 0; i < PCI_DEVICES_MAXIMUM && !found && (entry = readdir(stream)); i++) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= PCI_DEVICE_NAME_SIZE) {
            continue;
        }
        snprintf(directory, DEVICE_PATH_SIZE, "%s/%.*s", bus, PCI_DEVICE_NAME_SIZE - 1,
                 entry->d_name);
        found = has_number(directory, "vendor", MONATT_PCI_VENDOR) &&
                has_number(directory, "device", MONATT_PCI_DEVICE);
        if (found) {
            snprintf(name, PCI_DEVICE_NAME_SIZE, "%.*s", PCI_DEVICE_NAME_SIZE - 1, entry->d_name);
        }
    }
    closedir(stream);
    if (!found) {
        monatt_error_set(err, MONATT_ERROR_MISSING,
                         "attest device: on the PCI bus: this VM has none (%04x:%04x)",
                         MONATT_PCI_VENDOR, MONATT_PCI_DEVICE);
        return monatt_error_hint(err, "its host must start it through monatt-qemu");
    }
    return true;
}

/* Nobody but us uses the device as long as no driver is bound, so nobody else switches it on. */
static bool enable(const char *directory, const char *name, MonattError *err)
{
    char text[SYSFS_TEXT_SIZE];
    char path[PATH_MAX];
    if (!read_line(directory, "enable", text, err)) {
        return false;
    }
    if (strcmp(text, "0") != 0) {
        return true;
    }
    snprintf(path, sizeof(path), "%s/enable", directory);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        monatt_error_set_errno(err, errno, "attest device '%s': cannot be enabled", name);
        return monatt_error_hint(err, "run as root in the guest, outside of any container");
    }
    return true;
}

/* What the kernel says about lockdown, when it is on: "integrity", "confidentiality". */
static bool lockdown(const char *sysfs, char mode[SYSFS_TEXT_SIZE])
{
    char text[SYSFS_TEXT_SIZE];
    if (!read_line(sysfs, "kernel/security/lockdown", text, NULL)) {
        return false;
    }
    const char *begin = strchr(text, '[');
    const char *end = begin ? strchr(begin, ']') : NULL;
    if (!end || strncmp(begin, "[none]", 6) == 0) {
        return false;
    }
    snprintf(mode, SYSFS_TEXT_SIZE, "%.*s", (int)(end - begin - 1), begin + 1);
    return true;
}

static bool refuse_access(const char *sysfs, const char *path, int error, MonattError *err)
{
    char mode[SYSFS_TEXT_SIZE];
    if (error == EPERM && geteuid() == 0) {
        /* Root may open the file; only lockdown forbids to map it (LOCKDOWN_PCI_ACCESS). */
        bool known = lockdown(sysfs, mode);
        monatt_error_set_errno(err, error,
                               "attest device: '%s': kernel lockdown%s%s forbids to map it", path,
                               known ? " " : "", known ? mode : "");
        err->code = MONATT_ERROR_PERMISSION;
        return monatt_error_hint(err, "load the driver, guest/linux: it works under lockdown");
    }
    monatt_error_set_errno(err, error, "attest device: '%s'", path);
    if (error == EINVAL) { /* CONFIG_IO_STRICT_DEVMEM: the BAR is a driver's */
        return monatt_error_hint(err, "a driver holds it, but /dev/monatt is not there");
    }
    if (error == EACCES || error == EPERM) {
        err->code = MONATT_ERROR_PERMISSION;
        return monatt_error_hint(err, "run as root");
    }
    return false;
}

static bool map_bar(const char *sysfs, const char *directory, const char *name, size_t size,
                    volatile uint8_t **ret_bar, int *ret_fd, MonattError *err)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return refuse_access(sysfs, path, errno, err);
    }
    if (fstat(fd, &status) != 0) {
        return refuse_access(sysfs, path, errno, err);
    }
    if (status.st_size < (off_t)size) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "attest device: '%s': %lld bytes, must be %zu", path,
                                (long long)status.st_size, size);
    }
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return refuse_access(sysfs, path, errno, err);
    }
    *ret_bar = map;
    if (ret_fd) {
        *ret_fd = fd;
        fd = -1;
    }
    return true;
}

/* Off, although the kernel counts the device as enabled: somebody wrote to its configuration. */
static bool memory_disabled(const char *directory)
{
    char path[PATH_MAX];
    uint8_t command[2];
    snprintf(path, sizeof(path), "%s/config", directory);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && pread(fd, command, sizeof(command), PCI_COMMAND_OFFSET) == 2 &&
           (command[0] & PCI_COMMAND_MEMORY) == 0;
}

static bool check_magic(const PciDevice *device, const char *directory, MonattError *err)
{
    uint32_t magic = pci_device_read32(device->bar0, MONATT_REG_MAGIC);
    uint32_t version = pci_device_read32(device->bar0, MONATT_REG_VERSION);
    if (magic != MONATT_MAGIC && memory_disabled(directory)) {
        monatt_error_set(err, MONATT_ERROR_MISSING,
                         "attest device '%s': its memory space is disabled", device->name);
        return monatt_error_hint(err, "write 0 and then 1 to %s/enable", directory);
    }
    if (magic == UINT32_MAX) { /* what a bus answers when nobody is there */
        monatt_error_set(err, MONATT_ERROR_MISSING, "attest device '%s': does not answer",
                         device->name);
        return monatt_error_hint(err, "its process on the host is gone: restart the VM");
    }
    if (magic != MONATT_MAGIC) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "attest device '%s': magic is %08x, must be %08x", device->name,
                                magic, MONATT_MAGIC);
    }
    if (version != MONATT_MAP_VERSION) {
        monatt_error_set(err, MONATT_ERROR_FORMAT,
                         "attest device '%s': register map %u, this program knows %u", device->name,
                         version, MONATT_MAP_VERSION);
        return monatt_error_hint(err, "use the monatt-guest that belongs to the host's version");
    }
    return true;
}

bool pci_device_open(PciDevice *device, const char *sysfs, MonattError *err)
{
    char directory[DEVICE_PATH_SIZE];
    memset(device, 0, sizeof(*device));
    device->lock_fd = -1;
    if (!find(sysfs, directory, device->name, err)) {
        return false;
    }
    if (!enable(directory, device->name, err) ||
        !map_bar(sysfs, directory, "resource0", MONATT_BAR0_SIZE, &device->bar0, &device->lock_fd,
                 err) ||
        !map_bar(sysfs, directory, "resource2", MONATT_BAR2_SIZE, &device->bar2, NULL, err) ||
        !check_magic(device, directory, err) || !pci_device_lock(device, err)) {
        pci_device_close(device);
        return false;
    }
    return true;
}

void pci_device_close(PciDevice *device)
{
    if (device->bar0) {
        munmap((void *)device->bar0, MONATT_BAR0_SIZE);
    }
    if (device->bar2) {
        munmap((void *)device->bar2, MONATT_BAR2_SIZE);
    }
    monatt_close_pointer(&device->lock_fd);
    device->bar0 = NULL;
    device->bar2 = NULL;
}

bool pci_device_lock(PciDevice *device, MonattError *err)
{
    while (flock(device->lock_fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            return monatt_error_set_errno(err, errno, "attest device '%s': lock", device->name);
        }
    }
    return true;
}

void pci_device_unlock(PciDevice *device)
{
    flock(device->lock_fd, LOCK_UN);
}

uint32_t pci_device_read32(volatile const uint8_t *bar, uint32_t offset)
{
    return *(volatile const uint32_t *)(bar + offset);
}

uint64_t pci_device_read64(volatile const uint8_t *bar, uint32_t offset)
{
    return *(volatile const uint64_t *)(bar + offset);
}

void pci_device_write32(volatile uint8_t *bar, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(bar + offset) = value;
}

void pci_device_read_bytes(volatile const uint8_t *bar, uint32_t offset, void *bytes, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t value = pci_device_read64(bar, offset + (uint32_t)i);
        memcpy((uint8_t *)bytes + i, &value, sizeof(value));
    }
}

void pci_device_write_bytes(volatile uint8_t *bar, uint32_t offset, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t value = 0;
        memcpy(&value, (const uint8_t *)bytes + i, size - i < 8 ? size - i : 8);
        *(volatile uint64_t *)(bar + offset + i) = value;
    }
}
