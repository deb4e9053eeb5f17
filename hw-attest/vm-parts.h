/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-parts.h - what vm.c and vm-resume.c share: a device process's parts, and its way from set-up
 * to QEMU's end
 */
#ifndef HW_ATTEST_VM_PARTS_H
#define HW_ATTEST_VM_PARTS_H

#include "hw-attest/control.h"
#include "hw-attest/qmp.h"
#include "hw-attest/tpm-backend.h"
#include "hw-attest/vfio-listen.h"
#include "hw-attest/vm.h"
#include "hw-attest/wire.h"

typedef struct Vm {
    const VmOptions *options;
    Device *device;
    TpmBackend tpm;
    EventLog log;
    Control control;
    Qmp qmp;
    uint32_t sandbox;                 /* SandboxLayer bits in force */
    char run_folder[VM_PATH_MAXIMUM]; /* as others see it */
    char run_place[32];               /* as this process reaches it */
    bool resumed;
    bool files_left; /* vm_leave_files() was called */
    int run_fd;
    int link;
    uint16_t request_id;
    int pid_fd;  /* locked as long as the device lives */
    int lock_fd; /* the state folder's */
    int end_fd;  /* wakes the qmp thread at the end */
    int state_fd;
    int listen_fd;
    int wire_fd;      /* ours */
    int wire_peer_fd; /* QEMU's; -1 with vfio-user */
    const Wire *wire;
    uint8_t actions; /* MONATT_ACTION_* bits of the request */
    VfioListen vfio;
    pthread_t threads[5];
    size_t thread_count;
} Vm;

/* Nothing is open; false: no memory. */
bool vm_init(Vm *vm, const VmOptions *options, int link, DeviceKept *kept);
void vm_init_tpm(Vm *vm);
bool vm_write_pid(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* The sandbox's second stage: no file has a name any more, no capability is left. */
bool vm_leave_files(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* The last stages of the sandbox, with the threads between them. */
bool vm_enter_sandbox(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* The kernel file that the launcher measured; FORMAT when somebody could still change it.  fd is
 * the device's. */
bool vm_set_kernel(Device *device, int fd, MonattError *err) MONATT_MUST_CHECK;
/* The qmp thread of a resumed one with vfio-user: QEMU gets its new device (replace.h). */
void vm_replace(Vm *vm);
/* Until QEMU is gone; the exit status.  how: for the log. */
int vm_serve_until_end(Vm *vm, const char *how);

#endif
