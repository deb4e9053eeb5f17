/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - the collector's sandbox: the session key is in this memory, and this process may be
 * root
 *
 * A list of what is refused, not of what is allowed: SQLite, libmicrohttpd and the host TPM's
 * drivers decide what they call, and a collector that dies of a library's update attests nothing.
 * Must never refuse what worker-sandbox.c needs to give up its own rights.
 */
#include "host-collector/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER 1
#elif defined(__has_feature)
#define WITH_SANITIZER __has_feature(address_sanitizer)
#else
#define WITH_SANITIZER 0
#endif

#define BIT(capability) (1u << (capability))

/* DAC_OVERRIDE: /dev/tpmrm0 is tss:tss, folders may be another user's.  KILL: workers are nobody.
 * SETUID, SETGID, SYS_CHROOT, SYS_ADMIN: what a worker needs to become nobody in an empty root and
 * without a network (worker-sandbox.c). */
#define KEPT                                                                                       \
    (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_KILL) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |                   \
     BIT(CAP_SYS_CHROOT) | BIT(CAP_SYS_ADMIN))

static const struct {
    const char *name;
    const char *why;
} refused[] = {
#if !WITH_SANITIZER
    {"ptrace", "other processes' memory; LeakSanitizer needs it for its own"},
#endif
    {"process_vm_readv", "other processes' memory"},
    {"process_vm_writev", "other processes' memory"},
    {"process_madvise", "other processes' memory"},
    {"pidfd_getfd", "other processes' descriptors"},
    {"kcmp", "other processes"},
    {"perf_event_open", "side channels, and a large attack surface"},
    {"bpf", "a large attack surface"},
    {"userfaultfd", "makes kernel bugs easy to use"},
    {"io_uring_setup", "calls that no filter sees"},
    {"io_uring_enter", "calls that no filter sees"},
    {"io_uring_register", "calls that no filter sees"},
    {"init_module", "the kernel"},
    {"finit_module", "the kernel"},
    {"delete_module", "the kernel"},
    {"kexec_load", "the kernel"},
    {"kexec_file_load", "the kernel"},
    {"iopl", "the machine"},
    {"ioperm", "the machine"},
    {"reboot", "the machine"},
    {"mount", "file systems"},
    {"umount2", "file systems"},
    {"move_mount", "file systems"},
    {"fsopen", "file systems"},
    {"fsmount", "file systems"},
    {"open_tree", "file systems"},
    {"pivot_root", "file systems"},
    {"swapon", "file systems"},
    {"swapoff", "file systems"},
    {"quotactl", "file systems"},
    {"fanotify_init", "file systems"},
    {"open_by_handle_at", "files past every folder's rights"},
    {"name_to_handle_at", "files past every folder's rights"},
    {"setns", "other namespaces"},
    {"add_key", "keyrings"},
    {"request_key", "keyrings"},
    {"keyctl", "keyrings"},
    {"acct", "the host's settings"},
    {"sethostname", "the host's settings"},
    {"setdomainname", "the host's settings"},
    {"settimeofday", "the host's clock"},
    {"clock_settime", "the host's clock"},
    {"clock_adjtime", "the host's clock"},
    {"adjtimex", "the host's clock"},
    {"syslog", "kernel addresses"},
    {"personality", "turns address randomisation off"},
};

/* Effective, permitted and inheritable: a worker starts with the same. */
static bool drop_capabilities(MonattError *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};

    if (syscall(SYS_capget, &header, data) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    for (int i = 0; i < 2; i++) {
        unsigned kept = i == 0 ? KEPT : 0;
        data[i].permitted &= kept;
        data[i].effective &= kept;
        data[i].inheritable &= kept;
    }
    if (syscall(SYS_capset, &header, data) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    return true;
}

static int add_rules(scmp_filter_ctx filter, const char **ret_name)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    int rc = 0;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(refused) && rc == 0; i++) {
        int number = seccomp_syscall_resolve_name(refused[i].name);
        *ret_name = refused[i].name;
        rc = number == __NR_SCMP_ERROR ? -ENOSYS
                                       : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    /* A TPM may be over TCP (and getaddrinfo asks netlink); no raw packets, no vsock, no crypto
     * sockets.  Families between the allowed ones are refused one by one: rules cannot be "not". */
    *ret_name = "socket";
    for (unsigned family = 0; family <= AF_NETLINK && rc == 0; family++) {
        bool used = false;
        for (size_t i = 0; i < MONATT_ARRAY_SIZE(families); i++) {
            used = used || family == (unsigned)families[i];
        }
        if (!used) {
            rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, family));
        }
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
    }
    return rc;
}

static bool load_filter(MonattError *err)
{
    const char *name = "filter";
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (!filter) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "sandbox: seccomp: no memory");
    }
    int rc = add_rules(filter, &name);
    if (rc == 0) {
        name = "load";
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (rc != 0) {
        return monatt_error_set_errno(err, -rc, "sandbox: seccomp: %s", name);
    }
    return true;
}

bool sandbox_enter(MonattError *err)
{
    const struct rlimit none = {0, 0};

    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: prctl");
    }
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: core files");
    }
    return drop_capabilities(err) && load_filter(err);
}
