/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.c - one question of the guest, its answer and the limits on both
 *
 * Must never wait and never look into the evidence.  It is a sealed memfd, so that the collector
 * cannot change it while a guest reads, nor cut it short.
 */
#include "hw-attest/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

void report_init(Report *report, int64_t now_ms)
{
    memset(report, 0, sizeof(*report));
    report->state = MONATT_REPORT_NONE;
    report->asker = REPORT_NO_SLOT;
    report->fd = report->old_fd = -1;
    report->tokens = REPORT_BURST;
    report->next_ms = report->refill_ms = now_ms;
}

void report_drop(Report *report)
{
    if (report->fd >= 0) {
        if (report->old_fd >= 0) {
            close(report->old_fd); /* two resets within a tick of the control thread */
        }
        report->old_fd = report->fd;
        report->fd = -1;
    }
    report->state = MONATT_REPORT_NONE;
    report->refusal = 0;
    report->asker = REPORT_NO_SLOT;
    report->inblob_size = 0;
    report->size = 0;
    report->offset = 0;
}

int report_take_old(Report *report)
{
    int fd = report->old_fd;
    report->old_fd = -1;
    return fd;
}

static void refill(Report *report, int64_t now_ms)
{
    while (report->tokens < REPORT_BURST && now_ms >= report->refill_ms) {
        report->tokens++;
        report->refill_ms += REPORT_REFILL_MS;
    }
    if (report->tokens >= REPORT_BURST) { /* a long silence is worth no more than this */
        report->refill_ms = now_ms + REPORT_REFILL_MS;
    }
}

uint32_t report_begin(Report *report, const uint8_t *inblob, size_t size, int64_t now_ms,
                      uint32_t *ret_number)
{
    if (size < 1 || size > sizeof(report->inblob)) {
        return MONATT_ERR_SIZE;
    }
    refill(report, now_ms);
    if (report_state(report, now_ms) == MONATT_REPORT_WAITING || now_ms < report->next_ms ||
        report->tokens == 0) {
        return MONATT_ERR_BUSY;
    }
    report_drop(report);
    report->tokens--;
    report->next_ms = now_ms + REPORT_GAP_MS;
    report->deadline_ms = now_ms + REPORT_WAIT_MS;
    report->number++;
    memcpy(report->inblob, inblob, size);
    report->inblob_size = size;
    report->state = MONATT_REPORT_WAITING;
    *ret_number = report->number;
    return MONATT_ERR_NONE;
}

uint32_t report_state(Report *report, int64_t now_ms)
{
    if (report->state == MONATT_REPORT_WAITING && now_ms >= report->deadline_ms) {
        report->state = MONATT_REPORT_REFUSED;
        report->refusal = MONATT_REFUSAL_TIME;
        report->asker = REPORT_NO_SLOT;
    }
    return report->state;
}

uint32_t report_size(Report *report, int64_t now_ms)
{
    switch (report_state(report, now_ms)) {
    case MONATT_REPORT_READY:
        return report->size;
    case MONATT_REPORT_REFUSED:
        return report->refusal;
    default:
        return 0;
    }
}

uint32_t report_read(Report *report, uint32_t offset, void *buffer, size_t capacity,
                     size_t *ret_size)
{
    *ret_size = 0;
    if (report->state != MONATT_REPORT_READY) {
        return MONATT_ERR_SEQUENCE;
    }
    if (offset >= report->size) {
        return MONATT_ERR_NONE;
    }
    size_t wanted = report->size - offset < capacity ? report->size - offset : capacity;
    ssize_t got = pread(report->fd, buffer, wanted, (off_t)offset);
    if (got < 0 || (size_t)got != wanted) {
        return MONATT_ERR_FAULT;
    }
    *ret_size = wanted;
    return MONATT_ERR_NONE;
}

static bool waits(Report *report, uint32_t number, int64_t now_ms)
{
    return report_state(report, now_ms) == MONATT_REPORT_WAITING && report->number == number;
}

bool report_question(Report *report, size_t slot, int64_t now_ms, MonattWriter *w, MonattError *err)
{
    if (!waits(report, report->number, now_ms)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "guest report: no question waits");
    }
    report->asker = slot;
    monatt_writer_u32_be(w, report->number);
    monatt_writer_bytes(w, report->inblob, report->inblob_size);
    return true;
}

/* The size, when it is one that may be kept. */
static bool check_evidence(int fd, uint32_t *ret_size, MonattError *err)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest report: is not a sealed memfd");
    }
    if (status.st_size < 1 || status.st_size > MONATT_GUEST_REPORT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "guest report: %lld bytes",
                                (long long)status.st_size);
    }
    *ret_size = (uint32_t)status.st_size;
    return true;
}

bool report_answer(Report *report, MonattReader *r, MonattControlMessage *request, int64_t now_ms,
                   MonattError *err)
{
    uint32_t number;
    uint32_t refusal;
    uint32_t size = 0;
    if (!monatt_reader_u32_be(r, &number) || !monatt_reader_u32_be(r, &refusal) ||
        !monatt_reader_finish(r)) {
        return false;
    }
    if (request->fd_count != (refusal == 0 ? 1u : 0u)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest report: %zu descriptors",
                                request->fd_count);
    }
    if (refusal == 0 && !check_evidence(request->fds[0], &size, err)) {
        return false;
    }
    if (!waits(report, number, now_ms)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "guest report: nobody waits for number %u", number);
    }
    if (refusal != 0) {
        report_refuse(report, number, refusal, now_ms);
        return true;
    }
    report->fd = request->fds[0];
    request->fds[0] = -1;
    report->size = size;
    report->asker = REPORT_NO_SLOT;
    report->state = MONATT_REPORT_READY;
    return true;
}

void report_refuse(Report *report, uint32_t number, uint32_t refusal, int64_t now_ms)
{
    if (waits(report, number, now_ms)) {
        report->state = MONATT_REPORT_REFUSED;
        report->refusal = refusal;
        report->asker = REPORT_NO_SLOT;
    }
}

void report_lost(Report *report, size_t slot, size_t subscribers, int64_t now_ms)
{
    if ((slot != REPORT_NO_SLOT && report->asker == slot) || subscribers == 0) {
        report_refuse(report, report->number, MONATT_REFUSAL_NOBODY, now_ms);
    }
}
