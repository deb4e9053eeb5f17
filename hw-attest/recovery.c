/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recovery.c - replays log and pipe; must never let a number of the dead process size or index
 * anything unchecked
 */
#include "hw-attest/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "libmonatt/eventlog/checkpoint.h"

#define LOG_SLACK (1024u * 1024u) /* the file may be longer than its counted records */

typedef struct Recovery {
    Device *device;
    EventLog *log;
    KeptState state; /* a copy */
    uint64_t logged;
    uint64_t synced;
    uint64_t guest_bytes;
    MonattCelReplay replay;  /* of the log */
    MonattCelReplay at_sync; /* at `synced` */
    uint8_t *bytes;          /* the log */
    size_t size;
} Recovery;

/* A bool of another process may hold anything. */
static bool truth(const bool *value)
{
    uint8_t byte;
    memcpy(&byte, value, 1);
    return byte != 0;
}

bool recovery_step(MonattCelReplay *replay, const PipeEntry *entry, MonattError *err)
{
    MonattCelEntry record = {.number = replay->records,
                             .index = entry->index,
                             .has_sha256 = truth(&entry->has_sha256),
                             .has_sha384 = truth(&entry->has_sha384),
                             .content_type = entry->content_type,
                             .content = entry->content,
                             .content_size = entry->content_size};
    if (entry->content_size > sizeof(entry->content)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "pipe: record %llu: content of %u bytes",
                                (unsigned long long)record.number, entry->content_size);
    }
    memcpy(record.sha256, entry->sha256, sizeof(record.sha256));
    memcpy(record.sha384, entry->sha384, sizeof(record.sha384));
    bool evidence = entry->index >= MONATT_EVIDENCE_FIRST && entry->index <= MONATT_EVIDENCE_LAST;
    if (truth(&entry->host) != evidence) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "pipe: record %llu: of the wrong party",
                                (unsigned long long)record.number);
    }
    return monatt_cel_replay_entry(replay, &record, err);
}

static bool check_cursors(Recovery *r, MonattError *err)
{
    const Pipe *pipe = r->device->pipe;
    r->logged = pipe->logged;
    r->synced = pipe->synced;
    if (r->synced > r->logged || r->logged > r->state.enqueued ||
        r->state.enqueued - r->synced > PIPE_SLOTS) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "pipe: %llu synced, %llu logged, %llu taken: cannot be",
                                (unsigned long long)r->synced, (unsigned long long)r->logged,
                                (unsigned long long)r->state.enqueued);
    }
    return true;
}

static bool read_log(Recovery *r, MonattError *err)
{
    struct stat status;
    if (fstat(r->log->fd, &status) != 0) {
        return monatt_error_set_errno(err, errno, "event log");
    }
    if (status.st_size < 0 || status.st_size > (off_t)(MONATT_EVENT_LOG_MAXIMUM + LOG_SLACK)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "event log: %lld bytes",
                                (long long)status.st_size);
    }
    r->bytes = malloc((size_t)status.st_size + 1);
    if (!r->bytes) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "event log: no memory");
    }
    while (r->size < (size_t)status.st_size) {
        ssize_t got =
            pread(r->log->fd, r->bytes + r->size, (size_t)status.st_size - r->size, (off_t)r->size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        r->size += (size_t)got;
    }
    return true;
}

static void note_record(Recovery *r, const MonattCelEntry *entry, size_t size)
{
    bool host = entry->content_type == MONATT_CEL_RECORD;
    r->guest_bytes += host ? 0 : size;
    if (entry->number >= r->synced) {
        /* Its slot is this record's: enqueued - synced is no more than the slots there are. */
        pipe_entry(r->device->pipe, entry->number)->log_end = r->replay.bytes;
    }
}

/* Segment by its checkpoint, then record for record up to `logged`. */
static bool replay_log(Recovery *r, MonattError *err)
{
    MonattReader reader;
    if (monatt_checkpoint_is_there(r->bytes, r->size)) {
        MonattCheckpoint checkpoint;
        if (!monatt_checkpoint_parse(r->bytes, r->size, &checkpoint, err)) {
            return false;
        }
        /* Its records are none of the pipe's, and swtpm has them all (event-log.c). */
        if (checkpoint.records > r->synced) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                    "event log: a checkpoint before swtpm had its records");
        }
        if (!monatt_cel_replay_log(&r->replay, r->bytes, r->size, checkpoint.records, err)) {
            return false;
        }
    }
    if (r->replay.records == r->synced) {
        r->at_sync = r->replay;
    }
    monatt_reader_init(&reader, "event log", r->bytes + r->replay.bytes,
                       r->size - (size_t)r->replay.bytes, err);
    while (r->replay.records < r->logged) {
        size_t before = monatt_reader_left(&reader);
        MonattCelEntry entry;
        if (before == 0) {
            return monatt_error_set(
                err, MONATT_ERROR_FORMAT, "event log: %llu records, %llu were written",
                (unsigned long long)r->replay.records, (unsigned long long)r->logged);
        }
        if (!monatt_cel_next(&reader, &entry) ||
            !monatt_cel_replay_entry(&r->replay, &entry, err)) {
            return false;
        }
        note_record(r, &entry, before - monatt_reader_left(&reader));
        if (r->replay.records == r->synced) {
            r->at_sync = r->replay;
        }
    }
    return true;
}

