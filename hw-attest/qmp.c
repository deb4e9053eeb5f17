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
    qmp->keep = NULL;
    qmp->used = 0;
    qmp->taken = 0;
    qmp->overlong = false;
}

static const char ask_capabilities[] = "{\"execute\":\"qmp_capabilities\",\"id\":\"caps\"}\n";
/* Without it QEMU says nothing of a migration. */
static const char ask_events[] =
    "{\"execute\":\"migrate-set-capabilities\",\"id\":\"events\",\"arguments\":"
    "{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}}\n";
static const char ask_cancel[] = "{\"execute\":\"migrate_cancel\",\"id\":\"cancel\"}\n";
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
    if (stopped) {
        reset_stop(&device->reset, device_now_ms());
    } else {
        reset_resume(&device->reset, device_now_ms());
    }
    device->stopped_since_ns = (int64_t)now;
    device->stopped = stopped;
    device_post(device, stopped ? MONATT_EVENT_STOPPED : MONATT_EVENT_RESUMED, 0);
}

/*
 * With vfio-user-pci QEMU would carry the guest away, without its registers; with x-pci-proxy-dev
 * it refuses by itself.  A snapshot says the same, but is done before anybody can cancel it:
 * harmless until it is loaded, which reset.h sees.
 */
static const char *migration(Device *device, json_t *data)
{
    static const char *const over[] = {"none", "cancelling", "cancelled", "failed", "completed"};
    const char *status = json_string_value(json_object_get(data, "status"));
    if (!status) {
        return NULL;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(over); i++) {
        if (strcmp(status, over[i]) == 0) {
            return NULL;
        }
    }
    if (strcmp(status, "setup") == 0) {
        monatt_log_warning(
            "'%s': a migration or snapshot began: refused as far as it can be, as the "
            "registers are not in it",
            device->name);
        device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_MIGRATION);
    }
    return ask_cancel;
}

static const char *event(Device *device, const char *name, json_t *data)
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
    } else if (strcmp(name, "MIGRATION") == 0) {
        return migration(device, data);
    } else if (strcmp(name, "WAKEUP") == 0) {
        reset_wakeup(&device->reset);
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
            json_int_t index =
                json_integer_value(json_object_get(json_array_get(list, i), "cpu-index"));
            device->vcpu_indices[device->vcpu_count] = (uint32_t)index;
            device->vcpus[device->vcpu_count++] = (uint32_t)thread;
        }
    }
}

static const char *answer(Device *device, const char *id, json_t *value)
{
    if (strcmp(id, "caps") == 0) {
        device->reset.monitor = true;
        return ask_events;
    }
    if (strcmp(id, "events") == 0) {
        return ask_kvm; /* refused or not: a QEMU that cannot migrate has no such capability */
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
        const char *status = json_string_value(json_object_get(value, "status"));
        if (json_is_boolean(running)) {
            /* In S3 nothing runs, but nobody stopped it, and its end is no RESUME. */
            set_stopped(device,
                        !json_is_true(running) && !(status && !strcmp(status, "suspended")));
        }
    }
    return NULL;
}

static const char *take(Device *device, json_t *message)
{
    const char *name = json_string_value(json_object_get(message, "event"));
    const char *id = json_string_value(json_object_get(message, "id"));
    if (json_object_get(message, "QMP")) {
        return ask_capabilities;
    }
    if (name) {
        return event(device, name, json_object_get(message, "data"));
    }
    if (id && vcpu_job_is_answer(id)) {
        return vcpu_job_answer(device, id, json_object_get(message, "return"));
    }
    if (id && json_object_get(message, "return")) {
        return answer(device, id, json_object_get(message, "return"));
    }
    if (id && strcmp(id, "events") == 0 && json_object_get(message, "error")) {
        return answer(device, id, NULL);
    }
    return NULL;
}

const char *qmp_line(Device *device, const char *line, size_t size)
{
    json_t *message = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    pthread_mutex_lock(&device->lock);
    device->in_message = true;
    const char *next = json_is_object(message) ? take(device, message) : NULL;
    device->qmp_used = device->qmp_next;
    kept_commit(device);
    device->in_message = false;
    pthread_mutex_unlock(&device->lock);
    json_decref(message);
    return next;
}

/* A whole line stands in the buffer: hands it out, to be dropped by the next call. */
static bool take_line(Qmp *qmp, const char **ret_line, size_t *ret_size)
{
    for (;;) {
        qmp->used -= qmp->taken;
        memmove(qmp->line, qmp->line + qmp->taken, qmp->used);
        qmp->taken = 0;
        char *end = memchr(qmp->line, '\n', qmp->used);
        if (!end && qmp->used == sizeof(qmp->line)) {
            qmp->used = 0;
            qmp->overlong = true;
        }
        if (!end) {
            return false;
        }
        size_t size = (size_t)(end - qmp->line);
        qmp->taken = size + 1;
        if (qmp->keep) {
            qmp->keep->qmp_next =
                kept_stream_received(&qmp->keep->kept->qmp) - (qmp->used - qmp->taken);
        }
        if (!qmp->overlong) {
            *ret_line = qmp->line;
            *ret_size = size;
            return true;
        }
        qmp->overlong = false;
    }
}

