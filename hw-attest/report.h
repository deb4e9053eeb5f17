/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.h - evidence about this VM that its own guest asked for
 *
 * The guest gives an inblob, the collector attests with a nonce made of it and hands the evidence
 * over as a sealed memfd, the guest reads it in pieces.  One at a time.  The device never looks
 * into the evidence, and a guest can neither make the host sign all day nor wait for ever: both
 * limits are here.
 */
#ifndef HW_ATTEST_REPORT_H
#define HW_ATTEST_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw-attest/register-map.h"
#include "libmonatt/control/control.h"

#define REPORT_GAP_MS 2000     /* between two questions */
#define REPORT_BURST 16        /* questions at that pace; then one for each REPORT_REFILL_MS */
#define REPORT_REFILL_MS 60000 /* as often as a customer asks by custom */
#define REPORT_WAIT_MS 60000   /* for the collector's answer, which itself waits 20 s for the VM */
#define REPORT_NO_SLOT ((size_t)-1)

typedef struct Report {
    uint32_t state;   /* MONATT_REPORT_*; report_state() looks at the clock too */
    uint32_t refusal; /* MONATT_REFUSAL_*, once refused */
    uint32_t number;  /* of the last question; the answer to another one is dropped */
    size_t inblob_size;
    uint8_t inblob[MONATT_INBLOB_MAXIMUM];
    size_t asker; /* the control connection that works on it, or REPORT_NO_SLOT */
    int64_t deadline_ms;
    int64_t next_ms;   /* the next question is taken from here on */
    uint32_t tokens;   /* questions left of the burst */
    int64_t refill_ms; /* when there will be one more */
    int fd;            /* the evidence, -1: none */
    int old_fd;        /* to be closed by the control thread: freeing megabytes takes time */
    uint32_t size;
    uint32_t offset; /* MONATT_REG_REPORT_OFFSET */
} Report;

/* All below with the device's lock.  now_ms: device_now_ms(). */
void report_init(Report *report, int64_t now_ms);
/* At a VM reset and at the end: no report, no question; the limits stay. */
void report_drop(Report *report);
/* Called by the control thread now and then; the descriptor to close, without the lock, or -1. */
int report_take_old(Report *report);

/* The guest's side.  An inblob of 1 to MONATT_INBLOB_MAXIMUM bytes; MONATT_ERR_NONE: the question
 * waits for the collector, and *ret_number names it; else _SIZE or _BUSY: nothing has changed. */
uint32_t report_begin(Report *report, const uint8_t *inblob, size_t size, int64_t now_ms,
                      uint32_t *ret_number);
/* MONATT_REPORT_*; a question that nobody answered in time becomes refused here. */
uint32_t report_state(Report *report, int64_t now_ms);
/* MONATT_REG_REPORT_SIZE: bytes of a report that is ready, MONATT_REFUSAL_* of a refused one. */
uint32_t report_size(Report *report, int64_t now_ms);
/*
 * Up to capacity bytes from offset: *ret_size of them came, 0 at the end and behind it.
 * MONATT_ERR_SEQUENCE: no report is ready; MONATT_ERR_FAULT: it cannot be read.
 */
uint32_t report_read(Report *report, uint32_t offset, void *buffer, size_t capacity,
                     size_t *ret_size);

/*
 * The collector's side, MONATT_CONTROL_REPORT_QUESTION and _ANSWER of libmonatt/control/control.h.
 * slot: its control connection.  An answer's descriptor is taken out of the request when it is
 * kept.  MISSING: no question waits, or not of that number; FORMAT: not one sealed memfd; LIMIT:
 * empty or over MONATT_GUEST_REPORT_MAXIMUM.
 */
bool report_question(Report *report, size_t slot, int64_t now_ms, MonattWriter *w,
                     MonattError *err) MONATT_MUST_CHECK;
bool report_answer(Report *report, MonattReader *r, MonattControlMessage *request, int64_t now_ms,
                   MonattError *err) MONATT_MUST_CHECK;
/* Nothing happens unless this question waits. */
void report_refuse(Report *report, uint32_t number, uint32_t refusal, int64_t now_ms);
/* Refused: the question of a control connection that closed (REPORT_NO_SLOT: of none), and any
 * question when there are no subscribers (left). */
void report_lost(Report *report, size_t slot, size_t subscribers, int64_t now_ms);

#endif
