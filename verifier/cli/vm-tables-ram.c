/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-tables-ram.c - guest RAM in a file: hands it to a worker, asks for one look
 *
 * Must never read the guest's bytes in this process.
 */
#include "verifier/cli/vm-tables-ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host-collector/worker/check-json.h"
#include "host-collector/worker/worker-client.h"
#include "monatt-paths.h"

#define ABOVE_HOLE (4ull << 30)
#define LOW_OF_Q35 (2ull << 30)
#define SPLIT_OF_Q35 0xb0000000ull /* from this size on RAM is split, at LOW_OF_Q35 */
#define LOW_OF_PC (3ull << 30)
#define SPLIT_OF_PC 0xe0000000ull
#define LOWS_MAXIMUM 4
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

/* RAM below the PCI hole when it is not told: QEMU's hw/i386/pc_q35.c and pc_piix.c. */
static size_t usual_lows(uint64_t size, uint64_t ret[LOWS_MAXIMUM])
{
    size_t count = 0;
    if (size >= SPLIT_OF_Q35) {
        ret[count++] = LOW_OF_Q35;
    }
    if (size >= SPLIT_OF_PC) {
        ret[count++] = LOW_OF_PC;
        ret[count++] = SPLIT_OF_PC; /* machine types before 2.0 */
    } else {
        ret[count++] = size; /* no hole is needed */
    }
    return count;
}

static bool find_lows(const char *text, uint64_t size, uint64_t ret[LOWS_MAXIMUM],
                      size_t *ret_count, MonattError *err)
{
    guint64 low;
    *ret_count = usual_lows(size, ret);
    if (text) {
        if (!g_ascii_string_to_unsigned(text, 10, PAGE, ABOVE_HOLE, &low, NULL) ||
            low % PAGE != 0) {
            monatt_error_set(err, MONATT_ERROR_USAGE,
                             "option '--low': not a number of whole pages");
            return monatt_error_hint(err,
                                     "bytes below the PCI hole, a multiple of 4096, at most 4 GiB");
        }
        ret[0] = low;
        *ret_count = 1;
    }
    if (size == 0 || size % PAGE != 0) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "RAM file: %lu bytes are no whole pages",
                         (unsigned long)size);
        return monatt_error_hint(err, "raw RAM from guest-physical 0, not an ELF core or a qcow2");
    }
    return true;
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

/* One look at the file as it lies with low bytes below the hole. */
static MonattCheckReport *look(const CommandArguments *arguments, int fd, uint64_t size,
                               uint64_t low, const MonattCheckRequest *request, MonattError *err)
{
    g_autofree char *path = find_worker();
    MonattCheckReport *report = NULL;
    MonattWorker *worker = NULL;
    const int fds[2] = {fd, fd};
    const MonattRamRegion regions[2] = {
        {.size = MIN(size, low)},
        {.guest_physical = ABOVE_HOLE, .size = size > low ? size - low : 0, .offset = low}};

    if (!monatt_worker_start(path, regions, fds, size > low ? 2 : 1, NULL, 0, &worker, err) ||
        !give_kernel(command_value(arguments, "kernel"), worker, err) ||
        !monatt_worker_checks(worker, request, &report, err)) {
        report = NULL;
    }
    monatt_worker_free(worker);
    return report;
}

json_t *vm_tables_ram(const CommandArguments *arguments, const char *table, GError **error)
{
    const TableForm *form = table ? table_form(table) : NULL;
    const MonattCheckRequest request = {.checks = form ? 0 : UINT64_MAX,
                                        .tables = form ? 1u << (form - table_forms) : 0,
                                        .snapshot = true};
    MonattCheckReport *report = NULL;
    MonattError err = {0};
    uint64_t size = 0, lows[LOWS_MAXIMUM];
    size_t count = 0;
    json_t *root = NULL;
    int fd MONATT_CLEANUP_CLOSE =
        open_file("RAM file", command_value(arguments, "ram"), &size, &err);
    bool good = fd >= 0 && find_lows(command_value(arguments, "low"), size, lows, &count, &err);

    for (size_t i = 0; good && i < count && (!report || report->report.kernel[0] == 0); i++) {
        monatt_check_report_free(report);
        report = look(arguments, fd, size, lows[i], &request, &err);
        good = report != NULL;
    }
    if (!good) {
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    if (report->report.kernel[0] == 0 && count > 1) {
        fprintf(stderr, "monatt: no kernel found, wherever the PCI hole is taken to be\n"
                        "hint: say with --low how many bytes of the file lie below it\n");
    }
    root = check_json(report, table);
    monatt_check_report_free(report);
    return root;
}
