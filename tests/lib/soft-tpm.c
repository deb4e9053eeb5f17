/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-tpm.c - for tests only: TPMT_PUBLIC, TPMS_ATTEST and TPMT_SIGNATURE by tss2-mu and libcrypto
 *
 * Aborts when something fails: a test that cannot make its input has nothing to say.  Must never
 * be linked into a program that is installed.
 */
#include "tests/lib/soft-tpm.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include "libmonatt/evidence/key.h"

#define BUFFER_SIZE 2048

static size_t coordinate(EVP_PKEY *key, const char *which, uint8_t *buffer, size_t size)
{
    BIGNUM *number = NULL;
    g_assert_cmpint(EVP_PKEY_get_bn_param(key, which, &number), ==, 1);
    g_assert_cmpint(BN_bn2binpad(number, buffer, (int)size), ==, (int)size);
    BN_free(number);
    return size;
}

static void fill(SoftTpmKey *key, const char *suite, EVP_PKEY *private)
{
    uint16_t alg = monatt_suite_bank(suite);
    size_t size = monatt_suite_digest_size(suite);
    TPMS_ECC_PARMS *ecc = &key->public.parameters.eccDetail;
    TPMS_ECC_POINT *point = &key->public.unique.ecc;

    memset(key, 0, sizeof(*key));
    key->suite = suite;
    key->key = private;
    g_assert_nonnull(key->key);
    g_assert_cmpstr(monatt_suite_of_key(private), ==, suite);
    key->public.type = TPM2_ALG_ECC;
    key->public.nameAlg = alg;
    key->public.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                   TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                   TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT;
    ecc->symmetric.algorithm = TPM2_ALG_NULL;
    ecc->scheme.scheme = TPM2_ALG_ECDSA;
    ecc->scheme.details.ecdsa.hashAlg = alg;
    ecc->curveID = alg == TPM2_ALG_SHA256 ? TPM2_ECC_NIST_P256 : TPM2_ECC_NIST_P384;
    ecc->kdf.scheme = TPM2_ALG_NULL;
    point->x.size = (uint16_t)coordinate(key->key, OSSL_PKEY_PARAM_EC_PUB_X, point->x.buffer, size);
    point->y.size = (uint16_t)coordinate(key->key, OSSL_PKEY_PARAM_EC_PUB_Y, point->y.buffer, size);
}

void soft_tpm_key_init(SoftTpmKey *key, const char *suite)
{
    fill(key, suite, monatt_key_generate(suite, NULL));
}

EVP_PKEY *soft_tpm_keep(const char *path, const char *suite)
{
    EVP_PKEY *key = NULL;
    FILE *file = fopen(path, "re");
    if (file) {
        key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    } else {
        file = fopen(path, "we");
        g_assert_nonnull(file);
        key = monatt_key_generate(suite, NULL);
        g_assert_cmpint(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), ==, 1);
    }
    fclose(file);
    g_assert_nonnull(key);
    return key;
}

void soft_tpm_key_keep(SoftTpmKey *key, const char *suite, const char *path)
{
    fill(key, suite, soft_tpm_keep(path, suite));
}

void soft_tpm_key_take(SoftTpmKey *key, const char *suite, EVP_PKEY *other)
{
    fill(key, suite, other);
}

void soft_tpm_key_clear(SoftTpmKey *key)
{
    g_clear_pointer(&key->key, EVP_PKEY_free);
}

GBytes *soft_tpm_key_public(const SoftTpmKey *key)
{
    uint8_t buffer[BUFFER_SIZE];
    size_t size = 0;
    g_assert_cmpuint(Tss2_MU_TPMT_PUBLIC_Marshal(&key->public, buffer, sizeof(buffer), &size), ==,
                     TSS2_RC_SUCCESS);
    return g_bytes_new(buffer, size);
}

void soft_tpm_quote_init(SoftTpmQuote *options, const char *suite, uint32_t selection)
{
    *options = (SoftTpmQuote){
        .magic = TPM2_GENERATED_VALUE,
        .type = TPM2_ST_ATTEST_QUOTE,
        .bank = monatt_suite_bank(suite),
        .selection = selection,
        .clock_ms = 123456,
        .reset_count = 1,
        .safe = TRUE,
    };
}

static void select_registers(TPML_PCR_SELECTION *list, uint16_t bank, uint32_t selection)
{
    TPMS_PCR_SELECTION *one = &list->pcrSelections[list->count++];
    one->hash = bank;
    one->sizeofSelect = 3;
    for (int i = 0; i < 3; i++) {
        one->pcrSelect[i] = (uint8_t)(selection >> 8 * i);
    }
}

