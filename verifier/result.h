/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * result.h - the verifier's answer: an EAR (draft-ietf-rats-ear) as a signed JWT
 *
 * One submodule a property; docs/formats/result.md.  Made where the evidence was parsed, signed
 * where the key is: the two are different processes.
 */
#ifndef MONATT_VERIFIER_RESULT_H
#define MONATT_VERIFIER_RESULT_H

#include <glib.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "verifier/appraisal/appraisal.h"

G_BEGIN_DECLS

#define MONATT_RESULT_PROFILE "tag:ietf.org,2026:rats/ear#03"
#define MONATT_RESULT_TYP "ear+jwt"
#define MONATT_RESULT_SIZE_MAXIMUM (1024u * 1024) /* 256 findings in each of a few properties */

/* The claims of the EAR, as they are signed; free with json_decref(). */
json_t *monatt_result_to_json(const MonattAppraisal *appraisal, const MonattPolicy *policy,
                              const MonattReference *reference, const uint8_t *nonce, int64_t at);
/* JWS over payload with the certificate as x5c; ES256 or ES384 as the key is.  Free: g_free(). */
char *monatt_result_sign(const void *payload, size_t size, EVP_PKEY *key, X509 *certificate,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* REFUSED: not by a key under the anchor, expired or not yet at `at`, not an EAR of ours.
 * *ret_claims: json_decref(). */
gboolean monatt_result_verify(const void *bytes, size_t size, X509 *anchor, int64_t at,
                              json_t **ret_claims, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
