/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c - answers the collector; must never make the wire thread wait
 *
 * Requests are served one after the other.  The ones that wait for the disk do so here, without the
 * lock and with a deadline; a quote is answered when swtpm has made it, and others' requests
 * before.
 */
#include "hw-attest/control-quote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/sandbox.h"
#include "libmonatt/base/log.h"
#include "libmonatt/eventlog/cel.h"

#define TICK_MS 500
#define SEND_TIMEOUT_S 2 /* a collector that does not read loses its connection */
#define FREE_SLOT (-1)

void control_init(Control *control, int listen_fd, int wake_fd, const TpmBackend *tpm)
{
    control->listen_fd = listen_fd;
    control->wake_fd = wake_fd;
    control->tpm = tpm;
    control->events_sent = 0;
    control->told_hidden = false;
    control->quote.waits = false;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        control->connections[i].fd = FREE_SLOT;
        control->connections[i].subscribed = false;
    }
}

static bool handle_status(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err)
{
    MonattDeviceStatus status;
    device_status(device, &status);
    monatt_device_status_encode(&answer->writer, &status);
    return true;
}

static bool handle_registers(Control *control, Device *device, MonattReader *r,
                             ControlAnswer *answer, MonattError *err)
{
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        const Register *mr = &device->registers.mr[i];
        monatt_writer_bytes(&answer->writer, mr->sha256, sizeof(mr->sha256));
        monatt_writer_bytes(&answer->writer, mr->sha384, sizeof(mr->sha384));
        monatt_writer_u64_be(&answer->writer, mr->extends);
        monatt_writer_u64_be(&answer->writer, mr->synced);
    }
    return true;
}

static bool handle_extend(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err)
{
    uint8_t index;
    const uint8_t *record;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint64_t number;
    if (!monatt_reader_u8(r, &index)) {
        return false;
    }
    size_t size = monatt_reader_left(r);
    if (size == 0 || size > MONATT_CONTENT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "extend: MR%u: record of %zu bytes", index,
                                size);
    }
    if (!monatt_reader_bytes(r, size, &record)) {
        return false;
    }
    if (!registers_sha256(record, size, sha256) || !registers_sha384(record, size, sha384)) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "extend: libcrypto failed");
    }
    if (!device_extend(device, REGISTERS_HOST, index, sha256, sha384, MONATT_CEL_RECORD, record,
                       size, &number, err)) {
        return false;
    }
    int64_t deadline = device_now_ms() + CONTROL_WAIT_MS;
    uint64_t boot = device->boot_count;
    while (device->durable <= number) {
        if (device->boot_count != boot || device->resetting || device->ending) {
            return monatt_error_set(err, MONATT_ERROR_BUSY, "extend: MR%u: the VM was reset",
                                    index);
        }
        if (!device_wait_until(device, deadline)) {
            return monatt_error_set(err, MONATT_ERROR_BUSY,
                                    "extend: MR%u: record %llu is not on disk after %d ms", index,
                                    (unsigned long long)number, CONTROL_WAIT_MS);
        }
    }
    monatt_writer_u64_be(&answer->writer, number);
    return true;
}

static bool handle_keys(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                        MonattError *err)
{
    uint16_t alg;
    if (!monatt_reader_u16_be(r, &alg)) {
        return false;
    }
    if (alg != MONATT_ALG_SHA256 && alg != MONATT_ALG_SHA384) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "keys: no key for hash %#x", alg);
    }
    const TpmPublic *ak =
        alg == MONATT_ALG_SHA384 ? &control->tpm->ak_public384 : &control->tpm->ak_public256;
    monatt_writer_u16_be(&answer->writer, (uint16_t)control->tpm->ek.size);
    monatt_writer_bytes(&answer->writer, control->tpm->ek.bytes, control->tpm->ek.size);
    monatt_writer_u16_be(&answer->writer, (uint16_t)ak->size);
    monatt_writer_bytes(&answer->writer, ak->bytes, ak->size);
    return true;
}

