/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-mutate.c - changes a guest's RAM where introspection reads it, and looks again
 *
 *   walk-mutate [--file RAM] [--image KERNEL] [--seed N] [--count N] [--seconds N] [--batch N]
 *               [--look NAME] [--limit-ms N] [--heap-mb N] [--save FOLDER] [--replay FILE]
 *
 * Without --file over the invented guest of tests/lib.  Every execution is decided by --seed and
 * its number.  Each batch runs in a process of its own, over what the program knows of the clean
 * guest; what the checks keep goes from one execution of a batch to the next.  One that crashes,
 * takes more than --limit-ms of CPU time or more than --heap-mb is saved and named, and the exit
 * code is 1.  The RAM file is never written to.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/walk-change.h"
#include "tests/fuzz/walk-look.h"
#include "tests/mutators/ram-file.h"

#define LINE_MAXIMUM (3 * GUEST_PAGE_SIZE)
#define HANG_SECONDS 120
#define IMAGE_CHANCE 200 /* one cold look in so many with the image */
#define FAULTS_MAXIMUM 20
#define ENDED_AFTER_LIMIT 3

typedef struct Options {
    const char *file, *image, *look, *save, *replay;
    unsigned long seed, count, seconds, batch, limit_ms, heap_mb;
} Options;

/* What the processes of the batches tell the one that waits for them. */
typedef struct Shared {
    uint64_t at; /* the execution at hand */
    uint64_t done[WALK_LOOKS], slowest_us[WALK_LOOKS], slowest_at[WALK_LOOKS], heap_peak;
} Shared;

static Options options = {
    .seed = 1, .count = 1000, .batch = 250, .limit_ms = 20000, .heap_mb = 512};
static Shared *shared;
static WalkChange change;
static uint64_t heap_before;

static uint64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Which look, with which change: by the number alone, over clean RAM. */
static WalkLook *decide(uint64_t number, bool *ret_with_image)
{
    WalkRandom random = {.state = options.seed << 40 ^ number};
    unsigned sum = 0;
    size_t i = 0;

    for (size_t k = 0; k < walk_look_count; k++) {
        sum += walk_looks[k].weight;
    }
    uint64_t left = walk_random_below(&random, sum);
    while (left >= walk_looks[i].weight) {
        left -= walk_looks[i++].weight;
    }
    *ret_with_image = walk_random_below(&random, IMAGE_CHANCE) == 0;
    walk_change_make(&walk_looks[i].words, walk_looks[i].special, &random, &change);
    return &walk_looks[i];
}

static void run(WalkLook *look, bool with_image, uint64_t number)
{
    const size_t i = (size_t)(look - walk_looks);
    uint64_t taken = cpu_us();

    alarm(HANG_SECONDS);
    walk_look_run(look, with_image);
    taken = cpu_us() - taken;
    shared->done[i]++;
    if (taken > shared->slowest_us[i]) {
        shared->slowest_us[i] = taken;
        shared->slowest_at[i] = number;
    }
    uint64_t heap = walk_heap_peak();
    shared->heap_peak = heap > shared->heap_peak ? heap : shared->heap_peak;
    if (taken / 1000 > options.limit_ms || heap - heap_before > options.heap_mb << 20) {
        fprintf(stderr, "walk-mutate: %s: %lu ms, %lu MiB\n", look->name,
                (unsigned long)(taken / 1000), (unsigned long)((heap - heap_before) >> 20));
        _exit(ENDED_AFTER_LIMIT);
    }
}

static void write_case(FILE *to, const WalkLook *look, bool with_image)
{
    fprintf(to, "look %s %d\n", look->name, with_image);
    if (change.special) {
        fprintf(to, "special %s %lu\n", change.special, (unsigned long)change.number);
    }
    for (size_t i = 0; i < change.count; i++) {
        fprintf(to, "put %lx ", (unsigned long)change.pokes[i].address);
        for (size_t k = 0; k < change.pokes[i].size; k++) {
            fprintf(to, "%02x", change.pokes[i].bytes[k]);
        }
        fprintf(to, "\n");
    }
    fprintf(to, "run\n");
}

/* In this process, which may crash in it. */
static void run_range(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        bool with_image;
        WalkLook *look = decide(i, &with_image);
        shared->at = i;
        walk_change_apply(&change);
        run(look, with_image, i);
        walk_memory_undo();
    }
}

/* The wait status of executions in a process of their own. */
static int run_apart(uint64_t from, uint64_t to)
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        run_range(from, to);
        _exit(0);
    }
    require(waitpid(child, &status, 0) == child);
    return status;
}

static void save(uint64_t from, uint64_t to)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/walk-%lu-%lu", options.save ? options.save : ".", options.seed,
             (unsigned long)(to - 1));
    FILE *file = fopen(path, "w");
    require(file);
    for (uint64_t i = from; i < to; i++) {
        bool with_image;
        const WalkLook *look = decide(i, &with_image);
        write_case(file, look, with_image);
    }
    fclose(file);
    fprintf(stderr, "walk-mutate: saved as %s\n", path);
}

