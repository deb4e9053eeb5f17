/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio-listen.h - the path at which one QEMU finds its vfio-user device
 *
 * QEMU's vfio-user-pci takes a path only, no descriptor.  So there is a listening socket in the
 * VM's run folder until QEMU has come, for its user alone, and nobody listens afterwards: a
 * second connection can never be had.  The name goes with the folder, at the VM's end: a device in
 * its sandbox can remove nothing.
 */
#ifndef HW_ATTEST_VFIO_LISTEN_H
#define HW_ATTEST_VFIO_LISTEN_H

#include "hw-attest/device.h"

#define VFIO_LISTEN_NAME "vfio-user.sock"

typedef struct VfioListen {
    int fd;        /* -1: not listening */
    uint32_t user; /* who may connect, with root */
    /* QEMU has a monitor whose closing is its end; set before the thread that sees it runs. */
    bool monitored;
    char path[MONATT_WIRE_PATH_SIZE];
} VfioListen;

void vfio_listen_init(VfioListen *listen);
/* Closes the socket, after which nobody can connect; its name goes with the run folder. */
void vfio_listen_close(VfioListen *listen);
/*
 * Makes the socket in run_folder, which this process reaches as place, mode 0600, owned by the user
 * of the process at the other end of `connection`.  Before the sandbox.  LIMIT: the path is too
 * long.  SYSTEM.
 */
bool vfio_listen_open(VfioListen *listen, const char *run_folder, const char *place, int connection,
                      MonattError *err) MONATT_MUST_CHECK;
/* The same for a process that goes on for another; listening->user is set.  SYSTEM, LIMIT. */
bool vfio_listen_again(VfioListen *listening, const char *run_folder, const char *place,
                       MonattError *err) MONATT_MUST_CHECK;
/*
 * Waits for QEMU; closes the socket in any case.  Ends at deadline_ms (as
 * device_now_ms()) or when QEMU's monitor is closed, if it is monitored; also one that
 * was closed before: PEER.
 */
bool vfio_listen_accept(VfioListen *listen, Device *device, int64_t deadline_ms, int *ret_fd,
                        MonattError *err) MONATT_MUST_CHECK;

#endif
