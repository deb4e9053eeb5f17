/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key.h - EC keys of the two suites between libcrypto, JWK (RFC 7517) and plain points
 */
#ifndef MONATT_EVIDENCE_KEY_H
#define MONATT_EVIDENCE_KEY_H

#include <glib.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdint.h>

G_BEGIN_DECLS

/* A fresh private key; free with EVP_PKEY_free(). */
EVP_PKEY *monatt_key_generate(const char *suite, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Big-endian coordinates, each 1 to 32 (S256) or 48 (S384) bytes; FORMAT when not on the curve. */
EVP_PKEY *monatt_key_from_point(const char *suite, const uint8_t *x, size_t x_size,
                                const uint8_t *y, size_t y_size,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* {"kty","crv","x","y"} and with_private also "d"; free with json_decref(). */
json_t *monatt_key_to_jwk(EVP_PKEY *key, gboolean with_private,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Exactly those four members, fixed sizes; a private key is refused here. */
EVP_PKEY *monatt_key_from_jwk(const json_t *jwk, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* ECDSA over the suite's hash of bytes, as DER; free with g_bytes_unref(). */
GBytes *monatt_key_sign(EVP_PKEY *key, const void *bytes, size_t size,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* REFUSED when the DER signature is not by this key over these bytes. */
gboolean monatt_key_verify(EVP_PKEY *key, const void *bytes, size_t size, const void *signature,
                           size_t signature_size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
