/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-fuzz.c - everything that a guest can do to the attest device's BARs and configuration space
 *
 *   guest-fuzz PCI-NAME SEED COUNT
 *
 * All offsets in all sizes, all commands with odd registers and sizes, then COUNT accesses at
 * random (the same SEED gives the same ones).  It judges nothing: the test looks at the registers
 * from the host.  The BARs are moved only while the device decodes no memory.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/register-map.h"

#define CONFIG_BEGIN 0x04 /* identity before it is read-only, and checked by the test */
#define CONFIG_END 0x100

static volatile uint8_t *bars[2];
static uint64_t state;
static uint64_t accesses;

/* xorshift64*: small, the same everywhere. */
static uint64_t next(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static void store(volatile uint8_t *at, unsigned size, uint64_t value)
{
    accesses++;
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

static uint64_t load(volatile uint8_t *at, unsigned size)
{
    accesses++;
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

static void every_offset(void)
{
    for (unsigned bar = 0; bar < 2; bar++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (unsigned offset = 0; offset + size <= MONATT_BAR0_SIZE; offset += size) {
                store(bars[bar] + offset, size, next());
                if (offset % 64 == 0) {
                    load(bars[bar] + offset, size);
                }
            }
        }
    }
}

static void every_command(void)
{
    static const uint32_t registers[] = {17, 18, 19, 20, 21, 22, 24, 255, 0x11000011, UINT32_MAX};
    static const uint32_t sizes[] = {0, 32, 48, 80, 81, 1024, 1025, UINT32_MAX};
    for (uint32_t command = 0; command < 0x24; command++) {
        for (size_t r = 0; r < sizeof(registers) / sizeof(registers[0]); r++) {
            for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                store(bars[0] + MONATT_REG_INDEX, 4, registers[r]);
                store(bars[0] + MONATT_REG_DATA_SIZE, 4, sizes[s]);
                store(bars[0] + MONATT_REG_COMMAND, 4, command);
            }
        }
    }
}

static void at_random(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        uint64_t dice = next();
        unsigned size = 1u << (dice & 3);
        unsigned bar = dice >> 2 & 1;
        /* Half of them among the control registers, where something happens. */
        unsigned range = dice >> 3 & 1 ? 0x40 : MONATT_BAR0_SIZE;
        unsigned offset = (unsigned)(next() % (range - size + 1));
        uint64_t value = dice >> 4 & 1 ? next() : next() % 0x20;
        if ((dice >> 5 & 7) == 0) {
            load(bars[bar] + offset, size); /* also misaligned */
        } else {
            store(bars[bar] + offset, size, value);
        }
    }
}

/* One write wider than any the device takes, and a string move over everything. */
static void wide(void)
{
    static uint8_t pattern[MONATT_BAR0_SIZE];
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)next();
    }
    for (unsigned bar = 0; bar < 2; bar++) {
        void *to = (void *)bars[bar];
        const void *from = pattern;
        size_t size = sizeof(pattern);
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
        accesses += sizeof(pattern);
    }
}

static void configuration_space(int fd, unsigned long count)
{
    uint8_t kept[CONFIG_END];
    uint8_t off[2] = {0, 0};
    if (pread(fd, kept, sizeof(kept), 0) != (ssize_t)sizeof(kept)) {
        perror("config");
        exit(1);
    }
    for (unsigned long i = 0; i < count; i++) {
        uint8_t bytes[4];
        unsigned size = 1u << (next() % 3);
        unsigned offset =
            CONFIG_BEGIN + (unsigned)(next() % (CONFIG_END - CONFIG_BEGIN)) / size * size;
        uint32_t value = (uint32_t)next();
        memcpy(bytes, &value, sizeof(value));
        if (offset < 6) {
            bytes[0] &= (uint8_t)~0x7; /* no I/O, memory or bus master while BARs are anywhere */
            offset = 4;
            size = 2;
        }
        if (pwrite(fd, bytes, size, offset) < 0 || pwrite(fd, off, 2, 4) < 0) {
            perror("config");
            exit(1);
        }
        accesses++;
    }
    /* BARs and the rest first, decoding last. */
    if (pwrite(fd, kept + 8, CONFIG_END - 8, 8) < 0 || pwrite(fd, kept + 4, 2, 4) < 0) {
        perror("config");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const char *const files[2] = {"resource0", "resource2"};
    char path[256];
    if (argc != 4) {
        fprintf(stderr, "usage: guest-fuzz PCI-NAME SEED COUNT\n");
        return 2;
    }
    state = strtoull(argv[2], NULL, 0) | 1;
    unsigned long count = strtoul(argv[3], NULL, 0);
    for (unsigned bar = 0; bar < 2; bar++) {
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", argv[1], files[bar]);
        int fd = open(path, O_RDWR);
        void *map = fd < 0
                        ? MAP_FAILED
                        : mmap(NULL, MONATT_BAR0_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
            perror(path);
            return 1;
        }
        bars[bar] = map;
    }
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", argv[1]);
    int config = open(path, O_RDWR);
    if (config < 0) {
        perror(path);
        return 1;
    }
    every_offset();
    every_command();
    at_random(count);
    wide();
    configuration_space(config, 2000);
    at_random(1000);
    printf("%" PRIu64 " accesses\n", accesses);
    return 0;
}
