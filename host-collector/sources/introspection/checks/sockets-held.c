/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets-held.c - the sockets that are open files of a process
 */
#include <stdlib.h>
#include "host-collector/sources/introspection/checks/sockets.h"
#include "libmonatt/base/macros.h"

#define DESCRIPTORS_MAXIMUM (1u << 20) /* of one process: sysctl_nr_open's default */
#define AT_ONCE 256

static int by_sock(const void *a, const void *b)
{
    const HeldSocket *x = a, *y = b;
    if (x->sock != y->sock) {
        return x->sock < y->sock ? -1 : 1;
    }
    return (x->task > y->task) - (x->task < y->task);
}

HeldSocket *sockets_find_held(SocketCheck *check, uint64_t sock)
{
    uint32_t low = 0, high = check->held_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (check->held[middle].sock < sock) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < check->held_count && check->held[low].sock == sock ? &check->held[low] : NULL;
}

static void read_file(CheckContext *context, SocketCheck *check, uint64_t file, uint32_t task)
{
    const SocketLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t operations, socket, sock;

    if (!address_space_u64(space, file + layout->file_operations, &operations) ||
        operations != check->file_operations ||
        !address_space_u64(space, file + layout->file_private, &socket) ||
        !address_space_u64(space, socket + layout->socket_sock, &sock) || sock == 0) {
        return;
    }
    if (check->held_count == SOCKETS_MAXIMUM) {
        check_reason(context, MONATT_REASON_BUDGET, "more than %u sockets are open",
                     SOCKETS_MAXIMUM);
        return;
    }
    check->held[check->held_count++] = (HeldSocket){.sock = sock, .socket = socket, .task = task};
}

static void read_files(CheckContext *context, SocketCheck *check, uint64_t files, uint32_t task)
{
    const SocketLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t table, array;
    uint32_t count;

    /* Of a process that ends meanwhile nothing need be there any more. */
    if (!address_space_u64(space, files + layout->files_table, &table) ||
        !address_space_u32(space, table + layout->table_count, &count) ||
        !address_space_u64(space, table + layout->table_files, &array)) {
        return;
    }
    if (count > DESCRIPTORS_MAXIMUM) {
        check_reason(context, MONATT_REASON_BUDGET, "a process has room for %u open files", count);
        count = DESCRIPTORS_MAXIMUM;
    }
    for (uint32_t first = 0; first < count; first += AT_ONCE) {
        uint64_t pointers[AT_ONCE];
        uint32_t size = count - first < AT_ONCE ? count - first : AT_ONCE;

        if (!check_step(context) ||
            !address_space_read(space, array + 8ull * first, pointers, size * 8ull)) {
            return;
        }
        for (uint32_t i = 0; i < size; i++) {
            if (pointers[i] != 0) {
                if (!check_step(context)) {
                    return;
                }
                read_file(context, check, pointers[i], task);
            }
        }
    }
}

typedef struct FilesOf {
    uint64_t files;
    uint32_t task;
} FilesOf;

static int by_files(const void *a, const void *b)
{
    const FilesOf *x = a, *y = b;
    if (x->files != y->files) {
        return x->files < y->files ? -1 : 1;
    }
    return (x->task > y->task) - (x->task < y->task);
}

void sockets_read_held(CheckContext *context, SocketCheck *check, const TaskScan *scan)
{
    const SocketLayout *layout = &check->layout;
    FilesOf *all MONATT_CLEANUP_FREE = calloc(scan->table.count + 1, sizeof(*all));
    uint32_t count = 0;

    check->held_count = 0;
    if (!all) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    if (!layout_has(layout->file_operations) || !layout_has(layout->file_private) ||
        !layout_has(layout->files_table) || !layout_has(layout->table_count) ||
        !layout_has(layout->table_files) || !layout_has(layout->socket_sock) ||
        !layout_has(check->processes.task_files) || check->file_operations == 0) {
        check_lacks(context, "way from a process to its open files");
        return;
    }
    /* Threads mostly share theirs: each table once, for the first task that has it. */
    for (uint32_t i = 0; i < scan->table.count; i++) {
        uint64_t files;
        if (!scan->table.tasks[i].kernel_thread &&
            address_space_u64(&context->kernel->space,
                              scan->table.tasks[i].address + check->processes.task_files, &files) &&
            files != 0) {
            all[count++] = (FilesOf){files, i};
        }
    }
    qsort(all, count, sizeof(*all), by_files);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || all[i].files != all[i - 1].files) {
            read_files(context, check, all[i].files, all[i].task);
        }
    }
    qsort(check->held, check->held_count, sizeof(*check->held), by_sock);
}