static bool open_again(ControlAnswer *answer, int fd, const char *what, MonattError *err)
{
    /* A duplicate would share offset and write permission: opened anew, read-only. */
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0) {
        return monatt_error_set_errno(err, errno, "%s: open again", what);
    }
    answer->fds[answer->fd_count++] = again;
    return true;
}

static bool handle_log(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                       MonattError *err)
{
    int64_t deadline = device_now_ms() + CONTROL_WAIT_MS;
    uint64_t want = device->pipe->enqueued;
    while (!device->resetting && !device->ending && device->pipe->logged < want) {
        if (!device_wait_until(device, deadline)) {
            return monatt_error_set(err, MONATT_ERROR_BUSY, "log: records are not written yet");
        }
    }
    if (device->resetting || device->pipe->logged < want) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "log: the VM is being reset");
    }
    monatt_writer_u64_be(&answer->writer, device->log_bytes);
    monatt_writer_u64_be(&answer->writer, device->pipe->logged);
    return open_again(answer, device->log_fd, "log", err);
}

static bool handle_ram(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                       MonattError *err)
{
    GuestRam ram;
    if (!guest_ram_duplicate(&device->ram, &ram, err)) {
        return false;
    }
    /* A file of another user is opened by who may, which takes its time. */
    pthread_mutex_unlock(&device->lock);
    if (ram.hidden > 0 && !control->told_hidden) {
        control->told_hidden = true;
        monatt_log_warning(
            "'%s': %zu ranges of guest memory are not shown: only the biggest %d are", device->name,
            ram.hidden, MONATT_RAM_REGIONS_MAXIMUM);
    }
    bool ok =
        guest_ram_open_read_only(&ram, control->reopen, control->reopen_argument, answer->fds, err);
    answer->fd_count = ok ? ram.count : 0;
    monatt_writer_u32_be(&answer->writer, (uint32_t)ram.count);
    for (size_t i = 0; i < ram.count; i++) {
        monatt_writer_u64_be(&answer->writer, ram.regions[i].guest_physical);
        monatt_writer_u64_be(&answer->writer, ram.regions[i].size);
        monatt_writer_u64_be(&answer->writer, ram.regions[i].offset);
    }
    guest_ram_clear(&ram);
    pthread_mutex_lock(&device->lock);
    return ok;
}

static bool handle_ring(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                        MonattError *err)
{
    if (device->ring_fd < 0) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "plugin ring: '%s': has no plugin",
                                device->name);
    }
    monatt_writer_u64_be(&answer->writer, device->ring_size);
    return open_again(answer, device->ring_fd, "plugin ring", err);
}

static bool handle_kernel(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err)
{
    if (device->kernel_fd < 0) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "kernel: '%s': the launcher measured none", device->name);
    }
    /* Sealed: a duplicate can be written as little as this one. */
    int again = fcntl(device->kernel_fd, F_DUPFD_CLOEXEC, 0);
    if (again < 0) {
        return monatt_error_set_errno(err, errno, "kernel: duplicate");
    }
    answer->fds[answer->fd_count++] = again;
    monatt_writer_u64_be(&answer->writer, device->kernel_size);
    return true;
}

static bool handle_boot_items(Control *control, Device *device, MonattReader *r,
                              ControlAnswer *answer, MonattError *err)
{
    monatt_writer_u32_be(&answer->writer, device->item_count);
    monatt_boot_items_encode(&answer->writer, device->items, device->item_count);
    return true;
}

static bool handle_set_nonce(Control *control, Device *device, MonattReader *r,
                             ControlAnswer *answer, MonattError *err)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    if (!monatt_reader_copy(r, nonce, sizeof(nonce)) || !monatt_reader_finish(r)) {
        return false;
    }
    memcpy(device->command.nonce, nonce, sizeof(nonce));
    return true;
}

