/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quote.c - is this TPMS_ATTEST a quote, by this key, over these values, for this question?
 *
 * The order is part of the meaning: nothing inside the attest is looked at before its signature
 * holds, nothing of a quote before magic and type say that it is one (case E05).  Reads by
 * MonattReader alone; tss2-mu writes to stderr about bytes that a stranger sent.
 */
#include "libmonatt/evidence/quote.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/evidence/key.h"

#define NAME_MAXIMUM 66       /* TPM2B_NAME with SHA-512, the largest a TPM makes */
#define EXTRA_MAXIMUM 66      /* TPM2B_DATA: a TPMT_HA */
#define BANKS_MAXIMUM 16      /* TPM2_NUM_PCR_BANKS */
#define COORDINATE_MAXIMUM 48 /* P-384 */
#define DER_MAXIMUM 112       /* two 49-byte INTEGERs in a SEQUENCE are 104 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ECDSA_SIG, ECDSA_SIG_free)

typedef struct Attest {
    uint32_t magic;
    uint16_t type;
    const uint8_t *extra;
    uint16_t extra_size;
    MonattQuoteFacts facts;
    uint32_t selection; /* of the quote's bank */
    gboolean foreign;   /* another bank is selected too */
    const uint8_t *digest;
    uint16_t digest_size;
} Attest;

void monatt_quote_free(MonattQuote *quote)
{
    if (quote == NULL) {
        return;
    }
    g_clear_pointer(&quote->attest, g_bytes_unref);
    g_clear_pointer(&quote->signature, g_bytes_unref);
    g_clear_pointer(&quote->values, g_bytes_unref);
    g_free(quote);
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "quote: %s", why);
    return FALSE;
}

/* TPMT_SIGNATURE to DER.  A TPM pads r and s to the curve's size or leaves leading zeros out,
 * DER wants neither (case E06): libcrypto converts. */
