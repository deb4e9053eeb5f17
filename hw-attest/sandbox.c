/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - the order in which a device process gives up its rights
 *
 * Theory of operation.  A device process is forked from the attach service for one VM.  It becomes
 * the VM's user at once and keeps two capabilities until it has its threads: CHOWN, and, not in
 * effect, SYS_ADMIN for the namespaces, which need the run folder, which needs the VM's name,
 * which the launcher sends.  What the kernel
 * does not offer is left out and named; giving up a right that it was told to give up must never
 * fail silently.
 */
#include "hw-attest/sandbox-layers.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libmonatt/base/text.h"

#define DESCRIPTORS 256           /* 8 connections, 8 regions twice, files: about 60 are used */
#define FILE_BYTES (1ull << 30)   /* an event log of a guest that extends all day has 24 MiB */
#define HEAP_BYTES (256ull << 20) /* private memory and stacks; guest RAM is shared memory */
#define SWTPM_DESCRIPTORS 64

static bool limit(int resource, rlim_t value, const char *name, MonattError *err)
{
    const struct rlimit limits = {value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limits) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: limit of %s", name);
    }
    return true;
}

static bool set_capabilities(uint32_t permitted, uint32_t effective)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.permitted = permitted, .effective = effective}, {0}};
    return syscall(SYS_capset, &header, data) == 0;
}

static uint32_t permitted_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    return syscall(SYS_capget, &header, data) == 0 ? data[0].permitted : 0;
}

bool sandbox_raise(int capability)
{
    uint32_t bit = 1u << capability;
    return (permitted_capabilities() & bit) && set_capabilities(bit, bit);
}

static bool become(const VmUser *user, MonattError *err)
{
    if (user->change &&
        (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
         setresuid(user->uid, user->uid, user->uid) != 0)) {
        return monatt_error_set_errno(err, errno, "sandbox: become user %u", user->uid);
    }
    return true;
}

bool sandbox_before_files(const VmUser *user, uint32_t *layers, MonattError *err)
{
    if (!limit(RLIMIT_CORE, 0, "core files", err) ||
        !limit(RLIMIT_NOFILE, DESCRIPTORS, "descriptors", err)) {
        return false;
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    if (!become(user, err)) {
        return false;
    }
    *layers |= user->change ? SANDBOX_USER : 0;
    uint32_t permitted = permitted_capabilities();
    uint32_t later = permitted & 1u << CAP_SYS_ADMIN;
    uint32_t now = permitted & 1u << CAP_CHOWN; /* vfio-listen.c: a socket for QEMU's user */
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0 || !set_capabilities(later | now, now)) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    return true;
}

static bool set_limits(MonattError *err)
{
    /* A log that grew too long is an error of write, not a signal. */
    signal(SIGXFSZ, SIG_IGN);
#if !SANDBOX_SANITIZER
    if (!limit(RLIMIT_DATA, HEAP_BYTES, "private memory", err)) {
        return false;
    }
#endif
    return limit(RLIMIT_FSIZE, FILE_BYTES, "a file", err) &&
           limit(RLIMIT_MEMLOCK, 0, "locked memory", err) &&
           limit(RLIMIT_MSGQUEUE, 0, "message queues", err) &&
           limit(RLIMIT_SIGPENDING, 64, "signals", err);
}

bool sandbox_before_threads(const SandboxPlace *place, uint32_t *layers, MonattError *err)
{
    bool locked = false;
    if (!sandbox_enter_root(place, layers, err)) {
        return false;
    }
    if (!set_capabilities(0, 0)) {
        return monatt_error_set_errno(err, errno, "sandbox: capabilities");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: prctl");
    }
    if (!sandbox_enter_landlock(place, &locked, err)) {
        return false;
    }
    *layers |= locked ? SANDBOX_LANDLOCK : 0;
    return set_limits(err);
}

bool sandbox_before_guest(uint32_t *layers, MonattError *err)
{
    if (!limit(RLIMIT_NPROC, 0, "processes", err) || !sandbox_load_filter(err)) {
        return false;
    }
    *layers |= SANDBOX_SECCOMP;
    return true;
}

bool sandbox_before_swtpm(const VmUser *user, MonattError *err)
{
    if (!limit(RLIMIT_CORE, 0, "core files", err) ||
        !limit(RLIMIT_NOFILE, SWTPM_DESCRIPTORS, "descriptors", err) ||
        !limit(RLIMIT_FSIZE, FILE_BYTES, "a file", err)) {
        return false;
    }
    /* Files it needs: libraries, certificates, its state.  The network it does not. */
    if (geteuid() == 0) {
        sandbox_enter_namespaces();
    }
    if (!become(user, err)) {
        return false;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return monatt_error_set_errno(err, errno, "sandbox: prctl");
    }
    return true;
}

void sandbox_layers_text(uint32_t layers, char ret[SANDBOX_TEXT_SIZE])
{
    static const struct {
        uint32_t layer;
        const char *name;
    } names[] = {
        {SANDBOX_USER, "own user"},         {SANDBOX_ROOT, "own root"},
        {SANDBOX_NAMESPACES, "no network"}, {SANDBOX_LANDLOCK, "landlock"},
        {SANDBOX_SECCOMP, "seccomp"},
    };
    size_t length = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        if (layers & names[i].layer) {
            int more = snprintf(ret + length, SANDBOX_TEXT_SIZE - length, "%s%s",
                                length > 0 ? ", " : "", names[i].name);
            length += more > 0 ? (size_t)more : 0;
        }
    }
    if (length == 0) {
        snprintf(ret, SANDBOX_TEXT_SIZE, "nothing");
    }
}

uint32_t sandbox_probe(void)
{
    uint32_t *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 0;
    }
    VmUsers users;
    vm_users_default(&users);
    pid_t child = fork();
    if (child == 0) {
        const VmUser user = {.change = users.change, .uid = users.first, .gid = users.first};
        const SandboxPlace place = {.run_fd = -1};
        MonattError err = {0};
        bool ok = sandbox_before_files(&user, shared, &err) &&
                  sandbox_before_threads(&place, shared, &err) &&
                  sandbox_before_guest(shared, &err);
        _exit(ok ? 0 : 1);
    }
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
    uint32_t layers = *shared;
    munmap(shared, sizeof(*shared));
    return layers;
}
