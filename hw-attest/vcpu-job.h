/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-job.h - the control registers of the vCPUs, asked of QEMU's monitor one after the other
 *
 * The control thread asks and waits, the qmp thread takes the answers.  "info registers" stops
 * nothing: QEMU reads each vCPU where it is.  QEMU's word, bounded and parsed; never the guest's.
 */
#ifndef HW_ATTEST_VCPU_JOB_H
#define HW_ATTEST_VCPU_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/control/control.h"

struct Device;

#define VCPU_JOB_WAIT_MS 1000 /* for all vCPUs; an attest waits behind it */

typedef struct VcpuJob {
    enum { VCPU_JOB_IDLE, VCPU_JOB_ASKED, VCPU_JOB_DONE, VCPU_JOB_FAILED } state;
    int fd;              /* the monitor's; -1: there is none */
    uint32_t generation; /* an answer to an older question is dropped */
    size_t wanted;
    size_t count; /* of them, here */
    MonattVcpuRegisters registers[MONATT_VCPUS_MAXIMUM];
    char command[192]; /* the next one, of the qmp thread */
} VcpuJob;

/*
 * Asks and waits, with the device's lock, which it gives up meanwhile.  device->vcpu_job.registers
 * then holds *ret_count of them.  MISSING: no monitor; BUSY: no answer in VCPU_JOB_WAIT_MS; PEER:
 * one that QEMU refuses or that cannot be read.
 */
bool vcpu_job_run(struct Device *device, size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;
/* Is the id one of these commands'? */
bool vcpu_job_is_answer(const char *id);
/* With the lock: what QEMU answered (NULL: it refused).  The next command, or NULL. */
const char *vcpu_job_answer(struct Device *device, const char *id, json_t *value);

#endif
