/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-files.c - what runs when a mounted filesystem's root folder is read
 *
 * Every super block of super_blocks: its operations, those of its root's inode and dentry.  The
 * objects of a filesystem in the kernel's image must use tables of the image; those of a module's
 * may use the module's.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include "libmonatt/base/macros.h"

#define SUPER_BLOCKS 4096u
#define NAME_SIZE 33

typedef struct FilesLayout {
    uint32_t list, type, root, type_name, inode;
    uint32_t super_operations, inode_operations, file_operations;
    uint32_t export_operations, super_dentry_operations, dentry_operations; /* may be missing */
} FilesLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(FilesLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    MEMBER(list, "super_block", "s_list"),
    MEMBER(type, "super_block", "s_type"),
    MEMBER(root, "super_block", "s_root"),
    MEMBER(type_name, "file_system_type", "name"),
    MEMBER(inode, "dentry", "d_inode"),
    MEMBER(super_operations, "super_block", "s_op"),
    MEMBER(inode_operations, "inode", "i_op"),
    MEMBER(file_operations, "inode", "i_fop"),
    MEMBER(export_operations, "super_block", "s_export_op"),
    MEMBER(super_dentry_operations, "super_block", "s_d_op"),
    MEMBER(super_dentry_operations, "super_block", "__s_d_op"), /* from 6.17 */
    MEMBER(dentry_operations, "dentry", "d_op"),
};

static void judge(CheckContext *context, PointersCheck *check, const char *place, uint64_t object,
                  uint32_t offset, const char *structure, bool kernels)
{
    uint64_t table;

    if (!layout_has(offset)) {
        return;
    }
    if (!address_space_u64(&context->kernel->space, object + offset, &table)) {
        check_reason(context, MONATT_REASON_TORN, "the %s of %s are not readable", structure,
                     place);
        return;
    }
    pointers_judge_operations(context, check, "mounted", place, object + offset, table, structure,
                              kernels);
}

static void judge_super_block(CheckContext *context, PointersCheck *check,
                              const FilesLayout *layout, uint64_t block)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t type, root, inode, text;
    char name[NAME_SIZE] = "?";
    bool kernels;

    if (!address_space_u64(space, block + layout->type, &type) ||
        !address_space_u64(space, block + layout->root, &root)) {
        check_reason(context, MONATT_REASON_TORN, "a super block is not readable");
        return;
    }
    kernels = pointers_in_image(check, type);
    if (!address_space_u64(space, type + layout->type_name, &text) ||
        !guest_kernel_string(context->kernel, text, name, sizeof(name))) {
        check_reason(context, MONATT_REASON_TORN, "the name of a filesystem is not readable");
    }
    judge(context, check, name, block, layout->super_operations, "super_operations", kernels);
    judge(context, check, name, block, layout->export_operations, "export_operations", kernels);
    judge(context, check, name, block, layout->super_dentry_operations, "dentry_operations",
          kernels);
    if (root == 0 || !address_space_u64(space, root + layout->inode, &inode) || inode == 0) {
        return; /* not mounted yet, or no more */
    }
    judge(context, check, name, root, layout->dentry_operations, "dentry_operations", kernels);
    judge(context, check, name, inode, layout->inode_operations, "inode_operations", kernels);
    judge(context, check, name, inode, layout->file_operations, "file_operations", kernels);
}

void pointers_read_super_blocks(CheckContext *context, PointersCheck *check)
{
    MonattReason reason = MONATT_REASON_TORN;
    FilesLayout layout;
    uint64_t head, count = 0;
    char lacks[96];

    layout_read(context->kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &layout);
    if (layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &layout,
                     offsetof(FilesLayout, export_operations), lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "super_blocks", &head)) {
        check_lacks(context, "symbol 'super_blocks'");
        return;
    }
    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;

        count = 0;
        guest_list_begin(&walk, context, GUEST_LIST_RING, head);
        while (count < SUPER_BLOCKS && guest_list_next(&walk, &node)) {
            judge_super_block(context, check, &layout, node - layout.list);
            count++;
        }
        reason = count == SUPER_BLOCKS ? MONATT_REASON_BUDGET : walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the list of super blocks is not readable whole");
    }
    check_count(context, "super blocks", count);
}
