/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-claims.c - the input is the payload of an evidence JWS; what is taken can be written again
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    gsize text_size;
    g_autoptr(MonattClaims) claims = monatt_claims_parse(data, size, &error);
    if (claims == NULL) {
        require(error != NULL && error->domain == MONATT_GERROR);
        g_error_free(error);
        return 0;
    }
    require(error == NULL && claims->m_count <= MONATT_MEASUREMENTS_MAXIMUM && claims->number > 0);
    for (size_t i = 0; i < claims->m_count; i++) {
        require(claims->m[i].index < MONATT_REGISTER_COUNT &&
                memchr(claims->m[i].kind, 0, sizeof(claims->m[i].kind)) != NULL);
    }
    g_autoptr(GBytes) text = monatt_claims_serialize(claims, NULL);
    require(text != NULL);
    const void *bytes = g_bytes_get_data(text, &text_size);
    g_autoptr(MonattClaims) again = monatt_claims_parse(bytes, text_size, NULL);
    require(again != NULL);
    g_autoptr(GBytes) second = monatt_claims_serialize(again, NULL);
    require(second != NULL && g_bytes_equal(text, second));
    return 0;
}