/* Into the line's buffer, whose bytes are the last ones of the stream. */
static ssize_t receive(Qmp *qmp)
{
    char *to = qmp->line + qmp->used;
    size_t room = sizeof(qmp->line) - qmp->used;
    if (!qmp->keep) {
        return recv(qmp->fd, to, room, MSG_DONTWAIT);
    }
    DeviceKept *kept = qmp->keep->kept;
    uint64_t before = kept_stream_received(&kept->qmp);
    ssize_t got = kept_stream_receive(&kept->qmp, kept->qmp_bytes, KEPT_QMP_BYTES,
                                      before - qmp->used, qmp->fd, NULL, MSG_DONTWAIT);
    if (got > 0) {
        kept_stream_copy(kept->qmp_bytes, KEPT_QMP_BYTES, before, to, (size_t)got);
    }
    return got;
}

_Static_assert(QMP_LINE_MAXIMUM == KEPT_QMP_BYTES, "what is kept is what a line may have");

QmpWait qmp_next_line(Qmp *qmp, int timeout_ms, const char **ret_line, size_t *ret_size)
{
    int64_t until = device_now_ms() + timeout_ms;
    while (!take_line(qmp, ret_line, ret_size)) {
        int64_t left = until - device_now_ms();
        struct pollfd waits[2] = {{.fd = qmp->fd, .events = POLLIN},
                                  {.fd = qmp->wake_fd, .events = POLLIN}};
        int ready = poll(waits, 2, left > 0 ? (int)left : 0);
        if (ready > 0 && waits[0].revents) {
            ssize_t got = receive(qmp);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
                return QMP_CLOSED;
            }
            qmp->used += got > 0 ? (size_t)got : 0;
        } else if (ready > 0 && waits[1].revents) {
            return QMP_TIMEOUT;
        } else if (left <= 0) {
            return QMP_TIMEOUT;
        }
    }
    return QMP_LINE;
}

bool qmp_send(const Qmp *qmp, const char *command)
{
    size_t size = strlen(command);
    if (send(qmp->fd, command, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size) {
        monatt_log_warning("QMP: QEMU does not take commands");
        return false;
    }
    return true;
}

/* Once in a while, whatever QEMU says: heartbeat, and resets whose time is over.  False: end. */
static bool tick(Device *device)
{
    atomic_fetch_add(&device->kept->heartbeat.ticks, 1);
    pthread_mutex_lock(&device->lock);
    (void)reset_pending(&device->reset, device_now_ms());
    if (device->reset.restored && !device->reset.told) {
        device->reset.told = true;
        monatt_log_warning("'%s': QEMU put the VM into a saved state: nothing is known of it until "
                           "its next reset",
                           device->name);
        device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_RESTORED);
    }
    bool ending = device->ending;
    pthread_mutex_unlock(&device->lock);
    return !ending;
}

void qmp_resume(Qmp *qmp, Device *device)
{
    /* Which of them the last process sent is not known; a second one is refused or the same. */
    static const char *const all[] = {ask_capabilities, ask_events, ask_kvm, ask_cpus, ask_status};
    const DeviceKept *kept = device->kept;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(all); i++) {
        (void)qmp_send(qmp, all[i]); /* said so; its events go on */
    }
    qmp->overlong = device->qmp_overlong;
    /* recovery_run() has checked that it is no more than the buffer holds. */
    qmp->used = (size_t)(kept_stream_received(&kept->qmp) - device->qmp_used);
    kept_stream_copy(kept->qmp_bytes, KEPT_QMP_BYTES, device->qmp_used, qmp->line, qmp->used);
}

void qmp_run(Qmp *qmp, Device *device)
{
    while (qmp_run_until(qmp, device, INT64_MAX)) {
        /* until the device ends, also when QEMU's end is closed */
    }
}

bool qmp_run_until(Qmp *qmp, Device *device, int64_t until_ms)
{
    while (tick(device)) {
        const char *line;
        size_t size;
        if (device_now_ms() >= until_ms) {
            return true;
        }
        QmpWait wait = qmp_next_line(qmp, TICK_MS, &line, &size);
        if (wait == QMP_LINE) {
            const char *command = qmp_line(device, line, size);
            if (command) {
                qmp_send(qmp, command);
            }
        } else if (wait == QMP_CLOSED) {
            qmp->fd = -1;
            pthread_mutex_lock(&device->lock);
            device->reset.monitor = false;
            device->qmp_open = false;
            device->vcpu_job.fd = -1;
            pthread_cond_broadcast(&device->changed);
            pthread_mutex_unlock(&device->lock);
            monatt_log_info("QMP: QEMU closed the monitor");
        }
    }
    return false;
}
