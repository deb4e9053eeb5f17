/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-tables-ram.c - guest RAM in a file: hands it to a worker, asks for one look
 *
 * Must never read the guest's bytes in this process.
 */
#include "verifier/cli/vm-tables-ram.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host-collector/worker/check-json.h"
#include "host-collector/worker/worker-client.h"
#include "monatt-paths.h"

#define ABOVE_HOLE (4ull << 30)
#define LOW_OF_Q35 (2ull << 30) /* q35 and pc put RAM beyond it at 4 GiB when there is more */
#define PAGE 4096u

/* Of the build tree that this program stands in, else of the installation. */
static char *find_worker(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self != NULL ? g_path_get_dirname(self) : g_strdup(".");
    char *near = g_build_filename(folder, "..", "host-collector", "worker", "monatt-worker", NULL);
    if (access(near, X_OK) == 0) {
        return near;
    }
    g_free(near);
    return g_build_filename(MONATT_LIBEXECDIR, "monatt", "monatt-worker", NULL);
}

static int open_file(const char *what, const char *path, uint64_t *ret_size, MonattError *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0) {
        monatt_error_set_errno(err, errno, "%s '%.200s'", what, path);
    } else if (!S_ISREG(status.st_mode)) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "%s '%.200s': is not a file", what, path);
    } else {
        *ret_size = (uint64_t)status.st_size;
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static bool find_low(const char *text, uint64_t size, uint64_t *ret_low, MonattError *err)
{
    guint64 low = size > LOW_OF_Q35 ? LOW_OF_Q35 : size;
    if (text &&
        (!g_ascii_string_to_unsigned(text, 10, PAGE, ABOVE_HOLE, &low, NULL) || low % PAGE != 0)) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "option '--low': not a number of whole pages");
        return monatt_error_hint(err,
                                 "bytes below the PCI hole, a multiple of 4096, at most 4 GiB");
    }
    *ret_low = low;
    if (size == 0 || size % PAGE != 0) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "RAM file: %lu bytes are no whole pages",
                         (unsigned long)size);
        return monatt_error_hint(err, "raw RAM from guest-physical 0, not an ELF core or a qcow2");
    }
    return true;
}

static bool start(const CommandArguments *arguments, MonattWorker **ret_worker, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t size = 0, low = 0;
    g_autofree char *worker = find_worker();

    fd = open_file("RAM file", command_value(arguments, "ram"), &size, err);
    if (fd < 0 || !find_low(command_value(arguments, "low"), size, &low, err)) {
        return false;
    }
    const int fds[2] = {fd, fd};
    const MonattRamRegion regions[2] = {
        {.size = MIN(size, low)},
        {.guest_physical = ABOVE_HOLE, .size = size > low ? size - low : 0, .offset = low}};
    return monatt_worker_start(worker, regions, fds, size > low ? 2 : 1, NULL, 0, ret_worker, err);
}

static bool give_kernel(const char *path, MonattWorker *worker, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t size;
    if (!path) {
        return true;
    }
    fd = open_file("kernel", path, &size, err);
    return fd >= 0 && monatt_worker_inputs(
                          worker, &(MonattWorkerInputs){.set_image = true, .image_fd = fd}, err);
}

json_t *vm_tables_ram(const CommandArguments *arguments, const char *table, GError **error)
{
    const TableForm *form = table ? table_form(table) : NULL;
    const MonattCheckRequest request = {.checks = form ? 0 : UINT64_MAX,
                                        .tables = form ? 1u << (form - table_forms) : 0,
                                        .snapshot = true};
    MonattCheckReport *report = NULL;
    MonattWorker *worker = NULL;
    MonattError err = {0};
    json_t *root = NULL;

    if (start(arguments, &worker, &err) &&
        give_kernel(command_value(arguments, "kernel"), worker, &err) &&
        monatt_worker_checks(worker, &request, &report, &err)) {
        root = check_json(report, table);
        monatt_check_report_free(report);
    } else {
        monatt_error_to_gerror(&err, error);
    }
    monatt_worker_free(worker);
    return root;
}
