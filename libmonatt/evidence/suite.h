/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suite.h - "S256" and "S384": one name for hash, curve, JWS algorithm and PCR bank
 *
 * Protocol section 2: one suite governs JWS, both quotes, session key and all hashes.
 */
#ifndef MONATT_EVIDENCE_SUITE_H
#define MONATT_EVIDENCE_SUITE_H

#include <glib.h>
#include <openssl/evp.h>
#include <stdint.h>

G_BEGIN_DECLS

#define MONATT_SUITE_DIGEST_MAXIMUM 48

size_t monatt_suite_digest_size(const char *suite); /* 32, 48, or 0 for an unknown suite */
const EVP_MD *monatt_suite_md(const char *suite);   /* NULL for an unknown suite */
const char *monatt_suite_alg(const char *suite);    /* "ES256", "ES384", NULL */
uint16_t monatt_suite_bank(const char *suite);      /* TPM_ALG_ID of the PCR bank, 0 */
/* The suite of a bank (TPM_ALG_ID), or NULL. */
const char *monatt_suite_of_bank(uint16_t alg);
/* The suite an EC key belongs to: "S256" for P-256, "S384" for P-384, NULL for any other key. */
const char *monatt_suite_of_key(EVP_PKEY *key);
/* H(bytes); ret has room for monatt_suite_digest_size().  FALSE only for an unknown suite or when
 * libcrypto cannot hash. */
gboolean monatt_suite_hash(const char *suite, const void *bytes, size_t size,
                           uint8_t *ret) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
