/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event-log.h - writes the pipe's records to eventlog.cel (TCG CEL, TLV)
 *
 * One thread writes, in the pipe's order.  A record of the host is acknowledged only after
 * fdatasync; the guest's records go with the next one.  A failed write is undone (the file is cut
 * back to its last whole record), reported as fault LOG_WRITE and tried again.
 */
#ifndef HW_ATTEST_EVENT_LOG_H
#define HW_ATTEST_EVENT_LOG_H

#include "hw-attest/device.h"

typedef struct EventLog {
    int fd;          /* eventlog.cel, append */
    int previous_fd; /* eventlog.previous.cel */
    uint8_t *buffer; /* of EVENT_LOG_BATCH */
} EventLog;

#define EVENT_LOG_BATCH (64 * 1024)
#define EVENT_LOG_RETRY_MS 500

/* Opens both files in the VM's state folder; the log of the last boot becomes the previous one. */
bool event_log_open(EventLog *log, int folder_fd, MonattError *err) MONATT_MUST_CHECK;
void event_log_close(EventLog *log);
/* Copies the log to the previous one and starts an empty one. */
bool event_log_rotate(EventLog *log, MonattError *err) MONATT_MUST_CHECK;
/* The log thread: until device->ending and nothing is left. */
void event_log_run(EventLog *log, Device *device);

#endif
