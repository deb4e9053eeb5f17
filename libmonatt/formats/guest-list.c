/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-list.c - the guest's own process list, both ways
 *
 * The parser reads what a hostile guest wrote: no count or length in it may size anything, and
 * its text leaves here printable.  Format: docs/formats/guest-list.md.
 */
#include "libmonatt/formats/guest-list.h"

#include <string.h>
#include "libmonatt/base/text.h"

static const uint8_t list_magic[4] = {'M', 'G', 'L', '1'};

void monatt_guest_list_begin(MonattWriter *w, const uint8_t nonce[MONATT_NONCE_SIZE],
                             uint32_t count)
{
    monatt_writer_bytes(w, list_magic, sizeof(list_magic));
    monatt_writer_bytes(w, nonce, MONATT_NONCE_SIZE);
    monatt_writer_u32_le(w, count);
}

void monatt_guest_list_add(MonattWriter *w, const MonattGuestTask *task)
{
    size_t length = strnlen(task->command, MONATT_GUEST_COMMAND_MAXIMUM);
    monatt_writer_u32_le(w, task->pid);
    monatt_writer_u32_le(w, task->parent_pid);
    monatt_writer_u32_le(w, task->uid);
    monatt_writer_u8(w, (uint8_t)length);
    monatt_writer_bytes(w, task->command, length);
}

static bool read_task(MonattReader *r, MonattGuestTask *task)
{
    uint8_t length;
    const uint8_t *command;
    if (!monatt_reader_u32_le(r, &task->pid) || !monatt_reader_u32_le(r, &task->parent_pid) ||
        !monatt_reader_u32_le(r, &task->uid) || !monatt_reader_u8(r, &length)) {
        return false;
    }
    if (length > MONATT_GUEST_COMMAND_MAXIMUM) {
        return monatt_reader_fail(r, "command of %u bytes, the limit is %d", length,
                                  MONATT_GUEST_COMMAND_MAXIMUM);
    }
    if (!monatt_reader_bytes(r, length, &command)) {
        return false;
    }
    monatt_text_printable(command, length, task->command, sizeof(task->command));
    return true;
}

bool monatt_guest_list_parse(const void *bytes, size_t size, uint8_t ret_nonce[MONATT_NONCE_SIZE],
                             MonattGuestTask *tasks, size_t capacity, size_t *ret_count,
                             MonattError *err)
{
    MonattReader r;
    uint8_t magic[4];
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint32_t count;

    if (size > MONATT_GUEST_LIST_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "guest list: %zu bytes, the limit is %d",
                                size, MONATT_GUEST_LIST_MAXIMUM);
    }
    monatt_reader_init(&r, "guest list", bytes, size, err);
    if (!monatt_reader_copy(&r, magic, sizeof(magic))) {
        return false;
    }
    if (!monatt_bytes_equal(magic, list_magic, sizeof(magic))) {
        return monatt_reader_fail(&r, "does not begin with MGL1");
    }
    if (!monatt_reader_copy(&r, nonce, sizeof(nonce)) || !monatt_reader_u32_le(&r, &count)) {
        return false;
    }
    if (count > MONATT_GUEST_LIST_ENTRIES || count > capacity) {
        return monatt_error_set(
            err, MONATT_ERROR_LIMIT, "guest list: %u entries, room for %zu", count,
            capacity < MONATT_GUEST_LIST_ENTRIES ? capacity : (size_t)MONATT_GUEST_LIST_ENTRIES);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_task(&r, &tasks[i])) {
            return false;
        }
        if (i > 0 && tasks[i].pid <= tasks[i - 1].pid) {
            return monatt_reader_fail(&r, "pid %u after pid %u: not sorted and unique",
                                      tasks[i].pid, tasks[i - 1].pid);
        }
    }
    if (!monatt_reader_finish(&r)) {
        return false;
    }
    memcpy(ret_nonce, nonce, sizeof(nonce));
    *ret_count = count;
    return true;
}
