/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service.h - the attach service: one device process a VM, watched and cleaned up after
 */
#ifndef HW_ATTEST_SERVICE_H
#define HW_ATTEST_SERVICE_H

#include "hw-attest/vm.h"

#define SERVICE_UIDS_MAXIMUM 16
#define SERVICE_VMS_MAXIMUM 256
#define SERVICE_RESTARTS_DEFAULT 3
#define SERVICE_RESTARTS_MAXIMUM 1000

typedef struct ServiceOptions {
    VmOptions vm;
    VmUsers users;     /* of the VMs' processes */
    bool private_vm;   /* ends with its only VM */
    unsigned restarts; /* of one VM's device within 60 s, at most SERVICE_RESTARTS_MAXIMUM */
    int ready_fd;      /* -1, or gets one byte when launchers may connect */
    size_t uid_count;
    uint32_t uids[SERVICE_UIDS_MAXIMUM]; /* besides root and our own */
} ServiceOptions;

/* Until SIGTERM or SIGINT (devices live on), or with private_vm until the VM ended. */
bool service_run(const ServiceOptions *options, MonattError *err) MONATT_MUST_CHECK;

#endif
