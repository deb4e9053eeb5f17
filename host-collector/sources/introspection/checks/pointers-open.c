/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-open.c - what runs when a process uses a file that it has open
 *
 * Of the open files of all processes: the operations of the file, of its inode (both kinds), of its
 * pages and of its super block, and for a file that is made of a sequence those of the sequence.
 * A file or folder on a filesystem of the kernel's image has tables of the image.
 *
 * A pass looks at OPEN_FILES of them at most and the next one goes on behind.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "libmonatt/base/macros.h"

#define OPEN_FILES 4096u       /* of a pass */
#define DESCRIPTORS (1u << 20) /* of one process: sysctl_nr_open's default */
#define AT_ONCE 128u
#define RECENT 256u /* a power of two */
#define NAME_SIZE 25
#define MODE_KIND 0170000u
#define MODE_FOLDER 0040000u
#define MODE_FILE 0100000u

/* Filesystems of the image whose files may have operations of a module's, or made at run time. */
static const char *const of_others[] = {"anon_inodefs", "debugfs", "securityfs"};

typedef struct OpenLayout {
    uint32_t task_files, files_table, table_count, table_files;
    uint32_t file_operations, file_inode, file_private;
    uint32_t inode_mode, inode_operations, inode_files, inode_block, inode_mapping;
    uint32_t mapping_operations, block_type, block_operations, type_name;
    uint32_t sequence_operations, read, read_iterator;
} OpenLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(OpenLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(task_files, "task_struct", "files"),
    MEMBER(files_table, "files_struct", "fdt"),
    MEMBER(table_count, "fdtable", "max_fds"),
    MEMBER(table_files, "fdtable", "fd"),
    MEMBER(file_operations, "file", "f_op"),
    MEMBER(file_inode, "file", "f_inode"),
    MEMBER(file_private, "file", "private_data"),
    MEMBER(inode_mode, "inode", "i_mode"),
    MEMBER(inode_operations, "inode", "i_op"),
    MEMBER(inode_files, "inode", "i_fop"),
    MEMBER(inode_block, "inode", "i_sb"),
    MEMBER(inode_mapping, "inode", "i_mapping"),
    MEMBER(mapping_operations, "address_space", "a_ops"),
    MEMBER(block_type, "super_block", "s_type"),
    MEMBER(block_operations, "super_block", "s_op"),
    MEMBER(type_name, "file_system_type", "name"),
    MEMBER(sequence_operations, "seq_file", "op"),
    MEMBER(read, "file_operations", "read"),
    MEMBER(read_iterator, "file_operations", "read_iter"),
};

typedef struct OpenWalk {
    CheckContext *context;
    PointersCheck *check;
    OpenLayout layout;
    uint64_t sequence_read, sequence_iterator; /* seq_read and seq_read_iter; 0: none */
    uint64_t count;
    uint64_t recent[RECENT]; /* files that were looked at in this pass */
    /* Of the last super block. */
    uint64_t block;
    bool kernels;
    char name[NAME_SIZE];
} OpenWalk;

static bool get(OpenWalk *walk, uint64_t at, uint64_t *ret)
{
    return address_space_u64(&walk->context->kernel->space, at, ret);
}

static bool read_block(OpenWalk *walk, uint64_t block)
{
    uint64_t type, text, table;

    if (block == walk->block) {
        return true;
    }
    if (!get(walk, block + walk->layout.block_type, &type) ||
        !get(walk, type + walk->layout.type_name, &text) ||
        !get(walk, block + walk->layout.block_operations, &table) ||
        !guest_kernel_string(walk->context->kernel, text, walk->name, sizeof(walk->name))) {
        return false;
    }
    walk->block = block;
    walk->kernels = pointers_in_image(walk->check, type);
    /* One that is mounted in no list has its table here only. */
    pointers_judge_operations(walk->context, walk->check, "open", walk->name,
                              block + walk->layout.block_operations, table, "super_operations",
                              walk->kernels);
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(of_others); i++) {
        walk->kernels = walk->kernels && strcmp(walk->name, of_others[i]) != 0;
    }
    return true;
}

static void judge(OpenWalk *walk, uint64_t object, uint32_t offset, const char *structure,
                  bool kernels)
{
    uint64_t table;

    if (get(walk, object + offset, &table)) {
        pointers_judge_operations(walk->context, walk->check, "open", walk->name, object + offset,
                                  table, structure, kernels);
    }
}

