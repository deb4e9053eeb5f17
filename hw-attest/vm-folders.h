/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-folders.h - the run and state folder of a VM, made by the attach service for the VM's user
 */
#ifndef HW_ATTEST_VM_FOLDERS_H
#define HW_ATTEST_VM_FOLDERS_H

#include "hw-attest/event-log.h"
#include "hw-attest/vm-user.h"
#include "libmonatt/base/text.h"

#define VM_PATH_MAXIMUM 256

typedef struct VmOptions {
    const char *run_dir;
    const char *state_dir;
    EventLogLimits log_limits; /* 0: the defaults */
} VmOptions;

/* Descriptors for the device: it can reach neither folder by its path. */
typedef struct VmFolders {
    int run_fd;
    int state_fd;
    int lock_fd; /* flocked: whoever holds it is the VM's only device */
} VmFolders;

/* RUN_DIR/vm/UUID and STATE_DIR/vm/UUID; LIMIT when the sockets in it would not fit. */
bool vm_run_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                   char ret_path[VM_PATH_MAXIMUM], MonattError *err) MONATT_MUST_CHECK;
bool vm_state_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     char ret_path[VM_PATH_MAXIMUM], MonattError *err) MONATT_MUST_CHECK;
/*
 * Locks the VM, makes what is missing, empties the run folder and gives all of it to user.  BUSY
 * when the VM has a device.  The descriptors are the caller's, close-on-exec.
 */
bool vm_folders_open(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     const VmUser *user, VmFolders *ret, MonattError *err) MONATT_MUST_CHECK;
void vm_folders_close(VmFolders *folders);
/* After a VM's end: its user's number will be another VM's. */
void vm_folders_take_back(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                          const VmUser *user);
/* Removes what a VM has in the run folder, and the folder. */
void vm_remove_run_folder(const char *path);

#endif
