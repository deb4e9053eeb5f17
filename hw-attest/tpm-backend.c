/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-backend.c - extends, quotes and resets, in the pipe's order
 *
 * A TPM that does not answer is waited for: no deadline here ever makes an extend happen twice.
 * Whoever waits for this thread has a deadline of his own.
 */
#include "hw-attest/tpm-backend.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include "hw-attest/tpm-keys.h"
#include "hw-attest/tpm-resume.h"
#include "libmonatt/base/log.h"
#include "libmonatt/eventlog/cel.h"

#define IDLE_CHECK_MS 1000 /* a swtpm that died while nobody needs it is seen within this time */

bool tpm_backend_failed(TSS2_RC rc, const char *what, MonattError *err)
{
    return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: %s: %s (%#x)", what, Tss2_RC_Decode(rc),
                            rc);
}

static bool set_locality(TpmBackend *tpm, uint8_t locality)
{
    tpm->socket.locality = locality;
    return true;
}

bool tpm_backend_read_pcrs(TpmBackend *tpm, uint16_t alg,
                           uint8_t ret[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE], MonattError *err)
{
    uint32_t wanted = (1u << MONATT_REGISTER_COUNT) - 1;
    /* TPM 2.0 Part 3, 22.4: at most 8 digests come back, the selection says which (D05). */
    for (unsigned round = 0; wanted != 0 && round < MONATT_REGISTER_COUNT; round++) {
        TPML_PCR_SELECTION selection = {.count = 1};
        selection.pcrSelections[0].hash = alg;
        selection.pcrSelections[0].sizeofSelect = 3;
        for (unsigned i = 0; i < 3; i++) {
            selection.pcrSelections[0].pcrSelect[i] = (BYTE)(wanted >> (8 * i));
        }
        TPML_PCR_SELECTION *got = NULL;
        TPML_DIGEST *values = NULL;
        TSS2_RC rc = Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection,
                                   NULL, &got, &values);
        if (rc != TSS2_RC_SUCCESS) {
            return tpm_backend_failed(rc, "PCR_Read", err);
        }
        uint32_t before = wanted;
        unsigned next = 0;
        for (unsigned i = 0; i < MONATT_REGISTER_COUNT && got->count == 1; i++) {
            bool selected = got->pcrSelections[0].pcrSelect[i / 8] >> (i % 8) & 1;
            if (selected && (wanted >> i & 1) && next < values->count &&
                values->digests[next].size <= MONATT_SHA384_SIZE) {
                memset(ret[i], 0, MONATT_SHA384_SIZE);
                memcpy(ret[i], values->digests[next].buffer, values->digests[next].size);
                next++;
                wanted &= ~(1u << i);
            }
        }
        Esys_Free(got);
        Esys_Free(values);
        if (wanted == before) {
            break;
        }
    }
    if (wanted != 0) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: PCR_Read: bank %#x has no PCRs %#x",
                                alg, wanted);
    }
    return true;
}

bool tpm_backend_read_reset_count(TpmBackend *tpm, MonattError *err)
{
    TPMS_TIME_INFO *info = NULL;
    TSS2_RC rc = Esys_ReadClock(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &info);
    if (rc != TSS2_RC_SUCCESS) {
        return tpm_backend_failed(rc, "ReadClock", err);
    }
    tpm->reset_count = info->clockInfo.resetCount;
    Esys_Free(info);
    return true;
}

