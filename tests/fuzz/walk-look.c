/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-look.c - looks at RAM: each check, all of them, the tables, the views of tasks, an attach
 */
#include "tests/fuzz/walk-look.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host-collector/sources/introspection/checks/check-runner.h"
#include "host-collector/sources/introspection/hidden-tasks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/walk-change.h"
#include "tests/mutators/ram-file.h"

#define CLEAN_RUNS 3
/* A step reads one structure at most; a structure that crosses a page takes two translations. */
#define READS_A_STEP 12u
#define CHEAP_US 3000

/* Of AddressSanitizer, where it is in. */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t),
                                              void (*)(const volatile void *))
    __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *) __attribute__((weak));

/* The linker gives us the product's waits too: memory here stands still, so they are only counted,
 * and must have a bound. */
#define WAITED_MAXIMUM_MS 10000u
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left);
static uint64_t waited_ms;

int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left)
{
    (void)ret_left;
    waited_ms += (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
    return 0;
}

WalkLook walk_looks[WALK_LOOKS];
size_t walk_look_count;

static GuestKernel kernel;
static CheckRunner *runner;
static CheckInputs inputs;
static const CheckInputs no_inputs;
static CheckReport report;
static Table tables[TABLE_FORMS_MAXIMUM];
static HiddenTasks tasks;
static GuestClocks clocks;
static uint64_t heap, heap_peak;

static void on_malloc(const volatile void *at, size_t size)
{
    (void)at;
    heap += size;
    heap_peak = heap > heap_peak ? heap : heap_peak;
}

static void on_free(const volatile void *at)
{
    heap -= at ? __sanitizer_get_allocated_size(at) : 0;
}

uint64_t walk_heap(void)
{
    if (!__sanitizer_install_malloc_and_free_hooks) {
        struct mallinfo2 info = mallinfo2();
        heap = info.uordblks + info.hblkhd;
        heap_peak = heap > heap_peak ? heap : heap_peak;
    }
    return heap;
}

uint64_t walk_heap_peak(void)
{
    walk_heap();
    return heap_peak;
}

static uint64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void judge_report(uint64_t reads)
{
    require(report.result_count <= CHECKS_MAXIMUM && report.finding_count <= CHECK_FINDINGS);
    for (size_t i = 0; i < report.result_count; i++) {
        const CheckResult *result = &report.results[i];
        require(result->counter_count <= CHECK_COUNTERS);
        require(memchr(result->text, '\0', sizeof(result->text)));
        /* Unknown is always explained. */
        require(result->reason == MONATT_REASON_NONE || result->text[0] != '\0');
    }
    for (size_t i = 0; i < report.finding_count; i++) {
        require(memchr(report.findings[i].object, '\0', sizeof(report.findings[i].object)));
        require(memchr(report.findings[i].text, '\0', sizeof(report.findings[i].text)));
    }
    /* The owners have a budget of their own, and the task views, of 32 million steps, theirs. */
    require(reads <= READS_A_STEP * (uint64_t)CHECK_STEPS * (report.result_count + 2));
    if (report.result_count == 1 && reads > READS_A_STEP * (uint64_t)CHECK_STEPS) {
        require(report.results[0].reason != MONATT_REASON_NONE);
    }
}

static void judge_tables(void)
{
    static TableCell cells[TABLE_COLUMNS];

    for (size_t i = 0; i < TABLE_FORMS_MAXIMUM && table_forms[i].name; i++) {
        TableReader reader = {
            .bytes = tables[i].bytes, .size = tables[i].size, .columns = table_forms[i].count};
        MonattError err = {0};
        uint32_t rows = 0;
        while (table_read_row(&reader, cells, &err)) {
            rows++;
        }
        require(rows == tables[i].rows && err.code == MONATT_ERROR_NONE);
        require(tables[i].size <= TABLE_BYTES);
        table_clear(&tables[i]);
    }
}

static void run_checks(const WalkLook *look, CheckRunner *with, GuestKernel *of,
                       const CheckInputs *given)
{
    uint64_t before = walk_reads;
    uint32_t sightings;

    if (strcmp(look->name, "tables") == 0) {
        check_runner_look(with, of, given, look->checks, tables, &report);
        judge_tables();
    } else {
        check_runner_pass(with, of, given, look->checks, &report, &sightings);
    }
    judge_report(walk_reads - before);
}

static void run_tasks(void)
{
    static MonattTaskReport task_report;
    static const uint8_t nonce[MONATT_NONCE_SIZE];
    MonattError err = {0};
    bool marked = hidden_tasks_mark(&tasks, nonce, &err);

    hidden_tasks_measure(&tasks, NULL, 0, nonce, 0, &task_report);
    /* One look is never a finding, and no kernel is never clean. */
    require(task_report.summary.findings == 0);
    require(marked || task_report.summary.reason != MONATT_REASON_NONE);
    require(tasks.scan.table.count <= TASK_TABLE_MAXIMUM);
}

static void run_cold(const WalkLook *look, bool with_image)
{
    static GuestKernel found;
    MonattError err = {0};

    if (!guest_kernel_find(&found, &walk_memory, &err)) {
        require(err.code != MONATT_ERROR_NONE && err.message[0] != '\0');
        return;
    }
    CheckRunner *fresh = check_runner_new();
    require(fresh);
    run_checks(look, fresh, &found, with_image ? &inputs : &no_inputs);
    check_runner_free(fresh);
    guest_kernel_clear(&found);
}

void walk_look_run(const WalkLook *look, bool with_image)
{
    waited_ms = 0;
    if (look->cold) {
        run_cold(look, with_image);
    } else if (strcmp(look->name, "task-views") == 0) {
        run_tasks();
    } else {
        run_checks(look, runner, &kernel, &inputs);
    }
    require(waited_ms <= WAITED_MAXIMUM_MS);
}

WalkLook *walk_look_named(const char *name)
{
    for (size_t i = 0; i < walk_look_count; i++) {
        if (strcmp(walk_looks[i].name, name) == 0) {
            return &walk_looks[i];
        }
    }
    return NULL;
}

static void add(const char *name, uint64_t checks, unsigned weight, bool special, bool cold)
{
    require(walk_look_count < WALK_LOOKS);
    walk_looks[walk_look_count++] = (WalkLook){
        .name = name, .checks = checks, .weight = weight, .special = special, .cold = cold};
}

static void list(void)
{
    uint64_t all = 0;
    for (size_t i = 0; check_table[i]; i++) {
        all |= 1ull << i;
        add(check_table[i]->name, 1ull << i, 0, true, false);
    }
    add("task-views", 0, 0, true, false);
    add("tables", all, 0, true, false);
    add("all", all, 0, true, false);
    add("attach", all, 0, true, true);
}

bool walk_looks_prepare(const char *image, const char *only, MonattError *err)
{
    if (__sanitizer_install_malloc_and_free_hooks) {
        __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    }
    runner = check_runner_new();
    require(runner);
    if ((image && !ram_file_image(image, &inputs, err)) ||
        !guest_kernel_find(&kernel, &walk_memory, err) ||
        !hidden_tasks_init(&tasks, &walk_memory, &clocks, err)) {
        return false;
    }
    walk_change_prepare(&kernel);
    list();
    for (size_t i = 0; i < walk_look_count; i++) {
        WalkLook *look = &walk_looks[i];
        look->clean_us = UINT64_MAX;
        walk_look_run(look, false); /* what is made once a boot is made now */
        for (int k = 0; k < CLEAN_RUNS; k++) {
            uint64_t before = cpu_us();
            walk_look_run(look, false);
            before = cpu_us() - before;
            look->clean_us = before < look->clean_us ? before : look->clean_us;
        }
        walk_record_begin(look->cold);
        walk_look_run(look, false);
        walk_record_end(&look->words);
        look->weight = look->clean_us < CHEAP_US ? 40 : look->clean_us < 10 * CHEAP_US ? 4 : 1;
        if (only) {
            look->weight = strcmp(look->name, only) == 0;
        }
    }
    /* A check that this kernel has nothing for is looked at with changes of what attaching reads.
     */
    for (size_t i = 0; i < walk_look_count; i++) {
        const WalkWords *words = &walk_looks[i].words;
        if (words->counts[WALK_SMALL] + words->counts[WALK_STRUCTURE] == 0) {
            for (size_t k = 0; k < WALK_CLASSES; k++) {
                free(words->words[k]);
            }
            walk_looks[i].words = walk_look_named("attach")->words;
        }
    }
    if (only && !walk_look_named(only)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "no look '%s'", only);
    }
    return true;
}
