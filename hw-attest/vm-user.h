/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-user.h - which user the device and the swtpm of a VM run as
 */
#ifndef HW_ATTEST_VM_USER_H
#define HW_ATTEST_VM_USER_H

#include <sys/types.h>
#include "libmonatt/base/error.h"

/* Of no account: above the default ranges of subordinate ids, systemd's containers and SSSD. */
#define VM_USERS_FIRST 2100000000u
#define VM_USERS_LAST 2100000255u

/* The user of one VM's processes. */
typedef struct VmUser {
    bool change; /* false: the service's own */
    uid_t uid;
    gid_t gid;
} VmUser;

/* Where the users of VMs come from. */
typedef struct VmUsers {
    bool change;
    uid_t first; /* first == last: one user for all */
    uid_t last;
    gid_t gid; /* of that one user; in a range a group has its user's number */
} VmUsers;

/* What a service uses that was told nothing: as root the range above, else its own user.  Never
 * fails: root that may not become these (a container's) gets its own user and a warning. */
void vm_users_default(VmUsers *ret);
/* NAME, UID or FIRST-LAST of --user; USAGE with the reason when it cannot be. */
bool vm_users_parse(const char *text, VmUsers *ret, MonattError *err) MONATT_MUST_CHECK;
/*
 * A user that no running VM has: neither one of taken[0..count) nor the owner of a folder in
 * run_vm (RUN_DIR/vm: devices of an earlier service live on).  BUSY when all are used.
 */
bool vm_users_pick(const VmUsers *users, const char *run_vm, const uid_t *taken, size_t count,
                   VmUser *ret, MonattError *err) MONATT_MUST_CHECK;

#endif
