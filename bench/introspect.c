/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * introspect.c - times what introspection does with a RAM file, for tasks of bench/run
 *
 *   introspect --file RAM [--low BYTES] [--image KERNEL] [--rounds N] [--note FILE]
 *   introspect --file RAM [--image KERNEL] --watch SECONDS
 *
 * One JSON object: microseconds of CPU time of each round.  --note writes the VMCOREINFO that was
 * found, for a peer that needs it.  --watch looks at a live guest once a second.  In this process,
 * without the worker's sandbox.
 */
#include <errno.h>
#include <getopt.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/sources/introspection/checks/check-runner.h"
#include "host-collector/sources/introspection/task-scan.h"
#include "libmonatt/base/log.h"
#include "tests/mutators/ram-file.h"

#define ROUNDS_MAXIMUM 100000ul
#define LIST_STEPS 1000000u
#define TEXT_MAXIMUM (64u * 1024 * 1024)

typedef struct Bench {
    const char *file;
    const char *image;
    const char *note;
    unsigned long low;
    unsigned long rounds;
    unsigned long watch_s;
    GuestMemory memory;
    GuestKernel kernel;
    TaskScan scan;
    CheckInputs inputs;
    CheckReport report;
} Bench;

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static bool write_note(const Bench *bench, MonattError *err)
{
    FILE *out = fopen(bench->note, "we");
    if (!out || fwrite(bench->kernel.info.text, 1, bench->kernel.info.size, out) !=
                    bench->kernel.info.size) {
        monatt_error_set_errno(err, errno, "note: '%s'", bench->note);
        if (out) {
            fclose(out);
        }
        return false;
    }
    return fclose(out) == 0;
}

static bool time_attach(Bench *bench, MonattError *err)
{
    printf("{\"attach\": [");
    for (unsigned long i = 0; i < bench->rounds; i++) {
        double begin;
        guest_kernel_clear(&bench->kernel);
        begin = cpu_us();
        if (!guest_kernel_find(&bench->kernel, &bench->memory, err)) {
            return false;
        }
        printf("%s%.1f", i ? ", " : "", cpu_us() - begin);
    }
    printf("], \"again\": [");
    for (unsigned long i = 0; i < bench->rounds; i++) {
        double begin = cpu_us();
        if (!guest_kernel_check(&bench->kernel)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "kernel: it went away");
        }
        printf("%s%.2f", i ? ", " : "", cpu_us() - begin);
    }
    return true;
}

static bool time_tasks(Bench *bench, MonattError *err)
{
    uint32_t tasks = 0;

    printf("], \"list\": [");
    for (unsigned long i = 0; i < bench->rounds; i++) {
        WalkBudget budget = {.steps = LIST_STEPS};
        double begin = cpu_us();
        TaskViewResult result;

        task_table_reset(&bench->scan.table);
        address_space_forget(&bench->kernel.space);
        result = task_views_list(&bench->kernel, &bench->scan.table, &budget);
        printf("%s%.2f", i ? ", " : "", cpu_us() - begin);
        if (result.reason != MONATT_REASON_NONE) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "task list: %s",
                                    monatt_reason_name(result.reason));
        }
        tasks = bench->scan.table.count;
    }
    printf("], \"tasks\": %u, \"scan\": [", tasks);
    for (unsigned long i = 0; i < bench->rounds; i++) {
        double begin = cpu_us();
        task_scan_run(&bench->scan, &bench->kernel);
        printf("%s%.2f", i ? ", " : "", cpu_us() - begin);
    }
    return true;
}

/* What the simplest check of kernel text costs: one hash of it. */
static void time_hash(Bench *bench)
{
    static uint8_t text[TEXT_MAXIMUM];
    uint8_t digest[SHA256_DIGEST_SIZE];
    uint64_t begin, end;

    printf("], \"hash\": [");
    if (!guest_kernel_symbol(&bench->kernel, "_stext", &begin) ||
        !guest_kernel_symbol(&bench->kernel, "_etext", &end) || end - begin > TEXT_MAXIMUM) {
        return;
    }
    for (unsigned long i = 0; i < bench->rounds; i++) {
        double start = cpu_us();
        struct sha256_ctx hash;
        if (!address_space_read(&bench->kernel.space, begin, text, end - begin)) {
            return;
        }
        sha256_init(&hash);
        sha256_update(&hash, end - begin, text);
        sha256_digest(&hash, sizeof(digest), digest);
        printf("%s%.1f", i ? ", " : "", cpu_us() - start);
    }
}

