/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - session certificates and the privacy CA on files (protocol sections 2 and 3)
 *
 * The certificate binds the JWS key (its subject key), the session key's TPM Name and a hidden
 * host id: subject CN = random serial, EKU monatt-evidence, critical extension monattSession
 * ::= SEQUENCE { skName OCTET STRING, hostCommitment OCTET STRING, suites SEQUENCE OF UTF8String },
 * hostCommitment = H("monatt host 1\0" || r || I), notAfter <= 24 h.
 * AK and credential activation come later; here the file CA believes the request it is handed.
 */
#ifndef MONATT_EVIDENCE_SESSION_H
#define MONATT_EVIDENCE_SESSION_H

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

G_BEGIN_DECLS

/* Object identifiers under 2.25 (UUID-based, ITU-T X.667): need no registration. */
#define MONATT_OID_EKU_EVIDENCE "2.25.88017224560541786329914137563926137201"
#define MONATT_OID_SESSION_EXTENSION "2.25.88017224560541786329914137563926137202"
#define MONATT_SESSION_LIFETIME_S (24 * 60 * 60)

/* What the host asks the CA to certify; JSON: GET /v1/session of the collector. */
typedef struct MonattSessionRequest {
    char *host_id;     /* I */
    GBytes *sk_public; /* TPMT_PUBLIC, marshalled */
    EVP_PKEY *jws_key; /* public half */
    GBytes *nonce;     /* nca, 32 bytes, chosen by the CA; proof signs over it */
    GBytes *proof;     /* JK signature over "monatt session 1\0" || nca || Name(SK) */
} MonattSessionRequest;
void monatt_session_request_free(MonattSessionRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattSessionRequest, monatt_session_request_free)
/* Fills nonce and proof with the private JWS key. */
gboolean monatt_session_request_prove(MonattSessionRequest *request, EVP_PKEY *jws_private,
                                      GBytes *nonce, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *monatt_session_request_to_json(const MonattSessionRequest *request);
MonattSessionRequest *monatt_session_request_from_json(const char *text, size_t length,
                                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* File CA: DIR/{root.pem,root.key,ca.pem,ca.key}; keys mode 0600.  suite: "S256" (P-256) or
 * "S384" (P-384), which certifies sessions of both.  USAGE when one of the files is there. */
gboolean monatt_ca_init(const char *directory, const char *suite,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Checks the request (key form, attributes of SK, proof) and that its nonce is the one the caller
 * chose for it (32 bytes), issues; chain leaf first, up to but not with the root; opening = r, 32
 * bytes.  Free with sk_X509_pop_free(chain, X509_free) and g_bytes_unref(). */
gboolean monatt_ca_issue_session(const char *directory, GBytes *nonce,
                                 const MonattSessionRequest *request, STACK_OF(X509) * *ret_chain,
                                 GBytes **ret_opening, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What a session certificate says, after the chain was checked. */
typedef struct MonattSessionCertificate {
    uint8_t sk_name[64];
    size_t sk_name_size;
    uint8_t host_commitment[48];
    size_t host_commitment_size;
    EVP_PKEY *jws_key;
} MonattSessionCertificate;
void monatt_session_certificate_clear(MonattSessionCertificate *certificate);
/* Chain to the anchor, validity at the time given (seconds, UNIX), EKU, extension. */
gboolean monatt_session_certificate_check(STACK_OF(X509) * chain, X509 *anchor, int64_t at,
                                          MonattSessionCertificate *ret,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* hc for an opening r and host id I, with the suite's hash. */
gboolean monatt_session_commitment(const char *suite, const void *opening, size_t opening_size,
                                   const char *host_id, uint8_t *ret, size_t *ret_size);

G_END_DECLS

#endif
