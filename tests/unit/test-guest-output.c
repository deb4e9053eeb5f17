/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-guest-output.c - where monatt-guest report puts what it got, with a device that is a stub
 *
 * It runs as root: a name that is no plain file's must never be replaced by one.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "guest/command.h"
#include "guest/guest-device.h"

static const char evidence[] = "evidence";

bool guest_device_report(GuestDevice *device, const uint8_t *inblob, size_t inblob_size,
                         uint8_t **ret_bytes, size_t *ret_size, MonattError *err)
{
    *ret_bytes = (uint8_t *)strdup(evidence);
    *ret_size = sizeof(evidence) - 1;
    return true;
}

bool command_usage(const char *what, const char *why, MonattError *err)
{
    return monatt_error_set(err, MONATT_ERROR_USAGE, "'%s': %s", what, why);
}

static bool ask(const char *output)
{
    const Options options = {.inblob = "00ff", .output = output};
    return command_report.run(&options, NULL, NULL);
}

static char *make_folder(void)
{
    char *folder = g_dir_make_tmp("monatt-output-XXXXXX", NULL);
    g_assert_nonnull(folder);
    return folder;
}

static guint count_files(const char *folder)
{
    g_autoptr(GDir) directory = g_dir_open(folder, 0, NULL);
    guint count = 0;
    while (g_dir_read_name(directory)) {
        count++;
    }
    return count;
}

static void test_file(void)
{
    g_autofree char *folder = make_folder();
    g_autofree char *path = g_build_filename(folder, "report", NULL);
    g_autofree char *text = NULL;
    for (int i = 0; i < 2; i++) { /* there is one already the second time */
        g_assert_true(ask(path));
        g_clear_pointer(&text, g_free);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, evidence);
        g_assert_cmpuint(count_files(folder), ==, 1);
    }
    g_unlink(path);
    g_rmdir(folder);
}

static void test_no_plain_file(void)
{
    g_autofree char *folder = make_folder();
    g_autofree char *path = g_build_filename(folder, "null", NULL);
    struct stat status;
    /* As /dev/null or /dev/stdout may be named; a link to a device needs no root to be made. */
    g_assert_cmpint(symlink("/dev/null", path), ==, 0);
    g_assert_true(ask(path));
    g_assert_cmpint(lstat(path, &status), ==, 0);
    g_assert_true(S_ISLNK(status.st_mode));
    g_assert_cmpuint(count_files(folder), ==, 1);
    g_unlink(path);
    g_rmdir(folder);
}

/* As on a full disk. */
static void test_failure_leaves_nothing(void)
{
    g_autofree char *folder = make_folder();
    g_autofree char *path = g_build_filename(folder, "report", NULL);
    struct rlimit before;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    const struct rlimit less = {.rlim_cur = 1, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &less), ==, 0);
    bool good = ask(path);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_false(good);
    g_assert_cmpuint(count_files(folder), ==, 0);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-output/file", test_file);
    g_test_add_func("/guest-output/no-plain-file", test_no_plain_file);
    g_test_add_func("/guest-output/failure-leaves-nothing", test_failure_leaves_nothing);
    return g_test_run();
}
