/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-poke.c - the only program of a tiny guest: does accesses to the attest device as told
 *
 * It is /init.  A line on the second serial port, an answer line for each:
 *   r BAR OFFSET SIZE          -> value in hex
 *   w BAR OFFSET SIZE VALUE    -> ok
 *   c OFFSET                   -> 4 bytes of PCI configuration space
 *   s NAME                     -> the device's sysfs file NAME, one line
 *   find                       -> as at the start: "ready ADDRESS", or "ready none"
 *   reboot | off               -> no answer
 * Numbers are hexadecimal.  Knows nothing about the device but how Linux shows it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "hw-attest/register-map.h"

#define DEVICES "/sys/bus/pci/devices"

static char folder[320];
static volatile uint8_t *bars[3];
static FILE *in;
static FILE *out;

static int read_file(const char *device, const char *name, char *text, size_t size)
{
    char path[700];
    snprintf(path, sizeof(path), "%s/%s", device, name);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[got < 0 ? 0 : got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return got >= 0;
}

static int find_device(void)
{
    DIR *devices = opendir(DEVICES);
    struct dirent *entry;
    while (devices && (entry = readdir(devices))) {
        char path[sizeof(folder)];
        char vendor[16];
        char device[16];
        snprintf(path, sizeof(path), DEVICES "/%s", entry->d_name);
        if (entry->d_name[0] != '.' && read_file(path, "vendor", vendor, sizeof(vendor)) &&
            read_file(path, "device", device, sizeof(device)) &&
            strtoul(vendor, NULL, 16) == MONATT_PCI_VENDOR &&
            strtoul(device, NULL, 16) == MONATT_PCI_DEVICE) {
            memcpy(folder, path, sizeof(folder));
        }
    }
    if (devices) {
        closedir(devices);
    }
    return folder[0] != '\0';
}

static void map_bar(unsigned bar)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/resource%u", folder, bar);
    int fd = open(path, O_RDWR | O_SYNC);
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, MONATT_BAR0_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    bars[bar] = map == MAP_FAILED ? NULL : map;
}

static void enable_device(void)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/enable", folder);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "1", 1) != 1) {
        fprintf(out, "no enable\n");
    }
    map_bar(0);
    map_bar(2);
}

static uint64_t load(volatile uint8_t *at, unsigned size)
{
    switch (size) {
    case 1:
        return *at;
    case 2:
        return *(volatile uint16_t *)at;
    case 4:
        return *(volatile uint32_t *)at;
    default:
        return *(volatile uint64_t *)at;
    }
}

static void store(volatile uint8_t *at, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)at = value;
        break;
    }
}

static void access_bar(const char *line)
{
    char kind;
    unsigned bar;
    unsigned offset;
    unsigned size;
    unsigned long long value = 0;
    int got = sscanf(line, "%c %x %x %x %llx", &kind, &bar, &offset, &size, &value);
    if (got < 4 || bar > 2 || !bars[bar] || offset + size > MONATT_BAR0_SIZE) {
        fprintf(out, "cannot: %s\n", line);
    } else if (kind == 'r') {
        fprintf(out, "%llx\n", (unsigned long long)load(bars[bar] + offset, size));
    } else {
        store(bars[bar] + offset, size, value);
        fprintf(out, "ok\n");
    }
}

static void read_config(const char *line)
{
    char path[400];
    unsigned offset = 0;
    uint32_t value = 0;
    snprintf(path, sizeof(path), "%s/config", folder);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || sscanf(line, "c %x", &offset) != 1 || pread(fd, &value, 4, offset) != 4) {
        fprintf(out, "cannot: %s\n", line);
    } else {
        fprintf(out, "%x\n", value);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void find(void)
{
    folder[0] = '\0';
    if (find_device()) {
        enable_device();
        fprintf(out, "ready %s\n", strrchr(folder, '/') + 1);
    } else {
        fprintf(out, "ready none\n");
    }
}

static void serve(char *line)
{
    char text[256];
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "reboot") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (strcmp(line, "off") == 0) {
        reboot(RB_POWER_OFF);
    } else if (strcmp(line, "find") == 0) {
        find();
    } else if (line[0] == 'r' || line[0] == 'w') {
        access_bar(line);
    } else if (line[0] == 'c') {
        read_config(line);
    } else if (line[0] == 's' && read_file(folder, line + 2, text, sizeof(text))) {
        fprintf(out, "%s\n", text);
    } else {
        fprintf(out, "cannot: %s\n", line);
    }
}

int main(void)
{
    char line[128];
    struct termios raw;
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
    if (fd < 0) {
        reboot(RB_POWER_OFF);
    }
    tcgetattr(fd, &raw);
    cfmakeraw(&raw);
    tcsetattr(fd, TCSANOW, &raw);
    in = fdopen(fd, "r");
    out = fdopen(dup(fd), "w");
    setlinebuf(out);
    find();
    while (fgets(line, sizeof(line), in)) {
        serve(line);
    }
    reboot(RB_POWER_OFF);
    return 1;
}
