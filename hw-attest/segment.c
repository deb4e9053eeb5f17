/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment.c - seals a segment of the log and begins the next one
 *
 * Theory of operation.  The log thread fixes a position, with the registers as they stand there
 * (DRAINING).  Neither log nor swtpm goes past it.  Once the last record before it is on disk, it
 * writes the checkpoint's body and asks for its quotes (ASKED); the tpm thread makes them when
 * swtpm is exactly there (SIGNED).  Then the next file gets the checkpoint, and records go on
 * behind it.  Guests extend into the pipe all the while.  Must never make the wire thread wait,
 * and never go on in a file whose checkpoint is not on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/event-log.h"
#include "libmonatt/base/log.h"

#define WAKE_MS 20 /* a segment that is long enough, and something in the way */

uint64_t segment_limit(const Device *device)
{
    return device->seal.state != SEAL_IDLE ? device->seal.position : device->pipe->enqueued;
}

bool segment_begin_digest(EventLog *log, const void *start, size_t size, MonattError *err)
{
    if (EVP_DigestInit_ex(log->digest, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(log->digest, start, size) != 1) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: libcrypto cannot hash");
    }
    return true;
}

/* Not during a reset: the log's own fields are the tpm thread's then. */
static bool is_long_enough(const EventLog *log, const Device *device)
{
    if (device->resetting) {
        return false;
    }
    uint64_t records = device->pipe->logged - log->first_record;
    return records > 0 && (device->log_bytes - log->checkpoint_size >= log->limits.bytes ||
                           records >= log->limits.records);
}

int64_t segment_wake_ms(const EventLog *log, const Device *device)
{
    if (!is_long_enough(log, device) || device_broken(device)) {
        return -1;
    }
    int64_t soon = device_now_ms() + WAKE_MS;
    return log->next_seal_ms > soon ? log->next_seal_ms : soon;
}

static bool begin(EventLog *log, Device *device)
{
    DeviceSeal *seal = &device->seal;
    MonattError ignored = {0};
    seal->due = is_long_enough(log, device) && device_now_ms() >= log->next_seal_ms &&
                device_ready(device, &ignored);
    if (!seal->due || device->quote.state != QUOTE_IDLE ||
        hold_active(&device->hold, device_now_ms())) {
        return false;
    }
    seal->due = false;
    seal->position = device->pipe->enqueued;
    seal->guest_bytes = device->guest_bytes;
    seal->registers = device->registers;
    seal->state = SEAL_DRAINING;
    return true;
}

/* Back to one segment; failed: tried again after the interval, and a guest may hear of it. */
static void give_up(EventLog *log, Device *device, const MonattError *why)
{
    if (why) {
        monatt_log_failure(why);
        device->seal.impossible = true;
        log->next_seal_ms = device_now_ms() + (int64_t)log->limits.interval_ms;
    }
    device->seal.state = SEAL_IDLE;
    pthread_cond_broadcast(&device->changed);
}

/* The body, from what the lock protects and what this thread has noted. */
static bool make_body(EventLog *log, const Device *device, MonattError *err)
{
    const DeviceSeal *seal = &device->seal;
    MonattCheckpoint *c = &log->next;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool ok = copy && EVP_MD_CTX_copy_ex(copy, log->digest) == 1 &&
              EVP_DigestFinal_ex(copy, c->previous, NULL) == 1;
    EVP_MD_CTX_free(copy);
    if (!ok) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: libcrypto cannot hash");
    }
    memcpy(c->vid, device->vid, sizeof(c->vid));
    memcpy(c->boot_seed, device->boot_seed, sizeof(c->boot_seed));
    c->reset_count = device->boot_count;
    c->segment = log->segment + 1;
    c->records = seal->position;
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        memcpy(c->sha256[i], seal->registers.mr[i].sha256, MONATT_SHA256_SIZE);
        memcpy(c->sha384[i], seal->registers.mr[i].sha384, MONATT_SHA384_SIZE);
        c->extends[i] = seal->registers.mr[i].extends;
    }
    /* The retained records first go where the whole checkpoint comes later. */
    if (!monatt_retained_put(&log->retained, c, log->checkpoint, MONATT_CHECKPOINT_MAXIMUM, err) ||
        !monatt_checkpoint_encode_body(c, log->body, MONATT_CHECKPOINT_BODY_MAXIMUM, &c->body_size,
                                       err)) {
        return false;
    }
    c->body = log->body;
    return true;
}

