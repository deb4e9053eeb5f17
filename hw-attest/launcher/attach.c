/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach.c - the launcher's half of attach.sock; must never wait for ever
 */
#include "hw-attest/launcher/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_PATIENCE_MS 60000 /* a new TPM's keys take a second, on a busy host many */

bool attach_connect(const char *run_dir, int *ret_fd, MonattError *err)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/attach.sock", run_dir);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "attach service: path is too long");
    }
    if (monatt_control_connect(path, ret_fd, err)) {
        return true;
    }
    if (!err) {
        return false;
    }
    if (err->code == MONATT_ERROR_LIMIT) {
        return monatt_error_hint(err, "choose a shorter folder with --monatt-run-dir");
    }
    if (err->system_errno == EACCES || err->system_errno == EPERM) {
        err->code = MONATT_ERROR_PERMISSION;
        return monatt_error_hint(err, "start the service with --allow-uid %u", geteuid());
    }
    if (err->system_errno == ENOENT || err->system_errno == ECONNREFUSED ||
        err->system_errno == ENOTDIR) {
        err->code = MONATT_ERROR_MISSING;
        monatt_error_hint(err, "start 'hw-attest serve', or say --monatt-private");
    }
    return false;
}

static bool attach_inherit(int fd, MonattError *err)
{
    return fcntl(fd, F_SETFD, 0) == 0 ? true
                                      : monatt_error_set_errno(err, errno, "attach: descriptor");
}

static bool attach_take_answer(MonattControlMessage *answer, MonattAttachWire wire,
                               bool want_plugin, Attachment *ret, MonattError *err)
{
    MonattAttachAnswer got;
    bool by_path = wire == MONATT_WIRE_VFIO_USER;
    size_t expected = (by_path ? 0U : 1U) + (want_plugin ? 1U : 0U);
    if (!monatt_attach_answer_decode(answer->payload, answer->payload_size, &got, err)) {
        return false;
    }
    if (by_path != (got.wire_path[0] != '\0')) {
        return monatt_error_set(
            err, MONATT_ERROR_PEER,
            "attach service: answered for another wire: one of another version?");
    }
    if (answer->fd_count != expected) {
        return monatt_error_set(err, MONATT_ERROR_PEER,
                                "attach service: gave %zu descriptors of %zu", answer->fd_count,
                                expected);
    }
    size_t next = 0;
    memcpy(ret->wire_path, got.wire_path, sizeof(ret->wire_path));
    ret->wire_fd = by_path ? -1 : answer->fds[next++];
    ret->ring_fd = want_plugin ? answer->fds[next] : -1;
    answer->fd_count = 0; /* ours now */
    return (ret->wire_fd < 0 || attach_inherit(ret->wire_fd, err)) &&
           (ret->ring_fd < 0 || attach_inherit(ret->ring_fd, err)) &&
           attach_inherit(ret->monitor_fd, err);
}

bool attach_request(int fd, const Machine *machine, const Measure *measure, bool want_plugin,
                    Attachment *ret, MonattError *err)
{
    static MonattAttachRequest request;
    static MonattControlMessage answer;
    static uint8_t payload[MONATT_CONTROL_MAXIMUM];
    MonattWriter w;
    size_t size;
    int pair[2];
    memcpy(request.vid, machine->vid, sizeof(request.vid));
    memcpy(request.name, machine->name, sizeof(request.name));
    request.accelerator = (uint8_t)machine->accelerator;
    request.want_plugin = want_plugin;
    request.wire = (uint8_t)machine->wire;
    request.actions = machine->actions;
    request.vcpus = machine->vcpus;
    request.item_count = (uint32_t)measure->count;
    memcpy(request.items, measure->items, sizeof(request.items));
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_attach_request_encode(&w, &request);
    if (!monatt_writer_finish(&w, "attach request", &size, err)) {
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return monatt_error_set_errno(err, errno, "attach: sockets");
    }
    *ret = (Attachment){.monitor_fd = pair[0], .wire_fd = -1, .ring_fd = -1};
    const int fds[] = {pair[1], measure->kernel_fd};
    bool good =
        monatt_control_call_with(fd, MONATT_CONTROL_ATTACH, payload, size, fds,
                                 measure->has_kernel ? 2 : 1, ANSWER_PATIENCE_MS, &answer, err);
    close(pair[1]);
    if (!good) {
        close(pair[0]);
        /* A service that does not know our user closes without a word. */
        if (err && (err->code == MONATT_ERROR_PEER || err->system_errno == EPIPE ||
                    err->system_errno == ECONNRESET)) {
            monatt_error_set(err, MONATT_ERROR_PERMISSION,
                             "attach service: closed the connection of user %u", geteuid());
            monatt_error_hint(err, "start it with --allow-uid %u; its log says more", geteuid());
        }
        return false;
    }
    good = attach_take_answer(&answer, machine->wire, want_plugin, ret, err);
    monatt_control_message_clear(&answer);
    return good;
}
