/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monatt-mutate.c - attacks a test's guest by writing the guest's RAM from outside
 *
 *   monatt-mutate --list
 *   monatt-mutate --memory FILE|--qemu PID [--low BYTES] apply NAME [ARGUMENT] [--seed N] [--undo
 * FILE] monatt-mutate --memory FILE|--qemu PID [--low BYTES] undo FILE monatt-mutate --memory
 * FILE|--qemu PID [--low BYTES] hide PID --from list|idr|list+idr monatt-mutate --memory
 * FILE|--qemu PID [--low BYTES] unhide PID
 *
 * Says in JSON what it did and which check must find it.  It takes no lock of the guest, so stop
 * the guest first (QMP "stop") or keep it idle.  What is above --low bytes of the file lies at
 * 4 GiB.  A test tool: it needs write access to the memory backend, which only root and QEMU have.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/log.h"
#include "tests/mutators/mutate.h"
#include "tests/mutators/ram-file.h"

#define SUB_CHECKS 32

typedef struct Options {
    const char *memory;
    const char *undo;
    const char *from;
    unsigned long qemu;
    unsigned long low;
    unsigned long seed;
    int list;
    char *const *words;
    int word_count;
} Options;

static void print_checks(uint32_t checks)
{
    bool first = true;
    for (uint16_t id = 0; id < SUB_CHECKS; id++) {
        if (checks & MUTATION_BIT(id)) {
            const Check *check = check_by_id(id);
            printf("%s\"%s\"", first ? "" : ", ",
                   check                               ? check->name
                   : id == MONATT_SUBCHECK_HIDDEN_TASK ? "hidden-task"
                                                       : "none yet");
            first = false;
        }
    }
}

static void print_list(void)
{
    for (size_t i = 0; mutation_at(i); i++) {
        const Mutation *mutation = mutation_at(i);
        printf("{\"name\": \"%s\", \"what\": \"%s\", \"survivable\": %s, \"checks\": [",
               mutation->name, mutation->what, mutation->survivable ? "true" : "false");
        print_checks(mutation->checks);
        printf("]}\n");
    }
}

static void print_done(const Mutator *mutator, const Mutation *mutation)
{
    printf("{\"address\": \"%#lx\", \"pid\": %u, \"object\": \"%s\", \"what\": \"%s\"",
           (unsigned long)mutator->address, mutator->pid, mutator->object, mutator->what);
    if (mutator->pid) { /* a process by its name too */
        printf(", \"command\": \"%s\"", mutator->object);
    }
    if (mutation) {
        printf(", \"name\": \"%s\", \"checks\": [", mutation->name);
        print_checks(mutation->checks);
        printf("]");
    }
    printf("}\n");
}

/* A list_head, hlist_node or hlist_nulls_node: its own links stay, so that it can be put back. */
static bool move_node(Mutator *mutator, char *const *words, MonattError *err)
{
    bool back = words[0][0] == 'r';
    uint64_t next, previous, node;
    char *end;
    uint64_t address = strtoull(words[3], &end, 16);
    uint32_t offset;

    if (*end != '\0' || !mutator_member(mutator, words[1], words[2], &offset, err)) {
        return false;
    }
    node = address + offset;
    mutator_say(mutator, address, words[1], "its %s is %s", words[2], back ? "back" : "out");
    return mutator_read_u64(mutator, node, &next, err) &&
           mutator_read_u64(mutator, node + 8, &previous, err) &&
           mutator_write_u64(mutator, previous, back ? node : next, err) &&
           (next == 0 || (next & 1) ||
            mutator_write_u64(mutator, next + 8, back ? node : previous, err));
}

static bool usage(MonattError *err)
{
    return monatt_error_set(err, MONATT_ERROR_USAGE,
                            "monatt-mutate --list | --memory FILE|--qemu PID [--low BYTES] apply "
                            "NAME [ARGUMENT] [--seed N] [--undo FILE] | undo FILE | hide PID "
                            "--from list|idr|list+idr | unhide PID | unlink|relink STRUCTURE "
                            "MEMBER ADDRESS");
}

static bool work(Mutator *mutator, const Options *options, MonattError *err)
{
    const char *verb = options->words[0], *word = options->word_count > 1 ? options->words[1] : "";
    const Mutation *mutation = NULL;
    unsigned long pid = 0;
    bool done = false;

    if (strcmp(verb, "apply") == 0) {
        mutation = mutation_find(word);
        if (!mutation) {
            return monatt_error_set(err, MONATT_ERROR_USAGE, "mutation '%s': see --list", word);
        }
        done = mutation->apply(mutator, options->word_count > 2 ? options->words[2] : NULL, err);
        if (!done) {
            mutator_undo(mutator);
        } else if (options->undo && !mutator_save(mutator, options->undo, err)) {
            mutator_undo(mutator);
            return false;
        }
    } else if (strcmp(verb, "undo") == 0) {
        done = mutator_undo_file(mutator, word, err);
    } else if ((strcmp(verb, "unlink") == 0 || strcmp(verb, "relink") == 0) &&
               options->word_count == 4) {
        done = move_node(mutator, options->words, err);
    } else if (!ram_file_number(word, &pid) || pid == 0 || pid > UINT32_MAX) {
        return usage(err);
    } else if (strcmp(verb, "unhide") == 0) {
        done = mutate_unhide(mutator, (uint32_t)pid, err);
    } else if (strcmp(verb, "hide") == 0 && options->from) {
        bool list = strstr(options->from, "list"), idr = strstr(options->from, "idr");
        done = (list || idr) ? mutate_hide(mutator, (uint32_t)pid, list, idr, err) : usage(err);
    } else {
        return usage(err);
    }
    if (done) {
        print_done(mutator, mutation);
    }
    return done;
}

static bool run(const Options *options, MonattError *err)
{
    static Mutator mutator;
    char backend[96];
    const char *path = options->memory;
    bool done;

    if (options->list) {
        print_list();
        return true;
    }
    if (options->word_count < 2 || !(path || options->qemu)) {
        return usage(err);
    }
    if (!path) {
        if (!mutator_backend(options->qemu, backend, sizeof(backend), err)) {
            return false;
        }
        path = backend;
    }
    mutator.random = options->seed;
    if (!mutator_open(&mutator, path, options->low, err)) {
        return false;
    }
    done = work(&mutator, options, err);
    mutator_close(&mutator);
    return done;
}

static bool parse(int argc, char **argv, Options *options)
{
    static const struct option names[] = {
        {"memory", required_argument, NULL, 'm'}, {"qemu", required_argument, NULL, 'q'},
        {"low", required_argument, NULL, 'l'},    {"seed", required_argument, NULL, 's'},
        {"undo", required_argument, NULL, 'u'},   {"from", required_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'L'},         {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'm':
            options->memory = optarg;
            break;
        case 'q':
            good = good && ram_file_number(optarg, &options->qemu);
            break;
        case 'l':
            good = good && ram_file_number(optarg, &options->low);
            break;
        case 's':
            good = good && ram_file_number(optarg, &options->seed);
            break;
        case 'u':
            options->undo = optarg;
            break;
        case 'f':
            options->from = optarg;
            break;
        case 'L':
            options->list = 1;
            break;
        default:
            good = false;
        }
    }
    options->words = argv + optind;
    options->word_count = argc - optind;
    return good;
}

int main(int argc, char **argv)
{
    Options options = {0};
    MonattError err = {0};

    monatt_log_init("monatt-mutate");
    if (!(parse(argc, argv, &options) ? run(&options, &err) : usage(&err))) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
