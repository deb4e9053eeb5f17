/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-backend.h - the VM's own swtpm behind the registers
 *
 * Its thread takes the pipe's records in order, once they are in the log, and repeats each extend
 * in swtpm: the guest's at locality 0, the host's at locality 2, so swtpm's own rule keeps the
 * guest out as well.  Quotes are made at their place in the pipe, resets of the VM here too.
 * Nobody but this thread talks to swtpm, so nobody else can wait for it.
 */
#ifndef HW_ATTEST_TPM_BACKEND_H
#define HW_ATTEST_TPM_BACKEND_H

#include <tss2/tss2_esys.h>
#include "hw-attest/device.h"
#include "hw-attest/event-log.h"
#include "hw-attest/tpm-socket.h"
#include "libmonatt/eventlog/cel.h"

typedef struct TpmBackend {
    char path[128]; /* tpm.sock */
    TpmSocket socket;
    ESYS_CONTEXT *esys; /* NULL: not connected */
    ESYS_TR ak256;
    ESYS_TR ak384;
    TpmPublic ek; /* fixed after the first start */
    TpmPublic ak_public256;
    TpmPublic ak_public384;
    uint64_t reset_count;
    /* Asks the attach service for a new swtpm; false when it cannot. */
    bool (*respawn)(void *argument);
    /* Is it still running?  Asked only while it does not listen yet. */
    bool (*alive)(void *argument);
    /* There is a new connection, for the attach service to keep. */
    void (*connected)(void *argument);
    void *service_argument;
    EventLog *log; /* rotated at a VM reset */
    /* Of a process that goes on for one that was killed: the registers at the pipe's `synced`;
     * swtpm stands there or at a later record.  Owned; NULL when there is nothing to find out. */
    MonattCelReplay *resume;
} TpmBackend;

#define TPM_BACKEND_CONNECT_MS 10000 /* a swtpm on a loaded host takes seconds to listen */

/* Connects (waiting for swtpm to listen), starts the TPM, makes the keys, checks that the PCRs
 * stand at their start values. */
bool tpm_backend_start(TpmBackend *tpm, MonattError *err) MONATT_MUST_CHECK;
void tpm_backend_stop(TpmBackend *tpm);
/* The tpm thread: until device->ending. */
void tpm_backend_run(TpmBackend *tpm, Device *device);
/* Shared with tpm-resume.c: an error from a TPM's answer; a fault, with the lock; the clock's
 * resetCount into tpm->reset_count. */
bool tpm_backend_failed(TSS2_RC rc, const char *what, MonattError *err);
void tpm_backend_fault(Device *device, const MonattError *err);
bool tpm_backend_read_reset_count(TpmBackend *tpm, MonattError *err) MONATT_MUST_CHECK;
/* All 24 PCRs of a bank, however few a TPM gives at a time. */
bool tpm_backend_read_pcrs(TpmBackend *tpm, uint16_t alg,
                           uint8_t ret[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE],
                           MonattError *err) MONATT_MUST_CHECK;

#endif
