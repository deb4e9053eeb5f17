/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event-log.c - the log thread; must never leave half a record before a whole one
 */
#include "hw-attest/event-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "libmonatt/eventlog/cel.h"

bool event_log_open(EventLog *log, int folder_fd, MonattError *err)
{
    *log = (EventLog){.fd = -1, .previous_fd = -1};
    log->buffer = malloc(EVENT_LOG_BATCH);
    if (!log->buffer) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "event log: no memory");
    }
    log->fd = openat(folder_fd, "eventlog.cel", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    log->previous_fd =
        openat(folder_fd, "eventlog.previous.cel", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->fd < 0 || log->previous_fd < 0) {
        int saved = errno;
        event_log_close(log);
        return monatt_error_set_errno(err, saved, "event log: open");
    }
    return event_log_rotate(log, err);
}

void event_log_close(EventLog *log)
{
    monatt_close_pointer(&log->fd);
    monatt_close_pointer(&log->previous_fd);
    free(log->buffer);
    log->buffer = NULL;
}

static bool write_whole(int fd, const uint8_t *bytes, size_t size, off_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        size -= (size_t)written;
        offset += written;
    }
    return true;
}

bool event_log_rotate(EventLog *log, MonattError *err)
{
    /* Copied, not renamed: inside the sandbox no file may be made. */
    off_t offset = 0;
    bool ok = ftruncate(log->previous_fd, 0) == 0;
    while (ok) {
        ssize_t got = pread(log->fd, log->buffer, EVENT_LOG_BATCH, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        ok = got >= 0 && write_whole(log->previous_fd, log->buffer, (size_t)got, offset);
        if (got <= 0) {
            break;
        }
        offset += got;
    }
    /* A previous log that could not be kept whole is no reason to have no present one. */
    if (!ok || fdatasync(log->previous_fd) != 0) {
        monatt_log_warning("event log: the previous boot's log was not kept whole");
    }
    if (ftruncate(log->fd, 0) != 0 || fdatasync(log->fd) != 0) {
        return monatt_error_set_errno(err, errno, "event log: start a new one");
    }
    return true;
}

/* Encodes records from `logged` on; returns how many, sets host and the end of each. */
static uint64_t encode_batch(EventLog *log, Device *device, size_t *ret_size, bool *ret_host)
{
    Pipe *pipe = device->pipe;
    uint64_t count = 0;
    *ret_size = 0;
    *ret_host = false;
    while (pipe->logged + count < pipe->enqueued &&
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

void event_log_run(EventLog *log, Device *device)
{
    pthread_mutex_lock(&device->lock);
    for (;;) {
        if (device->pipe->logged == device->pipe->enqueued) {
            if (device->ending) {
                break;
            }
            pthread_cond_wait(&device->enqueued, &device->lock);
            continue;
        }
        size_t size;
        bool host;
        uint64_t count = encode_batch(log, device, &size, &host);
        off_t offset = (off_t)device->log_bytes;
        device->log_writing = true;
        pthread_mutex_unlock(&device->lock);
        bool ok =
            write_whole(log->fd, log->buffer, size, offset) && (!host || fdatasync(log->fd) == 0);
        if (!ok) {
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