static bool handle_guest_list(Control *control, Device *device, MonattReader *r,
                              ControlAnswer *answer, MonattError *err)
{
    if (device->guest_list_size == 0) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "guest list: '%s': sent none",
                                device->name);
    }
    int fd = memfd_create("monatt-guest-list", MFD_CLOEXEC);
    if (fd < 0) {
        return monatt_error_set_errno(err, errno, "guest list: memfd");
    }
    answer->fds[answer->fd_count++] = fd;
    if (pwrite(fd, device->guest_list, device->guest_list_size, 0) !=
        (ssize_t)device->guest_list_size) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest list: memfd: short write");
    }
    monatt_writer_u64_be(&answer->writer, device->guest_list_size);
    return true;
}

static bool handle_vcpus(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                         MonattError *err)
{
    monatt_writer_u32_be(&answer->writer, device->qemu_pid);
    monatt_writer_u32_be(&answer->writer, (uint32_t)device->vcpu_count);
    for (size_t i = 0; i < device->vcpu_count; i++) {
        monatt_writer_u32_be(&answer->writer, device->vcpus[i]);
    }
    return true;
}

static bool handle_vcpu_registers(Control *control, Device *device, MonattReader *r,
                                  ControlAnswer *answer, MonattError *err)
{
    size_t count;
    if (!monatt_reader_finish(r) || !vcpu_job_run(device, &count, err)) {
        return false;
    }
    monatt_vcpu_registers_encode(&answer->writer, device->vcpu_job.registers, count);
    return true;
}

static bool handle_report_question(Control *control, Device *device, MonattReader *r,
                                   ControlAnswer *answer, MonattError *err)
{
    return report_question(&device->report, control->serving, device_now_ms(), &answer->writer,
                           err);
}

static bool handle_report_answer(Control *control, Device *device, MonattReader *r,
                                 ControlAnswer *answer, MonattError *err)
{
    return report_answer(&device->report, r, &control->request, device_now_ms(), err);
}

static bool handle_subscribe(Control *control, Device *device, MonattReader *r,
                             ControlAnswer *answer, MonattError *err)
{
    answer->subscribe = true;
    return true;
}

/* All handlers run with the lock held; the waiting ones give it up while they wait. */
static const struct {
    uint16_t type;
    bool (*handle)(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                   MonattError *err);
} handlers[] = {
    {MONATT_CONTROL_STATUS, handle_status},
    {MONATT_CONTROL_REGISTERS, handle_registers},
    {MONATT_CONTROL_EXTEND, handle_extend},
    {MONATT_CONTROL_HOLD, control_handle_hold},
    {MONATT_CONTROL_QUOTE, control_handle_quote},
    {MONATT_CONTROL_KEYS, handle_keys},
    {MONATT_CONTROL_LOG, handle_log},
    {MONATT_CONTROL_RAM, handle_ram},
    {MONATT_CONTROL_RING, handle_ring},
    {MONATT_CONTROL_KERNEL, handle_kernel},
    {MONATT_CONTROL_BOOT_ITEMS, handle_boot_items},
    {MONATT_CONTROL_SET_NONCE, handle_set_nonce},
    {MONATT_CONTROL_GUEST_LIST, handle_guest_list},
    {MONATT_CONTROL_VCPUS, handle_vcpus},
    {MONATT_CONTROL_VCPU_REGISTERS, handle_vcpu_registers},
    {MONATT_CONTROL_SUBSCRIBE, handle_subscribe},
    {MONATT_CONTROL_REPORT_QUESTION, handle_report_question},
    {MONATT_CONTROL_REPORT_ANSWER, handle_report_answer},
};

