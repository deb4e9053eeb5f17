/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quote.h - is this a quote, by this key, over these values, for this question?
 *
 * Order (cases E05, style: appraisal order): signature algorithm, public area's attributes,
 * signature, magic TPM_GENERATED, type QUOTE, extraData, selection, digest of the values.
 * Reads the TPM's structures by itself: needs libcrypto, no TPM and no TSS.
 */
#ifndef MONATT_EVIDENCE_QUOTE_H
#define MONATT_EVIDENCE_QUOTE_H

#include "libmonatt/evidence/evidence.h"

G_BEGIN_DECLS

typedef struct MonattQuoteFacts {
    uint64_t clock_ms;
    uint32_t reset_count;
    uint32_t restart_count;
    gboolean safe;
    uint64_t firmware_version;
} MonattQuoteFacts;

/* key_public: TPMT_PUBLIC, marshalled, as monatt_public_check() takes it for the suite of the
 * quote's bank.  wanted_selection: bit i for PCR i, all of one bank.  ret_facts may be NULL.
 * FORMAT: bytes that are not the structures; REFUSED: every other step, named in the message. */
gboolean monatt_quote_check(const MonattQuote *quote, GBytes *key_public,
                            const void *qualifying_data, size_t qualifying_size,
                            uint32_t wanted_selection, MonattQuoteFacts *ret_facts,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A quoting key of the suite: restricted, sign, not decrypt, fixedTPM, fixedParent,
 * sensitiveDataOrigin, ECC P-256/ECDSA-SHA256 or P-384/ECDSA-SHA384, Name by the same hash.
 * ret_key (may be NULL) is freed with EVP_PKEY_free(). */
gboolean monatt_public_check(GBytes *key_public, const char *suite, EVP_PKEY **ret_key,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* TPM Name of a marshalled TPMT_PUBLIC; ret_name: 50 bytes of room. */
gboolean monatt_public_name(GBytes *key_public, uint8_t *ret_name, size_t *ret_size,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* As PEM SubjectPublicKeyInfo, for tpm2_checkquote and openssl; free with g_free(). */
char *monatt_public_to_pem(GBytes *key_public, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
