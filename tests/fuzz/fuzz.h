/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - what every fuzz target needs: its entry, and a promise that ends the run when broken
 */
#ifndef MONATT_TESTS_FUZZ_FUZZ_H
#define MONATT_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* As libFuzzer calls it; replay.c too.  Returns 0; the bytes are the callee's only for the call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool promise)
{
    if (!promise) {
        abort();
    }
}

#endif
