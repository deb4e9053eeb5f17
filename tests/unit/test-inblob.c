/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-inblob.c - a guest's nonce, against values that another program computed
 */
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/inblob.h"

static void check(const char *inblob, const char *expected)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    char text[2 * MONATT_NONCE_SIZE + 1];
    g_assert_true(monatt_inblob_nonce(inblob, strlen(inblob), nonce));
    monatt_text_from_bytes(nonce, sizeof(nonce), text);
    g_assert_cmpstr(text, ==, expected);
}

/* printf 'monatt guest report 1%s' INBLOB | sha256sum */
static void test_known_answers(void)
{
    check("x", "e5f53f747905f44fc98ad814bb2bade0c7d02b7f2abffbd28d3b98a9db4075b3");
    check("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
          "7089f1832f1770234310f90ead05e93f7e0b4535fcd572560309b48ef1bc5af2");
}

static void test_refuses_sizes(void)
{
    uint8_t nonce[MONATT_NONCE_SIZE] = {7};
    uint8_t bytes[MONATT_INBLOB_MAXIMUM + 1] = {0};
    g_assert_false(monatt_inblob_nonce(bytes, 0, nonce));
    g_assert_false(monatt_inblob_nonce(bytes, sizeof(bytes), nonce));
    g_assert_false(monatt_inblob_nonce(bytes, SIZE_MAX, nonce));
    g_assert_cmpuint(nonce[0], ==, 7);
    g_assert_true(monatt_inblob_nonce(bytes, MONATT_INBLOB_MAXIMUM, nonce));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inblob/known-answers", test_known_answers);
    g_test_add_func("/inblob/refuses-sizes", test_refuses_sizes);
    return g_test_run();
}
