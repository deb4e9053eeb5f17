/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key.c - EC keys; must never accept another curve than those of the suites, nor a point off it
 */
#include "libmonatt/evidence/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/suite.h"

#define COORDINATE_MAXIMUM 48

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_clear_free)

static const char *curve_of(const char *suite)
{
    return strcmp(suite, "S256") == 0 ? "P-256" : "P-384";
}

EVP_PKEY *monatt_key_generate(const char *suite, GError **error)
{
    EVP_PKEY *key = monatt_suite_digest_size(suite) ? EVP_EC_gen(curve_of(suite)) : NULL;
    if (key == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "key: cannot make one for '%s'",
                    suite);
    }
    return key;
}

EVP_PKEY *monatt_key_from_point(const char *suite, const uint8_t *x, size_t x_size,
                                const uint8_t *y, size_t y_size, GError **error)
{
    size_t size = monatt_suite_digest_size(suite); /* equal to the field's size in both suites */
    if (size == 0 || x_size == 0 || x_size > size || y_size == 0 || y_size > size) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "key: coordinates of %zu and %zu bytes do not fit the curve", x_size, y_size);
        return NULL;
    }
    /* SEC 1, 2.3.3: uncompressed point; a TPM may leave leading zeros out. */
    uint8_t point[1 + 2 * COORDINATE_MAXIMUM] = {0x04};
    memcpy(point + 1 + size - x_size, x, x_size);
    memcpy(point + 1 + 2 * size - y_size, y, y_size);

    g_autoptr(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    g_autoptr(EVP_PKEY) key = NULL;
    char curve[16];
    g_strlcpy(curve, curve_of(suite), sizeof(curve));
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size),
        OSSL_PARAM_construct_end(),
    };
    gboolean good = context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
                    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
    if (good) {
        g_autoptr(EVP_PKEY_CTX) check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        good = check != NULL && EVP_PKEY_public_check(check) == 1;
    }
    if (!good) {
        ERR_clear_error();
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "key: not a point of %s",
                    curve_of(suite));
        return NULL;
    }
    return g_steal_pointer(&key);
}

static gboolean add_number(json_t *jwk, const char *member, EVP_PKEY *key, const char *parameter,
                           size_t size)
{
    BIGNUM *raw = NULL;
    uint8_t bytes[COORDINATE_MAXIMUM];
    if (EVP_PKEY_get_bn_param(key, parameter, &raw) != 1) {
        return FALSE;
    }
    g_autoptr(BIGNUM) number = raw;
    if (BN_bn2binpad(number, bytes, (int)size) != (int)size) {
        return FALSE;
    }
    char *text = monatt_base64url_encode(bytes, size);
    gboolean good = json_object_set_new(jwk, member, json_string(text)) == 0;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(text, strlen(text));
    g_free(text);
    return good;
}

json_t *monatt_key_to_jwk(EVP_PKEY *key, gboolean with_private, GError **error)
{
    const char *suite = monatt_suite_of_key(key);
    json_t *jwk = json_object();
    size_t size = monatt_suite_digest_size(suite);
    if (suite == NULL || json_object_set_new(jwk, "kty", json_string("EC")) != 0 ||
        json_object_set_new(jwk, "crv", json_string(curve_of(suite))) != 0 ||
        !add_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, size) ||
        !add_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, size) ||
        (with_private && !add_number(jwk, "d", key, OSSL_PKEY_PARAM_PRIV_KEY, size))) {
        ERR_clear_error();
        json_decref(jwk);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "key: not %s EC key on P-256 or P-384", with_private ? "a private" : "an");
        return NULL;
    }
    return jwk;
}

static GBytes *get_number(const json_t *jwk, const char *member, size_t size, GError **error)
{
    const char *text = json_string_value(json_object_get(jwk, member));
    GBytes *bytes = NULL;
    if (text != NULL) {
        bytes = monatt_base64url_decode(text, strlen(text), size, error);
        if (bytes == NULL) {
            g_prefix_error(error, "JWK: member '%s': ", member);
            return NULL;
        }
    }
    if (bytes == NULL || g_bytes_get_size(bytes) != size) {
        g_clear_pointer(&bytes, g_bytes_unref);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "JWK: member '%s' must hold %zu bytes", member, size);
    }
    return bytes;
}

EVP_PKEY *monatt_key_from_jwk(const json_t *jwk, GError **error)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty"));
    const char *curve = json_string_value(json_object_get(jwk, "crv"));
    const char *suite = NULL;
    if (g_strcmp0(curve, "P-256") == 0) {
        suite = "S256";
    } else if (g_strcmp0(curve, "P-384") == 0) {
        suite = "S384";
    }
    if (g_strcmp0(kty, "EC") != 0 || suite == NULL || json_object_size(jwk) != 4) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "JWK: must be kty EC, crv P-256 or P-384, x, y and nothing else");
        return NULL;
    }
    size_t size = monatt_suite_digest_size(suite);
    g_autoptr(GBytes) x = get_number(jwk, "x", size, error);
    if (x == NULL) {
        return NULL;
    }
    g_autoptr(GBytes) y = get_number(jwk, "y", size, error);
    if (y == NULL) {
        return NULL;
    }
    return monatt_key_from_point(suite, g_bytes_get_data(x, NULL), size, g_bytes_get_data(y, NULL),
                                 size, error);
}

GBytes *monatt_key_sign(EVP_PKEY *key, const void *bytes, size_t size, GError **error)
{
    const char *suite = monatt_suite_of_key(key);
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    g_autofree uint8_t *signature = NULL; /* before any goto: it is freed on every way out */
    size_t length = 0;
    if (suite == NULL || context == NULL ||
        EVP_DigestSignInit(context, NULL, monatt_suite_md(suite), NULL, key) != 1 ||
        EVP_DigestSign(context, NULL, &length, bytes, size) != 1) {
        goto failed;
    }
    signature = g_malloc(length);
    if (EVP_DigestSign(context, signature, &length, bytes, size) != 1) {
        goto failed;
    }
    return g_bytes_new(signature, length);
failed:
    ERR_clear_error();
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "key: cannot sign");
    return NULL;
}

gboolean monatt_key_verify(EVP_PKEY *key, const void *bytes, size_t size, const void *signature,
                           size_t signature_size, GError **error)
{
    const char *suite = monatt_suite_of_key(key);
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    if (suite == NULL || context == NULL ||
        EVP_DigestVerifyInit(context, NULL, monatt_suite_md(suite), NULL, key) != 1 ||
        EVP_DigestVerify(context, signature, signature_size, bytes, size) != 1) {
        ERR_clear_error();
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "signature is not by this key over these bytes");
        return FALSE;
    }
    return TRUE;
}
