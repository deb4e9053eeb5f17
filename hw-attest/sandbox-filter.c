/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox-filter.c - the system calls of a device that a guest talks to
 *
 * What is not in the two tables kills the process.  No call here makes a file, a process, memory
 * that can be executed, or a socket that leaves the host; a call that takes a command (ioctl,
 * prctl) is not here at all, or (fcntl) with the commands that change nothing.
 */
#include "hw-attest/sandbox-layers.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a file may be opened with: reading, and nothing that needs a folder. */
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_LARGEFILE)
#define NOT(bits) ((scmp_datum_t)(unsigned)~(bits))

/* A call and who needs it. */
static const struct {
    const char *name;
    const char *caller;
} allowed[] = {
    {"recvmmsg", "kept.c"},
    {"sendmmsg", "wire-mpqemu.c"},
    {"recvmsg", "wire.c, control/socket.c"},
    {"recvfrom", "qmp.c, tpm-socket.c"},
    {"sendmsg", "control/socket.c"},
    {"sendto", "wire.c, qmp.c, tpm-socket.c"},
    {"read", "control.c, ring.c: eventfds"},
    {"write", "device_post and ring_wake eventfds, log lines"},
    {"pread64", "event_log_rotate, report.c"},
    {"pwrite64", "event-log.c, control.c memfd"},
    {"fdatasync", "event-log.c"},
    {"ftruncate", "event-log.c"},
    {"memfd_create", "control.c guest list"},
    {"accept4", "control.c, vfio-listen.c"},
    {"shutdown", "vm.c ends a swtpm that is stopped"},
    {"connect", "tpm-socket.c after a respawn"},
    {"poll", "control.c, qmp.c, ring.c"},
    {"ppoll", "poll on other libcs"},
    {"close", "everywhere"},
    {"futex", "pthreads"},
    {"rseq", "pthreads"},
    {"set_robust_list", "pthreads"},
    {"madvise", "pthreads, malloc"},
    {"munmap", "malloc, guest-ram.c"},
    {"mremap", "malloc"},
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
    {"exit", "threads"},
    {"exit_group", "the end"},
#if SANDBOX_SANITIZER
    {"sigaltstack", "AddressSanitizer, at a thread's end"},
    {"ioctl", "AddressSanitizer: is stderr a terminal?"},
    {"readlink", "AddressSanitizer, names in a report"},
#endif
};

/* An argument that must be equal to value where mask has ones. */
typedef struct Argument {
    unsigned number;
    scmp_datum_t mask;
    scmp_datum_t value;
} Argument;

#define LOW UINT32_MAX /* of an int: the kernel ignores the register's upper half */

/* Calls that are allowed with these arguments only. */
static const struct {
    const char *name;
    const char *caller;
    unsigned count;
    Argument arguments[2];
} limited[] = {
    {"openat", "guest-ram.c and control.c: read-only descriptors", 1, {{2, NOT(OPEN_FLAGS), 0}}},
    {"socket",
     "tpm-socket.c after a respawn",
     2,
     {{0, LOW, AF_UNIX}, {1, LOW, SOCK_STREAM | SOCK_CLOEXEC}}},
    {"mmap", "malloc, guest-ram.c", 1, {{2, NOT(PROT_READ | PROT_WRITE), 0}}},
    {"mprotect", "malloc", 1, {{2, NOT(PROT_READ | PROT_WRITE), 0}}},
    {"fcntl", "wire-vfio-user-dma.c, guest-ram.c, control.c", 1, {{1, LOW, F_DUPFD_CLOEXEC}}},
    {"fcntl", "report.c", 1, {{1, LOW, F_GET_SEALS}}},
    {"getsockopt",
     "control.c, vfio-listen.c SO_PEERCRED",
     2,
     {{1, LOW, SOL_SOCKET}, {2, LOW, SO_PEERCRED}}},
    {"setsockopt", "control.c SO_SNDTIMEO", 2, {{1, LOW, SOL_SOCKET}, {2, LOW, SO_SNDTIMEO}}},
};

const char *sandbox_allowed_call(size_t number)
{
    if (number < MONATT_ARRAY_SIZE(allowed)) {
        return allowed[number].name;
    }
    number -= MONATT_ARRAY_SIZE(allowed);
    return number < MONATT_ARRAY_SIZE(limited) ? limited[number].name : NULL;
}

static int add_limited(scmp_filter_ctx filter, size_t at)
{
    struct scmp_arg_cmp tests[MONATT_ARRAY_SIZE(limited[0].arguments)];
    int number = seccomp_syscall_resolve_name(limited[at].name);
    if (number == __NR_SCMP_ERROR) {
        return -ENOSYS;
    }
    for (unsigned i = 0; i < limited[at].count; i++) {
        const Argument *argument = &limited[at].arguments[i];
        tests[i] = (struct scmp_arg_cmp){.arg = argument->number,
                                         .op = SCMP_CMP_MASKED_EQ,
                                         .datum_a = argument->mask,
                                         .datum_b = argument->value};
    }
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, limited[at].count, tests);
}

static int add_rules(scmp_filter_ctx filter, const char **ret_name)
{
    int rc = 0;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(allowed) && rc == 0; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i].name);
        *ret_name = allowed[i].name;
        rc = number == __NR_SCMP_ERROR ? -ENOSYS
                                       : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(limited) && rc == 0; i++) {
        *ret_name = limited[i].name;
        rc = add_limited(filter, i);
    }
    if (rc == 0) {
        /* abort(): a signal to one of our own threads. */
        *ret_name = "tgkill";
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    }
    return rc;
}

bool sandbox_load_filter(MonattError *err)
{
    const char *name = "filter";
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "sandbox: seccomp: no memory");
    }
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) {
        /* The calls of 32-bit programs too end the process, not a thread of it. */
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    }
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
