/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach.h - asks the attach service for a device
 */
#ifndef HW_ATTEST_LAUNCHER_ATTACH_H
#define HW_ATTEST_LAUNCHER_ATTACH_H

#include "hw-attest/launcher/machine.h"
#include "hw-attest/launcher/measure.h"

typedef struct Attachment {
    int wire_fd;                           /* for x-pci-proxy-dev, or -1 */
    char wire_path[MONATT_WIRE_PATH_SIZE]; /* for vfio-user-pci, or empty */
    int ring_fd;                           /* the plugin's, or -1 */
    int monitor_fd;                        /* QEMU's end of the device's QMP monitor */
} Attachment;

/*
 * Is somebody listening?  True; false with MISSING (no socket, nobody behind it), PERMISSION,
 * LIMIT (path too long for a UNIX socket) or SYSTEM.
 */
bool attach_connect(const char *run_dir, int *ret_fd, MonattError *err) MONATT_MUST_CHECK;
/* The descriptors of ret are inherited by the program that is executed.  The service's refusals. */
bool attach_request(int fd, const Machine *machine, const Measure *measure, bool want_plugin,
                    Attachment *ret, MonattError *err) MONATT_MUST_CHECK;

#endif
