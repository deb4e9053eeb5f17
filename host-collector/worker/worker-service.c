/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-service.c - takes guest RAM and clocks, enters the sandbox, measures when asked
 *
 * Must never look at guest memory before it is in the sandbox.
 */
#include "host-collector/worker/worker-service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host-collector/sources/introspection/hidden-tasks.h"
#include "host-collector/worker/worker-checks.h"
#include "host-collector/worker/worker-protocol.h"
#include "host-collector/worker/worker-report.h"
#include "host-collector/worker/worker-sandbox.h"

#define WAIT_FOR_EVER (-1)
#define DEADLINE_MAXIMUM_MS 60000u /* nobody waits longer for an attestation */

typedef struct WorkerService {
    int fd;
    GuestMemory memory;
    GuestClocks clocks;
    HiddenTasks tasks;
    WorkerChecks checks;
    bool entered;
    MonattControlMessage message;
    MonattTaskReport report;
    uint8_t list[MONATT_GUEST_LIST_MAXIMUM];
    uint8_t part[MONATT_CONTROL_MAXIMUM];
    uint8_t *answer; /* WORKER_REPORT_MAXIMUM bytes */
} WorkerService;

static bool take_regions(WorkerService *service, MonattError *err)
{
    MonattControlMessage *message = &service->message;
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    MonattReader r;
    uint32_t count;

    monatt_reader_init(&r, "worker regions", message->payload, message->payload_size, err);
    if (!monatt_reader_count(&r, MONATT_RAM_REGIONS_MAXIMUM, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!monatt_reader_u64_be(&r, &regions[i].guest_physical) ||
            !monatt_reader_u64_be(&r, &regions[i].size) ||
            !monatt_reader_u64_be(&r, &regions[i].offset)) {
            return false;
        }
    }
    if (!monatt_reader_finish(&r)) {
        return false;
    }
    if (message->fd_count != count || service->entered || service->memory.count > 0) {
        return monatt_error_set(err, MONATT_ERROR_USAGE,
                                "worker: %u regions with %zu descriptors, or a second time", count,
                                message->fd_count);
    }
    if (!guest_memory_map(&service->memory, regions, message->fds, count, err)) {
        return false;
    }
    message->fd_count = 0; /* they belong to the memory now */
    return true;
}

static bool take_clocks(WorkerService *service, MonattError *err)
{
    MonattControlMessage *message = &service->message;
    GuestClocks *clocks = &service->clocks;
    MonattReader r;
    uint32_t count;

    monatt_reader_init(&r, "worker clocks", message->payload, message->payload_size, err);
    if (!monatt_reader_count(&r, WORKER_CLOCKS_IN_MESSAGE, &count) || !monatt_reader_finish(&r)) {
        return false;
    }
    if (message->fd_count != 2 * (size_t)count || service->entered ||
        clocks->count + count > MONATT_VCPUS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: %u clocks with %zu descriptors",
                                count, message->fd_count);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t at = clocks->count++;
        clocks->vcpus[at].run_fd = message->fds[2 * i];
        clocks->vcpus[at].state_fd = message->fds[2 * i + 1];
    }
    message->fd_count = 0;
    return true;
}

static bool enter(WorkerService *service, MonattError *err)
{
    uint8_t payload[4];
    uint32_t barred;
    MonattWriter w;

    if (service->memory.count == 0 || service->entered) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: no regions yet, or entered");
    }
    if (!hidden_tasks_init(&service->tasks, &service->memory, &service->clocks, err) ||
        !worker_sandbox_enter(guest_memory_size(&service->memory), &barred, err)) {
        return false;
    }
    service->entered = true;
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u32_be(&w, barred);
    return monatt_control_send(service->fd, WORKER_ENTER | MONATT_CONTROL_ANSWER,
                               service->message.id, payload, sizeof(payload), NULL, 0, err);
}

static bool mark(WorkerService *service, MonattError *err)
{
    if (!service->entered || service->message.payload_size != MONATT_NONCE_SIZE) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: mark of %zu bytes, or too early",
                                service->message.payload_size);
    }
    return hidden_tasks_mark(&service->tasks, service->message.payload, err) &&
           monatt_control_send(service->fd, WORKER_MARK | MONATT_CONTROL_ANSWER,
                               service->message.id, NULL, 0, NULL, 0, err);
}

/* In parts, none of which has bytes of two pieces. */
static bool send_answer(WorkerService *service, const WorkerPiece *pieces, size_t count,
                        MonattError *err)
{
    size_t total = 0, offset = 0;

    for (size_t i = 0; i < count; i++) {
        total += pieces[i].size;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t done = 0; done < pieces[i].size;) {
            size_t length = pieces[i].size - done;
            MonattWriter w;

            length = length < WORKER_PART_MAXIMUM ? length : WORKER_PART_MAXIMUM;
            monatt_writer_init(&w, service->part, sizeof(service->part));
            monatt_writer_u32_be(&w, (uint32_t)total);
            monatt_writer_u32_be(&w, (uint32_t)offset);
            monatt_writer_bytes(&w, pieces[i].bytes + done, length);
            if (!monatt_control_send(service->fd, service->message.type | MONATT_CONTROL_ANSWER,
                                     service->message.id, service->part, w.size, NULL, 0, err)) {
                return false;
            }
            done += length;
            offset += length;
        }
    }
    return true;
}

