/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-log.c - what a program's log lines look like, and that nothing can forge one
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

typedef void (*Writes)(void);

/* What writes() puts on stderr; init reads MONATT_LOG again. */
static char *captured(const char *level, Writes writes)
{
    g_autofree char *path = NULL;
    int file = g_file_open_tmp("monatt-log-XXXXXX", &path, NULL);
    int saved = dup(STDERR_FILENO);
    char *text = NULL;
    g_assert_cmpint(file, >=, 0);
    if (level != NULL) {
        g_setenv("MONATT_LOG", level, TRUE);
    } else {
        g_unsetenv("MONATT_LOG");
    }
    dup2(file, STDERR_FILENO);
    monatt_log_init("tester");
    writes();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_unlink(path);
    return text;
}

static void all_levels(void)
{
    monatt_log_error("one %d", 1);
    monatt_log_warning("two");
    monatt_log_info("three");
    monatt_log_debug("four");
}

static void test_levels(void)
{
    static const struct {
        const char *level;
        const char *text;
    } cases[] = {
        {"error", "tester: one 1\n"},
        {"warning", "tester: one 1\ntester: warning: two\n"},
        {"info", "tester: one 1\ntester: warning: two\ntester: three\n"},
        /* An unknown word, or none, means the default: information, as before. */
        {"loud", "tester: one 1\ntester: warning: two\ntester: three\n"},
        {NULL, "tester: one 1\ntester: warning: two\ntester: three\n"},
        {"debug", "tester: one 1\ntester: warning: two\ntester: three\ntester: debug: four\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = captured(cases[i].level, all_levels);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void forged(void)
{
    monatt_log_error("VM '%s'", "x\ntester: all is well\x1b[2J\r\x7f");
    monatt_log_error("caf\xc3\xa9 \xc2\x9b%s", "2J \xc2");
}

static void test_one_line(void)
{
    g_autofree char *text = captured("info", forged);
    g_assert_cmpstr(text, ==,
                    "tester: VM 'x?tester: all is well?[2J?\?'\n"
                    "tester: caf\xc3\xa9 ?\?2J \xc2\n");
}

static void too_long(void)
{
    g_autofree char *filler = g_strnfill(4000, 'x');
    monatt_log_error("%s", filler);
    monatt_log_error("next");
}

static void test_too_long(void)
{
    g_autofree char *text = captured("info", too_long);
    g_assert_cmpuint(strlen(text), ==, 511 + strlen("tester: next\n"));
    g_assert_true(g_str_has_suffix(text, "xxx\ntester: next\n"));
}

static void failure(void)
{
    MonattError err = {0};
    monatt_error_set(&err, MONATT_ERROR_MISSING, "VM 'x': no such VM");
    monatt_log_failure(&err);
    monatt_error_hint(&err, "look at the list");
    monatt_log_failure(&err);
}

static void test_failure(void)
{
    g_autofree char *text = captured("error", failure);
    g_assert_cmpstr(text, ==,
                    "tester: VM 'x': no such VM\ntester: VM 'x': no such VM\n"
                    "hint: look at the list\n");
}

static void test_limit(void)
{
    MonattLogLimit limit = {0};
    unsigned long suppressed = 99;
    unsigned allowed = 0;
    for (int i = 0; i < 100; i++) {
        allowed += monatt_log_allowed(&limit, 3, &suppressed);
    }
    /* A new second may begin on the way, even two on a machine that stalls. */
    g_assert_cmpuint(allowed, >=, 3);
    g_assert_cmpuint(allowed, <=, 9);
    limit.second -= 10;
    limit.suppressed = 97;
    g_assert_true(monatt_log_allowed(&limit, 3, &suppressed));
    g_assert_cmpuint(suppressed, ==, 97);
    g_assert_true(monatt_log_allowed(&limit, 3, &suppressed));
    g_assert_cmpuint(suppressed, ==, 0);
    g_assert_false(monatt_log_allowed(&limit, 0, &suppressed));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/levels", test_levels);
    g_test_add_func("/log/one-line", test_one_line);
    g_test_add_func("/log/too-long", test_too_long);
    g_test_add_func("/log/failure", test_failure);
    g_test_add_func("/log/limit", test_limit);
    return g_test_run();
}
