/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-checks.h - a device for the fuzz targets of the wires, and what must hold after a message
 */
#ifndef MONATT_TESTS_FUZZ_WIRE_CHECKS_H
#define MONATT_TESTS_FUZZ_WIRE_CHECKS_H

#include <string.h>
#include "hw-attest/wire.h"
#include "tests/fuzz/fuzz.h"

#define WIRE_MESSAGES_MAXIMUM 4096

/* The host's registers stand, the guest's move as they may, no queue is over its limit. */
static inline void wire_check(const Device *device, const Registers *before)
{
    Registers start;
    registers_init(&start);
    require(memcmp(&device->registers.mr[MONATT_EVIDENCE_FIRST], &start.mr[MONATT_EVIDENCE_FIRST],
                   6 * sizeof(Register)) == 0);
    /* At most one register moves with a message, and by one. */
    unsigned moved = 0;
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        const Register *now = &device->registers.mr[i];
        require(now->extends - before->mr[i].extends <= 1);
        moved += now->extends != before->mr[i].extends;
        require(now->extends != before->mr[i].extends ||
                memcmp(now->sha256, before->mr[i].sha256, sizeof(now->sha256)) == 0);
    }
    require(moved <= 1);
    require(device->pipe->enqueued - device->pipe->synced <= PIPE_ENTRIES);
    require(device->command.list_size <= MONATT_GUEST_LIST_MAXIMUM);
    require(device->guest_list_size <= MONATT_GUEST_LIST_MAXIMUM);
    require(!device->resetting); /* never by the wire alone */
    require(pci_config_read(&device->config, 0, 4) ==
            ((uint32_t)MONATT_PCI_DEVICE << 16 | MONATT_PCI_VENDOR));
}

/* One device for all inputs, as new each time: making one costs more than an input. */
static inline Device *wire_fresh_device(void)
{
    static Device *device;
    if (!device) {
        device = device_new(NULL);
        require(device != NULL);
    }
    registers_init(&device->registers);
    reset_init(&device->reset);
    command_new_boot(&device->command);
    pci_config_init(&device->config);
    pipe_clear(device->pipe);
    device->guest_list_size = 0;
    return device;
}

/* Every third message the TPM has caught up, so that both full and empty are met. */
static inline void wire_catch_up(Device *device, unsigned message)
{
    if (message % 3 == 0 && device->pipe->enqueued - device->pipe->synced > PIPE_ENTRIES - 2) {
        device->pipe->logged = device->pipe->synced = device->pipe->enqueued;
    }
}

#endif
