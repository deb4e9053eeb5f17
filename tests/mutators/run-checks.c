/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run-checks.c - runs the checks over a guest's RAM in this process, for tests, bench and debugging
 *
 *   run-checks --file RAM [--low BYTES] [--clock PID] [--check NAME]… [--image KERNEL] [--count N]
 *              [--deadline MS | --passes] [--gap MS] [--table NAME] [--qmp SOCKET-OR-TEXT]
 *
 * The file is the RAM from guest-physical 0; what is above --low bytes of it (the whole by default)
 * lies at 4 GiB, as QEMU's q35 and pc have it.  --clock: a process whose first thread stands for
 * the vCPUs.  --qmp: where the vCPUs' registers come from (vcpu-source.h).  --passes: single
 * passes, whose sightings are only counted.  One JSON object a line. In this process: no sandbox,
 * so it is not for guests that nobody knows.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/sources/introspection/checks/check-runner.h"
#include "host-collector/sources/introspection/checks/register-findings.h"
#include "libmonatt/base/log.h"
#include "tests/mutators/ram-file.h"
#include "tests/mutators/vcpu-source.h"

#define COUNT_MAXIMUM 10000000ul

typedef struct Options {
    const char *file;
    const char *image;
    const char *table;
    const char *qmp;
    unsigned long low;
    unsigned long clock;
    unsigned long count;
    unsigned long deadline_ms;
    unsigned long gap_ms; /* between looks */
    uint64_t wanted;
    int passes;
} Options;

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_result(const CheckResult *result)
{
    const Check *check = check_by_id(result->check);
    printf("{\"check\": \"%s\", \"reason\": %u, \"text\": ", check ? check->name : "?",
           result->reason);
    print_text(result->text);
    printf(
        ", \"passes\": %u, \"findings\": %u, \"unsettled\": %u, \"cpu_us\": %lu, \"counters\": {",
        result->passes, result->findings, result->unsettled, (unsigned long)result->cpu_us);
    for (uint8_t i = 0; i < result->counter_count; i++) {
        printf("%s\"%s\": %lu", i ? ", " : "", result->counters[i].name,
               (unsigned long)result->counters[i].value);
    }
    printf("}");
    if (result->has_digest) {
        printf(", \"digest\": \"");
        for (size_t i = 0; i < sizeof(result->digest); i++) {
            printf("%02x", result->digest[i]);
        }
        printf("\"");
    }
    printf("}");
}

static void print_finding(const CheckFinding *finding)
{
    const Check *check = check_by_id(finding->check);
    printf("{\"check\": \"%s\", \"severity\": %u, \"sightings\": %u, \"address\": \"%#lx\", "
           "\"pid\": %u, \"object\": ",
           check ? check->name : "?", finding->severity, finding->sightings,
           (unsigned long)finding->address, finding->pid);
    print_text(finding->object);
    printf(", \"expected\": ");
    print_text(finding->expected);
    printf(", \"observed\": ");
    print_text(finding->observed);
    printf(", \"owner\": ");
    print_text(finding->owner);
    printf(", \"text\": ");
    print_text(finding->text);
    printf("}");
}

static void print_table(const Table *table)
{
    TableReader reader = {
        .bytes = table->bytes, .size = table->size, .columns = table->form->count};
    TableCell cells[TABLE_COLUMNS];
    MonattError err = {0};
    printf(", \"cut\": %s, \"rows\": [", table->cut ? "true" : "false");
    for (uint32_t row = 0; table_read_row(&reader, cells, &err); row++) {
        printf("%s{", row ? ", " : "");
        for (size_t i = 0; i < reader.columns; i++) {
            printf("%s\"%s\": ", i ? ", " : "", table->form->columns[i]);
            if (cells[i].kind == TABLE_TEXT) {
                print_text(cells[i].text);
            } else if (cells[i].kind == TABLE_NOTHING) {
                printf("null");
            } else if (cells[i].kind == TABLE_HEX) {
                printf("\"%#lx\"", (unsigned long)cells[i].value);
            } else {
                printf("%lu", (unsigned long)cells[i].value);
            }
        }
        printf("}");
    }
    printf("]");
}

static void print_report(const CheckReport *report, const Table *table)
{
    printf("{\"kernel\": ");
    print_text(report->kernel);
    printf(", \"results\": [");
    for (size_t i = 0; i < report->result_count; i++) {
        printf("%s", i ? ", " : "");
        print_result(&report->results[i]);
    }
    printf("], \"findings\": [");
    for (size_t i = 0; i < report->finding_count; i++) {
        printf("%s", i ? ", " : "");
        print_finding(&report->findings[i]);
    }
    printf("]");
    if (table && table->form) {
        print_table(table);
    }
    printf("}\n");
    fflush(stdout);
}

static bool read_registers(const Options *options, CheckVcpu *vcpus, CheckInputs *inputs,
                           MonattError *err)
{
    size_t count = 0;
    if (options->qmp && !vcpu_source_read(options->qmp, vcpus, &count, err)) {
        return false;
    }
    inputs->vcpu_count = (uint32_t)count;
    inputs->reading++;
    return true;
}

