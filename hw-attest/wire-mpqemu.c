/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-mpqemu.c - the far end of QEMU's x-pci-proxy-dev (multi-process QEMU)
 *
 * Messages as in QEMU's include/hw/remote/mpqemu-link.h, the same in 6.0 to 11.1: a header of
 * { int command, padding, size_t size } in host byte order, then size bytes; descriptors come
 * with the header.  All but SYNC_SYSMEM and SET_IRQFD are answered by RET with 8 bytes.  The
 * vCPU waits for it without a time-out, so nothing here may wait for anything but QEMU.
 */
#include "hw-attest/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SYNC_SYSMEM = 0,
    RET = 1,
    CONFIG_WRITE = 2,
    CONFIG_READ = 3,
    BAR_WRITE = 4,
    BAR_READ = 5,
    SET_IRQFD = 6,
    DEVICE_RESET = 7,
    COMMAND_COUNT
};

/* Size of each command's payload; -1: the command never comes from QEMU. */
static const int sizes[COMMAND_COUNT] = {
    [SYNC_SYSMEM] = WIRE_MPQEMU_PAYLOAD_MAXIMUM, /* gpas[8], sizes[8], offsets[8] */
    [RET] = -1,
    [CONFIG_WRITE] = 12, /* u32 address, u32 value, int length */
    [CONFIG_READ] = 12,
    [BAR_WRITE] = 24, /* u64 address, u64 value, unsigned size, bool memory, padding */
    [BAR_READ] = 24,
    [SET_IRQFD] = 0,
    [DEVICE_RESET] = 0,
};

bool wire_mpqemu_header(const uint8_t header[WIRE_MPQEMU_HEADER_SIZE], uint32_t *ret_command,
                        size_t *ret_size, MonattError *err)
{
    MonattReader r;
    uint32_t command;
    uint32_t padding;
    uint64_t size;
    monatt_reader_init(&r, "wire header", header, WIRE_MPQEMU_HEADER_SIZE, err);
    if (!monatt_reader_u32_le(&r, &command) || !monatt_reader_u32_le(&r, &padding) ||
        !monatt_reader_u64_le(&r, &size)) {
        return false;
    }
    if (command >= COMMAND_COUNT || sizes[command] < 0) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: command %u: unknown", command);
    }
    if (size != (uint64_t)sizes[command]) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: command %u: %llu bytes, not %d",
                                command, (unsigned long long)size, sizes[command]);
    }
    *ret_command = command;
    *ret_size = (size_t)size;
    return true;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static bool sync_memory(Device *device, MonattReader *r, const int *fds, size_t fd_count)
{
    uint64_t values[3][MONATT_RAM_REGIONS_MAXIMUM];
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    bool ok = true;
    for (size_t kind = 0; ok && kind < 3; kind++) {
        for (size_t i = 0; ok && i < MONATT_RAM_REGIONS_MAXIMUM; i++) {
            ok = monatt_reader_u64_le(r, &values[kind][i]);
        }
    }
    for (size_t i = 0; ok && i < fd_count; i++) {
        regions[i] = (MonattRamRegion){values[0][i], values[1][i], values[2][i]};
        /* Neither may wrap: readers add them up. */
        if (regions[i].size == 0 || regions[i].size > UINT64_MAX - regions[i].guest_physical ||
            regions[i].offset > INT64_MAX || regions[i].size > INT64_MAX - regions[i].offset) {
            ok = monatt_reader_fail(r, "region %zu wraps", i);
        }
    }
    if (!ok) {
        close_all(fds, fd_count);
        return false;
    }
    guest_ram_replace(&device->ram, regions, fds, fd_count);
    return true;
}

static bool config_access(Device *device, bool write, MonattReader *r, uint64_t *ret_value)
{
    uint32_t address;
    uint32_t value;
    uint32_t length;
    if (!monatt_reader_u32_le(r, &address) || !monatt_reader_u32_le(r, &value) ||
        !monatt_reader_u32_le(r, &length)) {
        return false;
    }
    if (write) {
        pci_config_write(&device->config, address, value, length);
        *ret_value = 0;
    } else {
        *ret_value = pci_config_read(&device->config, address, length);
    }
    return true;
}

static bool bar_access(Device *device, bool write, MonattReader *r, uint64_t *ret_value)
{
    uint64_t address;
    uint64_t value;
    uint32_t size;
    const uint8_t *rest;
    unsigned bar;
    uint32_t offset;
    if (!monatt_reader_u64_le(r, &address) || !monatt_reader_u64_le(r, &value) ||
        !monatt_reader_u32_le(r, &size) || !monatt_reader_bytes(r, 4, &rest)) {
        return false;
    }
    *ret_value = write ? 0 : UINT64_MAX;
    if (!pci_config_find_bar(&device->config, address, &bar, &offset)) {
        return true;
    }
    if (write) {
        command_write(device, bar, offset, value, size);
    } else {
        *ret_value = command_read(device, bar, offset, size);
    }
    return true;
}

