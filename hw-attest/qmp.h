/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.h - the device's own monitor of QEMU: resets, stops, vCPU threads
 *
 * Its socket comes from the launcher.  QEMU is not trusted to send sane JSON: lines are bounded.
 */
#ifndef HW_ATTEST_QMP_H
#define HW_ATTEST_QMP_H

#include "hw-attest/device.h"

#define QMP_LINE_MAXIMUM (64 * 1024) /* query-cpus-fast of 256 vCPUs: about 50 KB */

typedef struct Qmp {
    int fd;
    int wake_fd;  /* readable when device->ending was set */
    Device *keep; /* its block counts what comes (kept.h), or NULL */
    size_t used;
    size_t taken;  /* of these, the line that was handed out */
    bool overlong; /* the rest of a line that was too long is dropped */
    char line[QMP_LINE_MAXIMUM];
} Qmp;

/* Both descriptors stay the caller's; fd -1: there is no monitor. */
void qmp_init(Qmp *qmp, int fd, int wake_fd);
typedef enum QmpWait { QMP_LINE, QMP_TIMEOUT, QMP_CLOSED } QmpWait;
/*
 * Waits at most timeout_ms (0: looks) for a line; *ret_line, without its end, is good until the
 * next call.  TIMEOUT also when wake_fd is readable.  Lines that are too long are passed over.
 */
QmpWait qmp_next_line(Qmp *qmp, int timeout_ms, const char **ret_line, size_t *ret_size);
/* One command with its line end; false when QEMU does not take it.  Never waits. */
bool qmp_send(const Qmp *qmp, const char *command);
/* The qmp thread: until device->ending; beats the heartbeat even when QEMU is silent. */
void qmp_run(Qmp *qmp, Device *device);
/* The same until until_ms (as device_now_ms()): true; false: the device ends. */
bool qmp_run_until(Qmp *qmp, Device *device, int64_t until_ms);
/* In the place of a process that was killed: asks for what changes without an event, and takes the
 * lines that that process received and did not deal with.  Before qmp_run(). */
void qmp_resume(Qmp *qmp, Device *device);
/* One line without its end, so many bytes of the stream with it, and what it says become one
 * (kept.h).  Returns a command to send, or NULL. */
const char *qmp_line(Device *device, const char *line, size_t size);

#endif
