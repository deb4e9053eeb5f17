/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-replay.c - mpqemu's bytes from a file, for fuzzing and bug reports
 *
 * The same headers and payloads in a row, no descriptors; answers are computed and dropped.
 */
#include "hw-attest/wire.h"

#include <errno.h>
#include <unistd.h>

static bool read_whole(int fd, uint8_t *bytes, size_t size, size_t *ret_got, MonattError *err)
{
    *ret_got = 0;
    while (*ret_got < size) {
        ssize_t got = read(fd, bytes + *ret_got, size - *ret_got);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return monatt_error_set_errno(err, errno, "replay: read");
        }
        if (got == 0) {
            return true;
        }
        *ret_got += (size_t)got;
    }
    return true;
}

static bool serve(Device *device, int fd, MonattError *err)
{
    for (;;) {
        uint8_t header[WIRE_MPQEMU_HEADER_SIZE];
        uint8_t payload[WIRE_MPQEMU_PAYLOAD_MAXIMUM];
        uint32_t command;
        uint64_t value;
        size_t size;
        size_t got;
        bool want_reply;
        if (!read_whole(fd, header, sizeof(header), &got, err)) {
            return false;
        }
        if (got == 0) {
            return true;
        }
        if (got < sizeof(header)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "replay: %zu bytes of a header", got);
        }
        if (!wire_mpqemu_header(header, &command, &size, err) ||
            !read_whole(fd, payload, size, &got, err)) {
            return false;
        }
        if (got < size) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "replay: %zu of %zu payload bytes",
                                    got, size);
        }
        if (!wire_mpqemu_handle(device, command, payload, size, NULL, 0, &want_reply, &value,
                                err)) {
            return false;
        }
    }
}

const Wire wire_replay = {.name = "replay", .serve = serve};
const Wire *const wire_table[] = {&wire_mpqemu, &wire_vfio_user, &wire_replay, NULL};
