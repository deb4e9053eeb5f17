/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-ram.c - a guest's RAM as a hostile guest may leave it, through all checks of the kernel
 *
 * Patches of the invented guest of tests/lib, each u32 place (little-endian), u8 length, bytes, are
 * written under checks that have looked at the clean guest before: what they keep must not be
 * trusted either.
 */
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-runner.h"
#include "libmonatt/base/reader.h"
#include "tests/lib/guest-image.h"
#include "tests/fuzz/fuzz.h"

static uint8_t pristine[IMAGE_SIZE];
static uint8_t patched[IMAGE_SIZE]; /* pristine between two inputs */
static GuestMemory memory;
static GuestKernel kernel;
static CheckReport report;
static CheckRunner *runner;

static void set_up(void)
{
    MonattError err;

    if (!runner) {
        guest_image_fill(pristine, sizeof(pristine));
        memcpy(patched, pristine, sizeof(patched));
        guest_memory_init_bytes(&memory, 0, patched, sizeof(patched));
        runner = check_runner_new();
        require(runner && guest_kernel_find(&kernel, &memory, &err));
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

static void look(void)
{
    static const CheckInputs inputs;
    uint32_t sightings;

    check_runner_pass(runner, &kernel, &inputs, UINT64_MAX, &report, &sightings);
    require(report.result_count <= CHECKS_MAXIMUM && report.finding_count <= CHECK_FINDINGS);
    for (size_t i = 0; i < report.result_count; i++) {
        require(report.results[i].counter_count <= CHECK_COUNTERS);
        require(memchr(report.results[i].text, '\0', sizeof(report.results[i].text)));
    }
    for (size_t i = 0; i < report.finding_count; i++) {
        require(memchr(report.findings[i].object, '\0', sizeof(report.findings[i].object)));
        require(memchr(report.findings[i].text, '\0', sizeof(report.findings[i].text)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    set_up();
    patch(data + 1, size - 1, false);
    look();
    patch(data + 1, size - 1, true);
    return 0;
}
