/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kept.c - commits a device's state; must never leave a state that is half of one
 */
#include "hw-attest/kept.h"

#include <string.h>
#include "hw-attest/device.h"

void kept_commit(Device *device)
{
    DeviceKept *kept = device->kept;
    unsigned next = !(atomic_load_explicit(&kept->current, memory_order_relaxed) & 1);
    KeptState *state = &kept->states[next];
    const Command *command = &device->command;
    state->enqueued = device->pipe->enqueued;
    state->wire_messages = device->wire_messages;
    state->wire_used = device->wire_used;
    state->qmp_used = device->qmp_used;
    state->ram_messages = device->ram_messages;
    state->qmp_overlong = device->qmp_overlong;
    state->wire_failed = device->wire_failed;
    state->resetting = device->resetting;
    state->tpm_gone = device->tpm_gone;
    state->tpm_differs = device->tpm_differs;
    state->recovery_failed = device->recovery_failed;
    state->stopped = device->stopped;
    state->accelerator = device->accelerator;
    state->stopped_since_ns = device->stopped_since_ns;
    state->paused_ns = device->paused_ns;
    state->boot_count = device->boot_count;
    memcpy(state->boot_seed, device->boot_seed, sizeof(state->boot_seed));
    state->reset = device->reset;
    state->config = device->config;
    state->interrupt_status = device->interrupt.status;
    state->interrupt_enable = device->interrupt.enable;
    state->ring = device->ring.kept;
    state->shadow = device->shadow.kept;
    state->error = command->error;
    state->index = command->index;
    state->data_size = command->data_size;
    state->sequence = command->sequence;
    memcpy(state->nonce, command->nonce, sizeof(state->nonce));
    memcpy(state->data, command->data, sizeof(state->data));
    /* Release: a killed process has done all its stores up to the last one, if the compiler has. */
    atomic_store_explicit(&kept->current, next, memory_order_release);
}

uint64_t kept_stream_received(const KeptStream *stream)
{
    unsigned current = atomic_load_explicit(&stream->current, memory_order_acquire) & 1;
    return stream->receives[current].start + stream->receives[current].message.msg_len;
}

ssize_t kept_stream_receive(KeptStream *stream, uint8_t *bytes, size_t capacity, uint64_t used,
                            int fd, struct msghdr *control, int flags)
{
    uint64_t received = kept_stream_received(stream);
    size_t at = (size_t)(received % capacity);
    size_t room = capacity - (size_t)(received - used);
    size_t first = room < capacity - at ? room : capacity - at;
    struct iovec parts[2] = {{bytes + at, first}, {bytes, room - first}};
    unsigned next = !(atomic_load_explicit(&stream->current, memory_order_relaxed) & 1);
    struct mmsghdr *message = &stream->receives[next].message;
    stream->receives[next].start = received;
    message->msg_len = 0;
    message->msg_hdr = (struct msghdr){.msg_iov = parts, .msg_iovlen = room > first ? 2 : 1};
    if (control) {
        message->msg_hdr.msg_control = control->msg_control;
        message->msg_hdr.msg_controllen = control->msg_controllen;
    }
    atomic_store_explicit(&stream->current, next, memory_order_release);
    int got = recvmmsg(fd, message, 1, flags, NULL);
    if (got < 0) {
        return -1;
    }
    if (control) {
        control->msg_control = message->msg_hdr.msg_control;
        control->msg_controllen = message->msg_hdr.msg_controllen;
        control->msg_flags = message->msg_hdr.msg_flags;
    }
    return (ssize_t)message->msg_len;
}

void kept_stream_copy(const uint8_t *bytes, size_t capacity, uint64_t position, void *ret,
                      size_t size)
{
    size_t at = (size_t)(position % capacity);
    size_t first = size < capacity - at ? size : capacity - at;
    memcpy(ret, bytes + at, first);
    memcpy((uint8_t *)ret + first, bytes, size - first);
}
