/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-holders.c - which process has a descriptor of a BPF program, of a link to one or of a map
 *
 * Whoever loaded a program is known to the kernel by its uid only; who holds it open is the next
 * best.  A pinned or attached one needs no holder.  Only asked while there are programs or maps.
 */
#include "host-collector/sources/introspection/checks/bpf-check.h"

#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define DESCRIPTORS_MAXIMUM 65536u /* of one process */
#define DESCRIPTORS_ALL 262144u    /* of a pass */
#define CHUNK 64u
#define MAPS_A_STEP 256u /* that are looked through for one step of the budget */

typedef struct HolderLayout {
    uint32_t task_files, files_table, table_maximum, table_array, file_operations, file_data;
    uint32_t link_program;
} HolderLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(HolderLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(task_files, "task_struct", "files"),  MEMBER(files_table, "files_struct", "fdt"),
    MEMBER(table_maximum, "fdtable", "max_fds"), MEMBER(table_array, "fdtable", "fd"),
    MEMBER(file_operations, "file", "f_op"),     MEMBER(file_data, "file", "private_data"),
    MEMBER(link_program, "bpf_link", "prog"),
};

typedef struct Holders {
    CheckContext *context;
    BpfCheck *check;
    HolderLayout layout;
    uint64_t program_files, link_files, link_files_poll, map_files;
    uint32_t looked_at;
} Holders;

typedef struct HolderTask {
    uint32_t pid;
    char name[20];
} HolderTask;

static void hold_map(BpfCheck *check, uint64_t address, const HolderTask *task)
{
    for (uint32_t i = 0; i < check->map_count; i++) {
        if (check->maps[i].address == address && check->maps[i].holder == 0) {
            check->maps[i].holder = task->pid;
            memcpy(check->maps[i].holder_name, task->name, sizeof(task->name));
        }
    }
}

static void hold_program(BpfCheck *check, uint64_t address, const HolderTask *task)
{
    BpfProgram *program = bpf_find_program(check, address);
    if (program && program->holder == 0) {
        program->holder = task->pid;
        memcpy(program->holder_name, task->name, sizeof(task->name));
    }
}

static void look_at_file(Holders *holders, uint64_t file, const HolderTask *task)
{
    AddressSpace *space = &holders->context->kernel->space;
    uint64_t operations, data;
    char place[48];

    if (!address_space_u64(space, file + holders->layout.file_operations, &operations) ||
        operations == 0 ||
        (operations != holders->program_files && operations != holders->link_files &&
         operations != holders->link_files_poll && operations != holders->map_files) ||
        !address_space_u64(space, file + holders->layout.file_data, &data)) {
        return;
    }
    snprintf(place, sizeof(place), "descriptor of pid %u %s", task->pid, task->name);
    if (operations == holders->map_files) {
        if (!walk_budget_take(&holders->context->budget, holders->check->map_count / MAPS_A_STEP)) {
            return;
        }
        hold_map(holders->check, data, task);
        if (holders->check->maps_whole && !bpf_has_map(holders->check, data)) {
            bpf_hidden_object(holders->context, "map", data, place);
        }
        return;
    }
    if (operations != holders->program_files) {
        if (holders->check->links_whole && !bpf_has_link(holders->check, data)) {
            bpf_hidden_object(holders->context, "link", data, place);
        }
        if (!address_space_u64(space, data + holders->layout.link_program, &data)) {
            return;
        }
    } else if (!bpf_find_program(holders->check, data)) {
        bpf_place(holders->context, holders->check, data, place, false);
    }
    hold_program(holders->check, data, task);
}

static void look_at_task(Holders *holders, uint64_t address)
{
    const KernelOffsets *offsets = &holders->context->kernel->offsets;
    const HolderLayout *layout = &holders->layout;
    AddressSpace *space = &holders->context->kernel->space;
    uint64_t files, table, array, chunk[CHUNK];
    uint32_t count;
    char bytes[16];
    HolderTask task = {0};

    if (!address_space_u64(space, address + layout->task_files, &files) || files == 0 ||
        !address_space_u32(space, address + offsets->task_pid, &task.pid) ||
        !address_space_read(space, address + offsets->task_command, bytes, sizeof(bytes)) ||
        !address_space_u64(space, files + layout->files_table, &table) ||
        !address_space_u32(space, table + layout->table_maximum, &count) ||
        !address_space_u64(space, table + layout->table_array, &array)) {
        return;
    }
    monatt_text_printable(bytes, strnlen(bytes, sizeof(bytes)), task.name, sizeof(task.name));
    for (uint32_t done = 0; done < count && done < DESCRIPTORS_MAXIMUM; done += CHUNK) {
        uint32_t size = count - done < CHUNK ? count - done : CHUNK;
        if (holders->looked_at++ > DESCRIPTORS_ALL / CHUNK) {
            check_reason(holders->context, MONATT_REASON_BUDGET,
                         "processes have room for more than %u open files", DESCRIPTORS_ALL);
            return;
        }
        if (!check_step(holders->context) ||
            !address_space_read(space, array + 8ull * done, chunk, 8ull * size)) {
            return;
        }
        for (uint32_t i = 0; i < size; i++) {
            if (chunk[i] != 0) {
                look_at_file(holders, chunk[i], &task);
            }
        }
    }
}

void bpf_read_holders(CheckContext *context, BpfCheck *check)
{
    GuestKernel *kernel = context->kernel;
    Holders holders = {.context = context, .check = check};
    GuestListWalk walk;
    uint64_t node;
    char text[96];
    const char *lacks;

    if (check->program_count + check->map_count == 0) {
        return;
    }
    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), &holders.layout);
    lacks = layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &holders.layout, sizeof(holders.layout),
                         text, sizeof(text));
    if (lacks || kernel->symbols.init_task == 0) {
        check_lacks(context, lacks ? lacks : "symbol 'init_task'");
        return;
    }
    holders.program_files = layout_symbol(kernel, "bpf_prog_fops");
    holders.link_files = layout_symbol(kernel, "bpf_link_fops");
    holders.link_files_poll = layout_symbol(kernel, "bpf_link_fops_poll");
    holders.map_files = layout_symbol(kernel, "bpf_map_fops");
    /* A walk that tears leaves the rest without a holder, which excuses nothing. */
    guest_list_begin(&walk, context, GUEST_LIST_RING,
                     kernel->symbols.init_task + kernel->offsets.task_tasks);
    while (guest_list_next(&walk, &node)) {
        look_at_task(&holders, node - kernel->offsets.task_tasks);
    }
}
