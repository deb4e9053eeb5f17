/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-recovery.c - the block and the log that a killed device process left, from hostile bytes
 *
 * u16 size of the log, big-endian, and the log; then pieces "u8 part, u16 offset, u8 size, bytes"
 * that overwrite parts of the block.  What is recovered replays, or is a fault; no cursor leads
 * out of the pipe, no stream out of its buffer, and the registers are those of log and pipe.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/recovery.h"
#include "tests/fuzz/fuzz.h"

static DeviceKept *kept;
static EventLog event_log;

static void set_up(void)
{
    kept = calloc(1, sizeof(*kept));
    require(kept);
    event_log_init(&event_log);
    event_log.buffer = malloc(EVENT_LOG_BATCH);
    event_log.body = malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    event_log.checkpoint = malloc(MONATT_CHECKPOINT_MAXIMUM);
    event_log.digest = EVP_MD_CTX_new();
    require(event_log.buffer && event_log.body && event_log.checkpoint && event_log.digest);
    for (size_t i = 0; i < SEGMENT_FILES; i++) {
        event_log.files.fds[i] = memfd_create("segment", MFD_CLOEXEC);
        require(event_log.files.fds[i] >= 0);
    }
    event_log.fd = event_log.files.fds[0];
}

/* Where a piece goes; what lies in between is written by the kernel or by nobody. */
static uint8_t *part(uint8_t number, size_t *ret_size)
{
    struct {
        void *bytes;
        size_t size;
    } parts[] = {{&kept->pipe.enqueued, sizeof(kept->pipe.enqueued)},
                 {&kept->pipe.logged, sizeof(kept->pipe.logged)},
                 {&kept->pipe.synced, sizeof(kept->pipe.synced)},
                 {&kept->states[0], sizeof(kept->states[0])},
                 {&kept->states[0].enqueued, sizeof(uint64_t)},
                 {&kept->states[0].reset, sizeof(Reset)},
                 {&kept->states[0].ring, sizeof(RingState)},
                 {&kept->states[0].shadow, sizeof(ShadowState)},
                 {&kept->wire.receives[0].start, sizeof(uint64_t)},
                 {&kept->wire.receives[0].message.msg_len, sizeof(unsigned)},
                 {&kept->qmp.receives[0].start, sizeof(uint64_t)},
                 {&kept->states[0].wire_used, sizeof(uint64_t)},
                 {&kept->states[0].qmp_used, sizeof(uint64_t)},
                 {&kept->log_rotated, 1},
                 {&kept->pipe.entries[0], sizeof(PipeEntry)},
                 {&kept->pipe.entries[1], sizeof(PipeEntry)},
                 {&kept->pipe.entries[2], sizeof(PipeEntry)}};
    number %= MONATT_ARRAY_SIZE(parts);
    *ret_size = parts[number].size;
    return parts[number].bytes;
}

static void check(const Device *device, const MonattCelReplay *synced)
{
    const Pipe *pipe = device->pipe;
    MonattError err = {0};
    require(pipe->synced <= pipe->logged && pipe->logged <= pipe->enqueued);
    require(pipe->enqueued - pipe->synced <= PIPE_ENTRIES);
    require(device->wire_failed ||
            kept_stream_received(&kept->wire) - device->wire_used <= KEPT_WIRE_BYTES);
    require(kept_stream_received(&kept->qmp) - device->qmp_used <= KEPT_QMP_BYTES);
    if (device->recovery_failed) {
        require(!synced && pipe->synced == pipe->enqueued && !device_ready((Device *)device, &err));
        return;
    }
    if (synced) {
        MonattCelReplay replay = *synced;
        require(replay.records == pipe->synced);
        while (replay.records < pipe->enqueued) {
            require(recovery_step(&replay, pipe_entry(device->pipe, replay.records), &err));
        }
        for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
            const Register *mr = &device->registers.mr[i];
            require(memcmp(mr->sha256, replay.sha256[i], sizeof(mr->sha256)) == 0);
            require(memcmp(mr->sha384, replay.sha384[i], sizeof(mr->sha384)) == 0);
            require(mr->extends == replay.extends[i] && mr->synced <= mr->extends);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (!kept) {
        set_up();
    }
    memset(kept, 0, sizeof(*kept));
    size_t log_size = (size_t)(data[0] << 8 | data[1]);
    data += 2;
    size -= 2;
    log_size = log_size < size ? log_size : size;
    for (size_t i = 0; i < SEGMENT_FILES; i++) {
        require(ftruncate(event_log.files.fds[i], 0) == 0);
    }
    event_log.fd = event_log.files.fds[0];
    require(pwrite(event_log.fd, data, log_size, 0) == (ssize_t)log_size);
    data += log_size;
    size -= log_size;
    while (size >= 4) {
        size_t room;
        uint8_t *bytes = part(data[0], &room);
        size_t offset = (size_t)(data[1] << 8 | data[2]) % room;
        size_t length = data[3];
        data += 4;
        size -= 4;
        length = length < size ? length : size;
        memcpy(bytes + offset, data, length < room - offset ? length : room - offset);
        data += length;
        size -= length;
    }
    Device *device = device_new(kept);
    MonattCelReplay *synced = NULL;
    require(device);
    recovery_run(device, &event_log, &synced);
    check(device, synced);
    free(synced);
    device_free(device);
    return 0;
}
