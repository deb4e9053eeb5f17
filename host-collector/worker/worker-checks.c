/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-checks.c - takes what the host knows, runs the checks, lays the answer out
 *
 * Must never leave a check out of the answer that was asked for and is known: what could not be
 * looked at stands there with its reason.
 */
#include "host-collector/worker/worker-checks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host-collector/worker/worker-protocol.h"

bool worker_checks_init(WorkerChecks *checks, MonattError *err)
{
    memset(checks, 0, sizeof(*checks));
    checks->runner = check_runner_new();
    return checks->runner || monatt_error_set(err, MONATT_ERROR_SYSTEM, "checks: out of memory");
}

static bool read_file(int fd, uint32_t size, const uint8_t **ret_bytes, MonattError *err)
{
    uint8_t *bytes = malloc(size ? size : 1);
    size_t done = 0;

    if (!bytes) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "worker inputs: out of memory");
    }
    while (done < size) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);
        if (got <= 0) {
            free(bytes);
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "worker inputs: end at %zu of %u",
                                    done, size);
        }
        done += (size_t)got;
    }
    *ret_bytes = bytes;
    return true;
}

static void replace(const uint8_t **bytes, size_t *size, const uint8_t *by, uint32_t by_size)
{
    free((void *)(uintptr_t)*bytes);
    *bytes = by;
    *size = by_size;
}

bool worker_checks_take_inputs(WorkerChecks *checks, const MonattControlMessage *message,
                               MonattError *err)
{
    MonattVcpuRegisters *vcpus MONATT_CLEANUP_FREE = malloc(MONATT_VCPUS_MAXIMUM * sizeof(*vcpus));
    const uint8_t *image = NULL, *btf = NULL;
    uint32_t set, image_size, btf_size;
    size_t count, at = 0;
    MonattReader r;

    if (!vcpus) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "worker inputs: out of memory");
    }
    monatt_reader_init(&r, "worker inputs", message->payload, message->payload_size, err);
    if (!monatt_reader_u32_be(&r, &set) ||
        !monatt_reader_count(&r, WORKER_IMAGE_MAXIMUM, &image_size) ||
        !monatt_reader_count(&r, WORKER_BTF_MAXIMUM, &btf_size) ||
        !monatt_vcpu_registers_decode(&r, vcpus, &count) || !monatt_reader_finish(&r)) {
        return false;
    }
    if (message->fd_count != (size_t)(image_size > 0) + (size_t)(btf_size > 0)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "worker inputs: %zu descriptors",
                                message->fd_count);
    }
    if (image_size > 0 && !read_file(message->fds[at++], image_size, &image, err)) {
        return false;
    }
    if (btf_size > 0 && !read_file(message->fds[at], btf_size, &btf, err)) {
        free((void *)(uintptr_t)image);
        return false;
    }
    if (set & (WORKER_INPUT_IMAGE | WORKER_INPUT_BTF)) {
        check_runner_forget(checks->runner); /* what it laid out was of the old ones */
    }
    if (set & WORKER_INPUT_IMAGE) {
        replace(&checks->inputs.image, &checks->inputs.image_size, image, image_size);
    }
    if (set & WORKER_INPUT_BTF) {
        replace(&checks->inputs.btf, &checks->inputs.btf_size, btf, btf_size);
    }
    if (set & WORKER_INPUT_VCPUS) {
        memcpy(checks->vcpus, vcpus, count * sizeof(*vcpus));
        checks->inputs.vcpus = checks->vcpus;
        checks->inputs.vcpu_count = (uint32_t)count;
        checks->inputs.reading += checks->inputs.reading == UINT32_MAX ? 2 : 1;
    }
    return true;
}

static void run(WorkerChecks *checks, HiddenTasks *guest, uint64_t wanted, Table *tables,
                bool snapshot, uint32_t deadline_ms)
{
    MonattError why = {0};
    bool found = hidden_tasks_attach(guest, &why);

    if (checks->search != guest->searches) {
        check_runner_forget(checks->runner);
        checks->search = guest->searches;
    }
    if (!found) {
        check_runner_without_kernel(wanted, why.message, &checks->report);
    } else if (snapshot) {
        check_runner_look(checks->runner, guest->kernel, &checks->inputs, wanted, tables,
                          &checks->report);
    } else {
        check_runner_measure(checks->runner, guest->kernel, guest->clocks, &checks->inputs, wanted,
                             deadline_ms, tables, &checks->report);
    }
}

static bool lay_out(WorkerChecks *checks, bool snapshot, uint32_t tables, MonattError *err)
{
    size_t size;
    if (!check_report_encode(&checks->report, snapshot, checks->tables, tables, checks->head,
                             sizeof(checks->head), &size, err)) {
        return false;
    }
    checks->pieces[0] = (WorkerPiece){checks->head, size};
    checks->piece_count = 1;
    for (size_t i = 0; table_forms[i].name; i++) {
        if (tables >> i & 1) {
            checks->pieces[checks->piece_count++] =
                (WorkerPiece){checks->tables[i].bytes, checks->tables[i].size};
        }
    }
    return true;
}

bool worker_checks_measure(WorkerChecks *checks, HiddenTasks *tasks,
                           const MonattControlMessage *message, uint32_t deadline_maximum_ms,
                           MonattError *err)
{
    uint32_t deadline_ms, tables, flags;
    uint64_t sub_checks;
    MonattReader r;

    monatt_reader_init(&r, "worker checks", message->payload, message->payload_size, err);
    if (!monatt_reader_count(&r, deadline_maximum_ms, &deadline_ms) ||
        !monatt_reader_u64_be(&r, &sub_checks) || !monatt_reader_u32_be(&r, &tables) ||
        !monatt_reader_u32_be(&r, &flags) || !monatt_reader_finish(&r)) {
        return false;
    }
    for (size_t i = 0; i < TABLE_FORMS_MAXIMUM; i++) {
        table_clear(&checks->tables[i]); /* the last answer's */
    }
    run(checks, tasks, check_runner_wanted(sub_checks, tables), tables ? checks->tables : NULL,
        flags & WORKER_CHECKS_SNAPSHOT, deadline_ms);
    return lay_out(checks, flags & WORKER_CHECKS_SNAPSHOT, tables, err);
}