/* Both banks against start values: a swtpm that was used by somebody else is not ours. */
static bool check_start_values(TpmBackend *tpm, MonattError *err)
{
    uint8_t values[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];
    Registers start;
    registers_init(&start);
    for (unsigned bank = 0; bank < 2; bank++) {
        uint16_t alg = bank == 0 ? MONATT_ALG_SHA256 : MONATT_ALG_SHA384;
        size_t size = bank == 0 ? MONATT_SHA256_SIZE : MONATT_SHA384_SIZE;
        if (!tpm_backend_read_pcrs(tpm, alg, values, err)) {
            return false;
        }
        for (unsigned i = 0; i < MONATT_REGISTER_COUNT; i++) {
            const uint8_t *expected = bank == 0 ? start.mr[i].sha256 : start.mr[i].sha384;
            if (!monatt_bytes_equal(values[i], expected, size)) {
                return monatt_error_set(err, MONATT_ERROR_FAULT,
                                        "swtpm: PCR %u: not at its start value after a reset", i);
            }
        }
    }
    return true;
}

static bool startup(TpmBackend *tpm, MonattError *err)
{
    TSS2_RC rc = Esys_Startup(tpm->esys, TPM2_SU_CLEAR);
    if (rc != TSS2_RC_SUCCESS && rc != TPM2_RC_INITIALIZE) {
        return tpm_backend_failed(rc, "Startup", err);
    }
    return tpm_backend_read_reset_count(tpm, err) && check_start_values(tpm, err) &&
           tpm_keys_create(tpm, err);
}

bool tpm_backend_start(TpmBackend *tpm, MonattError *err)
{
    int64_t until = device_now_ms() + TPM_BACKEND_CONNECT_MS;
    const struct timespec pause = {.tv_nsec = 5000000};
    while (!tpm_socket_open(&tpm->socket, tpm->path, err)) {
        if (device_now_ms() > until || err->code == MONATT_ERROR_LIMIT) {
            return false;
        }
        if (tpm->alive && !tpm->alive(tpm->service_argument)) {
            monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: '%s': ended before it listened",
                             tpm->path);
            return monatt_error_hint(err, "its reason is in the attach service's log");
        }
        nanosleep(&pause, NULL); /* swtpm gives no word when it listens on a path */
    }
    monatt_error_clear(err);
    if (tpm->connected) {
        tpm->connected(tpm->service_argument);
    }
    TSS2_RC rc = Esys_Initialize(&tpm->esys, (TSS2_TCTI_CONTEXT *)&tpm->socket.common, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        tpm->esys = NULL;
        tpm_backend_stop(tpm);
        return tpm_backend_failed(rc, "ESYS", err);
    }
    if (!startup(tpm, err)) {
        tpm_backend_stop(tpm);
        return false;
    }
    return true;
}

void tpm_backend_stop(TpmBackend *tpm)
{
    Esys_Finalize(&tpm->esys);
    tpm->esys = NULL;
    tpm_socket_close(&tpm->socket);
}

static bool extend(TpmBackend *tpm, const PipeEntry *entry, MonattError *err)
{
    ESYS_TR pcr = ESYS_TR_PCR0 + entry->index;
    TSS2_RC rc;
    set_locality(tpm, entry->host ? 2 : 0);
    if (entry->content_type == MONATT_CEL_RESET) {
        rc = Esys_PCR_Reset(tpm->esys, pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);
    } else {
        TPML_DIGEST_VALUES digests = {.count = 0};
        if (entry->has_sha256) {
            digests.digests[digests.count].hashAlg = TPM2_ALG_SHA256;
            memcpy(digests.digests[digests.count++].digest.sha256, entry->sha256,
                   MONATT_SHA256_SIZE);
        }
        if (entry->has_sha384) {
            digests.digests[digests.count].hashAlg = TPM2_ALG_SHA384;
            memcpy(digests.digests[digests.count++].digest.sha384, entry->sha384,
                   MONATT_SHA384_SIZE);
        }
        rc =
            Esys_PCR_Extend(tpm->esys, pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &digests);
    }
    set_locality(tpm, 0);
    return rc == TSS2_RC_SUCCESS ? true : tpm_backend_failed(rc, "extend", err);
}

typedef uint8_t Values[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];

