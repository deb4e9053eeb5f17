/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-corpus.c - quotes and tokens that other projects published (tests/data/corpus/README.md)
 *
 * Bytes of real TPMs and of other people's libraries, with answers that are known from them.
 */
#include <openssl/pem.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "tests/lib/soft-tpm.h"

static char *path_of(const char *name)
{
    const char *source = g_getenv("MONATT_SOURCE_DIR");
    return g_build_filename(source ? source : ".", "tests/data/corpus", name, NULL);
}

static GBytes *read_bytes(const char *name)
{
    g_autofree char *path = path_of(name);
    char *bytes = NULL;
    gsize size;
    GError *error = NULL;
    g_file_get_contents(path, &bytes, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(bytes, size);
}

static GBytes *parsec_key(void)
{
    g_autofree char *path = path_of("parsec-ecdsa.ak.pem");
    SoftTpmKey key;
    FILE *file = fopen(path, "re");
    g_assert_nonnull(file);
    EVP_PKEY *public = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    fclose(file);
    soft_tpm_key_take(&key, "S256", public);
    GBytes *bytes = soft_tpm_key_public(&key);
    soft_tpm_key_clear(&key);
    return bytes;
}

static MonattQuote *read_quote(const char *message, const char *signature, uint32_t selection)
{
    MonattQuote *quote = g_new0(MonattQuote, 1);
    quote->alg = TPM2_ALG_SHA256;
    quote->selection = selection;
    quote->attest = read_bytes(message);
    quote->signature = read_bytes(signature);
    quote->values = g_bytes_new_take(g_malloc0(32 * (size_t)__builtin_popcount(selection)),
                                     32 * (size_t)__builtin_popcount(selection));
    return quote;
}

static void refuse(const MonattQuote *quote, GBytes *key, const void *question, size_t size,
                   uint32_t selection, MonattErrorCode code, const char *words)
{
    GError *error = NULL;
    g_assert_false(monatt_quote_check(quote, key, question, size, selection, NULL, &error));
    g_assert_error(error, MONATT_GERROR, (int)code);
    if (strstr(error->message, words) == NULL) {
        g_test_message("'%s' where '%s' was expected", error->message, words);
        g_test_fail();
    }
    g_error_free(error);
}

/* Somebody else's TPM, quoting PCR 0 to 2 before anything was measured: three times zeros. */
static void test_parsec_quote(void)
{
    static const uint8_t question[] = {0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef};
    uint8_t values[96] = {0};
    MonattQuoteFacts facts;
    GError *error = NULL;
    g_autoptr(GBytes) key = parsec_key();
    g_autoptr(MonattQuote) quote = read_quote("parsec-ecdsa.msg", "parsec-ecdsa.sig", 7);
    gboolean good = monatt_quote_check(quote, key, question, 8, 7, &facts, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_assert_cmpuint(facts.clock_ms, ==, 0x1addb3cf);
    values[95] = 1;
    g_bytes_unref(quote->values);
    quote->values = g_bytes_new(values, sizeof(values));
    refuse(quote, key, question, 8, 7, MONATT_ERROR_REFUSED, "values are not those");
    refuse(quote, key, question, 7, 7, MONATT_ERROR_REFUSED, "another question");
    refuse(quote, key, "deadbeef", 8, 7, MONATT_ERROR_REFUSED, "another question");
    refuse(quote, key, question, 8, 15, MONATT_ERROR_REFUSED, "other registers");
    g_bytes_unref(quote->attest);
    quote->attest = read_bytes("parsec-ecdsa.certify.msg");
    refuse(quote, key, question, 8, 7, MONATT_ERROR_REFUSED, "not by this key");
}

/* Case E05: the same key, the same nonce, signed by a TPM, and yet no quote. */
static void test_parsec_certify(void)
{
    static const uint8_t question[] = {0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef};
    g_autoptr(GBytes) key = parsec_key();
    g_autoptr(MonattQuote) quote =
        read_quote("parsec-ecdsa.certify.msg", "parsec-ecdsa.certify.sig", 7);
    refuse(quote, key, question, 8, 7, MONATT_ERROR_REFUSED, "something else");
}

/* The key that was certified: its Name stands in the TPMS_CERTIFY_INFO, its form is not ours. */
static void test_parsec_name(void)
{
    g_autoptr(GBytes) public = read_bytes("parsec-ecdsa.certify.pubarea");
    g_autoptr(GBytes) certify = read_bytes("parsec-ecdsa.certify.msg");
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    size_t size = 0;
    gsize certify_size;
    GError *error = NULL;
    const uint8_t *attest = g_bytes_get_data(certify, &certify_size);
    g_assert_true(monatt_public_name(public, name, &size, &error));
    /* magic 4, type 2, signer 36, extraData 10, clock 17, firmware 8, size 2, then the Name */
    g_assert_cmpuint(certify_size, >=, 79 + 34);
    g_assert_cmpmem(attest + 79, 34, name, size);
    /* not restricted, as a key that signs for an application is */
    g_assert_false(monatt_public_check(public, "S256", NULL, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_error_free(error);
}

static void test_rsa_quote(void)
{
    g_autoptr(GBytes) key = read_bytes("gce-cos-85-nonce9009.ak.tpmt");
    g_autoptr(GBytes) ecc = parsec_key();
    g_autoptr(MonattQuote) quote =
        read_quote("gce-cos-85-nonce9009.sha256.msg", "gce-cos-85-nonce9009.sha256.sig", 0xffffff);
    refuse(quote, key, "9009", 4, 0xffffff, MONATT_ERROR_REFUSED, "not ECDSA");
    g_bytes_unref(quote->signature);
    quote->signature = read_bytes("parsec-ecdsa.sig");
    refuse(quote, key, "9009", 4, 0xffffff, MONATT_ERROR_FORMAT, "must be ECC");
    refuse(quote, ecc, "9009", 4, 0xffffff, MONATT_ERROR_REFUSED, "not by this key");
}

static MonattJws *read_token(const char *name, gboolean strip, GError **error)
{
    g_autoptr(GBytes) bytes = read_bytes(name);
    gsize size;
    const char *text = g_bytes_get_data(bytes, &size);
    while (strip && size > 0 && g_ascii_isspace(text[size - 1])) {
        size--;
    }
    return monatt_jws_parse(text, size, "JWT", FALSE, error);
}

static void test_tokens(void)
{
    static const char *const good[] = {"veraison-arc-ok.jwt", "veraison-ear-extensions-ok.jwt"};
    /* jose 11 takes two of these: the key in the header, and the fourth part (case V06) */
    static const char *const bad[] = {
        "veraison-arc-jwk-in-header.jwt", "veraison-ear-bad-hs256.jwt",
        "veraison-ear-bad-leading-dot.jwt", "veraison-ear-bad-trailing-part.jwt"};
    g_autoptr(GBytes) jwk_bytes = read_bytes("veraison-ec-p256.pub.jwk");
    gsize size;
    const char *text = g_bytes_get_data(jwk_bytes, &size);
    json_t *jwk = json_loadb(text, size, 0, NULL);
    EVP_PKEY *key = monatt_key_from_jwk(jwk, NULL);
    EVP_PKEY *other = monatt_key_generate("S256", NULL);
    g_assert_nonnull(key);
    json_decref(jwk);
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        GError *error = NULL;
        g_autoptr(MonattJws) jws = read_token(good[i], TRUE, &error);
        g_assert_no_error(error);
        g_assert_true(monatt_jws_verify(jws, key, NULL));
        g_assert_false(monatt_jws_verify(jws, other, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
        g_error_free(error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_assert_null(read_token(bad[i], TRUE, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
        g_error_free(error);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/corpus/parsec-quote", test_parsec_quote);
    g_test_add_func("/corpus/refuses-parsec-certify", test_parsec_certify);
    g_test_add_func("/corpus/parsec-name", test_parsec_name);
    g_test_add_func("/corpus/refuses-rsa-quote", test_rsa_quote);
    g_test_add_func("/corpus/tokens", test_tokens);
    return g_test_run();
}
