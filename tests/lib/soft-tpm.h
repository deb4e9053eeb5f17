/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-tpm.h - for tests only: a key in this process that signs as a TPM's quoting key does
 *
 * The structures are written with tss2-mu, so that the readers of libmonatt/evidence are tested
 * against somebody else's idea of the format.  Every field can be made wrong.
 */
#ifndef MONATT_TESTS_SOFT_TPM_H
#define MONATT_TESTS_SOFT_TPM_H

#include <tss2/tss2_tpm2_types.h>
#include "libmonatt/evidence/evidence.h"

typedef struct SoftTpmKey {
    const char *suite;
    EVP_PKEY *key;
    TPMT_PUBLIC public; /* may be changed before soft_tpm_key_public() */
} SoftTpmKey;

void soft_tpm_key_init(SoftTpmKey *key, const char *suite);
/* The key that stands in the file, or a fresh one that is written there. */
void soft_tpm_key_keep(SoftTpmKey *key, const char *suite, const char *path);
EVP_PKEY *soft_tpm_keep(const char *path, const char *suite);
/* Another TPM's key as our template would have it; takes key, of which the public half will do. */
void soft_tpm_key_take(SoftTpmKey *key, const char *suite, EVP_PKEY *other);
void soft_tpm_key_clear(SoftTpmKey *key);
GBytes *soft_tpm_key_public(const SoftTpmKey *key);

typedef struct SoftTpmQuote {
    uint32_t magic;
    uint16_t type; /* TPM2_ST_ATTEST_QUOTE; CERTIFY gives a TPMS_CERTIFY_INFO */
    uint16_t bank;
    uint32_t selection;  /* what is signed */
    gboolean empty_bank; /* name SHA-1 without a register too (case E02) */
    uint32_t foreign;    /* registers of SHA-1 that are signed as well */
    uint64_t clock_ms;
    uint32_t reset_count;
    uint32_t restart_count;
    gboolean safe;
    gboolean short_numbers;  /* leave leading zeros of r and s out (case E06) */
    uint16_t signature_alg;  /* as written; 0: ECDSA */
    uint16_t signature_hash; /* as written; 0: the suite's */
} SoftTpmQuote;

void soft_tpm_quote_init(SoftTpmQuote *options, const char *suite, uint32_t selection);
/* values: one digest a selected register; the digest signed is theirs. */
MonattQuote *soft_tpm_quote(const SoftTpmKey *key, const SoftTpmQuote *options,
                            const void *qualifying, size_t qualifying_size, const void *values,
                            size_t values_size);
/* TPMT_SIGNATURE over any attest. */
GBytes *soft_tpm_sign(const SoftTpmKey *key, const SoftTpmQuote *options, GBytes *attest);

#endif
