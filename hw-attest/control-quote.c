/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-quote.c - a prefix of the log held, and quoted
 *
 * Must never let two connections into each other's hold, nor sign what looks like a checkpoint.
 */
#include "hw-attest/control-quote.h"

#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"

/* Is a hold in this connection's way? */
static bool check_hold(Control *control, Device *device, MonattError *err)
{
    if (hold_active(&device->hold, device_now_ms()) && device->hold.owner != control->serving) {
        return monatt_error_set(err, MONATT_ERROR_BUSY,
                                "quote: swtpm is held for another connection");
    }
    return true;
}

static bool ask_quote(Control *control, Device *device, uint16_t alg, const uint8_t *qualifying,
                      uint16_t size, MonattError *err)
{
    DeviceQuoteJob *job = &device->quote;
    if (!device_ready(device, err) || !check_hold(control, device, err)) {
        return false;
    }
    if (job->state != QUOTE_IDLE) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "quote: swtpm still works on the last one");
    }
    /* Checked above: a hold that is active is this connection's. */
    const Registers *registers = &device->registers;
    job->position = device->pipe->enqueued;
    if (device->hold.active) {
        registers = &device->hold.registers;
        job->position = device->hold.position;
        device->hold.quoting = true;
    }
    job->alg = alg;
    job->qualifying_size = size;
    memcpy(job->qualifying, qualifying, size);
    memset(&job->quote, 0, sizeof(job->quote));
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        const Register *mr = &registers->mr[i];
        if (alg == MONATT_ALG_SHA384) {
            memcpy(job->quote.values[i], mr->sha384, sizeof(mr->sha384));
        } else {
            memcpy(job->quote.values[i], mr->sha256, sizeof(mr->sha256));
        }
    }
    job->abandoned = false;
    job->state = QUOTE_ASKED;
    pthread_cond_broadcast(&device->changed);
    return true;
}

/* With its quote, made or not, a hold is over. */
static void end_hold(Control *control, Device *device)
{
    hold_end_of(&device->hold, control->serving);
    pthread_cond_broadcast(&device->changed);
    pthread_cond_signal(&device->enqueued); /* the log thread may want to seal */
}

bool control_handle_hold(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                         MonattError *err)
{
    uint32_t timeout_ms;
    if (!monatt_reader_u32_be(r, &timeout_ms) || !monatt_reader_finish(r) ||
        !device_ready(device, err)) {
        return false;
    }
    if (timeout_ms < 1 || timeout_ms > MONATT_HOLD_MAXIMUM_MS) {
        timeout_ms = timeout_ms < 1 ? 1 : MONATT_HOLD_MAXIMUM_MS;
    }
    if (device->quote.state != QUOTE_IDLE) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "hold: swtpm still works on a quote");
    }
    int64_t deadline = device_now_ms() + CONTROL_WAIT_MS;
    uint64_t boot = device->boot_count;
    /* The held prefix is of one segment. */
    while (device->seal.state != SEAL_IDLE || device->seal.due) {
        if (device->ending || !device_wait_until(device, deadline)) {
            return monatt_error_set(err, MONATT_ERROR_BUSY, "hold: the log is being sealed");
        }
    }
    if (!device_ready(device, err) ||
        !hold_begin(&device->hold, control->serving, device->pipe->enqueued, &device->registers,
                    device_now_ms(), deadline + timeout_ms, err)) {
        return false;
    }
    device->hold.log_end = device->log_bytes; /* the log thread moves it on */
    while (device->pipe->logged < device->hold.position) {
        bool over = device->boot_count != boot || device->resetting || device->ending;
        if (over || !device_wait_until(device, deadline)) {
            end_hold(control, device);
            return monatt_error_set(err, MONATT_ERROR_BUSY, "hold: %s",
                                    over ? "the VM was reset" : "records are not written yet");
        }
    }
    if (device->boot_count != boot) {
        end_hold(control, device);
        return monatt_error_set(err, MONATT_ERROR_BUSY, "hold: the VM was reset");
    }
    /* The caller's time begins with the answer, not with the wait for the disk. */
    device->hold.until_ms = device_now_ms() + timeout_ms;
    pthread_cond_broadcast(&device->changed);
    monatt_writer_u64_be(&answer->writer, device->hold.position);
    monatt_writer_u64_be(&answer->writer, device->hold.log_end);
    return true;
}

bool control_handle_quote(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err)
{
    DeviceQuoteJob *job = &device->quote;
    uint16_t alg;
    uint16_t size;
    const uint8_t *qualifying;
    if (!monatt_reader_u16_be(r, &alg) || !monatt_reader_u16_be(r, &size)) {
        return false;
    }
    if ((alg != MONATT_ALG_SHA256 && alg != MONATT_ALG_SHA384) || size > sizeof(job->qualifying)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "quote: bank %#x, %u bytes", alg, size);
    }
    if (!monatt_reader_bytes(r, size, &qualifying) || !monatt_reader_finish(r)) {
        return false;
    }
    /* Else who asks for quotes could make checkpoints that leave a finding out. */
    if (monatt_checkpoint_is_qualifying(qualifying, size)) {
        return monatt_error_set(err, MONATT_ERROR_PERMISSION,
                                "quote: only the device itself signs checkpoints");
    }
    if (!ask_quote(control, device, alg, qualifying, size, err)) {
        return false;
    }
    control->quote.waits = true;
    control->quote.slot = control->serving;
    control->quote.deadline_ms = device_now_ms() + CONTROL_WAIT_MS;
    answer->later = true;
    return true;
}

bool control_quote_result(Control *control, Device *device, ControlAnswer *answer, bool *ret_ok,
                          MonattError *err)
{
    DeviceQuoteJob *job = &device->quote;
    bool made = job->state != QUOTE_ASKED && job->state != QUOTE_RUNNING;
    if (!made && !device->ending && device_now_ms() < control->quote.deadline_ms) {
        return false;
    }
    *ret_ok = job->state == QUOTE_DONE;
    if (*ret_ok) {
        monatt_device_quote_encode(&answer->writer, &job->quote);
    } else if (made) {
        *err = job->error;
    } else {
        monatt_error_set(err, MONATT_ERROR_BUSY, "quote: swtpm did not answer in %d ms",
                         CONTROL_WAIT_MS);
    }
    job->abandoned = job->state == QUOTE_RUNNING;
    job->state = job->abandoned ? QUOTE_RUNNING : QUOTE_IDLE;
    control->quote.waits = false;
    hold_end_of(&device->hold, control->quote.slot);
    pthread_cond_broadcast(&device->changed);
    pthread_cond_signal(&device->enqueued); /* the log thread may want to seal */
    return true;
}