static void ask(EventLog *log, Device *device)
{
    DeviceSeal *seal = &device->seal;
    MonattError err = {0};
    device->log_writing = true; /* a reset waits for us */
    pthread_mutex_unlock(&device->lock);
    /* What a checkpoint speaks of must be on disk before it is. */
    bool ok = fdatasync(log->fd) == 0 ||
              monatt_error_set_errno(&err, errno, "event log: sync the segment");
    pthread_mutex_lock(&device->lock);
    device->log_writing = false;
    ok = ok && make_body(log, device, &err) &&
         monatt_checkpoint_qualifying(MONATT_ALG_SHA256, log->next.body, log->next.body_size,
                                      seal->signature256.qualifying,
                                      &seal->signature256.qualifying_size, &err) &&
         monatt_checkpoint_qualifying(MONATT_ALG_SHA384, log->next.body, log->next.body_size,
                                      seal->signature384.qualifying,
                                      &seal->signature384.qualifying_size, &err);
    if (!ok) {
        give_up(log, device, &err);
        return;
    }
    seal->error = (MonattError){0};
    seal->state = SEAL_ASKED;
    pthread_cond_broadcast(&device->changed);
}

static void take_quote(const DeviceSignature *signature, MonattCheckpointQuote *ret)
{
    ret->attest = signature->attest;
    ret->attest_size = signature->attest_size;
    ret->signature = signature->signature;
    ret->signature_size = signature->signature_size;
}

/* Without the lock: the tpm thread is done with the signatures. */
static bool write_next(EventLog *log, Device *device, size_t *ret_size, MonattError *err)
{
    MonattCheckpoint *c = &log->next;
    MonattCheckpoint again;
    take_quote(&device->seal.signature256, &c->quote256);
    take_quote(&device->seal.signature384, &c->quote384);
    return monatt_checkpoint_encode(c, log->checkpoint, MONATT_CHECKPOINT_MAXIMUM, ret_size, err) &&
           /* The reader is the rule: what it would refuse must not become the log. */
           monatt_checkpoint_parse(log->checkpoint, *ret_size, &again, err) &&
           segment_files_empty(&log->files, c->segment, err) &&
           segment_files_begin(&log->files, c->segment, log->checkpoint, *ret_size, err);
}

static void go_on(EventLog *log, Device *device)
{
    DeviceSeal *seal = &device->seal;
    MonattError err = {0};
    size_t size = 0;
    device->log_writing = true;
    pthread_mutex_unlock(&device->lock);
    bool ok = write_next(log, device, &size, &err) &&
              segment_begin_digest(log, log->checkpoint, size, &err);
    pthread_mutex_lock(&device->lock);
    device->log_writing = false;
    if (!ok) {
        give_up(log, device, &err);
        return;
    }
    log->segment = log->next.segment;
    log->fd = segment_files_fd(&log->files, log->segment);
    log->first_record = seal->position;
    log->checkpoint_size = size;
    log->next_seal_ms = device_now_ms() + (int64_t)log->limits.interval_ms;
    device->log_fd = log->fd;
    device->log_bytes = size;
    device->synced_bytes = size;
    device->guest_bytes -= seal->guest_bytes;
    if (device->durable < seal->position) {
        device->durable = seal->position;
    }
    seal->impossible = false;
    give_up(log, device, NULL);
}

