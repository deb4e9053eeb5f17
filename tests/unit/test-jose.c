/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-jose.c - a JWS that we sign is taken back; every changed one is refused
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"

#define TYP "eat+jwt"

static char *sign(EVP_PKEY *key, const char *payload)
{
    g_autoptr(GError) error = NULL;
    char *token = monatt_jws_sign(payload, strlen(payload), TYP, key, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(token);
    return token;
}

static gboolean accepts(const char *token, size_t size, const char *typ, EVP_PKEY *key)
{
    g_autoptr(MonattJws) jws = monatt_jws_parse(token, size, typ, FALSE, NULL);

    return jws != NULL && monatt_jws_verify(jws, key, NULL);
}

/* Sixty-four fresh signatures a suite: short r or s turn up among them now and then (case E06). */
static void test_round(gconstpointer suite)
{
    EVP_PKEY *key = monatt_key_generate(suite, NULL);
    EVP_PKEY *other = monatt_key_generate(suite, NULL);

    for (int i = 0; i < 64; i++) {
        g_autofree char *payload = g_strdup_printf("{\"n\":%d}", i);
        g_autofree char *token = sign(key, payload);
        g_autoptr(MonattJws) jws = monatt_jws_parse(token, strlen(token), TYP, FALSE, NULL);

        g_assert_nonnull(jws);
        g_assert_cmpmem(g_bytes_get_data(jws->payload, NULL), g_bytes_get_size(jws->payload),
                        payload, strlen(payload));
        g_assert_true(monatt_jws_verify(jws, key, NULL));
        g_assert_false(monatt_jws_verify(jws, other, NULL));
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void test_refuses_every_bit(void)
{
    EVP_PKEY *key = monatt_key_generate("S256", NULL);
    g_autofree char *token = sign(key, "{\"eat_profile\":\"x\"}");
    size_t size = strlen(token);

    g_assert_true(accepts(token, size, TYP, key));
    for (size_t bit = 0; bit < size * 8; bit++) {
        token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
        g_assert_false(accepts(token, size, TYP, key));
        token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
    }
    EVP_PKEY_free(key);
}

static void test_refuses_other_forms(void)
{
    EVP_PKEY *key = monatt_key_generate("S256", NULL);
    g_autofree char *token = sign(key, "{}");
    g_autofree char *fourth = g_strconcat(token, ".AA", NULL); /* case V06 */
    g_autofree char *dot = g_strconcat(".", token, NULL);

    g_assert_true(accepts(token, strlen(token), TYP, key));
    g_assert_false(accepts(token, strlen(token), "other+jwt", key));
    g_assert_false(accepts(fourth, strlen(fourth), TYP, key));
    g_assert_false(accepts(dot, strlen(dot), TYP, key));
    g_assert_false(accepts(token, strlen(token) - 1, TYP, key));
    g_assert_false(accepts(token, 0, TYP, key));
    EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/jose/signs-and-verifies/es256", "S256", test_round);
    g_test_add_data_func("/jose/signs-and-verifies/es384", "S384", test_round);
    g_test_add_func("/jose/refuses-every-changed-bit", test_refuses_every_bit);
    g_test_add_func("/jose/refuses-other-forms", test_refuses_other_forms);
    return g_test_run();
}
