/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-keyval.c - the value of a QEMU option, as QEMU splits it
 */
#include <glib.h>
#include <string.h>
#include "hw-attest/launcher/keyval.h"

static void reads_pairs(void)
{
    Keyval keyval;
    g_assert_true(keyval_parse("q35,accel=kvm:tcg,smm=off,nousb,dump", "type", &keyval, NULL));
    g_assert_cmpstr(keyval_get(&keyval, "type"), ==, "q35");
    g_assert_cmpstr(keyval_get(&keyval, "accel"), ==, "kvm:tcg");
    g_assert_cmpstr(keyval_get(&keyval, "dump"), ==, "on");
    g_assert_cmpstr(keyval_get(&keyval, "usb"), ==, "off");
    g_assert_null(keyval_get(&keyval, "missing"));
    g_assert_true(keyval_is_on(&keyval, "missing", true));
    g_assert_false(keyval_is_on(&keyval, "smm", true));
    keyval_clear(&keyval);
}

static void doubles_commas(void)
{
    Keyval keyval;
    g_assert_true(keyval_parse("file=/a,,b=c,if=none", NULL, &keyval, NULL));
    g_assert_cmpstr(keyval_get(&keyval, "file"), ==, "/a,b=c");
    g_assert_true(keyval_set(&keyval, "file", "/x,y", NULL));
    char *text = keyval_text(&keyval);
    g_assert_cmpstr(text, ==, "file=/x,,y,if=none");
    free(text);
    keyval_clear(&keyval);
}

static void takes_the_last(void)
{
    Keyval keyval;
    g_assert_true(keyval_parse("a=1,a=2,b,", NULL, &keyval, NULL));
    g_assert_cmpstr(keyval_get(&keyval, "a"), ==, "2");
    g_assert_cmpuint(keyval.count, ==, 3);
    keyval_clear(&keyval);
    g_assert_true(keyval_parse("", "type", &keyval, NULL));
    g_assert_cmpuint(keyval.count, ==, 0);
    keyval_clear(&keyval);
}

static void reads_json(void)
{
    Keyval keyval;
    g_assert_true(
        keyval_parse("{\"driver\":\"raw\",\"read-only\":true,\"size\":5,"
                     "\"file\":{\"driver\":\"file\",\"filename\":\"/a,b\"},\"l\":[\"x\"]}",
                     "driver", &keyval, NULL));
    g_assert_cmpstr(keyval_get(&keyval, "file.filename"), ==, "/a,b");
    g_assert_cmpstr(keyval_get(&keyval, "size"), ==, "5");
    g_assert_cmpstr(keyval_get(&keyval, "l.0"), ==, "x");
    g_assert_true(keyval_is_on(&keyval, "read-only", false));
    g_assert_true(keyval_set(&keyval, "file.filename", "/proc/self/fd/7", NULL));
    char *text = keyval_text(&keyval);
    g_assert_cmpstr(text, ==,
                    "{\"driver\":\"raw\",\"read-only\":true,\"size\":5,\"file\":{\"driver\":"
                    "\"file\",\"filename\":\"/proc/self/fd/7\"},\"l\":[\"x\"]}");
    free(text);
    keyval_clear(&keyval);
}

static void refuses_json(void)
{
    static const char *const broken[] = {"{", "{}x", "{\"a\":1,\"a\":2}", "{\"a\"}", "{'a':1}"};
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        Keyval keyval;
        MonattError err = {0};
        g_assert_false(keyval_parse(broken[i], NULL, &keyval, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    }
}

/* n settings "k=v," */
static char *settings(size_t n)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(text, "%sk%zu=v", i ? "," : "", i);
    }
    return g_string_free(text, FALSE);
}

static void refuses_too_many(void)
{
    Keyval keyval;
    MonattError err = {0};
    g_autofree char *most = settings(KEYVAL_PAIRS_MAXIMUM);
    g_autofree char *more = settings(KEYVAL_PAIRS_MAXIMUM + 1);
    g_assert_true(keyval_parse(most, NULL, &keyval, NULL));
    keyval_clear(&keyval);
    g_assert_false(keyval_parse(more, NULL, &keyval, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

/* depth objects in each other */
static char *nested(int depth)
{
    GString *text = g_string_new(NULL);
    for (int i = 0; i < depth; i++) {
        g_string_append(text, "{\"a\":");
    }
    g_string_append(text, "1");
    for (int i = 0; i < depth; i++) {
        g_string_append_c(text, '}');
    }
    return g_string_free(text, FALSE);
}

static void refuses_too_deep(void)
{
    Keyval keyval;
    MonattError err = {0};
    g_autofree char *most = nested(KEYVAL_DEPTH_MAXIMUM);
    g_autofree char *more = nested(KEYVAL_DEPTH_MAXIMUM + 1);
    g_assert_true(keyval_parse(most, NULL, &keyval, NULL));
    keyval_clear(&keyval);
    g_assert_false(keyval_parse(more, NULL, &keyval, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

static void refuses_setting_what_is_not_there(void)
{
    Keyval keyval;
    MonattError err = {0};
    g_assert_true(keyval_parse("a=1", NULL, &keyval, NULL));
    g_assert_false(keyval_set(&keyval, "b", "2", &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_INTERNAL);
    keyval_clear(&keyval);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/reads-pairs", reads_pairs);
    g_test_add_func("/keyval/doubles-commas", doubles_commas);
    g_test_add_func("/keyval/takes-the-last", takes_the_last);
    g_test_add_func("/keyval/reads-json", reads_json);
    g_test_add_func("/keyval/refuses-json", refuses_json);
    g_test_add_func("/keyval/refuses-too-many", refuses_too_many);
    g_test_add_func("/keyval/refuses-too-deep", refuses_too_deep);
    g_test_add_func("/keyval/refuses-setting-what-is-not-there", refuses_setting_what_is_not_there);
    return g_test_run();
}
