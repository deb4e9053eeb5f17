/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session-form.h - the ASN.1 of a session certificate, shared by the CA and who checks; no other
 * file needs it
 */
#ifndef MONATT_EVIDENCE_SESSION_FORM_H
#define MONATT_EVIDENCE_SESSION_FORM_H

#include <openssl/asn1t.h>
#include <openssl/x509.h>

/* monattSession ::= SEQUENCE { skName OCTET STRING, hostCommitment OCTET STRING,
 *                              suites SEQUENCE OF UTF8String } */
typedef struct MonattSessionForm {
    ASN1_OCTET_STRING *sk_name;
    ASN1_OCTET_STRING *host_commitment;
    STACK_OF(ASN1_UTF8STRING) * suites;
} MonattSessionForm;
DECLARE_ASN1_FUNCTIONS(MonattSessionForm)

/* "monatt session 1\0" || nonce || Name(SK): what the JWS key signs to show that it is there. */
GBytes *monatt_session_proof_input(GBytes *nonce, GBytes *sk_public, GError **error);

#endif