/* As the collector would: a pass of everything each second. */
static bool watch(Bench *bench, MonattError *err)
{
    CheckRunner *runner = check_runner_new();
    uint32_t sightings;

    if (!runner || !guest_kernel_find(&bench->kernel, &bench->memory, err)) {
        check_runner_free(runner);
        return false;
    }
    for (unsigned long i = 0; i < bench->watch_s; i++) {
        task_scan_run(&bench->scan, &bench->kernel);
        check_runner_pass(runner, &bench->kernel, &bench->inputs, UINT64_MAX, &bench->report,
                          &sightings);
        sleep(1);
    }
    check_runner_free(runner);
    return true;
}

static bool time_passes(Bench *bench, MonattError *err)
{
    CheckRunner *runner = check_runner_new();
    uint32_t sightings = 0;
    uint64_t direct;

    if (!runner) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "bench: out of memory");
    }
    printf("], \"pass\": [");
    for (unsigned long i = 0; i < bench->rounds + 1; i++) { /* the first one is cold */
        double begin = cpu_us();
        task_scan_run(&bench->scan, &bench->kernel);
        check_runner_pass(runner, &bench->kernel, &bench->inputs, UINT64_MAX, &bench->report,
                          &sightings);
        printf("%s%.1f", i ? ", " : "", cpu_us() - begin);
    }
    time_hash(bench);
    printf("], \"sightings\": %u, \"checks\": {", sightings);
    for (size_t i = 0; i < bench->report.result_count; i++) {
        const CheckResult *result = &bench->report.results[i];
        const Check *check = check_by_id(result->check);
        printf("%s\"%s\": {\"us\": %lu, \"reason\": %u}", i ? ", " : "", check ? check->name : "?",
               (unsigned long)result->cpu_us, result->reason);
    }
    if (!address_space_u64(&bench->kernel.space, bench->kernel.symbols.page_offset_base, &direct)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kernel: no page_offset_base");
    }
    printf("}, \"direct_map\": %lu, \"kernel\": \"%s\"}\n", (unsigned long)direct,
           bench->kernel.release);
    check_runner_free(runner);
    return true;
}

static bool time_all(Bench *bench, MonattError *err)
{
    return time_attach(bench, err) && (!bench->note || write_note(bench, err)) &&
           time_tasks(bench, err) && time_passes(bench, err);
}

static bool parse(int argc, char **argv, Bench *bench)
{
    static const struct option names[] = {
        {"file", required_argument, NULL, 'f'},
        {"low", required_argument, NULL, 'l'},
        {"image", required_argument, NULL, 'i'},
        {"rounds", required_argument, NULL, 'n'},
        {"note", required_argument, NULL, 'o'},
        {"watch", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'f':
            bench->file = optarg;
            break;
        case 'i':
            bench->image = optarg;
            break;
        case 'o':
            bench->note = optarg;
            break;
        case 'w':
            good = good && ram_file_number(optarg, &bench->watch_s);
            break;
        case 'l':
            good = good && ram_file_number(optarg, &bench->low);
            break;
        case 'n':
            good = good && ram_file_number(optarg, &bench->rounds) && bench->rounds > 0 &&
                   bench->rounds <= ROUNDS_MAXIMUM;
            break;
        default:
            good = false;
        }
    }
    return good && optind == argc && bench->file;
}

int main(int argc, char **argv)
{
    static Bench bench = {.rounds = 9};
    MonattError err = {0};

    monatt_log_init("introspect");
    if (!parse(argc, argv, &bench)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE, "introspect --file RAM [--image KERNEL]");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    if (!ram_file_open(bench.file, bench.low, &bench.memory, &err) ||
        (bench.image && !ram_file_image(bench.image, &bench.inputs, &err)) ||
        !task_scan_init(&bench.scan, &err) ||
        !(bench.watch_s > 0 ? watch(&bench, &err) : time_all(&bench, &err))) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
