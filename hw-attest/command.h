/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - what the guest reads and writes: configuration space, BAR0 and BAR2 of
 * register-map.h
 *
 * Runs in the wire thread while a vCPU waits: answers from memory, never from swtpm, disk or
 * another process.  The guest is hostile: no value of it sizes or indexes anything unchecked.
 */
#ifndef HW_ATTEST_COMMAND_H
#define HW_ATTEST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw-attest/register-map.h"
#include "libmonatt/formats/limits.h"

struct Device;

typedef struct Command {
    uint32_t error;
    uint32_t index;
    uint32_t data_size;
    uint32_t sequence; /* BAR2: odd while an entry changes */
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint8_t data[MONATT_DATA_SIZE];
    bool list_open;
    size_t list_size;
    uint8_t list[MONATT_GUEST_LIST_MAXIMUM];
} Command;

void command_init(Command *command);
/*
 * An extend or a reset by the guest, from the window or from a slot of the ring: an ERR_ value.
 * ERR_BUSY: nothing was done, and the same may be done later.
 */
uint32_t command_extend(struct Device *device, uint32_t index, const uint8_t *sha256,
                        const uint8_t *sha384, const uint8_t *content, size_t size);
uint32_t command_reset_register(struct Device *device, uint32_t index);
/* What a VM reset clears: window, index, error, an open process list; the nonce stays. */
void command_new_boot(Command *command);
void command_begin_update(Command *command);
void command_end_update(Command *command);
/* bar is 0 or 2; the device's lock is held.  Anything odd reads all ones. */
uint64_t command_read(struct Device *device, unsigned bar, uint32_t offset, uint32_t size);
void command_write(struct Device *device, unsigned bar, uint32_t offset, uint64_t value,
                   uint32_t size);
/* A write to PCI configuration space: bus mastering switched off ends all use of guest memory. */
void command_config_write(struct Device *device, uint32_t address, uint32_t value, uint32_t size);
/* The guest's memory map is another one: ring and shadow page find their memory again, or end. */
void command_memory_changed(struct Device *device);
/* Ring and shadow page off: not one byte of guest memory is written after this. */
void command_dma_off(struct Device *device);

#endif