static bool dispatch(Control *control, Device *device, ControlAnswer *answer, MonattError *err)
{
    const MonattControlMessage *request = &control->request;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(handlers); i++) {
        if (handlers[i].type != request->type) {
            continue;
        }
        if (request->fd_count > 0 && request->type != MONATT_CONTROL_REPORT_ANSWER) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                    "control message: type %u: takes no descriptors",
                                    request->type);
        }
        MonattReader r;
        monatt_reader_init(&r, "control request", request->payload, request->payload_size, err);
        pthread_mutex_lock(&device->lock);
        bool ok = handlers[i].handle(control, device, &r, answer, err) && monatt_reader_finish(&r);
        pthread_mutex_unlock(&device->lock);
        return ok;
    }
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "control message: type %u: unknown",
                            request->type);
}

static bool send_answer(int fd, uint16_t type, uint16_t id, ControlAnswer *answer, bool ok,
                        MonattError *err)
{
    size_t size = 0;
    bool sent;
    MonattError send_err = {0};
    ok = ok && monatt_writer_finish(&answer->writer, "control answer", &size, err);
    if (ok) {
        sent = monatt_control_send(fd, type | MONATT_CONTROL_ANSWER, id, answer->bytes, size,
                                   answer->fds, answer->fd_count, &send_err);
    } else {
        size = monatt_control_refusal_encode(err, answer->bytes, sizeof(answer->bytes));
        sent = monatt_control_send(fd, MONATT_CONTROL_ERROR, id, answer->bytes, size, NULL, 0,
                                   &send_err);
    }
    for (size_t i = 0; i < answer->fd_count; i++) {
        close(answer->fds[i]);
    }
    return sent;
}

/* 64 KiB, used by the control thread alone. */
static ControlAnswer *new_answer(void)
{
    static ControlAnswer answer;
    monatt_writer_init(&answer.writer, answer.bytes, sizeof(answer.bytes));
    answer.fd_count = 0;
    answer.subscribe = false;
    answer.later = false;
    return &answer;
}

/* As control_serve_one(), but a quote is only asked for. */
static bool serve(Control *control, Device *device, size_t slot)
{
    ControlAnswer *answer = new_answer();
    MonattError err = {0};
    int fd = control->connections[slot].fd;
    control->serving = slot;
    if (!monatt_control_receive(fd, 0, &control->request, &err)) {
        return err.code == MONATT_ERROR_BUSY;
    }
    uint16_t type = control->request.type;
    uint16_t id = control->request.id;
    bool ok = dispatch(control, device, answer, &err);
    monatt_control_message_clear(&control->request);
    if (ok && answer->later) {
        control->quote.id = id;
        return true;
    }
    bool sent = send_answer(fd, type, id, answer, ok, &err);
    control->connections[slot].subscribed |= ok && answer->subscribe;
    return sent;
}

/* The answer to a quote, if it is time; false: its connection is to be closed. */
static bool answer_quote(Control *control, Device *device)
{
    ControlAnswer *answer = new_answer();
    MonattError err = {0};
    bool ok;
    pthread_mutex_lock(&device->lock);
    bool done = control->quote.waits && control_quote_result(control, device, answer, &ok, &err);
    pthread_mutex_unlock(&device->lock);
    return !done || send_answer(control->connections[control->quote.slot].fd, MONATT_CONTROL_QUOTE,
                                control->quote.id, answer, ok, &err);
}

bool control_serve_one(Control *control, Device *device, size_t slot)
{
    bool good = serve(control, device, slot);
    while (good && control->quote.waits) {
        pthread_mutex_lock(&device->lock);
        if (device->quote.state == QUOTE_ASKED || device->quote.state == QUOTE_RUNNING) {
            (void)device_wait_until(device, control->quote.deadline_ms);
        }
        pthread_mutex_unlock(&device->lock);
        good = answer_quote(control, device);
    }
    return good;
}

static size_t subscribers(const Control *control)
{
    size_t count = 0;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        count += control->connections[i].fd >= 0 && control->connections[i].subscribed;
    }
    return count;
}

