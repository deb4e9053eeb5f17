/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-crash.c - a target that ends badly on "crash": proves that a replay shows it
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 5 && memcmp(data, "crash", 5) == 0) {
        abort();
    }
    return 0;
}
