/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-folders.c - folders of a VM, seen from the attach service
 *
 * The service may be root, and what is in these folders was made by processes that a guest may
 * have taken over: no link is followed, and nothing is given away but plain files of one name.
 */
#include "hw-attest/vm-folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/vfio-listen.h"

#define ENTRIES_MAXIMUM 256 /* of a state folder; a handful are ever there */
#define DEPTH_MAXIMUM 2     /* STATE_DIR/vm/UUID and its tpm/ */

static bool folder_of(const char *base, const uint8_t vid[MONATT_UUID_SIZE], const char *longest,
                      size_t limit, char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    char uuid[MONATT_UUID_TEXT_SIZE];
    monatt_text_from_uuid(vid, uuid);
    int length = snprintf(ret_path, VM_PATH_MAXIMUM, "%s/vm/%s", base, uuid);
    if (length < 0 || (size_t)length + strlen(longest) >= limit) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "folder: '%.80s/vm/%s': path is too long", base,
                         uuid);
        return monatt_error_hint(err, "choose a shorter folder: %zu bytes are allowed",
                                 limit - strlen("/vm/") - MONATT_UUID_TEXT_SIZE - strlen(longest));
    }
    return true;
}

bool vm_run_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                   char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    /* sun_path of a UNIX socket has 108 bytes. */
    return folder_of(options->run_dir, vid, "/" VFIO_LISTEN_NAME, 108, ret_path, err);
}

bool vm_state_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    return folder_of(options->state_dir, vid, "/tpm", VM_PATH_MAXIMUM, ret_path, err);
}

void vm_remove_run_folder(const char *path)
{
    static const char *const names[] = {"control.sock", "tpm.sock", "tpm.sock.ctrl", "device.pid",
                                        VFIO_LISTEN_NAME};
    char file[VM_PATH_MAXIMUM + 32];
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        snprintf(file, sizeof(file), "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

/* The descriptor of a folder that is made when it is missing, or -1. */
static int make_folder(const char *path, MonattError *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        monatt_error_set_errno(err, errno, "folder: '%s'", path);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        monatt_error_set_errno(err, errno, "folder: '%s'", path);
    }
    return fd;
}

/* To the user: the folder and its plain files; a file with a second name may be somebody else's. */
static bool give(int folder_fd, const VmUser *user, unsigned depth, MonattError *err)
{
    unsigned count = 0;
    struct dirent *entry;
    int again = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    bool ok = folder && fchown(folder_fd, user->uid, user->gid) == 0;
    while (ok && (entry = readdir(folder)) && count++ < ENTRIES_MAXIMUM) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        struct stat status;
        int fd MONATT_CLEANUP_CLOSE =
            openat(folder_fd, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) != 0) {
            continue;
        }
        if (S_ISDIR(status.st_mode) && depth < DEPTH_MAXIMUM) {
            int inner MONATT_CLEANUP_CLOSE =
                openat(folder_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            ok = inner >= 0 && give(inner, user, depth + 1, err);
        } else if (S_ISREG(status.st_mode) && status.st_nlink == 1) {
            ok = fchownat(fd, "", user->uid, user->gid, AT_EMPTY_PATH) == 0;
        }
    }
    if (!ok && err->code == MONATT_ERROR_NONE) {
        monatt_error_set_errno(err, errno, "folder: cannot be given to user %u", user->uid);
    }
    if (folder) {
        closedir(folder);
    } else if (again >= 0) {
        close(again);
    }
    return ok;
}

static bool open_state(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                       VmFolders *folders, MonattError *err)
{
    char path[VM_PATH_MAXIMUM];
    struct stat status;
    if (!vm_state_folder(options, vid, path, err)) {
        return false;
    }
    folders->state_fd = make_folder(path, err);
    if (folders->state_fd < 0) {
        return false;
    }
    if (mkdirat(folders->state_fd, "tpm", 0700) != 0 && errno != EEXIST) {
        return monatt_error_set_errno(err, errno, "folder: '%s/tpm'", path);
    }
    folders->lock_fd = openat(folders->state_fd, "lock",
                              O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (folders->lock_fd < 0 || fstat(folders->lock_fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_nlink != 1) {
        return monatt_error_set_errno(err, folders->lock_fd < 0 ? errno : EINVAL, "'%s/lock'",
                                      path);
    }
    /* Two devices of one VM would share its identity. */
    if (flock(folders->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "attach: '%s': this VM has a device already",
                         path);
        return monatt_error_hint(err, "end the VM that runs with this uuid, or give another -uuid");
    }
    return true;
}

bool vm_folders_open(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     const VmUser *user, VmFolders *ret, MonattError *err)
{
    char path[VM_PATH_MAXIMUM];
    *ret = (VmFolders){.run_fd = -1, .state_fd = -1, .lock_fd = -1};
    bool ok = vm_run_folder(options, vid, path, err) && open_state(options, vid, ret, err);
    if (ok) {
        /* The lock is ours: what a killed device left is in the way. */
        vm_remove_run_folder(path);
        ret->run_fd = make_folder(path, err);
        ok = ret->run_fd >= 0;
        if (ok && fchmod(ret->run_fd, 0711) != 0) { /* entered, not listed: VFIO_LISTEN_NAME */
            ok = monatt_error_set_errno(err, errno, "folder: '%s'", path);
        }
    }
    VmUser own = {.uid = geteuid(), .gid = getegid()};
    /* Root gives, to itself too: the folders may be another user's from the last time. */
    if (ok && geteuid() == 0) {
        const VmUser *owner = user->change ? user : &own;
        ok = give(ret->state_fd, owner, 1, err) && give(ret->run_fd, owner, 1, err);
    }
    if (!ok) {
        vm_folders_close(ret);
    }
    return ok;
}

void vm_folders_close(VmFolders *folders)
{
    monatt_close_pointer(&folders->run_fd);
    monatt_close_pointer(&folders->state_fd);
    monatt_close_pointer(&folders->lock_fd);
}

void vm_folders_take_back(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                          const VmUser *user)
{
    char path[VM_PATH_MAXIMUM];
    if (user->change && vm_state_folder(options, vid, path, NULL) &&
        lchown(path, geteuid(), getegid()) != 0) {
        return; /* removed by the operator: nothing to protect */
    }
}
