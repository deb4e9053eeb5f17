/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-session-request.c - the input is what a host asks the CA; one that is taken keeps its
 * meaning
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/session.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    const char *input = (const char *)data;
    g_autoptr(MonattSessionRequest) request = monatt_session_request_from_json(input, size, &error);
    if (request == NULL) {
        require(error != NULL && error->domain == MONATT_GERROR);
        g_error_free(error);
        return 0;
    }
    require(error == NULL && request->jws_key != NULL);
    g_autofree char *text = monatt_session_request_to_json(request);
    g_autoptr(MonattSessionRequest) again =
        monatt_session_request_from_json(text, strlen(text), NULL);
    require(again != NULL && strcmp(again->host_id, request->host_id) == 0);
    require(EVP_PKEY_eq(again->jws_key, request->jws_key) == 1);
    require(g_bytes_equal(again->sk_public, request->sk_public) &&
            g_bytes_equal(again->nonce, request->nonce) &&
            g_bytes_equal(again->proof, request->proof));
    return 0;
}
