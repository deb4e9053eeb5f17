/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - what every fuzz target needs: its entry, and a promise that ends the run when broken
 */
#ifndef MONATT_TESTS_FUZZ_FUZZ_H
#define MONATT_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* As libFuzzer calls it; replay.c too.  Returns 0; the bytes are the callee's only for the call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With its place: the compiler makes one abort() of all, and a stack trace names none. */
#define require(promise) require_at(promise, #promise, __FILE__, __LINE__)

static inline void require_at(bool promise, const char *text, const char *file, int line)
{
    if (!promise) {
        fprintf(stderr, "%s:%d: broken: %s\n", file, line, text);
        abort();
    }
}

#endif