static bool quote_digest_matches(const TPM2B_ATTEST *attest, uint16_t alg, const Values values)
{
    TPMS_ATTEST parsed;
    size_t offset = 0;
    uint8_t all[MONATT_REGISTER_COUNT * MONATT_SHA384_SIZE];
    uint8_t digest[MONATT_SHA384_SIZE];
    bool wide = alg == MONATT_ALG_SHA384;
    size_t size = wide ? MONATT_SHA384_SIZE : MONATT_SHA256_SIZE;
    for (unsigned i = 0; i < MONATT_REGISTER_COUNT; i++) {
        memcpy(all + i * size, values[i], size);
    }
    if (Tss2_MU_TPMS_ATTEST_Unmarshal(attest->attestationData, attest->size, &offset, &parsed) !=
        TSS2_RC_SUCCESS) {
        return false;
    }
    /* The digest is of the signing scheme's hash, which is the bank's for both our keys. */
    bool ok = wide ? registers_sha384(all, size * MONATT_REGISTER_COUNT, digest)
                   : registers_sha256(all, size * MONATT_REGISTER_COUNT, digest);
    const TPM2B_DIGEST *got = &parsed.attested.quote.pcrDigest;
    return ok && got->size == size && monatt_bytes_equal(got->buffer, digest, size);
}

/* Over signature->qualifying.  FAULT: the PCRs are not what the device computed. */
static bool sign(TpmBackend *tpm, uint16_t alg, const Values values, DeviceSignature *ret,
                 MonattError *err)
{
    TPM2B_DATA qualifying = {.size = (UINT16)ret->qualifying_size};
    memcpy(qualifying.buffer, ret->qualifying, ret->qualifying_size);
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION selection = {.count = 1};
    selection.pcrSelections[0] =
        (TPMS_PCR_SELECTION){.hash = alg, .sizeofSelect = 3, .pcrSelect = {255, 255, 255}};
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    ESYS_TR key = alg == MONATT_ALG_SHA384 ? tpm->ak384 : tpm->ak256;
    TSS2_RC rc = Esys_Quote(tpm->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                            &qualifying, &scheme, &selection, &attest, &signature);
    if (rc != TSS2_RC_SUCCESS) {
        return tpm_backend_failed(rc, "Quote", err);
    }
    size_t offset = 0;
    bool ok = attest->size <= sizeof(ret->attest);
    if (ok) {
        memcpy(ret->attest, attest->attestationData, attest->size);
        ret->attest_size = attest->size;
        ok = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, ret->signature, sizeof(ret->signature),
                                            &offset) == TSS2_RC_SUCCESS;
        ret->signature_size = (uint16_t)offset;
    }
    bool same = ok && quote_digest_matches(attest, alg, values);
    Esys_Free(attest);
    Esys_Free(signature);
    if (!ok) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: Quote: answer does not fit");
    }
    if (!same) {
        return monatt_error_set(err, MONATT_ERROR_FAULT,
                                "swtpm: its PCRs differ from the device's registers");
    }
    return true;
}

static bool make_quote(TpmBackend *tpm, DeviceQuoteJob *job, MonattError *err)
{
    DeviceSignature made = {.qualifying_size = job->qualifying_size};
    memcpy(made.qualifying, job->qualifying, job->qualifying_size);
    if (!sign(tpm, job->alg, job->quote.values, &made, err)) {
        return false;
    }
    memcpy(job->quote.attest, made.attest, made.attest_size);
    job->quote.attest_size = made.attest_size;
    memcpy(job->quote.signature, made.signature, made.signature_size);
    job->quote.signature_size = made.signature_size;
    job->quote.alg = job->alg;
    return true;
}

/* Called with the lock, which is given up meanwhile. */
static void finish_quote(Device *device, bool ok, const MonattError *err)
{
    DeviceQuoteJob *job = &device->quote;
    if (!ok) {
        job->error = *err;
    }
    job->state = job->abandoned ? QUOTE_IDLE : ok ? QUOTE_DONE : QUOTE_FAILED;
    job->abandoned = false;
    pthread_cond_broadcast(&device->changed);
    device_wake_control(device);
}