static gboolean read_signature(GBytes *signature, uint16_t bank, uint8_t der[DER_MAXIMUM],
                               size_t *ret_size, GError **error)
{
    MonattError err = {0};
    MonattReader r;
    gsize size;
    const void *bytes = g_bytes_get_data(signature, &size);
    uint16_t alg;
    uint16_t hash;
    monatt_reader_init(&r, "quote: signature", bytes, size, &err);
    if (!monatt_reader_u16_be(&r, &alg)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (alg != TPM2_ALG_ECDSA) {
        return refuse(error, "signature is not ECDSA");
    }
    if (!monatt_reader_u16_be(&r, &hash)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (hash != bank) {
        return refuse(error, "signature is by another hash than the suite's");
    }
    const uint8_t *number_r;
    const uint8_t *number_s;
    uint16_t r_size;
    uint16_t s_size;
    if (!monatt_reader_sized_u16_be(&r, COORDINATE_MAXIMUM, &number_r, &r_size) ||
        !monatt_reader_sized_u16_be(&r, COORDINATE_MAXIMUM, &number_s, &s_size) ||
        !monatt_reader_finish(&r)) {
        return monatt_error_to_gerror(&err, error);
    }
    g_autoptr(ECDSA_SIG) sig = ECDSA_SIG_new();
    BIGNUM *big_r = BN_bin2bn(number_r, r_size, NULL);
    BIGNUM *big_s = BN_bin2bn(number_s, s_size, NULL);
    if (sig == NULL || big_r == NULL || big_s == NULL || ECDSA_SIG_set0(sig, big_r, big_s) != 1) {
        BN_free(big_r);
        BN_free(big_s);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "quote: no memory");
        return FALSE;
    }
    unsigned char *to = der;
    int length = i2d_ECDSA_SIG(sig, NULL);
    if (length <= 0 || length > DER_MAXIMUM || i2d_ECDSA_SIG(sig, &to) != length) {
        return refuse(error, "signature is no pair of numbers");
    }
    *ret_size = (size_t)length;
    return TRUE;
}

/* TPML_PCR_SELECTION as a set: banks without a register count as not named (case E02). */
static bool read_selection(MonattReader *r, uint16_t bank, Attest *a)
{
    uint32_t count;
    if (!monatt_reader_count(r, BANKS_MAXIMUM, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t alg;
        uint8_t size;
        const uint8_t *bits;
        if (!monatt_reader_u16_be(r, &alg) || !monatt_reader_u8(r, &size) ||
            !monatt_reader_bytes(r, size, &bits)) {
            return false;
        }
        if (size > sizeof(a->selection)) {
            return monatt_reader_fail(r, "selection of %u bytes", size);
        }
        uint32_t selected = 0;
        for (uint8_t j = 0; j < size; j++) {
            selected |= (uint32_t)bits[j] << 8 * j;
        }
        if (alg == bank) {
            a->selection |= selected;
        } else if (selected != 0) {
            a->foreign = TRUE;
        }
    }
    return true;
}

/* TPM 2.0 Part 2, 10.12.12; magic and type first, since they say what the rest is. */
static gboolean read_attest(GBytes *attest, uint16_t bank, Attest *a, GError **error)
{
    MonattError err = {0};
    MonattReader r;
    gsize size;
    const void *bytes = g_bytes_get_data(attest, &size);
    monatt_reader_init(&r, "quote: attest", bytes, size, &err);
    memset(a, 0, sizeof(*a));
    if (!monatt_reader_u32_be(&r, &a->magic)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (a->magic != TPM2_GENERATED_VALUE) {
        return refuse(error, "magic is not TPM_GENERATED: no TPM made this");
    }
    if (!monatt_reader_u16_be(&r, &a->type)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (a->type != TPM2_ST_ATTEST_QUOTE) {
        return refuse(error, "the TPM attested something else than its registers");
    }
    const uint8_t *signer;
    uint16_t signer_size;
    uint8_t safe;
    if (!monatt_reader_sized_u16_be(&r, NAME_MAXIMUM, &signer, &signer_size) ||
        !monatt_reader_sized_u16_be(&r, EXTRA_MAXIMUM, &a->extra, &a->extra_size) ||
        !monatt_reader_u64_be(&r, &a->facts.clock_ms) ||
        !monatt_reader_u32_be(&r, &a->facts.reset_count) ||
        !monatt_reader_u32_be(&r, &a->facts.restart_count) || !monatt_reader_u8(&r, &safe) ||
        !monatt_reader_u64_be(&r, &a->facts.firmware_version) || !read_selection(&r, bank, a) ||
        !monatt_reader_sized_u16_be(&r, COORDINATE_MAXIMUM, &a->digest, &a->digest_size)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (safe > 1) {
        monatt_reader_fail(&r, "safe is neither yes nor no");
    }
    if (!monatt_reader_finish(&r)) {
        return monatt_error_to_gerror(&err, error);
    }
    a->facts.safe = safe != 0;
    return TRUE;
}

static gboolean check_values(const MonattQuote *quote, const char *suite, const Attest *a,
                             GError **error)
{
    size_t digest_size = monatt_suite_digest_size(suite);
    uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
    gsize size;
    const void *values = g_bytes_get_data(quote->values, &size);
    if (size != (size_t)__builtin_popcount(quote->selection) * digest_size) {
        return refuse(error, "the number of values is not the selection's");
    }
    if (!monatt_suite_hash(suite, values, size, digest)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "quote: libcrypto cannot hash");
        return FALSE;
    }
    if (a->digest_size != digest_size || !monatt_bytes_equal(a->digest, digest, digest_size)) {
        return refuse(error, "the values are not those that the TPM signed");
    }
    return TRUE;
}

gboolean monatt_quote_check(const MonattQuote *quote, GBytes *key_public,
                            const void *qualifying_data, size_t qualifying_size,
                            uint32_t wanted_selection, MonattQuoteFacts *ret_facts, GError **error)
{
    const char *suite = monatt_suite_of_bank(quote->alg);
    if (suite == NULL) {
        return refuse(error, "registers of a bank that no suite has");
    }
    uint8_t der[DER_MAXIMUM] = {0};
    size_t der_size = 0;
    g_autoptr(EVP_PKEY) key = NULL;
    if (!read_signature(quote->signature, quote->alg, der, &der_size, error) ||
        !monatt_public_check(key_public, suite, &key, error)) {
        return FALSE;
    }
    gsize size;
    const void *attest = g_bytes_get_data(quote->attest, &size);
    if (!monatt_key_verify(key, attest, size, der, der_size, error)) {
        g_prefix_error(error, "quote: ");
        return FALSE;
    }
    Attest a;
    if (!read_attest(quote->attest, quote->alg, &a, error)) {
        return FALSE;
    }
    /* An empty qualifying data would be a quote for nobody's question. */
    if (qualifying_size == 0 || a.extra_size != qualifying_size ||
        !monatt_bytes_equal(a.extra, qualifying_data, qualifying_size)) {
        return refuse(error, "made for another question: qualifying data differ");
    }
    if (a.foreign || a.selection != wanted_selection || quote->selection != wanted_selection) {
        return refuse(error, "other registers than those that must be quoted");
    }
    if (!check_values(quote, suite, &a, error)) {
        return FALSE;
    }
    if (ret_facts != NULL) {
        *ret_facts = a.facts;
    }
    return TRUE;
}
