/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-read.c - a register read from BAR2 by the mpqemu wire, and from the shadow page
 *
 * In QEMU's place on both ends: messages as QEMU sends them for a trapped access, and the page of
 * the guest's memory as a driver reads it.  What a vCPU's exit costs is not in it: a guest pays
 * that on top for each access of BAR2, and never for the page.
 *
 * usage: wire-read WIRE-FD MEMORY-FD PAGE-OFFSET BAR2-ADDRESS REGISTER ROUNDS COUNT; prints the
 * nanoseconds a read of the page and by the wire, COUNT reads each, one round a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "hw-attest/register-map.h"

#define BAR_READ 5
#define PAGE_READS 1000 /* for each read by the wire */

typedef struct Message {
    uint32_t command;
    uint32_t padding;
    uint64_t size;
    uint64_t address;
    uint64_t value;
    uint32_t bytes;
    uint32_t memory;
} Message;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t wire_read(int fd, uint64_t address)
{
    const Message message = {
        .command = BAR_READ, .size = 24, .address = address, .bytes = 8, .memory = 1};
    struct {
        uint32_t command, padding;
        uint64_t size, value;
    } answer;
    if (send(fd, &message, sizeof(message), 0) != (ssize_t)sizeof(message) ||
        recv(fd, &answer, sizeof(answer), MSG_WAITALL) != (ssize_t)sizeof(answer)) {
        perror("wire-read: wire");
        exit(1);
    }
    return answer.value;
}

/* Both banks and counts: 12 accesses of 8 bytes, and the sequence before and after. */
static void by_wire(int fd, uint64_t bar2, unsigned index, uint8_t *entry)
{
    uint64_t place = bar2 + MONATT_BAR2_ENTRY + (uint64_t)index * MONATT_BAR2_ENTRY_SIZE;
    uint32_t before;
    uint32_t after;
    do {
        before = (uint32_t)wire_read(fd, bar2 + MONATT_BAR2_SEQUENCE);
        for (unsigned i = 0; i < MONATT_BAR2_ENTRY_SIZE; i += 8) {
            uint64_t value = wire_read(fd, place + i);
            memcpy(entry + i, &value, sizeof(value));
        }
        after = (uint32_t)wire_read(fd, bar2 + MONATT_BAR2_SEQUENCE);
    } while (before != after || before % 2 != 0);
}

static void by_page(const uint8_t *page, unsigned index, uint8_t *entry)
{
    const uint32_t *sequence = (const void *)page;
    uint32_t before;
    do {
        before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);
        memcpy(entry, page + MONATT_BAR2_ENTRY + (size_t)index * MONATT_BAR2_ENTRY_SIZE,
               MONATT_BAR2_ENTRY_SIZE);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (before % 2 != 0 || __atomic_load_n(sequence, __ATOMIC_RELAXED) != before);
}

int main(int argc, char **argv)
{
    unsigned long values[7];
    uint8_t entries[2][MONATT_BAR2_ENTRY_SIZE];
    if (argc != 8) {
        fprintf(stderr, "usage: wire-read WIRE-FD MEMORY-FD PAGE-OFFSET BAR2-ADDRESS REGISTER "
                        "ROUNDS COUNT\n");
        return 2;
    }
    for (int i = 0; i < 7; i++) {
        values[i] = strtoul(argv[i + 1], NULL, 0);
    }
    const uint8_t *page =
        mmap(NULL, MONATT_SHADOW_SIZE, PROT_READ, MAP_SHARED, (int)values[1], (off_t)values[2]);
    if (page == MAP_FAILED) {
        perror("wire-read: memory");
        return 1;
    }
    for (unsigned long round = 0; round < values[5]; round++) {
        double begin = now_ns();
        for (unsigned long i = 0; i < values[6] * PAGE_READS; i++) {
            by_page(page, (unsigned)values[4], entries[0]);
            __asm__ volatile("" : : "r"(entries[0]) : "memory");
        }
        double middle = now_ns();
        for (unsigned long i = 0; i < values[6]; i++) {
            by_wire((int)values[0], values[3], (unsigned)values[4], entries[1]);
        }
        double end = now_ns();
        if (memcmp(entries[0], entries[1], sizeof(entries[0])) != 0) {
            fprintf(stderr, "wire-read: page and BAR2 differ\n");
            return 1;
        }
        printf("%.1f %.1f\n", (middle - begin) / (double)(values[6] * PAGE_READS),
               (end - middle) / (double)values[6]);
    }
    return 0;
}