void tpm_backend_fault(Device *device, const MonattError *err)
{
    bool differs = err->code == MONATT_ERROR_FAULT;
    if (device->ending) {
        return; /* the connection was cut under a command so that nobody waits for it */
    }
    monatt_log_failure(err);
    if (differs) {
        device->tpm_differs = true;
    } else {
        device->tpm_gone = true;
    }
    device_post(device, MONATT_EVENT_FAULT,
                differs ? MONATT_FAULT_TPM_DIFFERS : MONATT_FAULT_TPM_GONE);
}

static void run_quote(TpmBackend *tpm, Device *device)
{
    DeviceQuoteJob *job = &device->quote;
    MonattError err = {0};
    bool ok;
    if (!device_ready(device, &err)) {
        finish_quote(device, false, &err);
        return;
    }
    job->state = QUOTE_RUNNING;
    job->quote.log_records = job->position;
    job->quote.log_bytes = device->synced_bytes;
    pthread_mutex_unlock(&device->lock);
    ok = make_quote(tpm, job, &err);
    pthread_mutex_lock(&device->lock);
    if (!ok) {
        tpm_backend_fault(device, &err);
    }
    finish_quote(device, ok, &err);
}

/* The checkpoint's quotes, while no record behind it has reached swtpm. */
static void run_seal(TpmBackend *tpm, Device *device)
{
    DeviceSeal *seal = &device->seal;
    Values values256;
    Values values384;
    bool ok = device_ready(device, &seal->error);
    seal->state = SEAL_RUNNING;
    for (unsigned i = 0; i < MONATT_REGISTER_COUNT; i++) {
        memcpy(values256[i], seal->registers.mr[i].sha256, MONATT_SHA256_SIZE);
        memcpy(values384[i], seal->registers.mr[i].sha384, MONATT_SHA384_SIZE);
    }
    pthread_mutex_unlock(&device->lock);
    bool signed_both = ok &&
                       sign(tpm, MONATT_ALG_SHA256, values256, &seal->signature256, &seal->error) &&
                       sign(tpm, MONATT_ALG_SHA384, values384, &seal->signature384, &seal->error);
    pthread_mutex_lock(&device->lock);
    if (ok && !signed_both) {
        tpm_backend_fault(device, &seal->error);
    }
    seal->state = signed_both ? SEAL_SIGNED : SEAL_FAILED;
    pthread_cond_broadcast(&device->changed);
}

static void run_extend(TpmBackend *tpm, Device *device)
{
    MonattError err = {0};
    PipeEntry entry = *pipe_entry(device->pipe, device->pipe->synced);
    pthread_mutex_unlock(&device->lock);
    bool ok = extend(tpm, &entry, &err);
    pthread_mutex_lock(&device->lock);
    if (!ok) {
        tpm_backend_fault(device, &err);
        return;
    }
    device->pipe->synced++;
    device->synced_bytes = entry.log_end;
    command_begin_update(&device->command);
    device->registers.mr[entry.index].synced++;
    command_end_update(&device->command);
    shadow_update(device, entry.index);
    /* Nobody waits for this: a quote is this thread's own work. */
}

/* swtpm as after a power cycle, a new one when the old one is dead. */
static bool restart(TpmBackend *tpm, MonattError *err)
{
    if (tpm->esys) {
        /* An orderly end keeps the clock's `safe` flag; a failure changes nothing here. */
        (void)Esys_Shutdown(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SU_CLEAR);
        if (tpm_socket_power_cycle(&tpm->socket, err) && startup(tpm, err)) {
            return true;
        }
        monatt_log_failure(err);
        monatt_error_clear(err);
        tpm_backend_stop(tpm);
    }
    if (!tpm->respawn || !tpm->respawn(tpm->service_argument)) {
        return monatt_error_set(err, MONATT_ERROR_TPM,
                                "swtpm: no attach service to start it again");
    }
    return tpm_backend_start(tpm, err);
}

