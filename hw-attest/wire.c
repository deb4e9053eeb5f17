/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - what all wires do alike: bytes with descriptors, one-call replies, a reset
 *
 * Every descriptor that comes is owned by exactly one place here and closed on every path.  Must
 * never wait for anything but the other end's next message.
 */
#include "hw-attest/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void wire_stream_init(WireStream *stream, int fd)
{
    stream->fd = fd;
    stream->keep = NULL;
    stream->used = 0;
    stream->group_count = 0;
}

_Static_assert(KEPT_WIRE_BYTES == WIRE_STREAM_SIZE, "what is kept fits what is worked on");

void wire_stream_keep(WireStream *stream, Device *device)
{
    const DeviceKept *kept = device->kept;
    stream->keep = device;
    /* recovery_run() has checked that it is no more than the buffer holds. */
    stream->used = (size_t)(kept_stream_received(&kept->wire) - device->wire_used);
    kept_stream_copy(kept->wire_bytes, KEPT_WIRE_BYTES, device->wire_used, stream->bytes,
                     stream->used);
}

static ssize_t receive(WireStream *stream, struct msghdr *message)
{
    if (!stream->keep) {
        return recvmsg(stream->fd, message, MSG_CMSG_CLOEXEC);
    }
    DeviceKept *kept = stream->keep->kept;
    uint64_t before = kept_stream_received(&kept->wire);
    ssize_t got = kept_stream_receive(&kept->wire, kept->wire_bytes, KEPT_WIRE_BYTES,
                                      before - stream->used, stream->fd, message, MSG_CMSG_CLOEXEC);
    if (got > 0) {
        kept_stream_copy(kept->wire_bytes, KEPT_WIRE_BYTES, before, stream->bytes + stream->used,
                         (size_t)got);
    }
    return got;
}

void wire_stream_clear(WireStream *stream)
{
    for (size_t i = 0; i < stream->group_count; i++) {
        wire_close_all(stream->groups[i].fds, stream->groups[i].count);
    }
    stream->group_count = 0;
}

static bool take_group(WireStream *stream, struct msghdr *message, MonattError *err)
{
    int fds[WIRE_FDS_MAXIMUM];
    size_t taken = 0;
    bool extra = message->msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (taken == WIRE_FDS_MAXIMUM) {
                close(fd);
                extra = true;
            } else {
                fds[taken++] = fd;
            }
        }
    }
    if (extra || (taken > 0 && stream->group_count == WIRE_STREAM_GROUPS)) {
        wire_close_all(fds, taken);
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: more than %d descriptors",
                                WIRE_FDS_MAXIMUM);
    }
    if (taken > 0) {
        size_t group = stream->group_count++;
        stream->groups[group].end = stream->used;
        stream->groups[group].count = taken;
        memcpy(stream->groups[group].fds, fds, taken * sizeof(int));
    }
    return true;
}

int wire_stream_fill(WireStream *stream, size_t size, MonattError *err)
{
    while (stream->used < size) {
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(WIRE_FDS_MAXIMUM * sizeof(int))];
        } ancillary;
        struct iovec part = {stream->bytes + stream->used, sizeof(stream->bytes) - stream->used};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = ancillary.bytes,
                                 .msg_controllen = sizeof(ancillary.bytes)};
        ssize_t got = receive(stream, &message);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            if (stream->used == 0) {
                return 0;
            }
            monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: closed %zu bytes into %zu",
                             stream->used, size);
            return -1;
        }
        if (got < 0) {
            monatt_error_set_errno(err, errno, "wire: receive");
            return -1;
        }
        stream->used += (size_t)got;
        if (!take_group(stream, &message, err)) {
            return -1;
        }
    }
    return 1;
}

size_t wire_stream_take_fds(WireStream *stream, size_t size, int ret_fds[WIRE_FDS_MAXIMUM])
{
    if (stream->group_count == 0 || stream->groups[0].end > size) {
        return 0;
    }
    size_t count = stream->groups[0].count;
    memcpy(ret_fds, stream->groups[0].fds, count * sizeof(int));
    stream->group_count--;
    memmove(&stream->groups[0], &stream->groups[1], sizeof(stream->groups[0]));
    return count;
}

void wire_stream_drop(WireStream *stream, size_t size)
{
    stream->used -= size;
    for (size_t i = 0; i < stream->group_count; i++) {
        stream->groups[i].end -= size;
    }
    memmove(stream->bytes, stream->bytes + size, stream->used);
}

bool wire_send(int fd, const void *bytes, size_t size, MonattError *err)
{
    ssize_t sent;
    do {
        /* One call a reply: QEMU never sees a part of one.  A buffer that is full of replies has
         * a reader that does not read: no vCPU waits for those, so nothing is lost by dropping. */
        sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)size) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "wire: reply was not taken");
    }
    return true;
}

void wire_close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

void wire_beat(Device *device)
{
    atomic_fetch_add(&device->kept->heartbeat.wire_busy, 1);
}

bool wire_ended(bool ok, const MonattError *err)
{
    /* QEMU killed while it waited is the VM's end, not a framing error. */
    return ok || (err && err->code == MONATT_ERROR_PEER);
}

void wire_reset(Device *device)
{
    /*
     * QEMU's own copy of the configuration space is reset with it: were ours not, a guest that
     * puts its BARs back (bus reset, resume from S3) would see them unchanged and write nothing.
     */
    pci_config_init(&device->config);
    interrupt_reset(device);
    command_dma_off(device); /* whoever comes up after it owns that memory */
    if (reset_wire(&device->reset, device_now_ms())) {
        device_begin_reset(device);
    }
}

void wire_closed(Device *device)
{
    /* No RESET can come any more, so nothing may be in use that one would end. */
    device_lock_first(device);
    command_dma_off(device);
    pthread_mutex_unlock(&device->lock);
}

bool wire_region_valid(const MonattRamRegion *region)
{
    return region->size != 0 && region->size <= UINT64_MAX - region->guest_physical &&
           region->offset <= INT64_MAX && region->size <= INT64_MAX - region->offset;
}
