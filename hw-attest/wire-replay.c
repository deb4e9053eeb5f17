/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-replay.c - a connection's bytes from a file, for bug reports and to compare wires
 *
 * The same messages in a row as on the socket, without descriptors: a memory map names nothing
 * here.  The device has neither log nor swtpm behind it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user.h"

#define PAYLOAD_MAXIMUM WIRE_VFIO_USER_PAYLOAD_MAXIMUM
#define REPLY_MAXIMUM WIRE_VFIO_USER_REPLY_MAXIMUM
#define HEADER_SIZE 16 /* of both */

_Static_assert(WIRE_MPQEMU_HEADER_SIZE == HEADER_SIZE && WIRE_VFIO_USER_HEADER_SIZE == HEADER_SIZE,
               "one header for both");
_Static_assert(WIRE_MPQEMU_PAYLOAD_MAXIMUM <= PAYLOAD_MAXIMUM, "room for both");

typedef struct Replay {
    Device *device;
    int fd;
    WireVfioUser vfio_user;
    uint8_t payload[PAYLOAD_MAXIMUM];
    uint8_t reply[REPLY_MAXIMUM];
    size_t reply_size;
} Replay;

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

static bool read_payload(Replay *replay, size_t size, MonattError *err)
{
    size_t got;
    if (!read_whole(replay->fd, replay->payload, size, &got, err)) {
        return false;
    }
    if (got < size) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "replay: %zu of %zu payload bytes", got,
                                size);
    }
    return true;
}

static bool mpqemu(Replay *replay, const uint8_t header[HEADER_SIZE], MonattError *err)
{
    uint32_t command;
    size_t size;
    bool want_reply;
    uint64_t value;
    if (!wire_mpqemu_header(header, &command, &size, err) || !read_payload(replay, size, err) ||
        !wire_mpqemu_handle(replay->device, command, replay->payload, size, NULL, 0, &want_reply,
                            &value, err)) {
        return false;
    }
    replay->reply_size = want_reply ? wire_mpqemu_reply(value, replay->reply) : 0;
    return true;
}

static bool vfio_user(Replay *replay, const uint8_t header[HEADER_SIZE], MonattError *err)
{
    WireVfioUserHeader got;
    return wire_vfio_user_header(header, &got, err) && read_payload(replay, got.size, err) &&
           wire_vfio_user_handle(&replay->vfio_user, replay->device, &got, replay->payload, NULL, 0,
                                 replay->reply, &replay->reply_size, err);
}

static const struct {
    const char *wire;
    bool (*message)(Replay *replay, const uint8_t header[HEADER_SIZE], MonattError *err);
} formats[] = {{"mpqemu", mpqemu}, {"vfio-user", vfio_user}};

static bool answer(const Replay *replay, int answers_fd, MonattError *err)
{
    size_t done = 0;
    while (answers_fd >= 0 && done < replay->reply_size) {
        ssize_t wrote = write(answers_fd, replay->reply + done, replay->reply_size - done);
        if (wrote < 0 && errno != EINTR) {
            return monatt_error_set_errno(err, errno, "replay: write an answer");
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

bool wire_replay_run(const char *wire, Device *device, int fd, int answers_fd, MonattError *err)
{
    Replay replay = {.device = device, .fd = fd};
    size_t format = 0;
    size_t got = 0;
    bool ok = true;
    while (format < MONATT_ARRAY_SIZE(formats) && strcmp(wire, formats[format].wire) != 0) {
        format++;
    }
    if (format == MONATT_ARRAY_SIZE(formats)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "replay: '%.40s': mpqemu or vfio-user",
                                wire);
    }
    wire_vfio_user_init(&replay.vfio_user);
    do {
        uint8_t header[HEADER_SIZE];
        ok = read_whole(fd, header, sizeof(header), &got, err);
        if (ok && got > 0 && got < sizeof(header)) {
            ok = monatt_error_set(err, MONATT_ERROR_FORMAT, "replay: %zu bytes of a header", got);
        } else if (ok && got > 0) {
            ok = formats[format].message(&replay, header, err) && answer(&replay, answers_fd, err);
        }
    } while (ok && got > 0);
    wire_vfio_user_clear(&replay.vfio_user);
    return ok;
}

static bool serve(Device *device, int fd, MonattError *err)
{
    return wire_replay_run(formats[0].wire, device, fd, -1, err);
}

const Wire wire_replay = {.name = "replay", .serve = serve};
const Wire *const wire_table[] = {&wire_mpqemu, &wire_vfio_user, &wire_replay, NULL};
