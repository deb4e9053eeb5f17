/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event-log.c - the log thread; must never leave half a record before a whole one
 */
#include "hw-attest/event-log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "libmonatt/eventlog/cel.h"

void event_log_init(EventLog *log)
{
    *log = (EventLog){.fd = -1};
    segment_files_init(&log->files);
}

/* The log's own idea of an empty segment 0. */
static bool begin_boot(EventLog *log, MonattError *err)
{
    log->segment = 0;
    log->fd = segment_files_fd(&log->files, 0);
    log->first_record = 0;
    log->checkpoint_size = 0;
    log->next_seal_ms = 0;
    monatt_retained_init(&log->retained);
    return segment_begin_digest(log, "", 0, err);
}

bool event_log_open_present(EventLog *log, int folder_fd, MonattError *err)
{
    EventLogLimits limits = log->limits;
    event_log_init(log);
    log->limits.bytes = limits.bytes ? limits.bytes : EVENT_LOG_SEGMENT_BYTES;
    log->limits.records = limits.records ? limits.records : EVENT_LOG_SEGMENT_RECORDS;
    log->limits.interval_ms =
        limits.interval_ms ? limits.interval_ms : EVENT_LOG_SEGMENT_INTERVAL_MS;
    log->buffer = malloc(EVENT_LOG_BATCH);
    log->body = malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    log->checkpoint = malloc(MONATT_CHECKPOINT_MAXIMUM);
    log->digest = EVP_MD_CTX_new();
    if (!log->buffer || !log->body || !log->checkpoint || !log->digest) {
        event_log_close(log);
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "event log: no memory");
    }
    if (!segment_files_open(&log->files, folder_fd, err) ||
        !segment_files_find(&log->files, log->checkpoint, &log->segment, err)) {
        event_log_close(log);
        return false;
    }
    log->fd = segment_files_fd(&log->files, log->segment);
    return true;
}

bool event_log_open(EventLog *log, int folder_fd, MonattError *err)
{
    return event_log_open_present(log, folder_fd, err) && event_log_rotate(log, err);
}

void event_log_close(EventLog *log)
{
    segment_files_close(&log->files);
    log->fd = -1;
    free(log->buffer);
    free(log->body);
    free(log->checkpoint);
    EVP_MD_CTX_free(log->digest);
    log->buffer = log->body = log->checkpoint = NULL;
    log->digest = NULL;
}

bool event_log_rotate(EventLog *log, MonattError *err)
{
    bool ok = segment_files_new_boot(&log->files, log->segment, log->buffer, EVENT_LOG_BATCH, err);
    return begin_boot(log, ok ? err : NULL) && ok; /* segment 0 in any case */
}

/* Encodes records from `logged` on; returns how many, sets host and the end of each. */
static uint64_t encode_batch(EventLog *log, Device *device, size_t *ret_size, bool *ret_host)
{
    Pipe *pipe = device->pipe;
    uint64_t count = 0;
    *ret_size = 0;
    *ret_host = false;
    while (pipe->logged + count < segment_limit(device) &&
           EVENT_LOG_BATCH - *ret_size >= MONATT_CEL_ENTRY_MAXIMUM) {
        PipeEntry *entry = pipe_entry(pipe, pipe->logged + count);
        MonattCelEntry record = {.number = pipe->logged + count,
                                 .index = entry->index,
                                 .has_sha256 = entry->has_sha256,
                                 .has_sha384 = entry->has_sha384,
                                 .content_type = entry->content_type,
                                 .content = entry->content,
                                 .content_size = entry->content_size};
        memcpy(record.sha256, entry->sha256, sizeof(record.sha256));
        memcpy(record.sha384, entry->sha384, sizeof(record.sha384));
        size_t size = 0;
        MonattError err = {0};
        if (!monatt_cel_encode(&record, log->buffer + *ret_size, EVENT_LOG_BATCH - *ret_size, &size,
                               &err)) {
            monatt_log_failure(&err); /* cannot happen: sizes were checked when it was taken */
            break;
        }
        *ret_size += size;
        entry->log_end = device->log_bytes + *ret_size;
        *ret_host = *ret_host || entry->host;
        count++;
    }
    return count;
}

