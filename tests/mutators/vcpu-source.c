/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-source.c - a guest's vCPU registers, for a tool that runs without the device
 */
#include "tests/mutators/vcpu-source.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"

#define FILE_MAXIMUM (4u << 20) /* 256 vCPUs with all their vector registers: about 2 MB */

static bool parse_file(const char *path, size_t size, MonattVcpuRegisters *ret, size_t *ret_count,
                       MonattError *err)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(size + 1);
    bool good = file && text && fread(text, 1, size, file) == size;
    if (!good) {
        monatt_error_set_errno(err, errno, "vCPU registers: '%s'", path);
    }
    good =
        good && monatt_vcpu_registers_parse(text, size, ret, VCPU_SOURCE_MAXIMUM, ret_count, err);
    free(text);
    if (file) {
        fclose(file);
    }
    return good;
}

/* The next line that is an answer; NULL: the monitor went away. */
static json_t *next_answer(FILE *monitor)
{
    char *line = NULL;
    size_t size = 0;
    json_t *value = NULL;
    while (!value && getline(&line, &size, monitor) > 0) {
        json_t *message = json_loads(line, 0, NULL);
        if (json_object_get(message, "return") || json_object_get(message, "error")) {
            value = json_incref(message);
        }
        json_decref(message);
    }
    free(line);
    return value;
}

static bool ask(FILE *monitor, MonattVcpuRegisters *ret, size_t *ret_count, MonattError *err)
{
    static const char *const commands[] = {
        "{\"execute\":\"qmp_capabilities\"}\n",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
        "\"info registers -a\"}}\n",
    };
    json_t *answer = NULL;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(commands); i++) {
        json_decref(answer);
        answer =
            fputs(commands[i], monitor) >= 0 && fflush(monitor) == 0 ? next_answer(monitor) : NULL;
    }
    json_t *text = json_object_get(answer, "return");
    bool good = json_is_string(text)
                    ? monatt_vcpu_registers_parse(json_string_value(text), json_string_length(text),
                                                  ret, VCPU_SOURCE_MAXIMUM, ret_count, err)
                    : monatt_error_set(err, MONATT_ERROR_PEER, "vCPU registers: no answer by QMP");
    json_decref(answer);
    return good;
}

static bool ask_socket(const char *path, MonattVcpuRegisters *ret, size_t *ret_count,
                       MonattError *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        return monatt_error_set_errno(err, errno, "QMP socket: '%s'", path);
    }
    memcpy(address.sun_path, path, strlen(path));
    FILE *monitor = NULL;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        !(monitor = fdopen(fd, "r+"))) {
        monatt_error_set_errno(err, errno, "QMP socket: '%s'", path);
        close(fd);
        return false;
    }
    bool good = ask(monitor, ret, ret_count, err);
    fclose(monitor);
    return good;
}

bool vcpu_source_read(const char *path, MonattVcpuRegisters ret[VCPU_SOURCE_MAXIMUM],
                      size_t *ret_count, MonattError *err)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return monatt_error_set_errno(err, errno, "vCPU registers: '%s'", path);
    }
    if (S_ISSOCK(status.st_mode)) {
        return ask_socket(path, ret, ret_count, err);
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "vCPU registers: '%s': not a text", path);
    }
    return parse_file(path, (size_t)status.st_size, ret, ret_count, err);
}
