/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.h - keeps swtpm at one prefix of the log until a quote of it was taken
 *
 * Claims name the log's length and hash, and the quote signs the claims: so the prefix must be
 * fixed before the quote is asked, against a guest that never stops extending.  Pure: time comes
 * as argument, the caller holds the device's lock.  Log and guest never wait for a hold.
 */
#ifndef HW_ATTEST_HOLD_H
#define HW_ATTEST_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw-attest/registers.h"

typedef struct Hold {
    bool active;
    bool quoting;        /* its quote was asked: it ends with that, no longer with the time */
    size_t owner;        /* the connection that may quote */
    uint64_t position;   /* records before it */
    uint64_t log_end;    /* the log's size there, once `position` records are logged */
    int64_t until_ms;    /* CLOCK_MONOTONIC */
    Registers registers; /* as they stand there */
} Hold;

/* BUSY: one is active already. */
bool hold_begin(Hold *hold, size_t owner, uint64_t position, const Registers *registers,
                int64_t now_ms, int64_t until_ms, MonattError *err) MONATT_MUST_CHECK;
void hold_end(Hold *hold);
/* The connection was closed. */
void hold_end_of(Hold *hold, size_t owner);
/* Is it active?  Ends one whose time is over. */
bool hold_active(Hold *hold, int64_t now_ms);
/* How many of the logged records swtpm may have by now. */
uint64_t hold_limit(Hold *hold, uint64_t logged, int64_t now_ms);
/* Is the record before `position` among those from logged_before to logged? */
bool hold_wants_log_end(const Hold *hold, uint64_t logged_before, uint64_t logged);

#endif
