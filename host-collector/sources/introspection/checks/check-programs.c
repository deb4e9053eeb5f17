/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-programs.c - which programs run, and how many of those that were started it could see
 *
 * Looking from time to time misses what is over in between: the kernel counts every task that it
 * makes, so the part that was seen is known, and said.  There is no reference yet to compare
 * programs with: nothing here is a finding.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/programs.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define WHOLE_PPM 1000000u
#define SAMPLED_PPM 500000u /* below: what was seen is a sample (properties 2) */
#define UNSEEN_PPM 50000u   /* below: nearly nothing was seen */
#define NO_PROGRAM PROGRAMS_MAXIMUM

typedef struct Seen {
    uint64_t task;
    uint64_t start_ns;
} Seen;

typedef struct ProgramCheck {
    ProcessLayout processes;
    ProgramLayout layout;
    Program programs[PROGRAMS_MAXIMUM];
    uint32_t count;
    uint32_t turn; /* whose pages come first in this pass */
    uint64_t forks;
    Seen *seen; /* of the last pass, ascending; of TASK_TABLE_MAXIMUM */
    Seen *now;
    uint32_t seen_count;
    bool before; /* there was a pass */
} ProgramCheck;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ProgramLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(inode_number, "inode", "i_ino"),
    MEMBER(inode_generation, "inode", "i_generation"),
    MEMBER(inode_size, "inode", "i_size"),
    MEMBER(inode_mapping, "inode", "i_mapping"),
    MEMBER(mapping_root, "address_space", "i_pages.xa_head"),
    MEMBER(node_shift, "xa_node", "shift"),
    MEMBER(node_slots, "xa_node", "slots"),
};

