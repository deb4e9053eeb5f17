/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure-tasks.c - asks a worker of its own about a running VM, as the collector does; for tests
 *
 *   measure-tasks --worker PROGRAM --control SOCKET [--count N] [--deadline MS] [--tasks]
 *   measure-tasks --worker PROGRAM --file RAM [--clock PID] …
 *
 * The RAM comes from the device's control socket, or is a file at guest-physical 0.  One JSON
 * object a line for each measurement.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/worker/worker-client.h"
#include "libmonatt/base/log.h"

#define COUNT_MAXIMUM 1000000ul
#define DEADLINE_MS 3000ul

typedef struct Vm {
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    int fds[MONATT_RAM_REGIONS_MAXIMUM];
    size_t count;
    uint32_t threads[MONATT_VCPUS_MAXIMUM];
    size_t thread_count;
} Vm;

typedef struct Options {
    const char *worker;
    const char *control;
    const char *file;
    unsigned long clock;
    unsigned long count;
    unsigned long deadline_ms;
    int tasks;
} Options;

static bool open_device(Vm *vm, const char *path, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint32_t qemu_pid;
    return monatt_control_connect(path, &fd, err) &&
           monatt_device_ram(fd, vm->regions, vm->fds, &vm->count, err) &&
           monatt_device_vcpus(fd, &qemu_pid, vm->threads, &vm->thread_count, err);
}

static bool open_file(Vm *vm, const char *path, unsigned long clock, MonattError *err)
{
    struct stat status;

    vm->fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    if (vm->fds[0] < 0 || fstat(vm->fds[0], &status) < 0) {
        return monatt_error_set_errno(err, errno, "RAM file: '%s'", path);
    }
    vm->regions[0] = (MonattRamRegion){.size = (uint64_t)status.st_size};
    vm->count = 1;
    if (clock > 0) {
        vm->threads[0] = (uint32_t)clock;
        vm->thread_count = 1;
    }
    return true;
}

static void print_tasks(const MonattTaskReport *report)
{
    printf(", \"tasks\": [");
    for (size_t i = 0; i < report->task_count; i++) {
        const MonattTask *task = &report->tasks[i];
        printf("%s[%u, %u, %u, %u]", i ? ", " : "", task->pid, task->tgid, task->uid, task->views);
    }
    printf("]");
}

/* The commands hold no quotes or backslashes in our tests' guests. */
static void print_report(const MonattTaskReport *report, double took_ms, bool tasks)
{
    const MonattTasksSummaryPayload *summary = &report->summary;

    printf("{\"kernel\": \"%s\", \"reason\": %u, \"text\": \"%s\", \"wanted\": %u, \"read\": %u, "
           "\"scans\": %u, \"retries\": %u, \"findings\": %u, \"unsettled\": %u, \"forks\": %lu, "
           "\"scan_us\": %lu, \"ms\": %.3f, \"count\": %zu, \"listed\": %u, \"found\": [",
           report->kernel, summary->reason, summary->text, summary->views_wanted,
           summary->views_read, summary->scans, summary->retries, summary->findings,
           summary->unsettled, (unsigned long)summary->total_forks, (unsigned long)report->scan_us,
           took_ms, report->task_count, report->views[MONATT_VIEW_LIST].tasks);
    for (size_t i = 0; i < report->finding_count; i++) {
        const MonattFindingPayload *finding = &report->findings[i];
        printf("%s{\"pid\": %u, \"command\": \"%s\", \"present\": %u, \"absent\": %u, "
               "\"scans\": %u, \"text\": \"%s\"}",
               i ? ", " : "", finding->pid, finding->command, finding->views_present,
               finding->views_absent, finding->scans, finding->text);
    }
    printf("]");
    if (tasks) {
        print_tasks(report);
    }
    printf("}\n");
    fflush(stdout);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool measure(const Options *options, MonattError *err)
{
    static Vm vm;
    MonattWorker *worker;

    if (!(options->control ? open_device(&vm, options->control, err)
                           : open_file(&vm, options->file, options->clock, err)) ||
        !monatt_worker_start(options->worker, vm.regions, vm.fds, vm.count, vm.threads,
                             vm.thread_count, &worker, err)) {
        return false;
    }
    for (unsigned long i = 0; i < options->count; i++) {
        MonattTaskReport *report;
        double begin = now_ms();

        if (!monatt_worker_tasks(worker, -1, NULL, (unsigned)options->deadline_ms, &report, err)) {
            monatt_worker_free(worker);
            return false;
        }
        print_report(report, now_ms() - begin, options->tasks);
        monatt_task_report_free(report);
    }
    monatt_worker_free(worker);
    return true;
}

static bool number(const char *text, unsigned long maximum, unsigned long *ret_value)
{
    char *end;
    errno = 0;
    *ret_value = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret_value <= maximum;
}

static bool parse(int argc, char **argv, Options *options)
{
    static const struct option names[] = {
        {"worker", required_argument, NULL, 'w'}, {"control", required_argument, NULL, 'c'},
        {"file", required_argument, NULL, 'f'},   {"clock", required_argument, NULL, 'k'},
        {"count", required_argument, NULL, 'n'},  {"deadline", required_argument, NULL, 'd'},
        {"tasks", no_argument, NULL, 't'},        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'w':
            options->worker = optarg;
            break;
        case 'c':
            options->control = optarg;
            break;
        case 'f':
            options->file = optarg;
            break;
        case 'k':
            good = good && number(optarg, UINT32_MAX, &options->clock);
            break;
        case 'n':
            good = good && number(optarg, COUNT_MAXIMUM, &options->count);
            break;
        case 'd':
            good = good && number(optarg, 60000, &options->deadline_ms);
            break;
        case 't':
            options->tasks = 1;
            break;
        default:
            good = false;
        }
    }
    return good && optind == argc && options->worker && !options->control != !options->file;
}

int main(int argc, char **argv)
{
    Options options = {.count = 1, .deadline_ms = DEADLINE_MS};
    MonattError err = {0};

    monatt_log_init("measure-tasks");
    if (!parse(argc, argv, &options)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE,
                         "measure-tasks --worker PROGRAM --control SOCKET|--file RAM [--count N]");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    if (!measure(&options, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
