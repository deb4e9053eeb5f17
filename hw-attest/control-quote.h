/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-quote.h - the control thread's handlers that hold and quote
 */
#ifndef HW_ATTEST_CONTROL_QUOTE_H
#define HW_ATTEST_CONTROL_QUOTE_H

#include "hw-attest/control.h"

/* What a handler gives back; descriptors are closed after they were sent. */
typedef struct ControlAnswer {
    MonattWriter writer;
    size_t fd_count;
    int fds[MONATT_CONTROL_FDS];
    bool subscribe;
    uint8_t bytes[MONATT_CONTROL_MAXIMUM];
} ControlAnswer;

/* Both run with the lock held, and give it up while they wait. */
bool control_handle_hold(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                         MonattError *err);
bool control_handle_quote(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err);

#endif
