/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-jws.c - the input is a JWS with its chain; nobody's token is signed by a key just made
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/session.h"
#include "tests/fuzz/fuzz.h"

/* The leaf as its own anchor: a session certificate never is one. */
static void check_chain(const MonattJws *jws)
{
    MonattSessionCertificate certificate = {0};
    GError *error = NULL;
    X509 *anchor = sk_X509_value(jws->chain, sk_X509_num(jws->chain) - 1);
    if (monatt_session_certificate_check(jws->chain, anchor, 1790000000, &certificate, &error)) {
        require(certificate.jws_key != NULL);
        monatt_session_certificate_clear(&certificate);
        return;
    }
    require(error != NULL && certificate.jws_key == NULL);
    g_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static EVP_PKEY *key;
    GError *error = NULL;
    if (key == NULL) {
        key = monatt_key_generate("S256", NULL);
    }
    g_autoptr(MonattJws) plain = monatt_jws_parse(data, size, "eat+jwt", FALSE, NULL);
    g_autoptr(MonattJws) jws = monatt_jws_parse(data, size, "eat+jwt", TRUE, &error);
    if (jws == NULL) {
        require(plain == NULL && error != NULL && error->domain == MONATT_GERROR);
        g_error_free(error);
        return 0;
    }
    require(error == NULL);
    require((plain != NULL) == (jws->chain == NULL));
    require(jws->signature_size == (strcmp(jws->alg, "ES256") == 0 ? 64 : 96));
    require(!monatt_jws_verify(jws, key, NULL));
    if (jws->chain != NULL) {
        check_chain(jws);
    }
    return 0;
}