static void run_reset(TpmBackend *tpm, Device *device)
{
    MonattError err = {0};
    uint8_t seed[MONATT_BOOT_SEED_SIZE];
    /* What the old boot wrote is in its log before that becomes the previous one. */
    while (!device->ending &&
           (device->log_writing || device->seal.state != SEAL_IDLE ||
            (device->pipe->logged < device->pipe->enqueued && !device->log_failed))) {
        pthread_cond_wait(&device->changed, &device->lock);
    }
    pthread_mutex_unlock(&device->lock);
    /* Once, even when a process dies in the middle of this and another one goes on. */
    bool log_ok =
        !tpm->log || atomic_load(&device->kept->log_rotated) || event_log_rotate(tpm->log, &err);
    if (!log_ok) {
        monatt_log_failure(&err);
    }
    atomic_store(&device->kept->log_rotated, log_ok);
    bool tpm_ok = restart(tpm, &err);
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        tpm_ok = monatt_error_set(&err, MONATT_ERROR_SYSTEM, "boot seed: no random bytes");
    }
    pthread_mutex_lock(&device->lock);
    if (device->quote.state == QUOTE_ASKED) {
        /* Its position and values are those of the boot that is over. */
        MonattError over = {0};
        monatt_error_set(&over, MONATT_ERROR_BUSY, "quote: the VM was reset");
        finish_quote(device, false, &over);
    }
    device_finish_reset(device, tpm->reset_count, seed);
    if (tpm->log) {
        device->log_fd = tpm->log->fd;
    }
    if (!log_ok) {
        device->log_failed = true;
    }
    if (!tpm_ok) {
        tpm_backend_stop(tpm);
        tpm_backend_fault(device, &err);
    }
}

/* The clock is read only while something is held. */
static uint64_t sync_limit(Device *device)
{
    uint64_t limit = segment_limit(device);
    limit = limit < device->pipe->logged ? limit : device->pipe->logged;
    return device->hold.active ? hold_limit(&device->hold, limit, device_now_ms()) : limit;
}

/* A quote at a segment's end or behind it is of the next segment. */
static bool quote_waits(const Device *device)
{
    return device->seal.state != SEAL_IDLE && device->quote.position >= device->seal.position;
}

void tpm_backend_run(TpmBackend *tpm, Device *device)
{
    if (tpm->resume) {
        tpm_resume(tpm, device);
    }
    pthread_mutex_lock(&device->lock);
    while (!device->ending) {
        bool dead = device_broken(device);
        if (device->resetting) {
            run_reset(tpm, device);
        } else if (device->seal.state == SEAL_ASKED &&
                   (dead || device->pipe->synced >= device->seal.position)) {
            run_seal(tpm, device);
        } else if (device->quote.state == QUOTE_ASKED && !quote_waits(device) &&
                   (dead || device->pipe->synced >= device->quote.position)) {
            run_quote(tpm, device);
        } else if (!dead && device->pipe->synced < sync_limit(device)) {
            run_extend(tpm, device);
        } else if (device->hold.active && !device->hold.quoting) {
            (void)device_wait_until(device, device->hold.until_ms);
        } else if (!dead && tpm_socket_gone(&tpm->socket)) {
            MonattError err = {0};
            monatt_error_set(&err, MONATT_ERROR_TPM, "swtpm: '%s': ended", tpm->path);
            tpm_backend_fault(device, &err);
        } else {
            (void)device_wait_until(device, device_now_ms() + IDLE_CHECK_MS);
        }
    }
    bool orderly = tpm->esys && !device->tpm_gone;
    pthread_mutex_unlock(&device->lock);
    if (orderly) {
        /* What a TPM is not told of counts as a power failure at its next start. */
        (void)Esys_Shutdown(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SU_CLEAR);
    }
    pthread_mutex_lock(&device->lock);
    device->tpm_ended = true;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->lock);
}
