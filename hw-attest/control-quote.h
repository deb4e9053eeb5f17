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
    bool later; /* control_quote_result() has it, once swtpm has */
    uint8_t bytes[MONATT_CONTROL_MAXIMUM];
} ControlAnswer;

/* Both run with the lock held, and give it up while they wait. */
bool control_handle_hold(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                         MonattError *err);
bool control_handle_quote(Control *control, Device *device, MonattReader *r, ControlAnswer *answer,
                          MonattError *err);
/* With the lock: is the quote that waits made, refused or too late?  True: *ret_ok says which, and
 * answer or err has it; nothing waits any more. */
bool control_quote_result(Control *control, Device *device, ControlAnswer *answer, bool *ret_ok,
                          MonattError *err);

#endif
