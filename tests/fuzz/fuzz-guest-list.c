/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-guest-list.c - the input is what a hostile guest put into the data window
 *
 * Promises: accepted entries ascend, their text is printable, and writing them again gives no
 * more bytes than came.  The first byte is how much room the reader has.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/formats/guest-list.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[MONATT_GUEST_LIST_MAXIMUM];
    uint8_t nonce[MONATT_NONCE_SIZE];
    size_t count = 0;
    if (size < 1) {
        return 0;
    }
    size_t room = data[0] == 0xff ? MONATT_GUEST_LIST_ENTRIES : data[0];
    /* Of the exact size, so that a sanitizer sees an entry too many. */
    MonattGuestTask *tasks = calloc(room + (room == 0), sizeof(*tasks));
    MonattError err = {0};
    require(tasks != NULL);
    if (monatt_guest_list_parse(data + 1, size - 1, nonce, tasks, room, &count, &err)) {
        MonattWriter w;
        size_t length = 0;
        require(count <= room);
        monatt_writer_init(&w, again, sizeof(again));
        monatt_guest_list_begin(&w, nonce, (uint32_t)count);
        for (size_t i = 0; i < count; i++) {
            size_t text = strnlen(tasks[i].command, sizeof(tasks[i].command));
            require(text <= MONATT_GUEST_COMMAND_MAXIMUM);
            for (size_t k = 0; k < text; k++) {
                require(tasks[i].command[k] >= 0x20 && tasks[i].command[k] < 0x7f);
            }
            require(i == 0 || tasks[i].pid > tasks[i - 1].pid);
            monatt_guest_list_add(&w, &tasks[i]);
        }
        require(monatt_writer_finish(&w, "again", &length, NULL) && length <= size - 1);
        require(memcmp(again, data + 1, 40) == 0);
    } else {
        require(err.code == MONATT_ERROR_FORMAT || err.code == MONATT_ERROR_LIMIT);
    }
    free(tasks);
    return 0;
}
