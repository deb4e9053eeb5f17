/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox-root.c - namespaces, and a root folder in which there is nothing to find
 *
 *   /run            the VM's run folder, read-only: swtpm's sockets
 *   /proc/self/fd   this process's descriptors: guest memory and log are opened again by them,
 *                   read-only, before they are handed out
 *
 * As root in the namespaces that the capability allows; as another user in a user namespace, which
 * the host may forbid, as it may what is done in it: then the old root stays, and is said to.  From
 * the change of the root on a step that fails is an error.
 */
#include "hw-attest/sandbox-layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define STAGE "/tmp" /* where the new root is put together; any folder does */
#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)

#define OVERFLOW_UID 65534 /* Documentation/admin-guide/sysctl/fs.rst: overflowuid */

static bool in_user_namespace;

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* In the namespace a user is himself and nobody else. */
static bool map_user(uid_t uid, gid_t gid, MonattError *err)
{
    char text[48];
    /* /proc/self is root's after a change of user. */
    bool ok = prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && write_text("/proc/self/setgroups", "deny");
    snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
    ok = ok && write_text("/proc/self/uid_map", text);
    snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
    ok = ok && write_text("/proc/self/gid_map", text);
    return ok ? true : monatt_error_set_errno(err, errno, "sandbox: user namespace");
}

static bool mount_at(const char *source, const char *target, const char *type, unsigned long flags,
                     const char *data, MonattError *err)
{
    if (mount(source, target, type, flags, data) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: mount of '%s'", target);
    }
    return true;
}

static bool make_at(const char *path, MonattError *err)
{
    if (mkdir(path, 0700) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: '%s'", path);
    }
    return true;
}

/* The working directory is the run folder, if there is one. */
static bool build(bool has_run, MonattError *err)
{
    char options[96];
    snprintf(options, sizeof(options), "mode=0700,nr_inodes=16,size=64k,uid=%u,gid=%u", geteuid(),
             getegid());
    if (!mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL, err) ||
        !mount_at("monatt", STAGE, "tmpfs", QUIET, options, err) || !make_at(STAGE "/run", err) ||
        !make_at(STAGE "/proc", err) || !make_at(STAGE "/proc/self", err) ||
        !make_at(STAGE "/proc/self/fd", err)) {
        return false;
    }
    if (has_run && (!mount_at(".", STAGE "/run", NULL, MS_BIND, NULL, err) ||
                    !mount_at(NULL, STAGE "/run", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | QUIET,
                              NULL, err))) {
        return false;
    }
    return mount_at("/proc/self/fd", STAGE "/proc/self/fd", NULL, MS_BIND, NULL, err) &&
           mount_at(NULL, STAGE "/proc/self/fd", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | QUIET,
                    NULL, err);
}

/* The old root is put on top of the new one and taken away: pivot_root(2), "pivot_root(".", ".")".
 */
static bool change_root(MonattError *err)
{
    if (chdir(STAGE) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: root");
    }
    return mount_at(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | QUIET, NULL, err);
}

bool sandbox_enter_root(const SandboxPlace *place, uint32_t *layers, MonattError *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    /* A descriptor's mount stays in the old namespace, the working directory's comes along. */
    if (place->run_fd >= 0 && fchdir(place->run_fd) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: run folder");
    }
    if (!sandbox_raise(CAP_SYS_ADMIN) || unshare(NAMESPACES) != 0) {
        if (unshare(NAMESPACES | CLONE_NEWUSER) != 0) {
            return chdir("/") == 0 ? true : monatt_error_set_errno(err, errno, "sandbox: '/'");
        }
        if (!map_user(uid, gid, err)) {
            return false;
        }
        in_user_namespace = true;
    }
    *layers |= SANDBOX_NAMESPACES;
    if (!build(place->run_fd >= 0, err)) {
        monatt_log_warning("%s: it keeps the host's root", err->message);
        monatt_error_clear(err);
        umount2(STAGE, MNT_DETACH);
        return chdir("/") == 0 ? true : monatt_error_set_errno(err, errno, "sandbox: '/'");
    }
    if (!change_root(err)) {
        return false;
    }
    /* Its parent folders are those of the host. */
    if (place->run_fd >= 0) {
        close(place->run_fd);
    }
    *layers |= SANDBOX_ROOT;
    return true;
}

uid_t sandbox_peer(uid_t uid)
{
    return in_user_namespace && uid == OVERFLOW_UID ? 0 : uid;
}

void sandbox_enter_namespaces(void)
{
    /* Without the right to do so it has those of the service: its user is its own anyway. */
    int rc = unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
    (void)rc;
}
