/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-error.c - errors: set, errno, prefix, hint, exit codes, and text that is too long
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/error.h"

static void test_set(void)
{
    MonattError err = {.hint = "old", .system_errno = 5};
    g_assert_false(monatt_error_set(&err, MONATT_ERROR_LIMIT, "log: '%s': %d", "web-3", 7));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_cmpint(err.system_errno, ==, 0);
    g_assert_cmpstr(err.message, ==, "log: 'web-3': 7");
    g_assert_cmpstr(err.hint, ==, "");
    g_assert_false(monatt_error_hint(&err, "try %s", "again"));
    g_assert_cmpstr(err.hint, ==, "try again");
    g_assert_false(monatt_error_prefix(&err, "VM %d", 3));
    g_assert_cmpstr(err.message, ==, "VM 3: log: 'web-3': 7");
    g_assert_cmpstr(err.hint, ==, "try again");
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    monatt_error_clear(&err);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
    g_assert_cmpstr(err.message, ==, "");
}

static void test_null(void)
{
    g_assert_false(monatt_error_set(NULL, MONATT_ERROR_LIMIT, "x"));
    g_assert_false(monatt_error_set_errno(NULL, EACCES, "x"));
    g_assert_false(monatt_error_hint(NULL, "x"));
    g_assert_false(monatt_error_prefix(NULL, "x"));
    monatt_error_clear(NULL);
}

static void test_errno(void)
{
    static const struct {
        int number;
        MonattErrorCode code;
    } cases[] = {
        {EACCES, MONATT_ERROR_PERMISSION}, {EPERM, MONATT_ERROR_PERMISSION},
        {ENOENT, MONATT_ERROR_MISSING},    {ENODEV, MONATT_ERROR_MISSING},
        {EAGAIN, MONATT_ERROR_BUSY},       {EBUSY, MONATT_ERROR_BUSY},
        {EPIPE, MONATT_ERROR_PEER},        {ECONNREFUSED, MONATT_ERROR_PEER},
        {EIO, MONATT_ERROR_SYSTEM},        {99999, MONATT_ERROR_SYSTEM},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        MonattError err = {0};
        g_assert_false(monatt_error_set_errno(&err, cases[i].number, "open: 'x'"));
        g_assert_cmpint(err.code, ==, cases[i].code);
        g_assert_cmpint(err.system_errno, ==, cases[i].number);
    }
    MonattError err = {0};
    monatt_error_set_errno(&err, ENOENT, "open: 'x'");
    g_assert_cmpstr(err.message, ==, "open: 'x': No such file or directory");
    monatt_error_set_errno(&err, 99999, "open: 'x'");
    g_assert_cmpstr(err.message, ==, "open: 'x': unknown error");
}

static void test_too_long(void)
{
    g_autofree char *text = g_strnfill(1000, 'x');
    g_autofree char *one = g_strnfill(MONATT_ERROR_MESSAGE_SIZE - 1, 'y');
    MonattError err = {0};
    monatt_error_set(&err, MONATT_ERROR_USAGE, "%s", text);
    g_assert_cmpuint(strlen(err.message), ==, MONATT_ERROR_MESSAGE_SIZE - 1);
    monatt_error_set_errno(&err, ENOENT, "%s", text);
    g_assert_cmpuint(strlen(err.message), ==, MONATT_ERROR_MESSAGE_SIZE - 1);
    monatt_error_hint(&err, "%s", text);
    g_assert_cmpuint(strlen(err.hint), ==, MONATT_ERROR_HINT_SIZE - 1);
    /* The front stays: what failed on what. */
    monatt_error_prefix(&err, "VM 'web-3'");
    g_assert_true(g_str_has_prefix(err.message, "VM 'web-3': xxx"));
    for (size_t length = MONATT_ERROR_MESSAGE_SIZE - 8; length < MONATT_ERROR_MESSAGE_SIZE + 3;
         length++) {
        monatt_error_set(&err, MONATT_ERROR_USAGE, "%s", one);
        monatt_error_prefix(&err, "%.*s", (int)length, text);
        g_assert_cmpuint(strlen(err.message), <, MONATT_ERROR_MESSAGE_SIZE);
        g_assert_true(g_str_has_prefix(err.message, "xxx"));
    }
}

static void test_codes(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (int code = 0; code < MONATT_ERROR_COUNT; code++) {
        const char *name = monatt_error_code_name((MonattErrorCode)code);
        g_assert_true(g_hash_table_add(names, (gpointer)name)); /* each its own */
    }
    g_assert_cmpstr(monatt_error_code_name(MONATT_ERROR_FORMAT), ==, "format");
    g_assert_cmpstr(monatt_error_code_name(MONATT_ERROR_COUNT), ==, "internal");
    g_assert_cmpstr(monatt_error_code_name((MonattErrorCode)-1), ==, "internal");
    g_assert_cmpint(monatt_error_exit_code(MONATT_ERROR_NONE), ==, 0);
    g_assert_cmpint(monatt_error_exit_code(MONATT_ERROR_USAGE), ==, 2);
    g_assert_cmpint(monatt_error_exit_code(MONATT_ERROR_REFUSED), ==, 3);
    g_assert_cmpint(monatt_error_exit_code(MONATT_ERROR_SYSTEM), ==, 1);
    g_assert_cmpint(monatt_error_exit_code(MONATT_ERROR_INTERNAL), ==, 1);
}

static void test_cleanup(void)
{
    int kept = -1;
    {
        int fd MONATT_CLEANUP_CLOSE = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int none MONATT_CLEANUP_CLOSE = -1;
        char *text MONATT_CLEANUP_FREE = strdup("x");
        char *nothing MONATT_CLEANUP_FREE = NULL;
        g_assert_cmpint(fd, >=, 0);
        g_assert_nonnull(text);
        g_assert_null(nothing);
        g_assert_cmpint(none, ==, -1);
        kept = fd;
        errno = ENOSPC;
    }
    g_assert_cmpint(errno, ==, ENOSPC);
    g_assert_cmpint(fcntl(kept, F_GETFD), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/set", test_set);
    g_test_add_func("/error/null", test_null);
    g_test_add_func("/error/errno", test_errno);
    g_test_add_func("/error/too-long", test_too_long);
    g_test_add_func("/error/codes", test_codes);
    g_test_add_func("/error/cleanup", test_cleanup);
    return g_test_run();
}
