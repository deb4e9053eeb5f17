/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-resume.c - finds where swtpm stands; must never extend what it may have had
 */
#include "hw-attest/tpm-resume.h"

#include <stdlib.h>
#include <string.h>
#include "hw-attest/recovery.h"
#include "hw-attest/tpm-keys.h"
#include "libmonatt/base/log.h"

/* TPM 2.0 Part 2, 7.5: TRANSIENT_FIRST; tpm2-tss writes it as a shift into the sign. */
#define TRANSIENT_FIRST UINT32_C(0x80000000)
#define TRANSIENT_MAXIMUM 3 /* objects that swtpm holds at a time */

typedef struct Pcrs {
    uint8_t sha256[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];
    uint8_t sha384[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];
} Pcrs;

/* The number of the first register that differs; MONATT_REGISTER_COUNT: none. */
static size_t first_difference(const Pcrs *pcrs, const MonattCelReplay *replay)
{
    size_t i = 0;
    while (i < MONATT_REGISTER_COUNT &&
           monatt_bytes_equal(pcrs->sha256[i], replay->sha256[i], MONATT_SHA256_SIZE) &&
           monatt_bytes_equal(pcrs->sha384[i], replay->sha384[i], MONATT_SHA384_SIZE)) {
        i++;
    }
    return i;
}

/* Keys that the killed process had loaded take the room for ours. */
static void flush_objects(TpmBackend *tpm)
{
    for (uint32_t i = 0; i < TRANSIENT_MAXIMUM; i++) {
        ESYS_TR object;
        if (Esys_TR_FromTPMPublic(tpm->esys, TRANSIENT_FIRST + i, ESYS_TR_NONE, ESYS_TR_NONE,
                                  ESYS_TR_NONE, &object) == TSS2_RC_SUCCESS) {
            (void)Esys_FlushContext(tpm->esys, object); /* else CreatePrimary says so */
        }
    }
}

static bool connect_again(TpmBackend *tpm, const Device *device, MonattError *err)
{
    if (!tpm_socket_resume(&tpm->socket, tpm->path, tpm->socket.data_fd, err)) {
        return false;
    }
    TSS2_RC rc = Esys_Initialize(&tpm->esys, (TSS2_TCTI_CONTEXT *)&tpm->socket.common, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        tpm->esys = NULL;
        return tpm_backend_failed(rc, "ESYS", err);
    }
    if (!tpm_backend_read_reset_count(tpm, err)) {
        return false;
    }
    if (tpm->reset_count != device->boot_count) {
        return monatt_error_set(
            err, MONATT_ERROR_FAULT, "swtpm: is in boot %llu, its device was in boot %llu",
            (unsigned long long)tpm->reset_count, (unsigned long long)device->boot_count);
    }
    flush_objects(tpm);
    return tpm_keys_create(tpm, err);
}

/* From `synced` to `logged`; the pipe's entries there are replayed already (recovery.c). */
static bool find_place(const Device *device, const Pcrs *pcrs, MonattCelReplay *at, uint64_t logged,
                       MonattError *err)
{
    size_t differs = first_difference(pcrs, at);
    while (differs < MONATT_REGISTER_COUNT && at->records < logged) {
        if (!recovery_step(at, pipe_entry(device->pipe, at->records), err)) {
            return false;
        }
        differs = first_difference(pcrs, at);
    }
    if (differs < MONATT_REGISTER_COUNT) {
        return monatt_error_set(
            err, MONATT_ERROR_FAULT, "swtpm: PCR %zu: at no record of the log from %llu to %llu",
            differs, (unsigned long long)device->pipe->synced, (unsigned long long)logged);
    }
    return true;
}

static bool resume(TpmBackend *tpm, Device *device, MonattError *err)
{
    static Pcrs pcrs;
    /* Read once: the log thread moves it on, and swtpm can have no record that came after. */
    pthread_mutex_lock(&device->lock);
    uint64_t logged = device->pipe->logged;
    pthread_mutex_unlock(&device->lock);
    if (!connect_again(tpm, device, err) ||
        !tpm_backend_read_pcrs(tpm, MONATT_ALG_SHA256, pcrs.sha256, err) ||
        !tpm_backend_read_pcrs(tpm, MONATT_ALG_SHA384, pcrs.sha384, err)) {
        return false;
    }
    return find_place(device, &pcrs, tpm->resume, logged, err);
}

void tpm_resume(TpmBackend *tpm, Device *device)
{
    MonattError err = {0};
    const MonattCelReplay *at = tpm->resume;
    bool ok = resume(tpm, device, &err);
    pthread_mutex_lock(&device->lock);
    if (ok) {
        device->pipe->synced = at->records;
        device->synced_bytes = at->bytes;
        command_begin_update(&device->command);
        for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
            device->registers.mr[i].synced = at->extends[i];
        }
        command_end_update(&device->command);
        shadow_update_all(device);
        monatt_log_info("'%s': swtpm stands at record %llu of %llu", device->name,
                        (unsigned long long)at->records,
                        (unsigned long long)device->pipe->enqueued);
    } else {
        tpm_backend_fault(device, &err);
    }
    pthread_mutex_unlock(&device->lock);
    if (!ok) {
        tpm_backend_stop(tpm);
    }
    free(tpm->resume);
    tpm->resume = NULL;
}
