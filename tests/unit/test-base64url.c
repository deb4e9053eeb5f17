/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-base64url.c - one text for each byte string, and no second one that is taken
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"

/* RFC 4648, 10, without padding; and RFC 7515, appendix C. */
static void test_vectors(void)
{
    static const uint8_t octets[] = {3, 236, 255, 224, 193};
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        gsize size;
        g_autofree char *text = monatt_base64url_encode(pairs[i][0], strlen(pairs[i][0]));
        g_assert_cmpstr(text, ==, pairs[i][1]);
        g_autoptr(GBytes) back = monatt_base64url_decode(text, strlen(text), 6, NULL);
        const void *bytes = g_bytes_get_data(back, &size);
        g_assert_cmpmem(bytes, size, pairs[i][0], strlen(pairs[i][0]));
    }
    g_autofree char *text = monatt_base64url_encode(octets, sizeof(octets));
    g_assert_cmpstr(text, ==, "A-z_4ME");
}

static void test_round(void)
{
    uint8_t bytes[257];
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        gsize back_size;
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)g_test_rand_int();
        }
        g_autofree char *text = monatt_base64url_encode(bytes, size);
        g_autoptr(GBytes) back = monatt_base64url_decode(text, strlen(text), size, NULL);
        g_assert_nonnull(back);
        const void *again = g_bytes_get_data(back, &back_size);
        g_assert_cmpmem(again, back_size, bytes, size);
    }
}

static void refuse(const char *text, size_t size, size_t maximum, MonattErrorCode code)
{
    GError *error = NULL;
    g_assert_null(monatt_base64url_decode(text, size, maximum, &error));
    g_assert_error(error, MONATT_GERROR, (int)code);
    g_error_free(error);
}

static void test_refuses(void)
{
    static const char *const bad[] = {"Z",    "Zg==", "Zm9v Zg", "Zm9v\n", "Zm9+", "Zm9/", "Zm9vY",
                                      "Zm9.", "Zh",   "Zm9",     "Zm\xc3", "=",    " "};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        refuse(bad[i], strlen(bad[i]), 100, MONATT_ERROR_FORMAT);
    }
    refuse("Zm\0v", 4, 100, MONATT_ERROR_FORMAT);
    refuse("Zm9v", 4, 2, MONATT_ERROR_LIMIT);
    refuse("Zg", 2, 0, MONATT_ERROR_LIMIT);
}

/* Of all texts of two and three characters exactly the encodings of all one- and two-byte strings
 * are taken. */
static void test_one_text_each(void)
{
    static const size_t wanted[] = {256, 65536};
    for (size_t length = 2; length <= 3; length++) {
        size_t taken = 0;
        char text[3];
        for (unsigned i = 0; i < 1u << 7 * length; i++) {
            text[0] = (char)(i & 127);
            text[1] = (char)(i >> 7 & 127);
            text[2] = (char)(i >> 14 & 127);
            g_autoptr(GBytes) bytes = monatt_base64url_decode(text, length, 2, NULL);
            taken += bytes != NULL;
        }
        g_assert_cmpuint(taken, ==, wanted[length - 2]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base64url/vectors", test_vectors);
    g_test_add_func("/base64url/round", test_round);
    g_test_add_func("/base64url/refuses", test_refuses);
    g_test_add_func("/base64url/one-text-each", test_one_text_each);
    return g_test_run();
}
