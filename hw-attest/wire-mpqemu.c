/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire-mpqemu.c - the far end of QEMU's x-pci-proxy-dev (multi-process QEMU)
 *
 * Messages as in QEMU's include/hw/remote/mpqemu-link.h, the same in 6.0 to 11.1: a header of
 * { int command, padding, size_t size } in host byte order, then size bytes; descriptors come
 * with the header.  All but SYNC_SYSMEM and SET_IRQFD are answered by RET with 8 bytes.  The
 * vCPU waits for it without a time-out, so nothing here may wait for anything but QEMU.
 */
#include "hw-attest/keeper.h"
#include "hw-attest/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
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
        if (!wire_region_valid(&regions[i])) {
            ok = monatt_reader_fail(r, "region %zu wraps", i);
        }
    }
    if (!ok) {
        wire_close_all(fds, fd_count);
        return false;
    }
    device->ram_messages++;
    if (device->ram_messages == device->ram_kept) {
        /* The last process handed it on and died: the descriptors were that process's. */
        wire_close_all(fds, fd_count);
        return true;
    }
    guest_ram_replace(&device->ram, regions, fds, fd_count);
    command_memory_changed(device);
    keeper_send_ram(device->keeper_fd, device->ram_messages, &device->ram);
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
        command_config_write(device, address, value, length);
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

/* All that a message did, that it is dealt with and what is to be answered become one. */
static void finish_message(Device *device, size_t size, bool want_reply, uint64_t value)
{
    device->wire_used += size;
    device->wire_messages++;
    KeptReply *reply = &device->kept->replies[device->wire_messages % 2];
    reply->wanted = want_reply;
    reply->value = value;
    reply->message.msg_len = 0;
    kept_commit(device);
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
    if (fd_count > 0 && command != SYNC_SYSMEM && !(command == SET_IRQFD && fd_count == 2)) {
        wire_close_all(fds, fd_count);
        fd_count = 0;
    }
    device_lock_first(device);
    device->in_message = true;
    switch (command) {
    case SYNC_SYSMEM:
        *ret_reply = false;
        ok = sync_memory(device, &r, fds, fd_count);
        break;
    case SET_IRQFD:
        *ret_reply = false;
        if (fd_count == 2) {
            interrupt_take(device, fds[0], fds[1]);
            keeper_send_interrupt(device->keeper_fd, fds[0], fds[1]);
        }
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
        wire_reset(device);
        break;
    default:
        ok = monatt_reader_fail(&r, "command %u", command);
        break;
    }
    ok = ok && monatt_reader_finish(&r);
    if (ok) {
        finish_message(device, WIRE_MPQEMU_HEADER_SIZE + size, *ret_reply, *ret_value);
    }
    device->in_message = false;
    pthread_mutex_unlock(&device->lock);
    return ok;
}

size_t wire_mpqemu_reply(uint64_t value, uint8_t ret[WIRE_MPQEMU_REPLY_SIZE])
{
    MonattWriter w;
    monatt_writer_init(&w, ret, WIRE_MPQEMU_REPLY_SIZE);
    monatt_writer_u32_le(&w, RET);
    monatt_writer_u32_le(&w, 0);
    monatt_writer_u64_le(&w, 8);
    monatt_writer_u64_le(&w, value);
    return w.size;
}

/* Answers message device->wire_messages; the kernel notes that it did. */
static bool send_reply(Device *device, int fd, MonattError *err)
{
    KeptReply *reply = &device->kept->replies[device->wire_messages % 2];
    uint8_t answer[WIRE_MPQEMU_REPLY_SIZE];
    struct iovec part = {answer, wire_mpqemu_reply(reply->value, answer)};
    int sent;
    reply->message.msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
    do {
        /* As wire_send(), which does not say in the block that it sent. */
        sent = sendmmsg(fd, &reply->message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent != 1 || reply->message.msg_len != sizeof(answer)) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "wire: reply was not taken");
    }
    return true;
}

/* The last process may have died between a message and its answer. */
static bool send_owed_reply(Device *device, int fd, MonattError *err)
{
    const KeptReply *reply = &device->kept->replies[device->wire_messages % 2];
    bool owed = device->wire_messages > 0 && reply->wanted && reply->message.msg_len == 0;
    return !owed || send_reply(device, fd, err);
}

/* One message, whose header is there. */
static bool serve_one(Device *device, WireStream *stream, MonattError *err)
{
    uint32_t command;
    size_t size;
    if (!wire_mpqemu_header(stream->bytes, &command, &size, err) ||
        wire_stream_fill(stream, WIRE_MPQEMU_HEADER_SIZE + size, err) != 1) {
        return false;
    }
    int fds[WIRE_FDS_MAXIMUM];
    size_t fd_count = wire_stream_take_fds(stream, WIRE_MPQEMU_HEADER_SIZE + size, fds);
    bool want_reply;
    uint64_t value;
    bool ok = wire_mpqemu_handle(device, command, stream->bytes + WIRE_MPQEMU_HEADER_SIZE, size,
                                 fds, fd_count, &want_reply, &value, err);
    wire_stream_drop(stream, WIRE_MPQEMU_HEADER_SIZE + size);
    return ok && (!want_reply || send_reply(device, stream->fd, err));
}

static bool serve(Device *device, int fd, MonattError *err)
{
    WireStream stream;
    int got = 0;
    wire_stream_init(&stream, fd);
    wire_stream_keep(&stream, device);
    bool ok = send_owed_reply(device, fd, err);
    while (ok && (got = wire_stream_fill(&stream, WIRE_MPQEMU_HEADER_SIZE, err)) == 1) {
        wire_beat(device);
        ok = serve_one(device, &stream, err);
        wire_beat(device);
    }
    wire_stream_clear(&stream);
    wire_closed(device);
    return wire_ended(ok && got == 0, err);
}

const Wire wire_mpqemu = {.name = "mpqemu", .serve = serve};