static bool same_values(const MonattCelReplay *a, const MonattCelReplay *b)
{
    return a->records == b->records &&
           monatt_bytes_equal(a->sha256, b->sha256, sizeof(a->sha256)) &&
           monatt_bytes_equal(a->sha384, b->sha384, sizeof(a->sha384)) &&
           monatt_bytes_equal(a->extends, b->extends, sizeof(a->extends));
}

/* From `synced` on the pipe says the same as the log, and goes on from there. */
static bool replay_pipe(Recovery *r, MonattError *err)
{
    MonattCelReplay replay = r->at_sync;
    while (replay.records < r->state.enqueued) {
        uint64_t number = replay.records;
        PipeEntry *entry = pipe_entry(r->device->pipe, number);
        entry->host = truth(&entry->host);
        entry->has_sha256 = truth(&entry->has_sha256);
        entry->has_sha384 = truth(&entry->has_sha384);
        if (number == r->logged && !same_values(&replay, &r->replay)) {
            break;
        }
        if (!recovery_step(&replay, entry, err)) {
            return false;
        }
        /* Counted when they are encoded too; the guest's share is no exact size. */
        r->guest_bytes += number >= r->logged && !entry->host ? entry->content_size + 127u : 0;
    }
    if (replay.records < r->state.enqueued ||
        (r->logged == r->state.enqueued && !same_values(&replay, &r->replay))) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "event log: not the records that were taken");
    }
    r->replay = replay;
    return true;
}

static void take_registers(Device *device, const MonattCelReplay *replay,
                           const MonattCelReplay *synced)
{
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        Register *mr = &device->registers.mr[i];
        memcpy(mr->sha256, replay->sha256[i], sizeof(mr->sha256));
        memcpy(mr->sha384, replay->sha384[i], sizeof(mr->sha384));
        mr->extends = replay->extends[i];
        mr->synced = synced->extends[i];
    }
}

/* Numbers that bound nothing are taken as they are: each is checked where it is used. */
static void take_state(Device *device, const KeptState *state)
{
    Command *command = &device->command;
    device->wire_messages = state->wire_messages;
    device->wire_used = state->wire_used;
    device->qmp_used = state->qmp_used;
    device->ram_messages = state->ram_messages;
    device->qmp_overlong = truth(&state->qmp_overlong);
    device->wire_failed = truth(&state->wire_failed);
    device->resetting = truth(&state->resetting);
    device->tpm_gone = truth(&state->tpm_gone);
    device->tpm_differs = truth(&state->tpm_differs);
    device->recovery_failed = truth(&state->recovery_failed);
    device->stopped = truth(&state->stopped);
    device->accelerator = state->accelerator <= 2 ? state->accelerator : 0;
    uint64_t now = device_boottime_ns();
    bool past = state->stopped_since_ns >= 0 && (uint64_t)state->stopped_since_ns <= now;
    device->stopped_since_ns = past ? state->stopped_since_ns : (int64_t)now;
    device->paused_ns = state->paused_ns;
    device->boot_count = state->boot_count;
    memcpy(device->boot_seed, state->boot_seed, sizeof(device->boot_seed));
    device->reset = state->reset;
    /* By bytes: a bool that is none must never be read as one. */
    static const size_t bools[] = {
        offsetof(Reset, wire),         offsetof(Reset, qmp),          offsetof(Reset, monitor),
        offsetof(Reset, guest_used),   offsetof(Reset, booted),       offsetof(Reset, can_restore),
        offsetof(Reset, attaching),    offsetof(Reset, stopped),      offsetof(Reset, resumed),
        offsetof(Reset, wire_watched), offsetof(Reset, wire_stopped), offsetof(Reset, restored),
        offsetof(Reset, told),
    };
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(bools); i++) {
        uint8_t *value = (uint8_t *)&device->reset + bools[i];
        *value = *value != 0;
    }
    device->config = state->config;
    device->interrupt.status = state->interrupt_status;
    device->interrupt.enable = state->interrupt_enable;
    device->ring.kept = state->ring;
    device->shadow.kept = state->shadow;
    uint32_t count = state->ring.count;
    if (state->ring.state == MONATT_RING_ON &&
        (count < MONATT_RING_SLOTS_MINIMUM || count > MONATT_RING_SLOTS_MAXIMUM ||
         (count & (count - 1)) != 0 || state->ring.base % GUEST_RAM_PAGE != 0)) {
        device->ring.kept.state = MONATT_RING_FAULT;
        device->ring.kept.error = MONATT_ERR_ADDRESS;
    }
    command->error = state->error;
    command->index = state->index;
    command->data_size = state->data_size;
    command->sequence = state->sequence & ~1u; /* nothing is under way */
    memcpy(command->nonce, state->nonce, sizeof(command->nonce));
    memcpy(command->data, state->data, sizeof(command->data));
}