static GBytes *make_attest(const SoftTpmKey *key, const SoftTpmQuote *o, const void *qualifying,
                           size_t qualifying_size, const void *values, size_t values_size)
{
    TPMS_ATTEST attest = {
        .magic = o->magic,
        .type = o->type,
        .extraData.size = (uint16_t)qualifying_size,
        .clockInfo = {.clock = o->clock_ms,
                      .resetCount = o->reset_count,
                      .restartCount = o->restart_count,
                      .safe = o->safe},
        .firmwareVersion = 0x20191023,
    };
    uint8_t buffer[BUFFER_SIZE];
    size_t size = 0;

    g_assert_cmpuint(qualifying_size, <=, sizeof(attest.extraData.buffer));
    if (qualifying_size > 0) {
        memcpy(attest.extraData.buffer, qualifying, qualifying_size);
    }
    attest.qualifiedSigner.size = (uint16_t)(2 + monatt_suite_digest_size(key->suite));
    attest.qualifiedSigner.name[1] = (uint8_t)monatt_suite_bank(key->suite);
    if (o->type == TPM2_ST_ATTEST_QUOTE) {
        TPMS_QUOTE_INFO *quote = &attest.attested.quote;
        if (o->empty_bank || o->foreign != 0) {
            select_registers(&quote->pcrSelect, TPM2_ALG_SHA1, o->foreign);
        }
        select_registers(&quote->pcrSelect, o->bank, o->selection);
        quote->pcrDigest.size = (uint16_t)monatt_suite_digest_size(key->suite);
        g_assert_true(monatt_suite_hash(key->suite, values, values_size, quote->pcrDigest.buffer));
    }
    g_assert_cmpuint(Tss2_MU_TPMS_ATTEST_Marshal(&attest, buffer, sizeof(buffer), &size), ==,
                     TSS2_RC_SUCCESS);
    return g_bytes_new(buffer, size);
}

static uint16_t put_number(const BIGNUM *number, uint8_t *buffer, size_t size, gboolean shorter)
{
    if (shorter) {
        return (uint16_t)BN_bn2bin(number, buffer);
    }
    g_assert_cmpint(BN_bn2binpad(number, buffer, (int)size), ==, (int)size);
    return (uint16_t)size;
}

GBytes *soft_tpm_sign(const SoftTpmKey *key, const SoftTpmQuote *o, GBytes *attest)
{
    gsize attest_size;
    const void *bytes = g_bytes_get_data(attest, &attest_size);
    g_autoptr(GBytes) der = monatt_key_sign(key->key, bytes, attest_size, NULL);
    gsize der_size;
    const unsigned char *at = g_bytes_get_data(der, &der_size);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_size);
    size_t size = monatt_suite_digest_size(key->suite);
    TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_ECDSA};
    TPMS_SIGNATURE_ECC *ecc = &signature.signature.ecdsa;
    uint8_t buffer[BUFFER_SIZE];
    size_t offset = 0;

    g_assert_nonnull(sig);
    ecc->hash = o->signature_hash ? o->signature_hash : monatt_suite_bank(key->suite);
    ecc->signatureR.size =
        put_number(ECDSA_SIG_get0_r(sig), ecc->signatureR.buffer, size, o->short_numbers);
    ecc->signatureS.size =
        put_number(ECDSA_SIG_get0_s(sig), ecc->signatureS.buffer, size, o->short_numbers);
    ECDSA_SIG_free(sig);
    if (o->signature_alg) {
        signature.sigAlg = o->signature_alg; /* ECDAA and others of the same layout */
    }
    g_assert_cmpuint(Tss2_MU_TPMT_SIGNATURE_Marshal(&signature, buffer, sizeof(buffer), &offset),
                     ==, TSS2_RC_SUCCESS);
    return g_bytes_new(buffer, offset);
}

MonattQuote *soft_tpm_quote(const SoftTpmKey *key, const SoftTpmQuote *options,
                            const void *qualifying, size_t qualifying_size, const void *values,
                            size_t values_size)
{
    MonattQuote *quote = g_new0(MonattQuote, 1);
    quote->alg = options->bank;
    quote->selection = options->selection;
    quote->attest = make_attest(key, options, qualifying, qualifying_size, values, values_size);
    quote->signature = soft_tpm_sign(key, options, quote->attest);
    quote->values = g_bytes_new(values, values_size);
    return quote;
}
