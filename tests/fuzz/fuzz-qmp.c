/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-qmp.c - what QEMU's monitor says, to the device and to who replaces it
 *
 * First byte 0: the rest goes through a socket in pieces (u8 size) and qmp_line(), line by line,
 * with a wire RESET at each line that says "RESET".  First byte 1: the rest is what QEMU says while
 * a device is replaced; "@" in it becomes the id that is waited for.  QEMU must neither get a
 * command that is no JSON object nor keep the device waiting, and no register moves by its word
 * alone.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/replace.h"
#include "tests/fuzz/fuzz.h"

static Qmp qmp;

static void require_command(const char *command)
{
    size_t size = strlen(command);
    require(size > 2 && command[size - 1] == '\n');
    json_t *message = json_loadb(command, size, 0, NULL);
    require(json_is_object(message) && json_string_value(json_object_get(message, "execute")));
    json_decref(message);
}

static void lines(const uint8_t *data, size_t size)
{
    int pair[2];
    Device *device = device_new(NULL);
    require(device && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    Registers before = device->registers;
    qmp_init(&qmp, pair[0], -1);
    device->reset.can_restore = true;
    while (size > 0) {
        size_t piece = data[0] < size - 1 ? data[0] : size - 1;
        require(send(pair[1], data + 1, piece, MSG_DONTWAIT) == (ssize_t)piece);
        data += 1 + piece;
        size -= 1 + piece;
        const char *line;
        size_t length;
        while (qmp_next_line(&qmp, 0, &line, &length) == QMP_LINE) {
            const char *command = qmp_line(device, line, length);
            if (command) {
                require_command(command);
            }
            if (memmem(line, length, "RESET", 5)) {
                (void)reset_wire(&device->reset, device_now_ms());
            }
            require(qmp.used <= sizeof(qmp.line) && qmp.taken <= qmp.used);
        }
        require(device->vcpu_count <= MONATT_VCPUS_MAXIMUM);
    }
    require(memcmp(&before, &device->registers, sizeof(before)) == 0);
    close(pair[0]);
    close(pair[1]);
    device_free(device);
}

/* "@1" becomes the id of command 1 of this process. */
static void say_with_ids(int fd, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char id[64] = {(char)data[i], '\0'};
        size_t length = 1;
        if (data[i] == '@' && i + 1 < size) {
            length = (size_t)snprintf(id, sizeof(id), "\"replace-%d-%u\"", (int)getpid(),
                                      data[++i] % 16U);
        }
        if (send(fd, id, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length) {
            break;
        }
    }
    shutdown(fd, SHUT_WR);
}

static void replacement(const uint8_t *data, size_t size)
{
    int pair[2];
    char got[8192];
    MonattError err = {0};
    Device *device = device_new(NULL);
    require(device && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    Registers before = device->registers;
    const Replace replace = {.path = "/w", .answer_ms = 1, .guest_ms = 1, .plug_ms = 1};
    qmp_init(&qmp, pair[0], -1);
    say_with_ids(pair[1], data, size);
    ReplaceResult result = replace_run(&replace, &qmp, device, &err);
    require((result == REPLACE_DONE) == (err.code == MONATT_ERROR_NONE));
    require(!device->reset.attaching);
    require(memcmp(&before, &device->registers, sizeof(before)) == 0);
    ssize_t told = recv(pair[1], got, sizeof(got) - 1, MSG_DONTWAIT);
    char *at = got;
    got[told > 0 ? told : 0] = '\0';
    for (char *end; (end = strchr(at, '\n')); at = end + 1) {
        char next = end[1];
        end[1] = '\0';
        require_command(at);
        end[1] = next;
    }
    close(pair[0]);
    close(pair[1]);
    device_free(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 64 * 1024) {
        return 0;
    }
    if (data[0] == 0) {
        lines(data + 1, size - 1);
    } else if (data[0] == 1) {
        replacement(data + 1, size - 1);
    }
    return 0;
}