static void judge_sequence(OpenWalk *walk, uint64_t file, uint64_t operations)
{
    uint64_t by_iterator, by_read, sequence;

    if (get(walk, operations + walk->layout.read, &by_read) &&
        get(walk, operations + walk->layout.read_iterator, &by_iterator) &&
        ((by_read != 0 && by_read == walk->sequence_read) ||
         (by_iterator != 0 && by_iterator == walk->sequence_iterator)) &&
        get(walk, file + walk->layout.file_private, &sequence) && sequence != 0) {
        judge(walk, sequence, walk->layout.sequence_operations, "seq_operations", false);
    }
}

/* What cannot be read was closed meanwhile. */
static void judge_file(OpenWalk *walk, uint64_t file)
{
    const OpenLayout *layout = &walk->layout;
    uint64_t operations, inode, block, mapping, *recent = &walk->recent[file >> 6 & (RECENT - 1)];
    uint16_t mode;
    bool kernels;

    if (*recent == file || !get(walk, file + layout->file_operations, &operations) ||
        !get(walk, file + layout->file_inode, &inode) || inode == 0 ||
        !address_space_read(&walk->context->kernel->space, inode + layout->inode_mode, &mode,
                            sizeof(mode)) ||
        !get(walk, inode + layout->inode_block, &block) || !read_block(walk, block)) {
        return;
    }
    *recent = file;
    walk->count++;
    kernels =
        walk->kernels && ((mode & MODE_KIND) == MODE_FILE || (mode & MODE_KIND) == MODE_FOLDER);
    judge(walk, file, layout->file_operations, "file_operations", kernels);
    judge(walk, inode, layout->inode_operations, "inode_operations", kernels);
    judge(walk, inode, layout->inode_files, "file_operations", kernels);
    if (get(walk, inode + layout->inode_mapping, &mapping) && mapping != 0) {
        judge(walk, mapping, layout->mapping_operations, "address_space_operations", false);
    }
    judge_sequence(walk, file, operations);
}

static void read_files(OpenWalk *walk, uint64_t files)
{
    AddressSpace *space = &walk->context->kernel->space;
    uint64_t table, array, pointers[AT_ONCE];
    uint32_t count;

    /* Of a process that ends meanwhile nothing need be there any more. */
    if (!get(walk, files + walk->layout.files_table, &table) ||
        !address_space_u32(space, table + walk->layout.table_count, &count) ||
        !get(walk, table + walk->layout.table_files, &array)) {
        return;
    }
    if (count > DESCRIPTORS) {
        check_reason(walk->context, MONATT_REASON_BUDGET, "a process has room for %u open files",
                     count);
        count = DESCRIPTORS;
    }
    for (uint32_t first = 0; first < count; first += AT_ONCE) {
        uint32_t size = count - first < AT_ONCE ? count - first : AT_ONCE;

        if (!check_step(walk->context) ||
            !address_space_read(space, array + 8ull * first, pointers, size * 8ull)) {
            return;
        }
        for (uint32_t i = 0; i < size; i++) {
            if (pointers[i] != 0 && check_step(walk->context)) {
                judge_file(walk, pointers[i]);
            }
        }
    }
}

/* Each table of open files once, from where the last pass ended. */
static void read_tables(OpenWalk *walk, uint64_t *tables, uint32_t count)
{
    uint32_t start = 0, done = 0;

    addresses_sort(tables, count);
    while (start < count && tables[start] < walk->check->open_next) {
        start++;
    }
    for (; done < count && walk->count < OPEN_FILES; done++) {
        uint32_t i = (start + done) % count;
        if (i == 0 || tables[i] != tables[i - 1]) {
            read_files(walk, tables[i]);
        }
    }
    walk->check->open_next = done < count ? tables[(start + done) % count] : 0;
}

void pointers_read_open(CheckContext *context, PointersCheck *check)
{
    static OpenWalk walk; /* large; checks run one after the other */
    uint64_t *tables MONATT_CLEANUP_FREE = NULL;
    const TaskScan *scan;
    uint32_t count = 0;
    char lacks[96];

    memset(&walk, 0, sizeof(walk));
    walk.context = context;
    walk.check = check;
    layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &walk.layout);
    if (layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &walk.layout, sizeof(walk.layout), lacks,
                     sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    walk.sequence_read = layout_symbol(context->kernel, "seq_read");
    walk.sequence_iterator = layout_symbol(context->kernel, "seq_read_iter");
    scan = check_tasks(context, false);
    if (!scan) {
        return; /* and that was said */
    }
    tables = calloc(scan->table.count + 1, sizeof(*tables));
    if (!tables) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < scan->table.count; i++) {
        uint64_t files;
        if (!scan->table.tasks[i].kernel_thread &&
            get(&walk, scan->table.tasks[i].address + walk.layout.task_files, &files) &&
            files != 0) {
            tables[count++] = files;
        }
    }
    read_tables(&walk, tables, count);
    check_count(context, "open files", walk.count);
}
