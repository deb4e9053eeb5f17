/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-socket.c - TPM commands over swtpm's UNIX sockets
 *
 * Control commands: swtpm's man page swtpm_ioctls, "u32 command | arguments", answer u32 result.
 */
#include "hw-attest/tpm-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/writer.h"

#define MAGIC UINT64_C(0x4d4f4e4154544350)
#define CMD_INIT 2
#define CMD_SET_LOCALITY 5
#define HEADER_SIZE 10 /* u16 tag, u32 size, u32 code */

static bool connect_to(const char *path, int *ret_fd, MonattError *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "swtpm: '%.100s': path is too long", path);
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd MONATT_CLEANUP_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return monatt_error_set_errno(err, errno, "swtpm: '%s'", path);
    }
    *ret_fd = fd;
    fd = -1;
    return true;
}

static bool send_whole(int fd, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, p, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        p += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_whole(int fd, void *bytes, size_t size)
{
    uint8_t *p = bytes;
    while (size > 0) {
        ssize_t got = recv(fd, p, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        p += got;
        size -= (size_t)got;
    }
    return true;
}

static bool control(TpmSocket *tpm, uint32_t command, const void *arguments, size_t size)
{
    uint8_t request[8];
    uint8_t answer[4];
    MonattWriter w;
    monatt_writer_init(&w, request, sizeof(request));
    monatt_writer_u32_be(&w, command);
    monatt_writer_bytes(&w, arguments, size);
    return !w.failed && send_whole(tpm->control_fd, request, w.size) &&
           receive_whole(tpm->control_fd, answer, sizeof(answer)) &&
           (answer[0] | answer[1] | answer[2] | answer[3]) == 0;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, uint8_t const *command)
{
    TpmSocket *tpm = (TpmSocket *)context;
    if (tpm->locality_in_tpm != tpm->locality) {
        if (!control(tpm, CMD_SET_LOCALITY, &tpm->locality, 1)) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        tpm->locality_in_tpm = tpm->locality;
    }
    return send_whole(tpm->data_fd, command, size) ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
    TpmSocket *tpm = (TpmSocket *)context;
    uint16_t tag;
    uint32_t total;
    MonattReader r;
    if (!response) {
        *size = TPM_SOCKET_RESPONSE_MAXIMUM;
        return TSS2_RC_SUCCESS;
    }
    if (*size < HEADER_SIZE) {
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    if (!receive_whole(tpm->data_fd, response, HEADER_SIZE)) {
        return TSS2_TCTI_RC_IO_ERROR;
    }
    monatt_reader_init(&r, "TPM response", response, HEADER_SIZE, NULL);
    if (!monatt_reader_u16_be(&r, &tag) || !monatt_reader_u32_be(&r, &total) ||
        total < HEADER_SIZE || total > *size) {
        return TSS2_TCTI_RC_MALFORMED_RESPONSE;
    }
    if (!receive_whole(tpm->data_fd, response + HEADER_SIZE, total - HEADER_SIZE)) {
        return TSS2_TCTI_RC_IO_ERROR;
    }
    *size = total;
    return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
    tpm_socket_close((TpmSocket *)context);
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
    ((TpmSocket *)context)->locality = locality;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC unsupported(TSS2_TCTI_CONTEXT *context)
{
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC no_handles(TSS2_TCTI_CONTEXT *context, TSS2_TCTI_POLL_HANDLE *handles, size_t *count)
{
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC no_sticky(TSS2_TCTI_CONTEXT *context, TPM2_HANDLE *handle, uint8_t sticky)
{
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static void init(TpmSocket *tpm)
{
    *tpm = (TpmSocket){.data_fd = -1, .control_fd = -1, .locality_in_tpm = -1};
    tpm->common.v1.magic = MAGIC;
    tpm->common.v1.version = 2;
    tpm->common.v1.transmit = transmit;
    tpm->common.v1.receive = receive;
    tpm->common.v1.finalize = finalize;
    tpm->common.v1.cancel = unsupported;
    tpm->common.v1.getPollHandles = no_handles;
    tpm->common.v1.setLocality = set_locality;
    tpm->common.makeSticky = no_sticky;
}

static bool connect_control(TpmSocket *tpm, const char *path, MonattError *err)
{
    char control_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    if (strlen(path) >= sizeof(control_path) - 6) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "swtpm: '%.100s': path is too long", path);
    }
    memcpy(control_path, path, strlen(path));
    memcpy(control_path + strlen(path), ".ctrl", 6);
    return connect_to(control_path, &tpm->control_fd, err);
}

bool tpm_socket_open(TpmSocket *tpm, const char *path, MonattError *err)
{
    init(tpm);
    if (!connect_control(tpm, path, err) || !connect_to(path, &tpm->data_fd, err)) {
        tpm_socket_close(tpm);
        return false;
    }
    return true;
}

bool tpm_socket_resume(TpmSocket *tpm, const char *path, int data_fd, MonattError *err)
{
    uint8_t rest[512];
    init(tpm);
    tpm->data_fd = data_fd;
    bool ok = connect_control(tpm, path, err);
    /*
     * swtpm does one thing after the other, control before data in each round: the answer to the
     * second question comes after the command that was there before the first one.
     */
    for (int round = 0; ok && round < 3; round++) {
        ok = control(tpm, CMD_SET_LOCALITY, &tpm->locality, 1) ||
             monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: '%s': does not answer", path);
    }
    ssize_t got = 1;
    while (ok && (got = recv(data_fd, rest, sizeof(rest), MSG_DONTWAIT)) > 0) {
        /* of a command that nobody waits for */
    }
    if (ok && got == 0) {
        ok = monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: '%s': ended", path);
    }
    if (!ok) {
        tpm_socket_close(tpm);
    }
    return ok;
}

void tpm_socket_close(TpmSocket *tpm)
{
    monatt_close_pointer(&tpm->data_fd);
    monatt_close_pointer(&tpm->control_fd);
}

bool tpm_socket_gone(const TpmSocket *tpm)
{
    uint8_t byte;
    ssize_t got = recv(tpm->data_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

bool tpm_socket_power_cycle(TpmSocket *tpm, MonattError *err)
{
    static const uint8_t flags[4] = {0, 0, 0, 0};
    tpm->locality_in_tpm = -1;
    if (!control(tpm, CMD_INIT, flags, sizeof(flags))) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: CMD_INIT failed");
    }
    return true;
}
