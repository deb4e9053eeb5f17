/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-list.h - the guest's own process list as it crosses the data window
 *
 * Little-endian: "MGL1" | nonce 32 | u32 count | count x { u32 pid | u32 ppid | u32 uid |
 * u8 length | command bytes }.  Sorted by pid, unique.  Written by monatt-guest, copied blindly
 * by the device, parsed only in the worker: a guest can put anything here.
 */
#ifndef MONATT_FORMATS_GUEST_LIST_H
#define MONATT_FORMATS_GUEST_LIST_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/formats/limits.h"

#define MONATT_GUEST_LIST_ENTRIES 16384
#define MONATT_GUEST_COMMAND_MAXIMUM 63

typedef struct MonattGuestTask {
    uint32_t pid;
    uint32_t parent_pid;
    uint32_t uid;
    char command[MONATT_GUEST_COMMAND_MAXIMUM + 1]; /* printable after decode */
} MonattGuestTask;

void monatt_guest_list_begin(MonattWriter *w, const uint8_t nonce[MONATT_NONCE_SIZE],
                             uint32_t count);
void monatt_guest_list_add(MonattWriter *w, const MonattGuestTask *task);
/* tasks: room for capacity entries, owned by the caller. */
bool monatt_guest_list_parse(const void *bytes, size_t size, uint8_t ret_nonce[MONATT_NONCE_SIZE],
                             MonattGuestTask *tasks, size_t capacity, size_t *ret_count,
                             MonattError *err) MONATT_MUST_CHECK;

#endif
