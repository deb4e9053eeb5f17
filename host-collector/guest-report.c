/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-report.c - one question of a guest becomes an ordinary attestation of everything
 *
 * Must never attest with a nonce that the guest chose: the nonce is made of its inblob and of a
 * purpose (inblob.h).  What the guest gets is what a customer would get, so it learns nothing that
 * its owner could not tell it.  The connection is this question's own: when this process dies in
 * the middle, the device sees it close and tells the guest.
 */
#include "host-collector/guest-report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/register-map.h"
#include "libmonatt/base/log.h"
#include "libmonatt/evidence/inblob.h"

static uint32_t refusal_of(const MonattError *err)
{
    switch (err->code) {
    case MONATT_ERROR_USAGE: /* attest_run(): the nonce was used before */
        return MONATT_REFUSAL_USED;
    case MONATT_ERROR_BUSY:
        return MONATT_REFUSAL_BUSY;
    case MONATT_ERROR_LIMIT:
        return MONATT_REFUSAL_LARGE;
    default:
        return MONATT_REFUSAL_FAILED;
    }
}

/* A copy that nobody can change any more; -1 with err. */
static int seal(GBytes *evidence, MonattError *err)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(evidence, &size);
    int fd MONATT_CLEANUP_CLOSE = memfd_create("monatt-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (size > MONATT_GUEST_REPORT_MAXIMUM) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "guest report: %zu bytes, the limit is %d", size,
                         MONATT_GUEST_REPORT_MAXIMUM);
        return -1;
    }
    gsize at = 0;
    while (fd >= 0 && at < size) {
        ssize_t written = pwrite(fd, bytes + at, size - at, (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            break;
        }
        at += (gsize)written;
    }
    if (fd < 0 || at < size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        monatt_error_set_errno(err, errno, "guest report: memfd");
        return -1;
    }
    int sealed = fd;
    fd = -1;
    return sealed;
}

/* The evidence, sealed, or -1 and why there is none. */
static int make(const AttestHost *host, Vm *vm, const uint8_t *inblob, size_t size,
                uint32_t *ret_refusal, MonattError *err)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    SessionKeys *keys;
    if (!session_take(host->session, &keys, err)) {
        *ret_refusal = MONATT_REFUSAL_SESSION;
        return -1;
    }
    session_release(keys); /* attest_run() takes it again; one that ends in between is "busy" */
    GBytes *evidence = NULL;
    if (monatt_inblob_nonce(inblob, size, nonce)) {
        evidence = attest_run(host, vm, nonce, ATTEST_EVERYTHING, err);
    } else {
        monatt_error_set(err, MONATT_ERROR_INTERNAL, "guest report: libcrypto cannot hash");
    }
    int fd = evidence ? seal(evidence, err) : -1;
    if (evidence) {
        g_bytes_unref(evidence);
    }
    *ret_refusal = fd >= 0 ? 0 : refusal_of(err);
    return fd;
}

void guest_report_answer(const void *host, Vm *vm)
{
    MonattError err = {0};
    MonattError why = {0};
    uint8_t inblob[MONATT_INBLOB_MAXIMUM];
    size_t size;
    uint32_t number;
    uint32_t refusal;
    int control MONATT_CLEANUP_CLOSE = -1;
    g_autofree char *path = g_strdup_printf("%s/control.sock", vm->folder);
    char name[MONATT_NAME_SIZE];
    vm_name(vm, name);
    if (!monatt_control_connect(path, &control, &err) ||
        !monatt_device_report_question(control, &number, inblob, &size, &err)) {
        /* A VM reset came first, or two events were one question. */
        monatt_log_debug("VM '%s': guest report: %s", name, err.message);
        return;
    }
    int fd MONATT_CLEANUP_CLOSE = make(host, vm, inblob, size, &refusal, &why);
    if (refusal != 0) {
        monatt_log_info("VM '%s': its guest gets no report: %s", name, why.message);
    }
    if (!monatt_device_report_answer(control, number, refusal, fd, &err)) {
        monatt_log_info("VM '%s': guest report: %s", name, err.message);
    }
}
