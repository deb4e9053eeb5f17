/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-measure.c - sealed copies: digests against GLib's, and nobody can change them
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/launcher/measure.h"

static char *make_file(const char *content, gssize size)
{
    char *path = NULL;
    int fd = g_file_open_tmp("measure-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, content, size, NULL));
    return path;
}

static void check_digests(const MonattBootItemPayload *item, const char *content, size_t size)
{
    char text[2 * MONATT_SHA384_SIZE + 1];
    g_autofree char *small =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)content, size);
    g_autofree char *large =
        g_compute_checksum_for_data(G_CHECKSUM_SHA384, (const guchar *)content, size);
    monatt_text_from_bytes(item->sha256, sizeof(item->sha256), text);
    g_assert_cmpstr(text, ==, small);
    monatt_text_from_bytes(item->sha384, sizeof(item->sha384), text);
    g_assert_cmpstr(text, ==, large);
    g_assert_cmpuint(item->size, ==, size);
}

static void hashes_a_sealed_copy(void)
{
    static const size_t sizes[] = {0, 1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Measure measure = {0};
        char sealed[MEASURE_PATH_SIZE];
        g_autofree char *content = g_malloc(sizes[i] + 1);
        memset(content, (int)('a' + i), sizes[i]);
        g_autofree char *path = make_file(content, (gssize)sizes[i]);
        g_assert_true(measure_file(&measure, MONATT_BOOT_KERNEL, path, sealed, NULL));
        g_assert_true(g_file_set_contents(path, "changed", -1, NULL));
        g_autofree char *copy = NULL;
        gsize size;
        g_assert_true(g_file_get_contents(sealed, &copy, &size, NULL));
        g_assert_cmpmem(copy, size, content, sizes[i]);
        check_digests(&measure.items[0], content, sizes[i]);
        int fd = open(sealed, O_RDWR);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, "x", 1), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_cmpint(ftruncate(fd, (off_t)sizes[i] + 1), ==, -1);
        g_assert_cmpint(fcntl(fd, F_GET_SEALS) & F_SEAL_SEAL, !=, 0);
        close(fd);
        g_unlink(path);
    }
}

static void keeps_names_printable(void)
{
    Measure measure = {0};
    g_assert_true(
        measure_bytes(&measure, MONATT_BOOT_COMMAND_LINE, "a\nb\x1b", "a\nb\x1b", 4, NULL));
    g_assert_cmpstr(measure.items[0].name, ==, "a?b?");
    check_digests(&measure.items[0], "a\nb\x1b", 4);
    g_autofree char *line = g_strnfill(5000, 'x');
    g_assert_true(measure_bytes(&measure, MONATT_BOOT_COMMAND_LINE, line, line, 5000, NULL));
    g_assert_cmpuint(strlen(measure.items[1].name), ==, MONATT_TEXT_MAXIMUM);
    check_digests(&measure.items[1], line, 5000);
}

static void refuses_what_is_no_file(void)
{
    static const struct {
        const char *path;
        MonattErrorCode code;
    } table[] = {{"/no/such", MONATT_ERROR_MISSING},
                 {"/tmp", MONATT_ERROR_USAGE},
                 {"/dev/zero", MONATT_ERROR_USAGE},
                 {"", MONATT_ERROR_MISSING}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        Measure measure = {0};
        MonattError err = {0};
        char sealed[MEASURE_PATH_SIZE];
        g_assert_false(measure_file(&measure, MONATT_BOOT_INITRD, table[i].path, sealed, &err));
        g_assert_cmpint(err.code, ==, table[i].code);
        g_assert_cmpuint(measure.count, ==, 0);
    }
}

static void refuses_a_huge_file(void)
{
    Measure measure = {0};
    MonattError err = {0};
    char sealed[MEASURE_PATH_SIZE];
    g_autofree char *path = make_file("", 0);
    g_assert_cmpint(truncate(path, (off_t)MEASURE_FILE_MAXIMUM + 1), ==, 0);
    g_assert_false(measure_file(&measure, MONATT_BOOT_INITRD, path, sealed, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_unlink(path);
}

static void refuses_too_many(void)
{
    Measure measure = {0};
    MonattError err = {0};
    for (int i = 0; i < MONATT_BOOT_ITEMS_MAXIMUM; i++) {
        g_assert_true(measure_bytes(&measure, MONATT_BOOT_OPTION_ROM, "r", "x", 1, NULL));
    }
    g_assert_false(measure_bytes(&measure, MONATT_BOOT_OPTION_ROM, "r", "x", 1, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/measure/hashes-a-sealed-copy", hashes_a_sealed_copy);
    g_test_add_func("/measure/keeps-names-printable", keeps_names_printable);
    g_test_add_func("/measure/refuses-what-is-no-file", refuses_what_is_no_file);
    g_test_add_func("/measure/refuses-a-huge-file", refuses_a_huge_file);
    g_test_add_func("/measure/refuses-too-many", refuses_too_many);
    return g_test_run();
}
