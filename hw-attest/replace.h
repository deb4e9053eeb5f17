/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace.h - gives a running QEMU a new device process in place of a dead one, over QMP
 *
 * For the vfio-user wire on a root port of the launcher's own.  QEMU does not reconnect, and 11.1
 * aborts when the VM is reset, or its memory map changes, while the device's server is dead: so a
 * replacement must be quick, and a guest reboot meanwhile must not reach the device.
 *
 * How to call it: in the qmp thread of the new device process, after qmp_init() with a duplicate of
 * the dead one's QMP descriptor and before qmp_run().  Before the call another thread must listen
 * on path, accept and answer there: QEMU's device_add waits for it in its main loop.  The registers
 * must have been recovered by then, as the guest may read at once.
 *
 *     Replace replace = {.path = "/run/…/vfio-user.sock", .actions = request.actions};
 *     switch (replace_run(&replace, &qmp, device, &err)) …
 *     qmp_run(&qmp, device);
 *
 * What the guest sees: all ones from the death on; then the device is unplugged and plugged again,
 * which Linux does in a tenth of a second.  A guest that does not answer to ACPI (no OS, or one
 * that hangs) has it ejected by the host's hand; it finds the new device when it enumerates PCI
 * again.
 */
#ifndef HW_ATTEST_REPLACE_H
#define HW_ATTEST_REPLACE_H

#include "hw-attest/qmp.h"
#include "hw-attest/replace-words.h"
#include "libmonatt/control/control.h"

typedef struct Replace {
    const char *path; /* of the new socket, absolute; somebody accepts there */
    uint8_t actions;  /* MONATT_ACTION_* bits of the attach request: what to set back */
    /* 0: the usual ones, in milliseconds; tests shorten them. */
    unsigned answer_ms; /* for QEMU to answer a command */
    unsigned guest_ms;  /* for the guest to let the device go by itself */
    unsigned plug_ms;   /* for QEMU to speak with the new device */
} Replace;

typedef enum ReplaceResult {
    REPLACE_DONE,  /* the VM has the new device; a reboot that came meanwhile was carried out */
    REPLACE_LATER, /* the old one is still there, or the new one was not taken: try again */
    REPLACE_NEVER, /* this VM's bus cannot, or QEMU is gone */
} ReplaceResult;

/*
 * Waits at most about 20 s.  Events that come meanwhile reach qmp_line() as always; what stands in
 * qmp's buffer afterwards is for qmp_run().  Returns early when device->ending is set.  After LATER
 * and NEVER err says why, and a reboot of the guest ends QEMU in order instead of aborting it.
 */
ReplaceResult replace_run(const Replace *replace, Qmp *qmp, Device *device,
                          MonattError *err) MONATT_MUST_CHECK;

#endif
