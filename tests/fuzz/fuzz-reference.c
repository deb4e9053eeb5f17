/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-reference.c - reference values of any bytes: parse, write, parse again, the same text
 */
#include <stdlib.h>
#include <string.h>
#include "verifier/learn.h"
#include "verifier/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    MonattReference *reference = monatt_reference_parse("reference", data, size, &error);
    if ((reference == NULL) == (error == NULL)) {
        abort();
    }
    g_clear_error(&error);
    if (reference == NULL) {
        return 0;
    }
    g_autofree char *text = monatt_reference_serialize(reference);
    g_autofree char *shown = monatt_learn_describe(reference);
    MonattReference *again = monatt_reference_parse("reference", text, strlen(text), &error);
    g_autofree char *second = again != NULL ? monatt_reference_serialize(again) : NULL;
    /* Indenting may take a file that was near the limit over it; nothing else may differ. */
    if (again == NULL ? error->code != MONATT_ERROR_LIMIT : strcmp(text, second) != 0) {
        abort();
    }
    for (const char *c = shown; *c != 0; c++) {
        if (*c != '\n' && (*c < 0x20 || *c > 0x7e)) {
            abort(); /* it goes to a terminal */
        }
    }
    g_clear_error(&error);
    monatt_reference_free(again);
    monatt_reference_free(reference);
    return 0;
}