static int by_identity(const void *a, const void *b)
{
    const Seen *x = a, *y = b;
    if (x->task != y->task) {
        return x->task < y->task ? -1 : 1;
    }
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* total_forks counts threads and kernel threads as well, and so do both sides here. */
static void count_launches(CheckContext *context, ProgramCheck *check, const TaskScan *scan)
{
    uint64_t forks = guest_kernel_forks(context->kernel), made = forks - check->forks, fresh = 0;
    uint32_t count = 0, old = 0;
    Seen *swap = check->seen;

    for (uint32_t i = 0; i < scan->table.count && count < TASK_TABLE_MAXIMUM; i++) {
        check->now[count++] = (Seen){scan->table.tasks[i].address, scan->table.tasks[i].start_ns};
    }
    qsort(check->now, count, sizeof(*check->now), by_identity);
    for (uint32_t i = 0; i < count; i++) {
        while (old < check->seen_count && by_identity(&check->seen[old], &check->now[i]) < 0) {
            old++;
        }
        fresh += old >= check->seen_count || by_identity(&check->seen[old], &check->now[i]) != 0;
    }
    if (forks == 0) {
        check_lacks(context, "symbol 'total_forks'");
    } else if (check->before && made > 0 && made < UINT32_MAX) {
        uint64_t part = fresh >= made ? WHOLE_PPM : fresh * WHOLE_PPM / made;
        check_count(context, "started", made);
        check_count(context, "started and seen", fresh < made ? fresh : made);
        check_count(context, "coverage ppm", part);
        check_count(context, "sampled", part < SAMPLED_PPM);
        check_count(context, "nearly unseen", part < UNSEEN_PPM);
    }
    check->seen = check->now;
    check->now = swap;
    check->seen_count = count;
    check->forks = forks;
    check->before = true;
}

static uint64_t member(CheckContext *context, uint64_t base, uint32_t offset, uint32_t size)
{
    uint64_t value = 0;
    return layout_has(offset) &&
                   address_space_read(&context->kernel->space, base + offset, &value, size)
               ? value
               : 0;
}

/* The entry of this file; one that no process ran in the last pass makes room. */
static uint32_t find_program(ProgramCheck *check, const Program *wanted)
{
    uint32_t unused = NO_PROGRAM;

    for (uint32_t i = 0; i < check->count; i++) {
        const Program *program = &check->programs[i];
        if (program->inode == wanted->inode && program->number == wanted->number &&
            program->generation == wanted->generation && program->size == wanted->size) {
            return i;
        }
        unused = program->processes == 0 && unused == NO_PROGRAM ? i : unused;
    }
    if (check->count < PROGRAMS_MAXIMUM) {
        unused = check->count++;
    }
    if (unused != NO_PROGRAM) {
        check->programs[unused] = *wanted;
    }
    return unused;
}

static void add_program(CheckContext *context, ProgramCheck *check, uint64_t file)
{
    Program wanted = {.processes = 0};
    uint32_t at;

    wanted.inode = member(context, file, check->processes.file_inode, 8);
    wanted.number = member(context, wanted.inode, check->layout.inode_number, 8);
    wanted.generation = (uint32_t)member(context, wanted.inode, check->layout.inode_generation, 4);
    wanted.size = member(context, wanted.inode, check->layout.inode_size, 8);
    at = find_program(check, &wanted);
    if (at == NO_PROGRAM) {
        check_reason(context, MONATT_REASON_BUDGET, "more than %u programs run", PROGRAMS_MAXIMUM);
        return;
    }
    if (check->programs[at].processes == 0 &&
        !process_path(context->kernel, &check->processes, file, check->programs[at].path,
                      &check->programs[at].deleted)) {
        snprintf(check->programs[at].path, sizeof(check->programs[at].path), "?");
    }
    check->programs[at].processes++;
}

static void put_row(CheckContext *context, const Program *program)
{
    char digest[2 * SHA256_DIGEST_SIZE + 1] = "";

    if (program->done) {
        monatt_text_from_bytes(program->digest, sizeof(program->digest), digest);
    }
    table_text(context->table, program->path);
    table_number(context->table, program->number);
    table_number(context->table, program->generation);
    table_number(context->table, program->size);
    table_number(context->table, program->hashed);
    table_text(context->table, digest);
    table_number(context->table, program->processes);
    table_text(context->table, program->deleted ? "deleted"
                               : program->done  ? ""
                                                : "not hashed whole yet");
    table_end_row(context->table);
}

static void read_programs(CheckContext *context, ProgramCheck *check, const TaskScan *scan)
{
    uint32_t hashes = PROGRAM_HASHES, looks = PROGRAM_LOOKS, running = 0, deleted = 0, done = 0;

    for (uint32_t i = 0; i < check->count; i++) {
        check->programs[i].processes = 0;
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        const GuestTask *task = &scan->table.tasks[i];
        uint64_t mm, file;

        if (task->kernel_thread || !guest_task_is_leader(task)) {
            continue;
        }
        if (!check_step(context)) {
            break;
        }
        mm = member(context, task->address, check->processes.task_mm, 8);
        file = mm != 0 ? member(context, mm, check->processes.mm_program, 8) : 0;
        if (file != 0) {
            add_program(context, check, file);
        }
    }
    for (uint32_t i = 0; i < check->count; i++) {
        Program *program = &check->programs[(check->turn + i) % check->count];
        if (program->processes > 0) {
            program_hash_pages(context, &check->layout, program, &hashes, &looks);
        }
    }
    check->turn = check->count ? (check->turn + 1) % check->count : 0;
    for (uint32_t i = 0; i < check->count; i++) {
        const Program *program = &check->programs[i];
        running += program->processes > 0;
        deleted += program->processes > 0 && program->deleted;
        done += program->processes > 0 && program->done;
        if (program->processes > 0 && context->table) {
            put_row(context, program);
        }
    }
    check_count(context, "programs", running);
    check_count(context, "hashed whole", done);
    check_count(context, "without a name", deleted);
}

static void clear(void *state)
{
    ProgramCheck *check = state;
    free(check->seen);
    free(check->now);
    free(check);
}

static ProgramCheck *make(CheckContext *context)
{
    ProgramCheck *check = calloc(1, sizeof(*check));

    if (!check || !(check->seen = calloc(TASK_TABLE_MAXIMUM, sizeof(*check->seen))) ||
        !(check->now = calloc(TASK_TABLE_MAXIMUM, sizeof(*check->now)))) {
        if (check) {
            clear(check);
        }
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return NULL;
    }
    process_layout_read(context->kernel, &check->processes);
    layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &check->layout);
    *context->state = check;
    return check;
}

static void run(CheckContext *context)
{
    ProgramCheck *check = *context->state ? *context->state : make(context);
    const TaskScan *scan = check_tasks(context, false);

    if (!check || !scan) {
        return;
    }
    if (!layout_has(check->processes.mm_program) || !layout_has(check->processes.file_inode) ||
        !layout_has(check->processes.task_mm)) {
        check_lacks(context, "mm_struct.exe_file and file.f_inode");
        return;
    }
    count_launches(context, check, scan);
    read_programs(context, check, scan);
}

const Check check_programs = {MONATT_SUBCHECK_PROGRAMS, "programs", "programs", run, clear};
