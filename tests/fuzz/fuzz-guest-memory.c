/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-guest-memory.c - a guest's RAM as a hostile guest may leave it, through all of the walker
 *
 * First byte 'R': the rest is RAM, at guest-physical 0.  Any other: patches of the invented guest
 * of tests/lib, each u32 place (little-endian), u8 length, bytes; without them random bytes would
 * never get past the first magic.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/hidden-tasks.h"
#include "libmonatt/base/reader.h"
#include "tests/lib/guest-image.h"
#include "tests/fuzz/fuzz.h"

static uint8_t pristine[IMAGE_SIZE];
static uint8_t patched[IMAGE_SIZE]; /* pristine between two inputs */
static uint8_t raw[IMAGE_SIZE];
static GuestMemory memory;
static GuestClocks clocks;
static HiddenTasks tasks;
static MonattTaskReport report;
static const uint8_t nonce[MONATT_NONCE_SIZE];

static void set_up(void)
{
    MonattError err;

    if (!tasks.kernel) {
        guest_image_fill(pristine, sizeof(pristine));
        memcpy(patched, pristine, sizeof(patched));
        if (!hidden_tasks_init(&tasks, &memory, &clocks, &err)) {
            abort();
        }
    }
}

/* Puts the patches of data into the image, or what was there before back: cheaper than 2 MiB. */
static void patch(const uint8_t *data, size_t size, bool undo)
{
    MonattReader r;
    uint32_t place;
    uint8_t length;
    const uint8_t *bytes;

    monatt_reader_init(&r, "patches", data, size, NULL);
    while (monatt_reader_left(&r) > 0 && monatt_reader_u32_le(&r, &place) &&
           monatt_reader_u8(&r, &length) && monatt_reader_bytes(&r, length, &bytes)) {
        place %= IMAGE_SIZE;
        memcpy(patched + place, undo ? pristine + place : bytes,
               length < IMAGE_SIZE - place ? length : IMAGE_SIZE - place);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattError err = {0};
    bool marked;

    if (size == 0) {
        return 0;
    }
    set_up();
    if (data[0] == 'R') {
        size_t pages = (size - 1 + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE;
        pages = pages * GUEST_PAGE_SIZE < sizeof(raw) ? pages : sizeof(raw) / GUEST_PAGE_SIZE;
        memset(raw, 0, pages * GUEST_PAGE_SIZE);
        memcpy(raw, data + 1, size - 1 < sizeof(raw) ? size - 1 : sizeof(raw));
        guest_memory_init_bytes(&memory, 0, raw, pages * GUEST_PAGE_SIZE);
    } else {
        patch(data + 1, size - 1, false);
        guest_memory_init_bytes(&memory, 0, patched, sizeof(patched));
    }
    tasks.kernel_found = false;
    marked = hidden_tasks_mark(&tasks, nonce, &err);
    hidden_tasks_measure(&tasks, data, size, nonce, 0, &report);
    /* One look is never a finding, and no kernel is never clean. */
    assert(report.summary.findings == 0);
    assert(marked || report.summary.reason != MONATT_REASON_NONE);
    assert(report.summary.views_read != report.summary.views_wanted || marked);
    assert(tasks.scan.table.count <= TASK_TABLE_MAXIMUM);
    if (data[0] != 'R') {
        patch(data + 1, size - 1, true);
    }
    return 0;
}
