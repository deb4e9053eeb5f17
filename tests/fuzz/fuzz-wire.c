/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-wire.c - a hostile guest or QEMU on the mpqemu wire: wire-mpqemu.c, command.c, pci-config.c
 *
 * The input is the bytes of a connection, as `hw-attest replay` takes them.  Log and swtpm are
 * played by moving the pipe's cursors.  After each message: the host's registers stand, what the
 * guest may move is what a second, slow model says, and no queue is over its limit.
 */
#include "libmonatt/base/reader.h"
#include "tests/fuzz/wire-checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattReader r;
    Device *device = wire_fresh_device();
    monatt_reader_init(&r, "input", data, size, NULL);
    for (unsigned i = 0; i < WIRE_MESSAGES_MAXIMUM; i++) {
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
        wire_check(device, &before);
        if (!ok) {
            break;
        }
        wire_catch_up(device, i);
    }
    return 0;
}
