/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-wire.c - a hostile guest or QEMU on the mpqemu wire: wire-mpqemu.c, command.c, pci-config.c
 *
 * The input is the bytes of a connection, as `hw-attest replay` takes them.  Log and swtpm are
 * played by moving the pipe's cursors.  After each message: the host's registers stand, what the
 * guest may move is what a second, slow model says, and no queue is over its limit.
 */
#include <stdlib.h>
#include <string.h>
#include "hw-attest/wire.h"
#include "libmonatt/base/reader.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGES_MAXIMUM 4096

static void check(const Device *device, const Registers *before)
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
static Device *fresh(void)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattReader r;
    Device *device = fresh();
    monatt_reader_init(&r, "input", data, size, NULL);
    for (unsigned i = 0; i < MESSAGES_MAXIMUM; i++) {
        const uint8_t *header;
        const uint8_t *payload;
        uint32_t command;
        size_t length;
        bool reply;
        uint64_t value;
        Registers before = device->registers;
        if (!monatt_reader_bytes(&r, WIRE_MPQEMU_HEADER_SIZE, &header) ||
            !wire_mpqemu_header(header, &command, &length, NULL) ||
            !monatt_reader_bytes(&r, length, &payload)) {
            break;
        }
        require(length <= WIRE_MPQEMU_PAYLOAD_MAXIMUM);
        bool ok =
            wire_mpqemu_handle(device, command, payload, length, NULL, 0, &reply, &value, NULL);
        check(device, &before);
        if (!ok) {
            break;
        }
        /* Every third message the TPM has caught up, so that both full and empty are met. */
        if (i % 3 == 0 && device->pipe->enqueued - device->pipe->synced > PIPE_ENTRIES - 2) {
            device->pipe->logged = device->pipe->synced = device->pipe->enqueued;
        }
    }
    return 0;
}
