/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process-path.c - the path of an open file, from its name up to the root, across mounts
 *
 * Names and links are the guest's: the walk has a bound in names and in mounts, and what it shows
 * is printable.
 */
#include "host-collector/sources/introspection/checks/process.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define NAMES_MAXIMUM 128
#define NAME_SIZE 256 /* NAME_MAX and a terminator */
#define CUT "..."
#define DELETED " (deleted)"

typedef struct PathMaker {
    GuestKernel *kernel;
    const ProcessLayout *layout;
    char text[PROCESS_PATH_SIZE];
    size_t begin; /* it grows from its end */
    bool cut;
} PathMaker;

static void prepend(PathMaker *maker, const char *text)
{
    size_t size = strlen(text);
    if (maker->cut || size > maker->begin - strlen(CUT)) {
        maker->cut = true;
        return;
    }
    maker->begin -= size;
    memcpy(maker->text + maker->begin, text, size);
}

static bool read_name(PathMaker *maker, uint64_t entry, char name[NAME_SIZE])
{
    uint64_t text;
    return address_space_u64(&maker->kernel->space, entry + maker->layout->entry_name, &text) &&
           guest_kernel_string(maker->kernel, text, name, NAME_SIZE);
}

/* One step up; *entry and *mount move.  False: a link could not be read.  *at_root: no more. */
static bool step_up(PathMaker *maker, uint64_t *entry, uint64_t *mount, bool *at_root)
{
    const ProcessLayout *layout = maker->layout;
    AddressSpace *space = &maker->kernel->space;
    uint64_t root, parent;
    char name[NAME_SIZE];

    if (!address_space_u64(space, *mount + layout->mount_inner + layout->mount_root, &root) ||
        !address_space_u64(space, *entry + layout->entry_parent, &parent)) {
        return false;
    }
    if (*entry != root) {
        if (!read_name(maker, *entry, name)) {
            return false;
        }
        prepend(maker, name);
        prepend(maker, "/");
        /* A file that never had a place, as memfd_create() makes them, is its own parent. */
        *at_root = *entry == parent;
        *entry = parent;
        return true;
    }
    if (!address_space_u64(space, *mount + layout->mount_parent, &parent)) {
        return false;
    }
    *at_root = parent == *mount;
    if (!*at_root) {
        uint64_t place;
        if (!address_space_u64(space, *mount + layout->mount_place, &place)) {
            return false;
        }
        *entry = place;
        *mount = parent;
    }
    return true;
}

static bool has_layout(const ProcessLayout *layout)
{
    return layout_has(layout->file_path) && layout_has(layout->path_mount) &&
           layout_has(layout->path_entry) && layout_has(layout->entry_parent) &&
           layout_has(layout->entry_name) && layout_has(layout->mount_root) &&
           layout_has(layout->mount_parent) && layout_has(layout->mount_place) &&
           layout_has(layout->mount_inner);
}

/* A name that nobody can look up any more is in no hash: hlist_bl_node's back link is NULL. */
static bool is_unhashed(PathMaker *maker, uint64_t entry)
{
    uint64_t back;
    return layout_has(maker->layout->entry_hash) &&
           address_space_u64(&maker->kernel->space, entry + maker->layout->entry_hash + 8, &back) &&
           back == 0;
}

bool process_path(GuestKernel *kernel, const ProcessLayout *layout, uint64_t file,
                  char ret_path[PROCESS_PATH_SIZE], bool *ret_deleted)
{
    PathMaker maker = {.kernel = kernel, .layout = layout, .begin = PROCESS_PATH_SIZE - 1};
    uint64_t entry, mount;
    bool good = has_layout(layout), at_root = false;

    ret_path[0] = '\0';
    *ret_deleted = false;
    if (!good || file == 0 ||
        !address_space_u64(&kernel->space, file + layout->file_path + layout->path_entry, &entry) ||
        !address_space_u64(&kernel->space, file + layout->file_path + layout->path_mount, &mount)) {
        return false;
    }
    mount -= layout->mount_inner; /* the vfsmount lies in its mount */
    *ret_deleted = is_unhashed(&maker, entry);
    if (*ret_deleted) {
        prepend(&maker, DELETED);
    }
    for (int i = 0; i < NAMES_MAXIMUM && good && !at_root && !maker.cut; i++) {
        good = step_up(&maker, &entry, &mount, &at_root);
    }
    if (maker.cut) {
        maker.begin -= strlen(CUT);
        memcpy(maker.text + maker.begin, CUT, strlen(CUT));
    }
    monatt_text_printable(maker.text + maker.begin, PROCESS_PATH_SIZE - 1 - maker.begin, ret_path,
                          PROCESS_PATH_SIZE);
    return good && (at_root || maker.cut);
}
