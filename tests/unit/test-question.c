/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-question.c - bodies of POST …/attest: what each one asks for, what each one is refused for
 */
#include <glib.h>
#include <string.h>
#include "host-collector/attest.h"
#include "host-collector/question.h"

#define NONCE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* bytes 0 to 31 */

static MonattErrorCode parse(const char *body, uint32_t *ret_bits)
{
    MonattError err = {0};
    gsize size = 0;
    GBytes *nonce = question_parse(body, strlen(body), ret_bits, &err);
    if (!nonce) {
        g_assert_cmpint(err.code, !=, MONATT_ERROR_NONE);
        g_assert_cmpstr(err.hint, !=, "");
        return err.code;
    }
    const uint8_t *bytes = g_bytes_get_data(nonce, &size);
    g_assert_cmpuint(size, ==, MONATT_NONCE_SIZE);
    for (uint8_t i = 0; i < MONATT_NONCE_SIZE; i++) {
        g_assert_cmpuint(bytes[i], ==, i);
    }
    g_bytes_unref(nonce);
    return err.code;
}

static void test_accepts(void)
{
    static const struct {
        const char *body;
        uint32_t bits;
    } cases[] = {
        {"{\"nonce\":\"" NONCE "\"}", ATTEST_EVERYTHING},
        {" {\"properties\":[\"startup-integrity\"],\"nonce\":\"" NONCE "\"}\n",
         MONATT_MEASURE_BOOT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[\"runtime-integrity\",\"runtime-integrity\"]}",
         MONATT_MEASURE_TASKS},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[\"confidentiality.membus\","
         "\"startup-integrity\"]}",
         MONATT_MEASURE_PLUGIN | MONATT_MEASURE_BOOT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[\"availability.cpu\"]}", 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t bits = UINT32_MAX;
        g_test_message("%s", cases[i].body);
        g_assert_cmpint(parse(cases[i].body, &bits), ==, MONATT_ERROR_NONE);
        g_assert_cmphex(bits, ==, cases[i].bits);
    }
}

static void test_refuses(void)
{
    static const struct {
        const char *body;
        MonattErrorCode code;
    } cases[] = {
        {"", MONATT_ERROR_FORMAT},
        {"null", MONATT_ERROR_FORMAT},
        {"{}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\"} x", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"Nonce\":\"\"}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"nonce\":\"" NONCE "\"}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":[\"" NONCE "\"]}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":\"startup-integrity\"}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":null}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[]}", MONATT_ERROR_FORMAT},
        {"{\"properties\":[\"startup-integrity\"]}", MONATT_ERROR_FORMAT},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[1]}", MONATT_ERROR_USAGE},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[\"Startup-integrity\"]}", MONATT_ERROR_USAGE},
        {"{\"nonce\":\"" NONCE "\",\"properties\":[\"startup-integrity\",\"\"]}",
         MONATT_ERROR_USAGE},
        {"{\"nonce\":\"\"}", MONATT_ERROR_USAGE},
        {"{\"nonce\":\"" NONCE "=\"}", MONATT_ERROR_USAGE},
        {"{\"nonce\":\"" NONCE "AA\"}", MONATT_ERROR_USAGE},
        {"{\"nonce\":\"+" NONCE "\"}", MONATT_ERROR_USAGE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t bits;
        g_test_message("%s", cases[i].body);
        g_assert_cmpint(parse(cases[i].body, &bits), ==, cases[i].code);
    }
}

static void test_count(void)
{
    for (size_t count = 16; count <= 17; count++) {
        g_autoptr(GString) body = g_string_new("{\"nonce\":\"" NONCE "\",\"properties\":[");
        uint32_t bits;
        for (size_t i = 0; i < count; i++) {
            g_string_append(body, i ? ",\"host-integrity\"" : "\"host-integrity\"");
        }
        g_string_append(body, "]}");
        g_assert_cmpint(parse(body->str, &bits), ==,
                        count == 16 ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
    }
}

static void test_nonce(void)
{
    MonattError err = {0};
    g_assert_null(question_nonce(NULL, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    g_autoptr(GBytes) nonce = question_nonce(NONCE, NULL);
    g_assert_nonnull(nonce);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/question/accepts", test_accepts);
    g_test_add_func("/question/refuses", test_refuses);
    g_test_add_func("/question/count", test_count);
    g_test_add_func("/question/nonce", test_nonce);
    return g_test_run();
}