/* As the collector does it (measure-checks.c): registers are of an instant. */
static bool look(const Options *options, CheckRunner *runner, GuestKernel *kernel,
                 GuestClocks *clocks, CheckVcpu *vcpus, CheckInputs *inputs, Table *tables,
                 CheckReport *report, MonattError *err)
{
    static CheckReport again;
    unsigned deadline_ms = (unsigned)options->deadline_ms;
    uint64_t checks;

    if (!read_registers(options, vcpus, inputs, err)) {
        return false;
    }
    check_runner_measure(runner, kernel, clocks, inputs, options->wanted, deadline_ms, tables,
                         report);
    for (int i = 1; i < REGISTER_READINGS && (checks = register_findings(report)) != 0; i++) {
        if (!read_registers(options, vcpus, inputs, err)) {
            return false;
        }
        check_runner_measure(runner, kernel, clocks, inputs, check_runner_wanted(checks, 0),
                             deadline_ms, NULL, &again);
        register_findings_confirm(report, &again);
    }
    return true;
}

static bool measure(const Options *options, MonattError *err)
{
    static GuestMemory memory;
    static GuestKernel kernel;
    static GuestClocks clocks;
    static CheckReport report;
    static CheckVcpu vcpus[VCPU_SOURCE_MAXIMUM];
    CheckInputs inputs = {.vcpus = vcpus};
    CheckRunner *runner = check_runner_new();
    Table *tables = NULL;
    size_t at = 0, forms = 0;

    while (table_forms[forms].name) {
        at = options->table && strcmp(table_forms[forms].name, options->table) == 0 ? forms : at;
        forms++;
    }
    if (!runner || (options->table && !(tables = calloc(forms, sizeof(*tables))))) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "run-checks: out of memory");
    }
    if ((options->image && !ram_file_image(options->image, &inputs, err)) ||
        !ram_file_open(options->file, options->low, &memory, err) ||
        !guest_kernel_find(&kernel, &memory, err)) {
        return false;
    }
    if (options->passes && !read_registers(options, vcpus, &inputs, err)) {
        return false;
    }
    ram_file_clock(options->clock, &clocks);
    for (unsigned long i = 0; i < options->count; i++) {
        const struct timespec gap = {.tv_sec = (time_t)(options->gap_ms / 1000),
                                     .tv_nsec = (long)(options->gap_ms % 1000) * 1000000};
        if (i > 0) {
            nanosleep(&gap, NULL);
        }
        if (options->passes) {
            uint32_t sightings;
            check_runner_pass(runner, &kernel, &inputs, options->wanted, &report, &sightings);
        } else {
            if (!look(options, runner, &kernel, &clocks, vcpus, &inputs, tables, &report, err)) {
                return false;
            }
        }
        print_report(&report, tables ? &tables[at] : NULL);
        for (size_t k = 0; tables && k < forms; k++) {
            table_clear(&tables[k]);
        }
    }
    free(tables);
    check_runner_free(runner);
    guest_kernel_clear(&kernel);
    guest_memory_clear(&memory);
    return true;
}

static bool want(const char *name, Options *options)
{
    for (size_t i = 0; check_table[i]; i++) {
        if (strcmp(check_table[i]->name, name) == 0) {
            options->wanted |= 1ull << i;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, Options *options)
{
    static const struct option names[] = {
        {"file", required_argument, NULL, 'f'},  {"low", required_argument, NULL, 'l'},
        {"clock", required_argument, NULL, 'k'}, {"check", required_argument, NULL, 'c'},
        {"image", required_argument, NULL, 'i'}, {"count", required_argument, NULL, 'n'},
        {"table", required_argument, NULL, 't'}, {"deadline", required_argument, NULL, 'd'},
        {"passes", no_argument, NULL, 'p'},      {"gap", required_argument, NULL, 'g'},
        {"qmp", required_argument, NULL, 'q'},   {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'f':
            options->file = optarg;
            break;
        case 'i':
            options->image = optarg;
            break;
        case 'q':
            options->qmp = optarg;
            break;
        case 't':
            options->table = optarg;
            good = good && table_form(optarg);
            break;
        case 'l':
            good = good && ram_file_number(optarg, &options->low);
            break;
        case 'k':
            good = good && ram_file_number(optarg, &options->clock);
            break;
        case 'n':
            good =
                good && ram_file_number(optarg, &options->count) && options->count <= COUNT_MAXIMUM;
            break;
        case 'd':
            good = good && ram_file_number(optarg, &options->deadline_ms) &&
                   options->deadline_ms <= 60000;
            break;
        case 'c':
            good = good && want(optarg, options);
            break;
        case 'g':
            good = good && ram_file_number(optarg, &options->gap_ms) && options->gap_ms <= 60000;
            break;
        case 'p':
            options->passes = 1;
            break;
        default:
            good = false;
        }
    }
    options->wanted = options->wanted ? options->wanted : UINT64_MAX;
    return good && optind == argc && options->file;
}

int main(int argc, char **argv)
{
    Options options = {.count = 1, .deadline_ms = 3000};
    MonattError err = {0};

    monatt_log_init("run-checks");
    if (!parse(argc, argv, &options)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE,
                         "run-checks --file RAM [--check NAME]… [--image KERNEL] [--table NAME]");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    if (!measure(&options, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
