/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-gerror.c - the bridge between the two errors keeps code, message and hint; and the suites
 */
#include "libmonatt/evidence/evidence.h"

static void test_bridge(void)
{
    MonattError err = {0};
    for (int code = 1; code < MONATT_ERROR_COUNT; code++) {
        GError *error = NULL;
        monatt_error_set(&err, (MonattErrorCode)code, "file '%s': is empty", "x");
        g_assert_false(monatt_error_to_gerror(&err, &error));
        g_assert_error(error, MONATT_GERROR, code);
        g_assert_cmpstr(error->message, ==, "file 'x': is empty");
        g_assert_null(monatt_gerror_hint(error));
        g_error_free(error);
    }
    g_assert_false(monatt_error_to_gerror(&err, NULL));
}

static void test_hint(void)
{
    MonattError err = {0};
    GError *error = NULL;
    monatt_error_set(&err, MONATT_ERROR_USAGE, "nonce: too short");
    monatt_error_hint(&err, "give 64 digits");
    g_assert_false(monatt_error_to_gerror(&err, &error));
    g_assert_cmpstr(monatt_gerror_hint(error), ==, "give 64 digits");
    g_autofree char *message = monatt_gerror_message(error);
    g_assert_cmpstr(message, ==, "nonce: too short");
    g_prefix_error(&error, "evidence 'x': ");
    g_assert_cmpstr(monatt_gerror_hint(error), ==, "give 64 digits");
    g_error_free(error);
}

static void test_suites(void)
{
    static const char *const unknown[] = {"", "S25", "S2566", "s256", "S512", NULL};
    uint8_t digest[48];
    g_assert_cmpuint(monatt_suite_digest_size("S256"), ==, 32);
    g_assert_cmpuint(monatt_suite_digest_size("S384"), ==, 48);
    g_assert_cmpstr(monatt_suite_alg("S256"), ==, "ES256");
    g_assert_cmpstr(monatt_suite_alg("S384"), ==, "ES384");
    g_assert_cmpuint(monatt_suite_bank("S256"), ==, 0x000b);
    g_assert_cmpuint(monatt_suite_bank("S384"), ==, 0x000c);
    g_assert_cmpstr(monatt_suite_of_bank(0x000b), ==, "S256");
    g_assert_cmpstr(monatt_suite_of_bank(0x000c), ==, "S384");
    g_assert_null(monatt_suite_of_bank(0x0004)); /* SHA-1 */
    g_assert_null(monatt_suite_of_bank(0));
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        g_assert_cmpuint(monatt_suite_digest_size(unknown[i]), ==, 0);
        g_assert_null(monatt_suite_alg(unknown[i]));
        g_assert_null(monatt_suite_md(unknown[i]));
        g_assert_cmpuint(monatt_suite_bank(unknown[i]), ==, 0);
        g_assert_false(monatt_suite_hash(unknown[i], "", 0, digest));
    }
    /* FIPS 180-4: the empty message */
    char text[97];
    g_assert_true(monatt_suite_hash("S256", NULL, 0, digest));
    monatt_text_from_bytes(digest, 32, text);
    g_assert_cmpstr(text, ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gerror/bridge", test_bridge);
    g_test_add_func("/gerror/hint", test_hint);
    g_test_add_func("/gerror/suites", test_suites);
    return g_test_run();
}
