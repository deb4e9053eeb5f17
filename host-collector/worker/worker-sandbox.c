/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-sandbox.c - namespaces, an empty root, no privileges, limits, and seccomp last
 *
 * Theory of operation.  Whoever takes the worker through the guest's memory finds: one socket to
 * the collector, the guest's own RAM read-only, and calls that compute.  No file can be opened,
 * no socket made, no process started or seen, nothing signalled.  A call that is not on the list
 * ends the process: the collector then records a worker that died.
 */
#include "host-collector/worker/worker-sandbox.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "host-collector/worker/worker-protocol.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER 1
#elif defined(__has_feature)
#define WITH_SANITIZER __has_feature(address_sanitizer)
#else
#define WITH_SANITIZER 0
#endif

#define NOBODY 65534
/* Two kernels, tasks and their answer: at most 245 MiB; kernel file and BTF 96 and unpacked again
 * 128; rows of all tables at their maximum 128. */
#define HEAP_BYTES (768ull * 1024 * 1024)
#define CPU_SECONDS 3600u              /* a scan takes about 1 ms: a million of them */
#define EMPTY_ROOT "/proc/self/fdinfo" /* nothing can be made there; gone with the process */

/* A call and who needs it. */
static const struct {
    const char *name;
    const char *caller;
} allowed[] = {
    {"poll", "monatt_control_receive"},
    {"ppoll", "poll of other libcs"},
    {"close", "descriptors of lists"},
    {"pread64", "guest-clocks.c, worker-service.c: lists"},
    {"lseek", "guest-memory.c: holes"},
    {"clock_gettime", "deadlines; most go through the vDSO"},
    {"clock_nanosleep", "hidden-tasks.c: gaps between scans"},
    {"restart_syscall", "a sleep that was stopped and goes on"},
    {"brk", "malloc"},
    {"munmap", "malloc"},
    {"mremap", "malloc"},
    {"madvise", "malloc"},
    {"futex", "malloc"},
    {"sysinfo", "qsort asks how much memory there is"},
    {"rt_sigreturn", "signals"},
    {"exit_group", "the end"},
    {"exit", "the end"},
#if WITH_SANITIZER
    {"write", "a sanitizer's report"},
    {"getpid", "a sanitizer's report"},
    {"gettid", "a sanitizer's report"},
    {"sigaltstack", "a sanitizer's threads"},
    {"sched_yield", "a sanitizer's locks"},
    {"sched_getaffinity", "a sanitizer's allocator"},
    {"mprotect", "a sanitizer's allocator"},
#endif
};

static bool limit(int resource, rlim_t value, const char *name, MonattError *err)
{
    const struct rlimit limits = {value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limits) < 0) {
        return monatt_error_set_errno(err, errno, "sandbox: limit of %s", name);
    }
    return true;
}

static bool set_limits(uint64_t mapped_bytes, MonattError *err)
{
#if !WITH_SANITIZER /* its shadow alone is 16 TiB */
    if (!limit(RLIMIT_AS, mapped_bytes + HEAP_BYTES, "memory", err)) {
        return false;
    }
#endif
    return limit(RLIMIT_CORE, 0, "core files", err) && limit(RLIMIT_FSIZE, 0, "file size", err) &&
           limit(RLIMIT_NPROC, 0, "processes", err) &&
           limit(RLIMIT_CPU, CPU_SECONDS, "CPU time", err);
}

static uint32_t drop_privileges(void)
{
    uint32_t barred = 0;

    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0) {
        barred |= WORKER_BARRED_NETWORK;
    }
    if (unshare(CLONE_NEWNS) == 0 && chroot(EMPTY_ROOT) == 0 && chdir("/") == 0) {
        barred |= WORKER_BARRED_FILES;
    }
    if (geteuid() != 0) {
        barred |= WORKER_BARRED_USER;
    } else if (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
               setresuid(NOBODY, NOBODY, NOBODY) == 0) {
        barred |= WORKER_BARRED_USER;
    }
    return barred;
}

static int add_rules(scmp_filter_ctx filter)
{
    int result = 0;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(allowed) && result == 0; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i].name);
        result = number == __NR_SCMP_ERROR ? -ENOSYS
                                           : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    /* The collector's socket and no other. */
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 1,
                                  SCMP_A0(SCMP_CMP_EQ, WORKER_SOCKET));
    }
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1,
                                  SCMP_A0(SCMP_CMP_EQ, WORKER_SOCKET));
    }
    /* Memory of no file and without execution. */
    if (result == 0) {
        result = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
            SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t) ~(PROT_READ | PROT_WRITE), 0),
            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    }
    return result;
}

static bool load_filter(MonattError *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int result;

    if (!filter) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "sandbox: seccomp: out of memory");
    }
    result = add_rules(filter);
    if (result == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (result != 0) {
        return monatt_error_set_errno(err, -result, "sandbox: seccomp");
    }
    return true;
}

bool worker_sandbox_enter(uint64_t mapped_bytes, uint32_t *ret_barred, MonattError *err)
{
    *ret_barred = drop_privileges();
    /* A worker that was root and stays it would be a hole, not a missing extra. */
    if (!(*ret_barred & WORKER_BARRED_USER)) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "sandbox: cannot give up root");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return monatt_error_set_errno(err, errno, "sandbox: prctl");
    }
    return set_limits(mapped_bytes, err) && load_filter(err);
}