bool wire_mpqemu_handle(Device *device, uint32_t command, const uint8_t *payload, size_t size,
                        const int *fds, size_t fd_count, bool *ret_reply, uint64_t *ret_value,
                        MonattError *err)
{
    MonattReader r;
    bool ok = true;
    *ret_reply = true;
    *ret_value = 0;
    monatt_reader_init(&r, "wire message", payload, size, err);
    if (fd_count > 0 && command != SYNC_SYSMEM) {
        /* Interrupt descriptors (SET_IRQFD) are not used: map version 1 has no interrupts. */
        close_all(fds, fd_count);
        fd_count = 0;
    }
    pthread_mutex_lock(&device->lock);
    switch (command) {
    case SYNC_SYSMEM:
        *ret_reply = false;
        ok = sync_memory(device, &r, fds, fd_count);
        break;
    case SET_IRQFD:
        *ret_reply = false;
        break;
    case CONFIG_WRITE:
    case CONFIG_READ:
        ok = config_access(device, command == CONFIG_WRITE, &r, ret_value);
        break;
    case BAR_WRITE:
    case BAR_READ:
        ok = bar_access(device, command == BAR_WRITE, &r, ret_value);
        break;
    case DEVICE_RESET:
        /*
         * QEMU's own copy of the configuration space is reset with it: were ours not, a guest that
         * puts its BARs back (bus reset, resume from S3) would see them unchanged and write
         * nothing.
         */
        pci_config_init(&device->config);
        if (reset_wire(&device->reset, device_now_ms())) {
            device_begin_reset(device);
        }
        break;
    default:
        ok = monatt_reader_fail(&r, "command %u", command);
        break;
    }
    ok = ok && monatt_reader_finish(&r);
    pthread_mutex_unlock(&device->lock);
    return ok;
}

/*
 * What came and is not used up yet.  QEMU writes a message at once, so one read gets it whole and
 * an access costs two system calls.  Its threads may write one message behind another; the kernel
 * ends a read after the bytes that descriptors came with, so they belong to the message in which
 * the read ended.
 */
typedef struct Stream {
    int fd;
    size_t used;
    size_t fd_count;
    size_t fds_end; /* the descriptors came with the byte before */
    int fds[WIRE_FDS_MAXIMUM];
    uint8_t bytes[2 * (WIRE_MPQEMU_HEADER_SIZE + WIRE_MPQEMU_PAYLOAD_MAXIMUM)];
} Stream;

static bool take_fds(Stream *stream, struct msghdr *message, MonattError *err)
{
    bool pending = stream->fd_count > 0;
    bool extra = message->msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (pending || stream->fd_count == WIRE_FDS_MAXIMUM) {
                close(fd);
                extra = true;
            } else {
                stream->fds[stream->fd_count++] = fd;
                stream->fds_end = stream->used;
            }
        }
    }
    if (extra) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "wire: more than %d descriptors",
                                WIRE_FDS_MAXIMUM);
    }
    return true;
}

/* 1: at least size bytes are there; 0: closed and nothing is; -1: error set. */
static int stream_fill(Stream *stream, size_t size, MonattError *err)
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
        ssize_t got = recvmsg(stream->fd, &message, MSG_CMSG_CLOEXEC);
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
        if (!take_fds(stream, &message, err)) {
            return -1;
        }
    }
    return 1;
}

/* The descriptors of the first `size` bytes, now the caller's. */
static size_t stream_fds(Stream *stream, size_t size, int fds[WIRE_FDS_MAXIMUM])
{
    size_t count = stream->fd_count;
    if (count == 0 || stream->fds_end > size) {
        return 0;
    }
    memcpy(fds, stream->fds, sizeof(stream->fds));
    stream->fd_count = 0;
    return count;
}

static void stream_drop(Stream *stream, size_t size)
{
    stream->used -= size;
    stream->fds_end -= size; /* means nothing without descriptors */
    memmove(stream->bytes, stream->bytes + size, stream->used);
}

static bool reply(int fd, uint64_t value, MonattError *err)
{
    uint8_t answer[WIRE_MPQEMU_HEADER_SIZE + 8];
    MonattWriter w;
    monatt_writer_init(&w, answer, sizeof(answer));
    monatt_writer_u32_le(&w, RET);
    monatt_writer_u32_le(&w, 0);
    monatt_writer_u64_le(&w, 8);
    monatt_writer_u64_le(&w, value);
    ssize_t sent;
    do {
        /* One sendmsg a reply: QEMU never sees a part of one. */
        sent = send(fd, answer, sizeof(answer), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof(answer)) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "wire: reply was not taken");
    }
    return true;
}

static void beat(Device *device)
{
    if (device->heartbeat) {
        atomic_fetch_add(&device->heartbeat->wire_busy, 1);
    }
}

/* One message, whose header is there. */
static bool serve_one(Device *device, Stream *stream, MonattError *err)
{
    uint32_t command;
    size_t size;
    if (!wire_mpqemu_header(stream->bytes, &command, &size, err) ||
        stream_fill(stream, WIRE_MPQEMU_HEADER_SIZE + size, err) != 1) {
        return false;
    }
    int fds[WIRE_FDS_MAXIMUM];
    size_t fd_count = stream_fds(stream, WIRE_MPQEMU_HEADER_SIZE + size, fds);
    bool want_reply;
    uint64_t value;
    bool ok = wire_mpqemu_handle(device, command, stream->bytes + WIRE_MPQEMU_HEADER_SIZE, size,
                                 fds, fd_count, &want_reply, &value, err);
    stream_drop(stream, WIRE_MPQEMU_HEADER_SIZE + size);
    return ok && (!want_reply || reply(stream->fd, value, err));
}

static bool serve(Device *device, int fd, MonattError *err)
{
    Stream stream = {.fd = fd};
    int got;
    bool ok = true;
    while (ok && (got = stream_fill(&stream, WIRE_MPQEMU_HEADER_SIZE, err)) == 1) {
        beat(device);
        ok = serve_one(device, &stream, err);
        beat(device);
    }
    close_all(stream.fds, stream.fd_count);
    /* QEMU killed while it waited is the VM's end, not a framing error. */
    return ok ? got == 0 : err && err->code == MONATT_ERROR_PEER;
}

const Wire wire_mpqemu = {.name = "mpqemu", .serve = serve};
