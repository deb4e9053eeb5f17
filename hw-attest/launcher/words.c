/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * words.c - a growing list of words; must never lose one silently
 */
#include "hw-attest/launcher/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void words_take(Words *words, char *word)
{
    if (word && words->count + 2 > words->capacity) {
        size_t capacity = words->capacity ? 2 * words->capacity : 64;
        char **items = reallocarray(words->items, capacity, sizeof(*items));
        if (!items) {
            free(word);
            word = NULL;
        } else {
            words->items = items;
            words->capacity = capacity;
        }
    }
    if (!word) {
        words->failed = true;
        return;
    }
    words->items[words->count++] = word;
    words->items[words->count] = NULL;
}

void words_add(Words *words, const char *word)
{
    words_take(words, strdup(word));
}

void words_add_format(Words *words, const char *format, ...)
{
    char *word = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&word, format, arguments) < 0) {
        word = NULL;
    }
    va_end(arguments);
    words_take(words, word);
}

void words_set(Words *words, size_t at, const char *word)
{
    char *copy = strdup(word);
    if (!copy || at >= words->count) {
        words->failed = true;
        free(copy);
        return;
    }
    free(words->items[at]);
    words->items[at] = copy;
}

bool words_finish(const Words *words, MonattError *err)
{
    return words->failed ? monatt_error_set_errno(err, ENOMEM, "command line") : true;
}

void words_clear(Words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->items[i]);
    }
    free(words->items);
    memset(words, 0, sizeof(*words));
}
