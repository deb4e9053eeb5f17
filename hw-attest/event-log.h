/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event-log.h - writes the pipe's records to the boot's log (TCG CEL, TLV), a file a segment
 *
 * One thread writes, in the pipe's order.  A record of the host is acknowledged only after
 * fdatasync; the guest's records go with the next one.  A failed write is undone (the file is cut
 * back to its last whole record), reported as fault LOG_WRITE and tried again.  A segment that is
 * long enough is sealed (segment.c): docs/formats/event-log.md, "Segments".
 */
#ifndef HW_ATTEST_EVENT_LOG_H
#define HW_ATTEST_EVENT_LOG_H

#include <openssl/evp.h>
#include "hw-attest/device.h"
#include "hw-attest/segment-files.h"

/* When a segment is sealed. */
typedef struct EventLogLimits {
    uint64_t bytes;
    uint64_t records;
    uint64_t interval_ms; /* at least so long after the last one, made or failed */
} EventLogLimits;

#define EVENT_LOG_SEGMENT_BYTES (4u * 1024 * 1024)
#define EVENT_LOG_SEGMENT_RECORDS 50000u
#define EVENT_LOG_SEGMENT_INTERVAL_MS 2000u

typedef struct EventLog {
    EventLogLimits limits; /* 0: the defaults above */
    SegmentFiles files;
    int fd; /* of the present segment; one of files */
    uint64_t segment;
    uint64_t first_record;   /* of the segment */
    size_t checkpoint_size;  /* at its start; 0 for segment 0 */
    int64_t next_seal_ms;    /* not before */
    EVP_MD_CTX *digest;      /* SHA-256 of the segment's file so far */
    MonattRetained retained; /* of all records that are logged */
    MonattCheckpoint next;   /* while one is made: its body is in `body` */
    uint8_t *buffer;         /* of EVENT_LOG_BATCH */
    uint8_t *body;           /* of MONATT_CHECKPOINT_BODY_MAXIMUM */
    uint8_t *checkpoint;     /* of MONATT_CHECKPOINT_MAXIMUM */
} EventLog;

#define EVENT_LOG_BATCH (64 * 1024)
#define EVENT_LOG_RETRY_MS 500

/* For event_log_close() whether or not it was opened. */
void event_log_init(EventLog *log);
/* Opens the files in the VM's state folder and finds the present segment; changes nothing. */
bool event_log_open_present(EventLog *log, int folder_fd, MonattError *err) MONATT_MUST_CHECK;
/* The same, and the log of the last boot becomes the previous one. */
bool event_log_open(EventLog *log, int folder_fd, MonattError *err) MONATT_MUST_CHECK;
void event_log_close(EventLog *log);
/* Copies the log to the previous one and starts an empty one, of a new boot. */
bool event_log_rotate(EventLog *log, MonattError *err) MONATT_MUST_CHECK;
/*
 * A device that starts again, after event_log_open_present(), goes on where the last one stopped:
 * cuts half a record at its end off, replays it into ret_replay (registers, counts, records, bytes)
 * and takes up what the next checkpoint needs.  ret_checkpoint may be NULL; segment 0: no
 * checkpoint. FORMAT: a log that breaks a rule; nothing was changed then.
 */
bool event_log_resume(EventLog *log, MonattCelReplay *ret_replay, bool *ret_has_checkpoint,
                      MonattCheckpoint *ret_checkpoint, MonattError *err) MONATT_MUST_CHECK;
/* The log thread: until device->ending and nothing is left. */
void event_log_run(EventLog *log, Device *device);

/* Internal to event-log.c and segment.c, log thread, with the lock. */
/* How many records may be written by now. */
uint64_t segment_limit(const Device *device);
/* One step towards the next segment; false: nothing to do but to write or to wait. */
bool segment_step(EventLog *log, Device *device);
/* Until when a waiting log thread must look again; -1: until it is woken. */
int64_t segment_wake_ms(const EventLog *log, const Device *device);
/* A batch of records that was written. */
bool segment_begin_digest(EventLog *log, const void *start, size_t size, MonattError *err);

#endif
