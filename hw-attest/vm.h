/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - one VM's device process, from the launcher's request to QEMU's end
 */
#ifndef HW_ATTEST_VM_H
#define HW_ATTEST_VM_H

#include "hw-attest/device.h"

#define VM_PATH_MAXIMUM 256

/* Between a device process and the attach service, one SEQPACKET message each way. */
typedef enum VmLinkMessage {
    VM_LINK_VID = 'V',   /* + 16 bytes: what to clean up when the device was killed */
    VM_LINK_SWTPM = 'S', /* start the VM's swtpm */
    VM_LINK_ALIVE = 'A', /* is it still running? */
    VM_LINK_DONE = 'K',  /* answers */
    VM_LINK_FAILED = 'F',
} VmLinkMessage;

typedef struct VmOptions {
    const char *run_dir;
    const char *state_dir;
} VmOptions;

/* RUN_DIR/vm/UUID and STATE_DIR/vm/UUID; LIMIT when the sockets in it would not fit. */
bool vm_run_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                   char ret_path[VM_PATH_MAXIMUM], MonattError *err) MONATT_MUST_CHECK;
bool vm_state_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     char ret_path[VM_PATH_MAXIMUM], MonattError *err) MONATT_MUST_CHECK;
/* Removes what a VM has in the run folder, and the folder. */
void vm_remove_run_folder(const char *path);
/*
 * The whole life of a device process; connection is the launcher's, link the service's.  Returns
 * the exit status.
 */
int vm_serve(const VmOptions *options, int connection, int link, uint32_t peer_pid,
             DeviceKept *kept);

#endif
