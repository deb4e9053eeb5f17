/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.c - reads QMP events and answers; must never block on QEMU
 *
 * QEMU Machine Protocol, docs/interop/qmp-spec.txt; events of qapi/run-state.json.
 */
#include "hw-attest/qmp.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

#define TICK_MS 500

void qmp_init(Qmp *qmp, int fd, int wake_fd)
{
    qmp->fd = fd;
    qmp->wake_fd = wake_fd;
    qmp->used = 0;
    qmp->overlong = false;
}

static const char ask_capabilities[] = "{\"execute\":\"qmp_capabilities\",\"id\":\"caps\"}\n";
static const char ask_cpus[] = "{\"execute\":\"query-cpus-fast\",\"id\":\"cpus\"}\n";
static const char ask_kvm[] = "{\"execute\":\"query-kvm\",\"id\":\"kvm\"}\n";
static const char ask_status[] = "{\"execute\":\"query-status\",\"id\":\"status\"}\n";

static void set_stopped(Device *device, bool stopped)
{
    if (stopped == device->stopped) {
        return;
    }
    uint64_t now = device_boottime_ns();
    if (!stopped) {
        device->paused_ns += now - (uint64_t)device->stopped_since_ns;
    }
    device->stopped_since_ns = (int64_t)now;
    device->stopped = stopped;
    device_post(device, stopped ? MONATT_EVENT_STOPPED : MONATT_EVENT_RESUMED, 0);
}

static const char *event(Device *device, const char *name)
{
    if (strcmp(name, "RESET") == 0) {
        if (reset_qmp(&device->reset, device_now_ms())) {
            device_begin_reset(device);
        }
    } else if (strcmp(name, "STOP") == 0) {
        set_stopped(device, true);
    } else if (strcmp(name, "RESUME") == 0) {
        set_stopped(device, false);
        return ask_cpus;
    } else if (strcmp(name, "GUEST_PANICKED") == 0) {
        device_post(device, MONATT_EVENT_PANICKED, 0);
    } else if (strcmp(name, "CPU_PLUG") == 0 || strcmp(name, "ACPI_DEVICE_OST") == 0) {
        return ask_cpus;
    }
    return NULL;
}

static void take_cpus(Device *device, json_t *list)
{
    size_t count = json_array_size(list);
    device->vcpu_count = 0;
    for (size_t i = 0; i < count && i < MONATT_VCPUS_MAXIMUM; i++) {
        json_int_t thread =
            json_integer_value(json_object_get(json_array_get(list, i), "thread-id"));
        if (thread > 0 && thread <= INT32_MAX) {
            device->vcpus[device->vcpu_count++] = (uint32_t)thread;
        }
    }
}

static const char *answer(Device *device, const char *id, json_t *value)
{
    if (strcmp(id, "caps") == 0) {
        device->reset.monitor = true;
        return ask_kvm;
    }
    if (strcmp(id, "kvm") == 0) {
        json_t *enabled = json_object_get(value, "enabled");
        if (json_is_boolean(enabled)) {
            device->accelerator = json_is_true(enabled) ? 2 : 1;
        }
        return ask_cpus;
    }
    if (strcmp(id, "cpus") == 0) {
        take_cpus(device, value);
        return ask_status;
    }
    if (strcmp(id, "status") == 0) {
        json_t *running = json_object_get(value, "running");
        if (json_is_boolean(running)) {
            set_stopped(device, !json_is_true(running));
        }
    }
    return NULL;
}

const char *qmp_line(Device *device, const char *line, size_t size)
{
    json_t *message = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *next = NULL;
    if (!json_is_object(message)) {
        json_decref(message);
        return NULL;
    }
    const char *name = json_string_value(json_object_get(message, "event"));
    const char *id = json_string_value(json_object_get(message, "id"));
    pthread_mutex_lock(&device->lock);
    if (json_object_get(message, "QMP")) {
        next = ask_capabilities;
    } else if (name) {
        next = event(device, name);
    } else if (id && json_object_get(message, "return")) {
        next = answer(device, id, json_object_get(message, "return"));
    }
    pthread_mutex_unlock(&device->lock);
    json_decref(message);
    return next;
}

/* false: QEMU closed its end. */
static bool receive(Qmp *qmp, Device *device)
{
    ssize_t got = recv(qmp->fd, qmp->line + qmp->used, sizeof(qmp->line) - qmp->used, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (got == 0) {
        return false;
    }
    qmp->used += (size_t)got;
    char *end;
    while ((end = memchr(qmp->line, '\n', qmp->used))) {
        size_t size = (size_t)(end - qmp->line);
        const char *command = qmp->overlong ? NULL : qmp_line(device, qmp->line, size);
        qmp->overlong = false;
        if (command && send(qmp->fd, command, strlen(command), MSG_NOSIGNAL | MSG_DONTWAIT) !=
                           (ssize_t)strlen(command)) {
            monatt_log_warning("QMP: QEMU does not take commands");
        }
        qmp->used -= size + 1;
        memmove(qmp->line, end + 1, qmp->used);
    }
    if (qmp->used == sizeof(qmp->line)) {
        qmp->used = 0;
        qmp->overlong = true;
    }
    return true;
}

void qmp_run(Qmp *qmp, Device *device)
{
    bool open = qmp->fd >= 0;
    for (;;) {
        struct pollfd waits[2] = {{.fd = open ? qmp->fd : -1, .events = POLLIN},
                                  {.fd = qmp->wake_fd, .events = POLLIN}};
        int ready = poll(waits, 2, TICK_MS);
        atomic_fetch_add(&device->kept->heartbeat.ticks, 1);
        pthread_mutex_lock(&device->lock);
        bool ending = device->ending;
        pthread_mutex_unlock(&device->lock);
        if (ending) {
            return;
        }
        if (ready > 0 && waits[0].revents && !receive(qmp, device)) {
            open = false;
            pthread_mutex_lock(&device->lock);
            device->reset.monitor = false;
            device->qmp_open = false;
            pthread_cond_broadcast(&device->changed);
            pthread_mutex_unlock(&device->lock);
            monatt_log_info("QMP: QEMU closed the monitor");
        }
    }
}