/* The list is the guest's: its descriptor may be anything of any size, so exactly as much is read
 * as was announced and bounded. */
static bool read_list(WorkerService *service, uint32_t size, MonattError *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got =
            pread(service->message.fds[0], service->list + done, size - done, (off_t)done);
        if (got <= 0) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "worker: list ends at %zu of %u",
                                    done, size);
        }
        done += (size_t)got;
    }
    return true;
}

static bool measure(WorkerService *service, MonattError *err)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint32_t deadline_ms, list_size;
    size_t size;
    MonattReader r;

    monatt_reader_init(&r, "worker tasks", service->message.payload, service->message.payload_size,
                       err);
    if (!monatt_reader_count(&r, DEADLINE_MAXIMUM_MS, &deadline_ms) ||
        !monatt_reader_copy(&r, nonce, sizeof(nonce)) ||
        !monatt_reader_count(&r, MONATT_GUEST_LIST_MAXIMUM, &list_size) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    if (!service->entered || service->message.fd_count != (list_size > 0 ? 1 : 0)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: too early, or %zu descriptors",
                                service->message.fd_count);
    }
    if (list_size > 0 && !read_list(service, list_size, err)) {
        return false;
    }
    hidden_tasks_measure(&service->tasks, list_size > 0 ? service->list : NULL, list_size, nonce,
                         deadline_ms, &service->report);
    hidden_tasks_roots(&service->tasks, NULL, 0); /* the next one's registers are others */
    return worker_report_encode(&service->report, &service->tasks.scan.table, service->answer,
                                WORKER_REPORT_MAXIMUM, &size, err) &&
           send_answer(service, &(WorkerPiece){service->answer, size}, 1, err);
}

static bool take_inputs(WorkerService *service, MonattError *err)
{
    const CheckInputs *inputs = &service->checks.inputs;
    uint64_t roots[MONATT_VCPUS_MAXIMUM];
    size_t count = 0;

    if (!worker_checks_take_inputs(&service->checks, &service->message, err)) {
        return false;
    }
    for (; count < inputs->vcpu_count && count < MONATT_VCPUS_MAXIMUM; count++) {
        roots[count] = inputs->vcpus[count].cr3;
    }
    hidden_tasks_roots(&service->tasks, roots, count);
    return monatt_control_send(service->fd, WORKER_INPUTS | MONATT_CONTROL_ANSWER,
                               service->message.id, NULL, 0, NULL, 0, err);
}

static bool run_checks(WorkerService *service, MonattError *err)
{
    if (!service->entered) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: checks: too early");
    }
    return worker_checks_measure(&service->checks, &service->tasks, &service->message,
                                 DEADLINE_MAXIMUM_MS, err) &&
           send_answer(service, service->checks.pieces, service->checks.piece_count, err);
}

static bool serve_one(WorkerService *service, MonattError *err)
{
    switch (service->message.type) {
    case WORKER_REGIONS:
        return take_regions(service, err);
    case WORKER_CLOCKS:
        return take_clocks(service, err);
    case WORKER_ENTER:
        return enter(service, err);
    case WORKER_MARK:
        return mark(service, err);
    case WORKER_TASKS:
        return measure(service, err);
    case WORKER_INPUTS:
        return take_inputs(service, err);
    case WORKER_CHECKS:
        return run_checks(service, err);
    default:
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker: request %#x is not known",
                                service->message.type);
    }
}

/* A refusal as control.h has it: u16 code, two texts. */
static bool refuse(WorkerService *service, const MonattError *why, MonattError *err)
{
    uint8_t payload[MONATT_ERROR_MESSAGE_SIZE + MONATT_ERROR_HINT_SIZE + 8];
    MonattWriter w;

    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u16_be(&w, (uint16_t)why->code);
    monatt_writer_u16_be(&w, (uint16_t)strlen(why->message));
    monatt_writer_bytes(&w, why->message, strlen(why->message));
    monatt_writer_u16_be(&w, (uint16_t)strlen(why->hint));
    monatt_writer_bytes(&w, why->hint, strlen(why->hint));
    return monatt_control_send(service->fd, MONATT_CONTROL_ERROR, service->message.id, payload,
                               w.size, NULL, 0, err);
}

bool worker_service_run(int fd, MonattError *err)
{
    WorkerService *service = calloc(1, sizeof(*service));

    if (!service || !(service->answer = malloc(WORKER_REPORT_MAXIMUM))) {
        free(service);
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "worker: out of memory");
    }
    service->fd = fd;
    if (!worker_checks_init(&service->checks, err)) {
        return false;
    }
    for (;;) {
        MonattError why = {0};

        if (!monatt_control_receive(fd, WAIT_FOR_EVER, &service->message, &why)) {
            /* Nothing is freed on the way out: the process ends, and faster so. */
            return why.code == MONATT_ERROR_PEER ||
                   monatt_error_set(err, why.code, "%s", why.message);
        }
        if (!serve_one(service, &why)) {
            bool told = refuse(service, &why, err);
            monatt_control_message_clear(&service->message);
            if (!told || !service->entered) {
                return told && monatt_error_set(err, why.code, "%s", why.message);
            }
        }
        monatt_control_message_clear(&service->message);
    }
}
