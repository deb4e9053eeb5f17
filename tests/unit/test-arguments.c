/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-arguments.c - QEMU's command line: which word is an option, which one a value
 */
#include <glib.h>
#include "hw-attest/launcher/arguments.h"

static const char help[] = "QEMU emulator version 12.0.0\n"
                           "-S              freeze CPU\n"
                           "-later          a flag that came later\n"
                           "-later-value n  an option that came later\n"
                           "-later-line\n"
                           "                its text is on the next line\n";

static gboolean take(Arguments *arguments, const char *const *words, MonattError *err)
{
    return arguments_take_own((int)g_strv_length((char **)words), (char *const *)words, arguments,
                              err);
}

static void reads_dashes_and_values(void)
{
    static const char *const words[] = {"qemu",     "-m", "1G",      "--kernel", "-S", "-S",
                                        "disk.img", "-",  "-append", "",         NULL};
    Arguments arguments;
    g_assert_true(take(&arguments, words, NULL) && arguments_parse(&arguments, NULL, NULL));
    g_assert_cmpuint(arguments.count, ==, 6);
    g_assert_cmpstr(arguments_value(&arguments, "m"), ==, "1G");
    g_assert_cmpstr(arguments_value(&arguments, "kernel"), ==, "-S");
    g_assert_true(arguments_has(&arguments, "S"));
    g_assert_cmpstr(arguments.items[3].value, ==, "disk.img");
    g_assert_cmpstr(arguments.items[4].value, ==, "-");
    g_assert_cmpstr(arguments_value(&arguments, "append"), ==, "");
    g_assert_null(arguments_value(&arguments, "initrd"));
    arguments_clear(&arguments);
}

static void asks_help_for_new_options(void)
{
    static const char *const words[] = {"qemu", "-later", "-later-value", "-kernel", "-later-line",
                                        "x",    NULL};
    Arguments arguments;
    MonattError err = {0};
    g_assert_true(take(&arguments, words, NULL) && arguments_parse(&arguments, help, NULL));
    g_assert_false(arguments_has(&arguments, "kernel"));
    g_assert_cmpstr(arguments_value(&arguments, "later-value"), ==, "-kernel");
    g_assert_cmpstr(arguments_value(&arguments, ""), ==, "x");
    arguments_clear(&arguments);
    g_assert_true(take(&arguments, words, NULL));
    g_assert_false(arguments_parse(&arguments, NULL, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    arguments_clear(&arguments);
}

static void refuses_a_missing_value(void)
{
    static const char *const words[] = {"qemu", "-S", "-kernel", NULL};
    Arguments arguments;
    MonattError err = {0};
    g_assert_true(take(&arguments, words, NULL));
    g_assert_false(arguments_parse(&arguments, help, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    g_assert_nonnull(strstr(err.message, "-kernel"));
    arguments_clear(&arguments);
}

static void takes_our_own(void)
{
    static const char *const words[] = {"monatt-qemu",     "--monatt-run-dir", "/r", "-m", "1",
                                        "-monatt-private", "--monatt-qemu=/q", NULL};
    Arguments arguments;
    g_assert_true(take(&arguments, words, NULL));
    g_assert_cmpstr(arguments.own.run_dir, ==, "/r");
    g_assert_cmpstr(arguments.own.qemu, ==, "/q");
    g_assert_true(arguments.own.private_vm);
    g_assert_false(arguments.own.no_plugin);
    g_assert_cmpuint(arguments.words.count, ==, 2);
    arguments_clear(&arguments);
}

static void refuses_our_own(void)
{
    static const char *const bad[][3] = {{"m", "--monatt-run-dir", NULL},
                                         {"m", "--monatt-nothing", NULL},
                                         {"m", "--monatt-", NULL},
                                         {"m", "--monatt-qemu=", NULL},
                                         {"m", "--monatt-no-plugin=yes", NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Arguments arguments;
        MonattError err = {0};
        g_assert_false(take(&arguments, bad[i], &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
        arguments_clear(&arguments);
    }
}

static void knows_a_probe(void)
{
    static const struct {
        const char *words[4];
        bool probe;
    } table[] = {{{"q", "-version", NULL}, true},
                 {{"q", "--help", NULL}, true},
                 {{"q", "-machine", "none,accel=kvm:tcg", NULL}, true},
                 {{"q", "-M", "help", NULL}, true},
                 {{"q", "-device", "e1000,help", NULL}, true},
                 {{"q", "-append", "-version", NULL}, false},
                 {{"q", "-name", "help", NULL}, false},
                 {{"q", "-machine", "nonesuch", NULL}, false},
                 {{"q", "-S", NULL}, false}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        Arguments arguments;
        g_assert_true(take(&arguments, table[i].words, NULL));
        g_assert_cmpint(arguments_is_probe(&arguments), ==, table[i].probe);
        arguments_clear(&arguments);
    }
}

static void finds_folders(void)
{
    static const char *const words[] = {"q", "-L", "/a", "-append", "-L", "--L", "/b", NULL};
    Arguments arguments;
    Words folders;
    g_assert_true(take(&arguments, words, NULL) && arguments_folders(&arguments, &folders, NULL));
    g_assert_cmpuint(folders.count, ==, 2);
    g_assert_cmpstr(folders.items[1], ==, "/b");
    words_clear(&folders);
    arguments_clear(&arguments);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arguments/reads-dashes-and-values", reads_dashes_and_values);
    g_test_add_func("/arguments/asks-help-for-new-options", asks_help_for_new_options);
    g_test_add_func("/arguments/refuses-a-missing-value", refuses_a_missing_value);
    g_test_add_func("/arguments/takes-our-own", takes_our_own);
    g_test_add_func("/arguments/refuses-our-own", refuses_our_own);
    g_test_add_func("/arguments/knows-a-probe", knows_a_probe);
    g_test_add_func("/arguments/finds-folders", finds_folders);
    return g_test_run();
}
