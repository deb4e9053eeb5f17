/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-command-line.c - monatt-qemu's reading of QEMU's arguments; words end with a newline
 *
 * Whatever the words are, they are refused with a reason or read within bounds; a setting that was
 * read and written again must be read as the same.
 */
#include <stdlib.h>
#include <string.h>
#include "hw-attest/launcher/description.h"
#include "hw-attest/launcher/keyval.h"
#include "hw-attest/launcher/machine.h"

#define WORDS_MAXIMUM 64
#define TEXT_MAXIMUM 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keyval(const char *text)
{
    Keyval first;
    Keyval second;
    MonattError err = {0};
    if (!keyval_parse(text, "type", &first, &err)) {
        if (err.code == MONATT_ERROR_NONE || !err.message[0]) {
            abort();
        }
        return;
    }
    /* An implied key is written out, an empty key cannot be told from none. */
    char *again = keyval_text(&first);
    if (again && keyval_parse(again, "type", &second, NULL)) {
        if (first.count != second.count) {
            abort();
        }
        for (size_t i = 0; i < first.count; i++) {
            const char *a = first.pairs[i].value;
            const char *b = second.pairs[i].value;
            if ((a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0)) {
                abort();
            }
        }
        keyval_clear(&second);
    } else {
        abort();
    }
    free(again);
    keyval_clear(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_MAXIMUM + 1];
    char *words[WORDS_MAXIMUM] = {(char[]){"monatt-qemu"}};
    int count = 1;
    Arguments arguments;
    Machine machine;
    MonattError err = {0};
    size = size < TEXT_MAXIMUM ? size : TEXT_MAXIMUM;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; *at && count < WORDS_MAXIMUM;) {
        char *end = strchrnul(at, '\n');
        words[count++] = at;
        at = *end ? end + 1 : end;
        *end = '\0';
    }
    for (int i = 1; i < count; i++) {
        check_keyval(words[i]);
    }
    if (arguments_take_own(count, words, &arguments, &err)) {
        (void)arguments_is_probe(&arguments);
        if (arguments_parse(&arguments, "-S  x\n-new y\n", &err) &&
            machine_read(&arguments, &machine, &err)) {
            char *description = NULL;
            char summary[MONATT_TEXT_MAXIMUM];
            static const Words facts;
            if (description_write(&arguments, &machine, &facts, &description, summary,
                                  sizeof(summary), &err)) {
                free(description);
            }
        }
    }
    arguments_clear(&arguments);
    return 0;
}
