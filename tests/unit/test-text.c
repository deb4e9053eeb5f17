/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-text.c - hexadecimal, UUIDs, names and foreign text, good and hostile
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/base/text.h"

static void test_hexadecimal(void)
{
    static const uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff};
    char text[9];
    uint8_t back[4];
    MonattError err = {0};
    monatt_text_from_bytes(bytes, 4, text);
    g_assert_cmpstr(text, ==, "009fa0ff");
    monatt_text_from_bytes(bytes, 0, text);
    g_assert_cmpstr(text, ==, "");
    g_assert_true(monatt_text_to_bytes("009FA0ff", back, 4, &err));
    g_assert_cmpmem(back, 4, bytes, 4);
    g_assert_true(monatt_text_to_bytes("", back, 0, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
}

static void test_refuses_hexadecimal(void)
{
    static const char *const bad[] = {"",         "009fa0f",  "009fa0ff0", "009fa0fg", "g09fa0ff",
                                      " 09fa0ff", "0x9fa0ff", "009fa0f\n", "00:9fa0f", "-09fa0ff"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t back[4] = {7, 7, 7, 7};
        MonattError err = {0};
        g_assert_false(monatt_text_to_bytes(bad[i], back, 4, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
        g_assert_cmpmem(back, 4, "\7\7\7\7", 4);
    }
}

static void test_uuid(void)
{
    static const char text[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    uint8_t uuid[MONATT_UUID_SIZE];
    char back[MONATT_UUID_TEXT_SIZE];
    MonattError err = {0};
    g_assert_true(monatt_text_to_uuid(text, uuid, &err));
    g_assert_cmphex(uuid[0], ==, 0x6b);
    g_assert_cmphex(uuid[6], ==, 0x11);
    g_assert_cmphex(uuid[15], ==, 0xc8);
    monatt_text_from_uuid(uuid, back);
    g_assert_cmpstr(back, ==, text);
    g_assert_true(monatt_text_to_uuid("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", uuid, &err));
    monatt_text_from_uuid(uuid, back);
    g_assert_cmpstr(back, ==, text);
    static const char *const bad[] = {
        "",
        "6ba7b810",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8a",
        "6ba7b8109dad-11d1-80b4-00c04fd430c8-",
        "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
        "6ba7b810-9dad-11d1-80b400c04fd430c8aa",
        "6ba7b810-9dad-11d1-80b4-00c04fd4-0c8",
        "{ba7b810-9dad-11d1-80b4-00c04fd430c}",
        "../7b810-9dad-11d1-80b4-00c04fd430c8",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t untouched[MONATT_UUID_SIZE] = {5};
        err = (MonattError){0};
        g_assert_false(monatt_text_to_uuid(bad[i], untouched, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
        g_assert_cmpuint(untouched[0], ==, 5);
    }
}

static void test_names(void)
{
    g_autofree char *longest = g_strnfill(64, 'a');
    g_autofree char *longer = g_strnfill(65, 'a');
    const char *good[] = {"a", "web-3", "Web_3.example+x@host:1", "0", ":", longest};
    const char *bad[] = {"",     ".",    "..",    "-rf",         ".hidden", "a/b", "a b",
                         "a\nb", "a\tb", "a\x7f", "caf\xc3\xa9", "a;b",     "a*",  longer};
    MonattError err = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(monatt_text_check_name(good[i], &err));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        err = (MonattError){0};
        g_assert_false(monatt_text_check_name(bad[i], &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    }
}

static void test_printable(void)
{
    char out[8];
    monatt_text_printable("abc", 3, out, sizeof(out));
    g_assert_cmpstr(out, ==, "abc");
    monatt_text_printable("a\x1b[2J\n\x7f\xff~", 9, out, sizeof(out));
    g_assert_cmpstr(out, ==, "a?[2J??");
    monatt_text_printable("ab\0cd", 5, out, sizeof(out));
    g_assert_cmpstr(out, ==, "ab");
    monatt_text_printable("0123456789", 10, out, sizeof(out));
    g_assert_cmpstr(out, ==, "0123456");
    monatt_text_printable(NULL, 0, out, sizeof(out));
    g_assert_cmpstr(out, ==, "");
    monatt_text_printable("abc", 3, out, 1);
    g_assert_cmpstr(out, ==, "");
    out[0] = 'x';
    monatt_text_printable("abc", 3, out, 0);
    g_assert_cmpint(out[0], ==, 'x');
}

static void test_equal(void)
{
    uint8_t a[48] = {0};
    uint8_t b[48] = {0};
    g_assert_true(monatt_bytes_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < 8 * sizeof(a); i++) {
        b[i / 8] ^= (uint8_t)(1 << i % 8);
        g_assert_false(monatt_bytes_equal(a, b, sizeof(a)));
        b[i / 8] = 0;
    }
    g_assert_true(monatt_bytes_equal(a, "\1", 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/hexadecimal", test_hexadecimal);
    g_test_add_func("/text/refuses-hexadecimal", test_refuses_hexadecimal);
    g_test_add_func("/text/uuid", test_uuid);
    g_test_add_func("/text/names", test_names);
    g_test_add_func("/text/printable", test_printable);
    g_test_add_func("/text/equal", test_equal);
    return g_test_run();
}
