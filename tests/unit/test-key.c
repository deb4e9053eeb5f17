/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-key.c - EC keys as points and JWK: only the two curves, only points on them
 */
#include <openssl/rsa.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"

/* RFC 7517, A.1. */
#define RFC_JWK                                                                                    \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","     \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}"

static EVP_PKEY *from_text(const char *text, GError **error)
{
    json_t *jwk = json_loads(text, 0, NULL);
    g_assert_nonnull(jwk);
    EVP_PKEY *key = monatt_key_from_jwk(jwk, error);
    json_decref(jwk);
    return key;
}

static void test_jwk_round(gconstpointer suite)
{
    GError *error = NULL;
    EVP_PKEY *key = monatt_key_generate(suite, &error);
    json_t *public = monatt_key_to_jwk(key, FALSE, &error);
    json_t *private = monatt_key_to_jwk(key, TRUE, &error);
    g_assert_cmpuint(json_object_size(public), ==, 4);
    g_assert_cmpuint(json_object_size(private), ==, 5);
    EVP_PKEY *again = monatt_key_from_jwk(public, &error);
    g_assert_no_error(error);
    g_assert_cmpint(EVP_PKEY_eq(key, again), ==, 1);
    g_assert_cmpstr(monatt_suite_of_key(again), ==, suite);
    g_assert_null(monatt_key_from_jwk(private, &error)); /* where a public key is wanted */
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    g_assert_null(monatt_key_to_jwk(again, TRUE, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_USAGE);
    g_clear_error(&error);
    json_decref(public);
    json_decref(private);
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
}

static void test_refuses_jwk(void)
{
    static const struct {
        const char *from;
        const char *to;
    } changes[] = {
        {"\"EC\"", "\"RSA\""},
        {"\"EC\"", "\"OKP\""},
        {"P-256", "P-384"},
        {"P-256", "P-521"},
        {"P-256", "secp256k1"},
        {"\"kty\":\"EC\",", ""},
        {"\"kty\":\"EC\",", "\"kty\":\"EC\",\"use\":\"sig\","},
        {"\"x\":\"M", "\"x\":\"N"},           /* not on the curve */
        {"\"x\":\"MKBC", "\"x\":\""},         /* short */
        {"\"x\":\"MKBC", "\"x\":\"AAAAMKBC"}, /* long */
        {"qv7D4\"", "qv7D5\""},               /* pad bits */
        {"\"y\":\"", "\"y\":\"="},
        {"\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"", "\"y\":7"},
    };
    GError *error = NULL;
    EVP_PKEY *good = from_text(RFC_JWK, &error);
    g_assert_no_error(error);
    EVP_PKEY_free(good);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_auto(GStrv) parts = g_strsplit(RFC_JWK, changes[i].from, 2);
        g_assert_nonnull(parts[1]);
        g_autofree char *bad = g_strjoinv(changes[i].to, parts);
        g_assert_null(from_text(bad, &error));
        g_assert_nonnull(error);
        g_assert_true(error->code == MONATT_ERROR_FORMAT || error->code == MONATT_ERROR_LIMIT);
        g_clear_error(&error);
    }
}

static void test_points(gconstpointer suite)
{
    size_t size = monatt_suite_digest_size(suite);
    uint8_t zeros[49] = {0};
    uint8_t ones[49];
    GError *error = NULL;
    memset(ones, 0xff, sizeof(ones));
    const struct {
        const uint8_t *x;
        size_t x_size;
        const uint8_t *y;
        size_t y_size;
    } bad[] = {
        {zeros, size, zeros, size}, /* infinity has no such form */
        {ones, size, ones, size},   /* above the field's prime */
        {zeros, 0, zeros, size},        {zeros, size, zeros, 0},
        {zeros, size + 1, zeros, size}, {zeros, size, zeros, size + 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(
            monatt_key_from_point(suite, bad[i].x, bad[i].x_size, bad[i].y, bad[i].y_size, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
        g_clear_error(&error);
    }
    g_assert_null(monatt_key_from_point("S1", zeros, 1, zeros, 1, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
}

static void test_signatures(gconstpointer suite)
{
    EVP_PKEY *key = monatt_key_generate(suite, NULL);
    EVP_PKEY *other = monatt_key_generate(suite, NULL);
    GError *error = NULL;
    gsize size;
    g_autoptr(GBytes) signature = monatt_key_sign(key, "text", 4, &error);
    g_assert_no_error(error);
    const void *data = g_bytes_get_data(signature, &size);
    g_autofree uint8_t *bytes = g_memdup2(data, size);
    g_assert_true(monatt_key_verify(key, "text", 4, bytes, size, &error));
    g_assert_false(monatt_key_verify(other, "text", 4, bytes, size, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_clear_error(&error);
    g_assert_false(monatt_key_verify(key, "texT", 4, bytes, size, NULL));
    g_assert_false(monatt_key_verify(key, "text", 4, bytes, size - 1, NULL));
    g_assert_false(monatt_key_verify(key, "text", 4, bytes, 0, NULL));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        g_assert_false(monatt_key_verify(key, "text", 4, bytes, size, NULL));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* Keys that no suite has. */
static void test_refuses_other_kinds(void)
{
    EVP_PKEY *const keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-521"), EVP_EC_gen("secp256k1"),
                              EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        GError *error = NULL;
        g_assert_nonnull(keys[i]);
        g_assert_null(monatt_suite_of_key(keys[i]));
        g_assert_null(monatt_key_to_jwk(keys[i], FALSE, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_USAGE);
        g_clear_error(&error);
        g_assert_null(monatt_key_sign(keys[i], "text", 4, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL);
        g_clear_error(&error);
        g_assert_false(monatt_key_verify(keys[i], "text", 4, "sig", 3, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
        g_clear_error(&error);
        g_assert_null(monatt_jws_sign("{}", 2, "eat+jwt", keys[i], NULL, NULL));
        EVP_PKEY_free(keys[i]);
    }
    g_assert_null(monatt_suite_of_key(NULL));
    g_assert_null(monatt_key_generate("S512", NULL));
}

static void add_both(const char *path, GTestDataFunc function)
{
    g_autofree char *narrow = g_strconcat(path, "/s256", NULL);
    g_autofree char *wide = g_strconcat(path, "/s384", NULL);
    g_test_add_data_func(narrow, "S256", function);
    g_test_add_data_func(wide, "S384", function);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_both("/key/jwk-round", test_jwk_round);
    g_test_add_func("/key/refuses-jwk", test_refuses_jwk);
    add_both("/key/points", test_points);
    add_both("/key/signatures", test_signatures);
    g_test_add_func("/key/refuses-other-kinds", test_refuses_other_kinds);
    return g_test_run();
}