/* What is in the file now is part of what the next checkpoint says. */
static void take_note(EventLog *log, const uint8_t *bytes, size_t size, bool host)
{
    MonattReader r;
    MonattError err = {0};
    bool ok = EVP_DigestUpdate(log->digest, bytes, size) == 1;
    monatt_reader_init(&r, "event log", bytes, size, &err);
    /* Ends: each round consumes at least one byte. */
    while (ok && host && monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        ok =
            monatt_cel_next(&r, &entry) &&
            monatt_retained_note(&log->retained, &entry, r.bytes + start, r.position - start, &err);
    }
    if (!ok) {
        /* Only when libcrypto fails.  A checkpoint that would not fit is worse than none. */
        monatt_log_error("event log: no segment of this boot can be sealed any more");
        log->retained.too_many = true;
    }
}

/* Nobody but this thread writes the file: another size means that records are gone. */
static void check_size(const EventLog *log, Device *device, off_t wanted)
{
    struct stat status;
    bool same = fstat(log->fd, &status) == 0 && status.st_size == wanted;
    if (!same && !device->recovery_failed) {
        monatt_log_error("event log: it was changed on disk: no evidence until the VM is reset");
        device->recovery_failed = true;
        device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_RECOVERY);
    }
}

/* Waits for a record, or for the time when the segment may be sealed. */
static void wait_for_work(EventLog *log, Device *device)
{
    int64_t until = segment_wake_ms(log, device);
    if (until < 0) {
        pthread_cond_wait(&device->enqueued, &device->lock);
        return;
    }
    struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    pthread_cond_timedwait(&device->enqueued, &device->lock, &at);
}

void event_log_run(EventLog *log, Device *device)
{
    pthread_mutex_lock(&device->lock);
    for (;;) {
        if (segment_step(log, device)) {
            continue;
        }
        if (device->pipe->logged == segment_limit(device)) {
            if (device->ending) {
                break;
            }
            wait_for_work(log, device);
            continue;
        }
        size_t size;
        bool host;
        uint64_t count = encode_batch(log, device, &size, &host);
        off_t offset = (off_t)device->log_bytes;
        device->log_writing = true;
        check_size(log, device, offset);
        pthread_mutex_unlock(&device->lock);
        bool ok = segment_files_write(log->fd, log->buffer, size, offset) &&
                  (!host || fdatasync(log->fd) == 0);
        if (ok) {
            take_note(log, log->buffer, size, host);
        } else {
            int saved = errno;
            if (ftruncate(log->fd, offset) != 0) {
                saved = errno;
            }
            monatt_log_error("event log: write: %s", strerrordesc_np(saved));
        }
        pthread_mutex_lock(&device->lock);
        device->log_writing = false;
        if (ok) {
            uint64_t logged = device->pipe->logged + count;
            if (hold_wants_log_end(&device->hold, device->pipe->logged, logged)) {
                device->hold.log_end = pipe_entry(device->pipe, device->hold.position - 1)->log_end;
            }
            device->pipe->logged = logged;
            device->log_bytes += size;
            if (host) {
                device->durable = device->pipe->logged;
            }
            device->log_failed = false;
            pthread_cond_broadcast(&device->changed);
        } else {
            if (!device->log_failed) {
                device->log_failed = true;
                device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_LOG_WRITE);
            }
            pthread_cond_broadcast(&device->changed);
            if (device->ending) {
                break;
            }
            int64_t until = device_now_ms() + EVENT_LOG_RETRY_MS;
            while (!device->ending && device_wait_until(device, until)) {
            }
        }
    }
    pthread_mutex_unlock(&device->lock);
}
