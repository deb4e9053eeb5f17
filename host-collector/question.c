/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * question.c - from a body to a nonce and what is to be measured
 *
 * Anything that is not asked for in the documented way is refused, so that a typing error is seen
 * instead of evidence about something else.
 */
#include "host-collector/question.h"

#include <jansson.h>
#include <string.h>
#include "host-collector/attest.h"
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/jose.h"

#define PROPERTIES_MAXIMUM 16 /* seven are known; twice each leaves some room */

GBytes *question_nonce(const char *text, MonattError *err)
{
    GBytes *nonce =
        text ? monatt_base64url_decode(text, strlen(text), MONATT_NONCE_SIZE, NULL) : NULL;
    if (nonce && g_bytes_get_size(nonce) != MONATT_NONCE_SIZE) {
        g_clear_pointer(&nonce, g_bytes_unref);
    }
    if (!nonce) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "nonce: must be %d bytes in base64url",
                         MONATT_NONCE_SIZE);
        monatt_error_hint(err, "draw %d random bytes for each question", MONATT_NONCE_SIZE);
    }
    return nonce;
}

GBytes *question_parse(const void *body, size_t size, uint32_t *ret_bits, MonattError *err)
{
    json_error_t where;
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &where);
    const json_t *list = json_object_get(root, "properties");
    size_t members = list ? 2 : 1;
    GBytes *nonce = NULL;
    uint32_t bits = list ? 0 : ATTEST_EVERYTHING;
    bool good = true;
    if (!json_is_object(root) || json_object_size(root) != members ||
        !json_is_string(json_object_get(root, "nonce")) ||
        (list && (!json_is_array(list) || json_array_size(list) < 1 ||
                  json_array_size(list) > PROPERTIES_MAXIMUM))) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "body: not a question");
        monatt_error_hint(err, "{\"nonce\":\"…\",\"properties\":[\"runtime-integrity\"]}");
        good = false;
    }
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        uint32_t more;
        good = name && attest_measurements_of(name, &more);
        if (!good) {
            char shown[MONATT_NAME_SIZE];
            monatt_text_printable(name ? name : "", name ? strlen(name) : 0, shown, sizeof(shown));
            monatt_error_set(err, MONATT_ERROR_USAGE, "property '%s': is not known", shown);
            monatt_error_hint(err, "startup-integrity, runtime-integrity …");
        } else {
            bits |= more;
        }
    }
    if (good) {
        nonce = question_nonce(json_string_value(json_object_get(root, "nonce")), err);
        *ret_bits = bits;
    }
    json_decref(root);
    return nonce;
}
