/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process-list.h - the guest's own list of processes, for the host to compare with what it sees
 */
#ifndef GUEST_PROCESS_LIST_H
#define GUEST_PROCESS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include "libmonatt/formats/guest-list.h"

/*
 * Reads /proc as every tool of this guest would.  tasks: room for capacity entries; sorted by pid
 * afterwards.  LIMIT: there are more processes than capacity.
 */
bool process_list_collect(const char *proc, MonattGuestTask *tasks, size_t capacity,
                          size_t *ret_count, MonattError *err) MONATT_MUST_CHECK;
/* nonce: what the device showed before the list was taken.  LIMIT: does not fit the capacity. */
bool process_list_encode(const uint8_t nonce[MONATT_NONCE_SIZE], const MonattGuestTask *tasks,
                         size_t count, uint8_t *bytes, size_t capacity, size_t *ret_size,
                         MonattError *err) MONATT_MUST_CHECK;

#endif
