/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-user.c - a user of its own for each VM
 *
 * A device that a guest took over must not signal, trace or read the processes and files of
 * another VM, and the kernel's own rule for that is the user.  Must never give two running VMs
 * one number out of a range.
 */
#include "hw-attest/vm-user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

/* In a container most numbers are nobody's: the kernel refuses them. */
static bool may_become(uid_t uid)
{
    if (seteuid(uid) != 0) {
        return false;
    }
    if (seteuid(0) != 0) {
        abort(); /* half a user is worse than no service */
    }
    return true;
}

void vm_users_default(VmUsers *ret)
{
    *ret = (VmUsers){.first = VM_USERS_FIRST, .last = VM_USERS_LAST};
    if (geteuid() != 0) {
        return;
    }
    ret->change = may_become(VM_USERS_FIRST) && may_become(VM_USERS_LAST);
    if (!ret->change) {
        monatt_log_warning("users %u to %u do not exist here: devices stay root without "
                           "capabilities; choose others with --user",
                           VM_USERS_FIRST, VM_USERS_LAST);
    }
}

static bool parse_number(const char *text, char end, uid_t *ret, const char **ret_rest)
{
    char *rest;
    errno = 0;
    unsigned long long value = strtoull(text, &rest, 10);
    /* -1 means "no change" to the kernel. */
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *rest != end || value >= UINT32_MAX) {
        return false;
    }
    *ret = (uid_t)value;
    *ret_rest = rest + 1;
    return true;
}

bool vm_users_parse(const char *text, VmUsers *ret, MonattError *err)
{
    const char *rest;
    memset(ret, 0, sizeof(*ret));
    if (parse_number(text, '-', &ret->first, &rest)) {
        if (!parse_number(rest, '\0', &ret->last, &rest) || ret->last <= ret->first ||
            ret->first == 0) {
            monatt_error_set(err, MONATT_ERROR_USAGE, "'%.80s': --user: not a range", text);
            return monatt_error_hint(err, "for example --user %u-%u", VM_USERS_FIRST,
                                     VM_USERS_LAST);
        }
        ret->gid = ret->first;
    } else if (parse_number(text, '\0', &ret->first, &rest)) {
        ret->last = ret->first;
        ret->gid = ret->first;
    } else {
        const struct passwd *user = getpwnam(text);
        if (!user) {
            monatt_error_set(err, MONATT_ERROR_USAGE, "'%.80s': --user: no such user", text);
            return monatt_error_hint(err, "give a name, a number, or a range FIRST-LAST");
        }
        ret->first = ret->last = user->pw_uid;
        ret->gid = user->pw_gid;
    }
    ret->change = ret->first != geteuid() || ret->last != geteuid();
    if (ret->change && (geteuid() != 0 || !may_become(ret->first) || !may_become(ret->last))) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "'%.80s': --user: cannot become that user", text);
        return monatt_error_hint(err, "only root can change users; leave --user out");
    }
    return true;
}

static bool owns_folder(const char *run_vm, uid_t uid)
{
    bool found = false;
    struct dirent *entry;
    DIR *folder = opendir(run_vm);
    while (folder && !found && (entry = readdir(folder))) {
        struct stat status;
        found = entry->d_name[0] != '.' &&
                fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                status.st_uid == uid;
    }
    if (folder) {
        closedir(folder);
    }
    return found;
}

bool vm_users_pick(const VmUsers *users, const char *run_vm, const uid_t *taken, size_t count,
                   VmUser *ret, MonattError *err)
{
    *ret = (VmUser){.change = users->change, .uid = users->first, .gid = users->gid};
    if (!users->change || users->first == users->last) {
        return true;
    }
    /* One more candidate than VMs is enough; a range may be wide. */
    for (uint64_t uid = users->first; uid <= users->last && uid - users->first <= 2 * count + 512;
         uid++) {
        bool used = false;
        for (size_t i = 0; i < count && !used; i++) {
            used = taken[i] == (uid_t)uid;
        }
        if (!used && !owns_folder(run_vm, (uid_t)uid)) {
            ret->uid = (uid_t)uid;
            ret->gid = (gid_t)uid;
            return true;
        }
    }
    monatt_error_set(err, MONATT_ERROR_BUSY, "attach: users %u to %u: each has a VM already",
                     users->first, users->last);
    return monatt_error_hint(err, "give the service a wider range with --user");
}