/* Another map than the guest's would show the collector, and let ring and shadow page write, what
 * is somewhere else by now: rather none until QEMU sends the next one. */
static void check_memory(Device *device)
{
    uint64_t ahead = device->ram_kept - device->ram_messages;
    if (ahead > 1 && device->ram.count > 0) {
        monatt_log_error("recovery: '%s': the attach service's memory map is not the last one",
                         device->name);
        guest_ram_clear(&device->ram);
    }
    /* One ahead was handed on and will be read again (wire-mpqemu.c). */
    device->ram_kept = ahead > 1 ? 0 : device->ram_kept;
}

/* A stream of which more is waiting than fits cannot be gone on with. */
static void check_streams(Device *device)
{
    DeviceKept *kept = device->kept;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(kept->replies); i++) {
        kept->replies[i].wanted = truth(&kept->replies[i].wanted);
    }
    uint64_t received = kept_stream_received(&kept->wire);
    if (received < device->wire_used || received - device->wire_used > KEPT_WIRE_BYTES) {
        monatt_log_error("recovery: wire: %llu bytes came, %llu are dealt with: cannot be",
                         (unsigned long long)received, (unsigned long long)device->wire_used);
        device->wire_failed = true;
    }
    received = kept_stream_received(&kept->qmp);
    if (received < device->qmp_used || received - device->qmp_used >= KEPT_QMP_BYTES) {
        /* From the next whole line on. */
        device->qmp_used = received;
        device->qmp_overlong = true;
    }
}

/* Cut to `logged`, the log is what the log thread goes on with: it takes up its own notes. */
static bool cut_log(Recovery *r, MonattError *err)
{
    MonattCelReplay again;
    bool has_checkpoint;
    if (ftruncate(r->log->fd, (off_t)r->replay.bytes) != 0) {
        return monatt_error_set_errno(err, errno, "event log: cut");
    }
    if (!event_log_resume(r->log, &again, &has_checkpoint, NULL, err)) {
        return false;
    }
    return same_values(&again, &r->replay) ||
           monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: changes while it is read");
}

static bool replay_all(Recovery *r, MonattError *err)
{
    return check_cursors(r, err) && read_log(r, err) && replay_log(r, err) && cut_log(r, err) &&
           replay_pipe(r, err);
}

static void fail(Recovery *r, const MonattError *err)
{
    Pipe *pipe = r->device->pipe;
    MonattError ignored = {0};
    monatt_log_error("recovery: '%s': %s", r->device->name, err->message);
    r->device->recovery_failed = true;
    /* The log as far as it goes. */
    monatt_cel_replay_init(&r->replay);
    r->logged = r->synced = UINT64_MAX;
    r->guest_bytes = 0;
    if (r->bytes || read_log(r, &ignored)) {
        bool whole = replay_log(r, &ignored);
        (void)whole; /* it cannot be: there are not so many records */
    }
    /* What cannot be trusted is not logged and not extended any more; records on disk stay. */
    pipe->enqueued = pipe->logged = pipe->synced = r->replay.records;
    r->at_sync = r->replay;
}

void recovery_run(Device *device, EventLog *log, MonattCelReplay **ret_synced)
{
    static Recovery r; /* once in a process */
    MonattError err = {0};
    const DeviceKept *kept = device->kept;
    r = (Recovery){.device = device, .log = log};
    r.state = kept->states[atomic_load_explicit(&kept->current, memory_order_acquire) & 1];
    *ret_synced = NULL;
    monatt_cel_replay_init(&r.replay);
    take_state(device, &r.state);
    check_memory(device);
    check_streams(device);
    device->pipe->enqueued = r.state.enqueued;
    if (device->resetting && atomic_load(&kept->log_rotated)) {
        /* The old boot is put away; the tpm thread makes the new one. */
        bool has_checkpoint;
        pipe_clear(device->pipe);
        if (!event_log_resume(log, &r.replay, &has_checkpoint, NULL, &err) ||
            r.replay.records > 0) {
            atomic_store(&device->kept->log_rotated, false);
        }
        ring_resume(device);
        shadow_memory_changed(device);
        return;
    }
    if (!replay_all(&r, &err)) {
        fail(&r, &err);
    }
    take_registers(device, &r.replay, &r.at_sync);
    device->guest_bytes = r.guest_bytes;
    device->synced_bytes = r.at_sync.bytes;
    device->log_bytes = device->recovery_failed ? r.replay.bytes
                        : device->pipe->logged > device->pipe->synced
                            ? pipe_entry(device->pipe, device->pipe->logged - 1)->log_end
                            : r.at_sync.bytes;
    free(r.bytes);
    r.bytes = NULL;
    if (!device->resetting && !device_broken(device)) {
        *ret_synced = malloc(sizeof(r.at_sync));
        if (!*ret_synced) {
            device->recovery_failed = true;
        } else {
            **ret_synced = r.at_sync;
        }
    }
    /* The guest's view of it, at once: it may look at any time. */
    ring_resume(device);
    shadow_memory_changed(device);
    kept_commit(device);
}
