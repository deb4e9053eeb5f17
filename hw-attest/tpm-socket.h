/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-socket.h - a TCTI over swtpm's data and control sockets, held open
 *
 * tpm2-tss's own swtpm TCTI connects anew for each command, which ends a swtpm that was started
 * with --terminate, and gives no way to re-initialise the TPM.
 */
#ifndef HW_ATTEST_TPM_SOCKET_H
#define HW_ATTEST_TPM_SOCKET_H

#include <tss2/tss2_tcti.h>
#include "libmonatt/base/error.h"

#define TPM_SOCKET_RESPONSE_MAXIMUM 4096 /* MAX_RESPONSE_SIZE of libtpms */

typedef struct TpmSocket {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* first: ESYS sees only this */
    int data_fd;
    int control_fd;
    uint8_t locality;    /* wanted */
    int locality_in_tpm; /* -1: not known */
} TpmSocket;

/* Connects to PATH and PATH.ctrl; PEER, MISSING when nobody listens yet. */
bool tpm_socket_open(TpmSocket *tpm, const char *path, MonattError *err) MONATT_MUST_CHECK;
/*
 * Goes on with the data connection of a process that was killed, now this one's: waits until swtpm
 * has done a command that was on its way, and drops the answer.  The control socket is connected
 * anew.
 */
bool tpm_socket_resume(TpmSocket *tpm, const char *path, int data_fd,
                       MonattError *err) MONATT_MUST_CHECK;
void tpm_socket_close(TpmSocket *tpm);
/* Has the other end closed?  Between commands only. */
bool tpm_socket_gone(const TpmSocket *tpm);
/* CMD_INIT: as a power cycle; TPM2_Startup must follow. */
bool tpm_socket_power_cycle(TpmSocket *tpm, MonattError *err) MONATT_MUST_CHECK;

#endif
