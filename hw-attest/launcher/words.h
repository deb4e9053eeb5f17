/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * words.h - a growing list of words, as an argv needs it
 *
 * As with MonattWriter: a word that cannot be added marks the list failed, and words_finish() says
 * so once.
 */
#ifndef HW_ATTEST_LAUNCHER_WORDS_H
#define HW_ATTEST_LAUNCHER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include "libmonatt/base/error.h"

typedef struct Words {
    char **items; /* owned, NULL after the last one */
    size_t count;
    size_t capacity;
    bool failed;
} Words;

void words_add(Words *words, const char *word);
void words_add_format(Words *words, const char *format, ...) MONATT_PRINTF(2, 3);
/* Replaces word number at, which must be there. */
void words_set(Words *words, size_t at, const char *word);
/* SYSTEM when there was no memory for one of them. */
bool words_finish(const Words *words, MonattError *err) MONATT_MUST_CHECK;
void words_clear(Words *words);

#endif
