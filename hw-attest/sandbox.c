/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - the device's sandbox, in two stages
 *
 * Theory of operation.  A device process is forked from the attach service for one VM.
 *   before files: limits only.  Files, sockets, swtpm and threads come after it.
 *   before guest: capabilities dropped, seccomp with an allow-list on all threads.  From here on
 *     the process may use what it holds, open files for reading only (to hand out read-only
 *     descriptors of guest memory and log), and connect to its swtpm again.  It cannot start a
 *     program, make a file, or open anything for writing.
 */
#include "hw-attest/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER
#endif
#endif

#define DESCRIPTORS 256 /* 8 connections, 8 regions twice, files: about 60 are ever used */

/* A call and who needs it. */
static const struct {
    const char *name;
    const char *caller;
} allowed[] = {
    {"recvmsg", "wire-mpqemu.c, control/socket.c"},
    {"recvfrom", "qmp.c, tpm-socket.c"},
    {"sendmsg", "control/socket.c"},
    {"sendto", "wire-mpqemu.c, qmp.c, tpm-socket.c"},
    {"read", "control.c, ring.c: eventfds"},
    {"write", "device_post and ring_wake eventfds, log lines"},
    {"pread64", "event_log_rotate, report.c"},
    {"pwrite64", "event-log.c, control.c memfd"},
    {"fdatasync", "event-log.c"},
    {"ftruncate", "event-log.c"},
    {"memfd_create", "control.c guest list"},
    {"accept4", "control.c, vfio-listen.c"},
    {"getsockopt", "control.c, vfio-listen.c SO_PEERCRED"},
    {"setsockopt", "control.c SO_SNDTIMEO"},
    {"shutdown", "vm.c ends a swtpm that is stopped"},
    {"connect", "tpm-socket.c after a respawn"},
    {"poll", "control.c, qmp.c, ring.c"},
    {"ppoll", "poll on other libcs"},
    {"close", "everywhere"},
    {"fcntl", "wire-vfio-user-dma.c F_DUPFD_CLOEXEC"},
    {"unlink", "vm.c removes the run folder"},
    {"unlinkat", "vm.c removes the run folder"},
    {"rmdir", "vm.c removes the run folder"},
    {"futex", "pthreads"},
    {"rseq", "pthreads"},
    {"set_robust_list", "pthreads"},
    {"madvise", "pthreads, malloc"},
    {"mmap", "malloc, guest-ram.c"},
    {"munmap", "malloc, guest-ram.c"},
    {"mremap", "malloc"},
    {"mprotect", "malloc"},
    {"brk", "malloc"},
    {"clock_gettime", "without vDSO"},
    {"clock_nanosleep", "tpm_backend_start, ring.c"},
    {"nanosleep", "tpm_backend_start, ring.c"},
    {"gettimeofday", "without vDSO"},
    {"time", "without vDSO"},
    {"getrandom", "boot seed, OpenSSL"},
    {"getpid", "device_status, OpenSSL"},
    {"gettid", "OpenSSL, abort"},
    {"geteuid", "control.c"},
    {"newfstatat", "libc stdio"},
    {"fstat", "libc stdio, guest-ram.c: a window ends with its file"},
    {"fstatfs", "guest-ram.c: the pages of hugetlbfs"},
    {"lseek", "libc stdio"},
    {"sched_yield", "malloc, ring.c"},
    {"sched_getaffinity", "malloc, once there are many arenas; AddressSanitizer"},
    {"rt_sigprocmask", "pthread exit"},
    {"rt_sigreturn", "signals"},
    {"restart_syscall", "stop and continue"},
    {"tgkill", "abort"},
    {"exit", "threads"},
    {"exit_group", "the end"},
#ifdef ADDRESS_SANITIZER
    {"sigaltstack", "AddressSanitizer, at a thread's end"},
    {"ioctl", "AddressSanitizer: is stderr a terminal?"},
    {"readlink", "AddressSanitizer, names in a report"},
#endif
};

bool sandbox_before_files(MonattError *err)
{
    const struct rlimit none = {0, 0};
    const struct rlimit files = {DESCRIPTORS, DESCRIPTORS};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_NOFILE, &files) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: limits");
    }
    return true;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    return syscall(SYS_capset, &header, data) == 0;
}

static int add_rules(scmp_filter_ctx filter, const char **ret_name)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(allowed); i++) {
        *ret_name = allowed[i].name;
        int number = seccomp_syscall_resolve_name(allowed[i].name);
        if (number == __NR_SCMP_ERROR) {
            return -ENOSYS;
        }
        int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (rc != 0) {
            return rc;
        }
    }
    /* Reading only: no file is made or changed. */
    *ret_name = "openat";
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    if (rc != 0) {
        return rc;
    }
    *ret_name = "fcntl"; /* report.c: is the evidence's memfd sealed? */
    rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                          SCMP_A1(SCMP_CMP_EQ, F_GET_SEALS));
    if (rc != 0) {
        return rc;
    }
    *ret_name = "socket";
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                            SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

bool sandbox_before_guest(MonattError *err)
{
    const char *name = "filter";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: no new privileges");
    }
    if (!drop_capabilities()) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "sandbox: seccomp: no memory");
    }
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) {
        rc = add_rules(filter, &name);
    }
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
