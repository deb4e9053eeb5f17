/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-collector-sandbox.c - what the collector can no longer do, and what it and its worker must
 *
 * Each check is a child of its own, which enters the sandbox and answers by its exit status.
 */
#include <errno.h>
#include <glib.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host-collector/sandbox.h"

#define ENTERED 100 /* exit status when sandbox_enter() failed */

typedef int (*Work)(int argument);

static int in_sandbox(Work work, int argument)
{
    int status = 0;
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        MonattError err = {0};
        _exit(sandbox_enter(&err) ? work(argument) : ENTERED);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* errno of a call that would have another one, or none, outside. */
static int call(int number)
{
    return syscall(number, -1L, 0L, 0L, 0L, 0L) == 0 ? 0 : errno;
}

static void test_refuses_calls(void)
{
    static const int numbers[] = {
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_pidfd_getfd,
        SYS_kcmp,
        SYS_perf_event_open,
        SYS_bpf,
        SYS_io_uring_setup,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_kexec_load,
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_setns,
        SYS_keyctl,
        SYS_clock_settime,
        SYS_userfaultfd,
        SYS_reboot,
        SYS_personality,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_test_message("call %d", numbers[i]);
        g_assert_cmpint(in_sandbox(call, numbers[i]), ==, EPERM);
    }
}

static int open_socket(int family)
{
    return socket(family, SOCK_DGRAM, 0) >= 0 ? 0 : errno;
}

static void test_sockets(void)
{
    static const int refused[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_KEY, AF_X25};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_test_message("family %d", refused[i]);
        g_assert_cmpint(in_sandbox(open_socket, refused[i]), ==, EAFNOSUPPORT);
    }
    g_assert_cmpint(in_sandbox(open_socket, AF_UNIX), ==, 0);
    g_assert_cmpint(in_sandbox(open_socket, AF_INET), ==, open_socket(AF_INET));
}

static int check_limits(int argument)
{
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static void test_limits(void)
{
    g_assert_cmpint(in_sandbox(check_limits, 0), ==, 1);
}

static int check_capability(int capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    if (syscall(SYS_capget, &header, data) != 0) {
        return ENTERED;
    }
    return ((data[capability / 32].permitted | data[capability / 32].effective) >>
            (capability % 32)) &
           1;
}

static void test_capabilities(void)
{
    static const int gone[] = {CAP_CHOWN,     CAP_NET_ADMIN,  CAP_NET_RAW,  CAP_SYS_MODULE,
                               CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_BOOT, CAP_SYS_TIME,
                               CAP_MKNOD,     CAP_SETPCAP,    CAP_SYSLOG,   CAP_BPF};
    static const int kept[] = {CAP_DAC_OVERRIDE, CAP_KILL,       CAP_SETUID,
                               CAP_SETGID,       CAP_SYS_CHROOT, CAP_SYS_ADMIN};
    for (size_t i = 0; i < G_N_ELEMENTS(gone); i++) {
        g_test_message("capability %d", gone[i]);
        g_assert_cmpint(in_sandbox(check_capability, gone[i]), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) { /* none is made up either */
        g_assert_cmpint(in_sandbox(check_capability, kept[i]), ==, check_capability(kept[i]));
    }
}

/* What a worker does first (worker-sandbox.c); the same errors as without the sandbox. */
static int give_up(int argument)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0 || unshare(CLONE_NEWNS) != 0 ||
        chroot("/proc/self/fdinfo") != 0) {
        return errno;
    }
    return setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0 ? 0 : errno;
}

static void test_worker(void)
{
    int status = 0;
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        _exit(give_up(0));
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(in_sandbox(give_up, 0), ==, WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/collector-sandbox/refuses-calls", test_refuses_calls);
    g_test_add_func("/collector-sandbox/sockets", test_sockets);
    g_test_add_func("/collector-sandbox/limits", test_limits);
    g_test_add_func("/collector-sandbox/capabilities", test_capabilities);
    g_test_add_func("/collector-sandbox/worker", test_worker);
    return g_test_run();
}
