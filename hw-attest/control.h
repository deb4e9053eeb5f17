/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the device's end of vm/UUID/control.sock
 */
#ifndef HW_ATTEST_CONTROL_H
#define HW_ATTEST_CONTROL_H

#include <stdbool.h>
#include "hw-attest/device.h"
#include "hw-attest/tpm-backend.h"

#define CONTROL_CONNECTIONS 8
#define CONTROL_WAIT_MS 8000 /* for disk or swtpm; below the callers' own 10 s */

typedef struct Control {
    GuestRamReopen *reopen; /* NULL: nobody can */
    void *reopen_argument;
    int listen_fd;
    int wake_fd;
    const TpmBackend *tpm; /* its public keys only, fixed after set-up */
    uint64_t events_sent;
    size_t serving;   /* slot of the request that is being served */
    bool told_hidden; /* that the memory map is not shown whole */
    struct {
        int fd; /* -1: free */
        bool subscribed;
    } connections[CONTROL_CONNECTIONS];
    /* The quote that swtpm works on; its connection is not served until it is answered. */
    struct {
        bool waits;
        size_t slot;
        uint16_t id;
        int64_t deadline_ms;
    } quote;
    MonattControlMessage request; /* one at a time */
} Control;

/* listen_fd and wake_fd stay the caller's. */
void control_init(Control *control, int listen_fd, int wake_fd, const TpmBackend *tpm);
/* The control thread: until device->ending, whose event it still sends. */
void control_run(Control *control, Device *device);
/* One request on a connection, answered; false: the connection is to be closed.  For tests, which
 * have one connection: the control thread does not wait for a quote. */
bool control_serve_one(Control *control, Device *device, size_t slot);

#endif