static bool read_put(const char *line)
{
    static uint8_t bytes[GUEST_PAGE_SIZE];
    unsigned long address;
    unsigned byte;
    int used;
    size_t size = 0;

    if (sscanf(line, "put %lx %n", &address, &used) != 1) {
        return false;
    }
    for (line += used; size < sizeof(bytes) && sscanf(line, "%2x", &byte) == 1; line += 2) {
        bytes[size++] = (uint8_t)byte;
    }
    walk_memory_put(address, bytes, size);
    return size > 0;
}

static bool replay(MonattError *err)
{
    static char line[LINE_MAXIMUM];
    char name[64];
    FILE *file = fopen(options.replay, "r");
    WalkLook *look = NULL;
    unsigned long number = 0;
    int with_image = 0;
    bool good = file != NULL;

    while (good && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "look %63s %d", name, &with_image) == 2) {
            look = walk_look_named(name);
            good = look != NULL;
        } else if (sscanf(line, "special %63s %lu", name, &number) == 2) {
            good = walk_special_apply(name, number);
        } else if (strcmp(line, "run\n") == 0 && look) {
            uint64_t taken = cpu_us();
            run(look, with_image, 0);
            printf("%s: %lu us, clean %lu us\n", look->name, (unsigned long)(cpu_us() - taken),
                   (unsigned long)look->clean_us);
            walk_memory_undo();
        } else {
            good = read_put(line);
        }
    }
    if (!good) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "'%s': not a case of walk-mutate",
                                options.replay);
    }
    fclose(file);
    return true;
}

static void say(uint64_t executions, unsigned faults)
{
    for (size_t i = 0; i < walk_look_count; i++) {
        const WalkLook *look = &walk_looks[i];
        printf("%-20s %8lu executions, %7zu words, clean %6lu us, slowest %8lu us (%lu times, "
               "number %lu)\n",
               look->name, (unsigned long)shared->done[i],
               look->words.counts[0] + look->words.counts[1] + look->words.counts[2],
               (unsigned long)look->clean_us, (unsigned long)shared->slowest_us[i],
               (unsigned long)(shared->slowest_us[i] / (look->clean_us + 1)),
               (unsigned long)shared->slowest_at[i]);
    }
    printf("%lu executions, %u faults, heap %lu MiB clean, %lu MiB at most\n",
           (unsigned long)executions, faults, (unsigned long)(heap_before >> 20),
           (unsigned long)(shared->heap_peak >> 20));
}

static bool mutate(void)
{
    const time_t end = options.seconds ? time(NULL) + (time_t)options.seconds : 0;
    unsigned faults = 0;
    uint64_t at = 0;

    while (at < options.count && (!end || time(NULL) < end) && faults < FAULTS_MAXIMUM) {
        uint64_t to = at + options.batch < options.count ? at + options.batch : options.count;
        int status = run_apart(at, to);
        if (status == 0) {
            at = to;
            continue;
        }
        uint64_t failed = shared->at;
        fprintf(stderr, "walk-mutate: execution %lu: status %#x\n", (unsigned long)failed,
                (unsigned)status);
        faults++;
        /* Alone, if that does it: else after all those before it in its batch. */
        save(run_apart(failed, failed + 1) != 0 ? failed : at, failed + 1);
        at = failed + 1;
    }
    say(at, faults);
    return faults == 0;
}

static bool parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"file", required_argument, NULL, 'f'},    {"image", required_argument, NULL, 'i'},
        {"look", required_argument, NULL, 'l'},    {"save", required_argument, NULL, 'o'},
        {"replay", required_argument, NULL, 'r'},  {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},   {"seconds", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},   {"limit-ms", required_argument, NULL, 'm'},
        {"heap-mb", required_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
    };
    const struct {
        int option;
        const char **text;
        unsigned long *number;
    } values[] = {
        {'f', &options.file, NULL},     {'i', &options.image, NULL},   {'l', &options.look, NULL},
        {'o', &options.save, NULL},     {'r', &options.replay, NULL},  {'s', NULL, &options.seed},
        {'n', NULL, &options.count},    {'t', NULL, &options.seconds}, {'b', NULL, &options.batch},
        {'m', NULL, &options.limit_ms}, {'h', NULL, &options.heap_mb}};
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        bool known = false;
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            if (values[i].option == option) {
                known = true;
                if (values[i].text) {
                    *values[i].text = optarg;
                } else {
                    good = good && ram_file_number(optarg, values[i].number);
                }
            }
        }
        good = good && known;
    }
    return good && optind == argc && options.batch > 0;
}

int main(int argc, char **argv)
{
    MonattError err = {0};

    monatt_log_init("walk-mutate");
    if (!parse(argc, argv)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE,
                         "walk-mutate [--file RAM] [--image KERNEL] [--seed N] [--count N] "
                         "[--look NAME] [--replay FILE]");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(shared != MAP_FAILED);
    if (!walk_memory_open(options.file, &err) ||
        !walk_looks_prepare(options.image, options.look, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    heap_before = walk_heap();
    if (options.replay) {
        if (!replay(&err)) {
            monatt_log_failure(&err);
            return monatt_error_exit_code(err.code);
        }
        return MONATT_EXIT_DONE;
    }
    return mutate() ? MONATT_EXIT_DONE : 1;
}
