/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jose.h - JWS compact with ES256 or ES384, and nothing else of JOSE
 *
 * Strict where libjose is lax: exactly three parts, canonical base64url, alg fixed by the caller,
 * typ fixed by the caller, no crit, no jku, no jwk, x5c only where the caller allows it.
 */
#ifndef MONATT_EVIDENCE_JOSE_H
#define MONATT_EVIDENCE_JOSE_H

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

G_BEGIN_DECLS

/* Signs payload; chain (STACK_OF(X509), leaf first, may be NULL) becomes x5c.  NUL-terminated. */
char *monatt_jws_sign(const void *payload, size_t size, const char *typ, EVP_PKEY *key,
                      STACK_OF(X509) * chain, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct MonattJws {
    GBytes *header;  /* decoded octets */
    GBytes *payload; /* decoded octets, exactly what was hashed and signed over */
    char alg[8];
    STACK_OF(X509) * chain; /* NULL without x5c */
    GBytes *signing_input;
    uint8_t signature[96];
    size_t signature_size;
} MonattJws;
void monatt_jws_free(MonattJws *jws);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattJws, monatt_jws_free)
/* Takes it apart, believes nothing.  allow_x5c: whether the header may carry a chain. */
MonattJws *monatt_jws_parse(const void *bytes, size_t size, const char *typ, gboolean allow_x5c,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean monatt_jws_verify(const MonattJws *jws, EVP_PKEY *key,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* base64url without padding; decode refuses non-canonical text. */
char *monatt_base64url_encode(const void *bytes, size_t size);
GBytes *monatt_base64url_decode(const char *text, size_t length, size_t maximum,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