bool segment_step(EventLog *log, Device *device)
{
    DeviceSeal *seal = &device->seal;
    bool over = device->resetting || device->ending;
    switch (seal->state) {
    case SEAL_IDLE:
        return begin(log, device);
    case SEAL_DRAINING:
        if (over) {
            give_up(log, device, NULL);
            return true;
        }
        if (device->pipe->logged < seal->position) {
            return false;
        }
        ask(log, device);
        return true;
    case SEAL_ASKED:
        if (over) {
            give_up(log, device, NULL);
            return true;
        }
        pthread_cond_wait(&device->changed, &device->lock);
        return true;
    case SEAL_RUNNING:
        pthread_cond_wait(&device->changed, &device->lock);
        return true;
    case SEAL_SIGNED:
        go_on(log, device);
        return true;
    case SEAL_FAILED:
        give_up(log, device, &seal->error);
        return true;
    }
    return false;
}

/* Replays the file and takes up what the next checkpoint needs, from its whole records. */
static bool resume_from(EventLog *log, const uint8_t *bytes, size_t size, MonattCelReplay *replay,
                        size_t *ret_whole, MonattCheckpoint *ret_checkpoint, MonattError *err)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    MonattError end = {0};
    const uint8_t *where;
    size_t length;
    bool failed = false;
    monatt_cel_replay_init(replay);
    if (!monatt_log_walk_begin(&walk, bytes, size, err)) {
        return false;
    }
    if (walk.has_checkpoint) {
        if (!monatt_cel_replay_log(replay, bytes, walk.checkpoint.size, UINT64_MAX, err) ||
            !monatt_retained_restore(&log->retained, &walk.checkpoint, err)) {
            return false;
        }
    } else {
        monatt_retained_init(&log->retained);
    }
    log->segment = walk.has_checkpoint ? walk.checkpoint.segment : 0;
    log->first_record = replay->records;
    log->checkpoint_size = walk.checkpoint.size;
    *ret_checkpoint = walk.checkpoint;
    walk.records.err = &end; /* half a record at the end is no error */
    while (monatt_log_walk_next(&walk, &entry, &where, &length, &failed)) {
        if (!walk.is_retained &&
            (!monatt_cel_replay_entry(replay, &entry, err) ||
             !monatt_retained_note(&log->retained, &entry, where, length, err))) {
            return false;
        }
    }
    *ret_whole = (size_t)replay->bytes;
    if (failed && size - *ret_whole >= MONATT_CEL_ENTRY_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "event log: %s", end.message);
    }
    return segment_begin_digest(log, bytes, *ret_whole, err);
}

bool event_log_resume(EventLog *log, MonattCelReplay *ret_replay, bool *ret_has_checkpoint,
                      MonattCheckpoint *ret_checkpoint, MonattError *err)
{
    uint64_t segment;
    struct stat status;
    size_t whole = 0;
    MonattCheckpoint checkpoint = {.segment = 0};
    if (!segment_files_find(&log->files, log->checkpoint, &segment, err)) {
        return false;
    }
    int fd = segment_files_fd(&log->files, segment);
    if (fstat(fd, &status) != 0) {
        return monatt_error_set_errno(err, errno, "event log: size");
    }
    size_t size = (size_t)status.st_size;
    if (size > MONATT_EVENT_LOG_MAXIMUM + MONATT_CHECKPOINT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "event log: %zu bytes", size);
    }
    /* Mapped: it may be larger than all the device otherwise has. */
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (bytes == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "event log: map");
    }
    bool ok = resume_from(log, bytes ? bytes : (const uint8_t *)"", size, ret_replay, &whole,
                          &checkpoint, err);
    *ret_has_checkpoint = checkpoint.segment > 0;
    if (ok && ret_checkpoint) {
        /* What points into the file is of no use any more. */
        *ret_checkpoint = checkpoint;
        ret_checkpoint->retained = ret_checkpoint->body = NULL;
        ret_checkpoint->quote256 = ret_checkpoint->quote384 = (MonattCheckpointQuote){0};
    }
    if (bytes) {
        munmap(bytes, size);
    }
    if (ok && whole < size && (ftruncate(fd, (off_t)whole) != 0 || fdatasync(fd) != 0)) {
        return monatt_error_set_errno(err, errno, "event log: cut half a record off");
    }
    log->fd = fd;
    return ok;
}