static void drop(Control *control, Device *device, size_t slot)
{
    close(control->connections[slot].fd);
    control->connections[slot].fd = FREE_SLOT;
    control->connections[slot].subscribed = false;
    pthread_mutex_lock(&device->lock);
    if (control->quote.waits && control->quote.slot == slot) {
        /* Nobody waits for it any more, and the slot's next connection must not get it. */
        MonattError ignored = {0};
        bool ok;
        control->quote.deadline_ms = 0;
        control_quote_result(control, device, new_answer(), &ok, &ignored);
    }
    hold_end_of(&device->hold, slot);
    report_lost(&device->report, slot, subscribers(control), device_now_ms());
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->lock);
}

static void send_events(Control *control, Device *device)
{
    for (;;) {
        uint8_t payload[10];
        MonattWriter w;
        MonattError err = {0};
        pthread_mutex_lock(&device->lock);
        uint64_t kept = MONATT_ARRAY_SIZE(device->events);
        if (device->events_posted - control->events_sent > kept) {
            control->events_sent = device->events_posted - kept; /* a burst; STATUS has the truth */
        }
        bool some = control->events_sent < device->events_posted;
        size_t at = control->events_sent % MONATT_ARRAY_SIZE(device->events);
        monatt_writer_init(&w, payload, sizeof(payload));
        monatt_writer_u16_be(&w, device->events[at].event);
        monatt_writer_u64_be(&w, device->events[at].detail);
        pthread_mutex_unlock(&device->lock);
        if (!some) {
            return;
        }
        control->events_sent++;
        for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
            if (control->connections[i].fd >= 0 && control->connections[i].subscribed &&
                !monatt_control_send(control->connections[i].fd, MONATT_CONTROL_EVENT, 0, payload,
                                     sizeof(payload), NULL, 0, &err)) {
                drop(control, device, i);
            }
        }
    }
}

static void accept_one(Control *control)
{
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (sandbox_peer(peer.uid) != 0 && peer.uid != geteuid())) {
        close(fd);
        return;
    }
    struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        if (control->connections[i].fd < 0) {
            control->connections[i].fd = fd;
            return;
        }
    }
    close(fd);
    monatt_log_warning("control: more than %d connections", CONTROL_CONNECTIONS);
}

void control_run(Control *control, Device *device)
{
    for (;;) {
        struct pollfd polls[CONTROL_CONNECTIONS + 2];
        polls[0] = (struct pollfd){.fd = control->listen_fd, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = control->wake_fd, .events = POLLIN};
        for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
            /* One thing after the other on a connection; the others go on. */
            bool waits = control->quote.waits && control->quote.slot == i;
            polls[i + 2] =
                (struct pollfd){.fd = waits ? -1 : control->connections[i].fd, .events = POLLIN};
        }
        int ready = poll(polls, MONATT_ARRAY_SIZE(polls), TICK_MS);
        if (ready > 0 && polls[1].revents) {
            uint64_t count;
            ssize_t got = read(control->wake_fd, &count, sizeof(count));
            (void)got;
        }
        send_events(control, device);
        pthread_mutex_lock(&device->lock);
        bool ending = device->ending;
        report_lost(&device->report, REPORT_NO_SLOT, subscribers(control), device_now_ms());
        int old MONATT_CLEANUP_CLOSE =
            report_take_old(&device->report); /* not by the wire thread */
        pthread_mutex_unlock(&device->lock);
        if (!answer_quote(control, device)) {
            drop(control, device, control->quote.slot);
        }
        if (ending) {
            break;
        }
        for (size_t i = 0; ready > 0 && i < CONTROL_CONNECTIONS; i++) {
            if (control->connections[i].fd >= 0 && polls[i + 2].revents &&
                !serve(control, device, i)) {
                drop(control, device, i);
            }
        }
        if (ready > 0 && polls[0].revents) {
            accept_one(control);
        }
    }
    send_events(control, device);
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        if (control->connections[i].fd >= 0) {
            drop(control, device, i);
        }
    }
}
