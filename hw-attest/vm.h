/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - one VM's device process, from the launcher's request to QEMU's end
 */
#ifndef HW_ATTEST_VM_H
#define HW_ATTEST_VM_H

#include <signal.h>
#include <sys/wait.h>
#include "hw-attest/device.h"
#include "hw-attest/keeper.h"
#include "hw-attest/vm-folders.h"

/*
 * Between a device process and the attach service: control messages (control.h) with the VM's
 * uuid as payload, or those of keeper.h.  Refusals carry an error.
 */
typedef enum VmLinkMessage {
    VM_LINK_VID = 1,    /* once: this VM's folders; descriptors: run, state, lock */
    VM_LINK_SWTPM = 2,  /* start the VM's swtpm */
    VM_LINK_ALIVE = 3,  /* is it still running? */
    VM_LINK_END = 4,    /* refused: remove what was made in the run folder */
    VM_LINK_REOPEN = 5, /* descriptors of guest memory; answer: the same files, read-only */
} VmLinkMessage;

/* sysexits.h, EX_TEMPFAIL: as if it had been killed, another process shall go on. */
#define VM_EXIT_AGAIN 75

/* May another process go on for one that ended so?  What its sandbox killed was not its own master.
 */
static inline bool vm_goes_on(int status)
{
    return (WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS) ||
           (WIFEXITED(status) && WEXITSTATUS(status) == VM_EXIT_AGAIN);
}

/*
 * The whole life of a device process; connection is the launcher's, link the service's.  Returns
 * the exit status.
 */
int vm_serve(const VmOptions *options, const VmUser *user, int connection, int link,
             uint32_t peer_pid, DeviceKept *kept);
/* The same for a process that goes on for one that was killed. */
int vm_resume(const VmOptions *options, const VmUser *user, const uint8_t vid[MONATT_UUID_SIZE],
              int link, DeviceKept *kept, const Keeper *keeper);

#endif
