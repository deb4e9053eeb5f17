/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox-landlock.c - the kernel's landlock: files that may be opened, whatever is mounted
 *
 * Holds where a root of its own cannot be had, and against a descriptor of a folder that somebody
 * forgot to close.  Files of no file system (memfd) are not its business.  Numbers: the kernel's
 * Documentation/userspace-api/landlock.rst; the header of an older kernel has fewer of them.
 */
#include "hw-attest/sandbox-layers.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The rights of version 1 are the first 13 bits; each later version added some. */
#define FS_VERSION_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)     /* 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define NET_TCP UINT64_C(3)              /* 4: bind and connect */
#define SCOPES UINT64_C(3)               /* 6: abstract sockets, signals */

/* struct landlock_ruleset_attr as of version 6; an older kernel is given its beginning. */
typedef struct Ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
} Ruleset;

int sandbox_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static size_t describe(int version, Ruleset *ret)
{
    *ret = (Ruleset){.fs = FS_VERSION_1};
    ret->fs |= version >= 2 ? FS_REFER : 0;
    ret->fs |= version >= 3 ? FS_TRUNCATE : 0;
    ret->fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    ret->net = version >= 4 ? NET_TCP : 0;
    ret->scoped = version >= 6 ? SCOPES : 0;
    return version >= 6 ? sizeof(*ret) : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

bool sandbox_enter_landlock(const SandboxPlace *place, bool *ret_entered, MonattError *err)
{
    Ruleset attributes;
    int version = sandbox_landlock_version();
    *ret_entered = false;
    if (version == 0) {
        return true;
    }
    size_t size = describe(version, &attributes);
    int rules MONATT_CLEANUP_CLOSE =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (rules < 0) {
        return monatt_error_set_errno(err, errno, "sandbox: landlock %d", version);
    }
    for (size_t i = 0; i < place->file_count; i++) {
        const struct landlock_path_beneath_attr file = {
            .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
            .parent_fd = place->file_fds[i],
        };
        if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &file, 0) != 0) {
            return monatt_error_set_errno(err, errno, "sandbox: landlock: file %zu", i);
        }
    }
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: landlock");
    }
    *ret_entered = true;
    return true;
}
