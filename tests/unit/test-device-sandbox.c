/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-device-sandbox.c - inside the device's sandbox a permitted call succeeds, then a forbidden
 * one kills
 *
 * A filter that was never loaded, or that kills at once, cannot pass: each child does both.
 */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "hw-attest/sandbox.h"

static uint32_t layers;

static bool before_files(MonattError *err)
{
    const VmUser user = {.change = false};
    return sandbox_before_files(&user, &layers, err);
}

static bool before_guest(MonattError *err)
{
    const SandboxPlace place = {.run_fd = -1};
    return sandbox_before_threads(&place, &layers, err) && sandbox_before_guest(&layers, err);
}

static void open_for_writing(void)
{
    syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY, 0);
}

static void open_for_both(void)
{
    syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
}

static void make_file(void)
{
    syscall(SYS_openat, AT_FDCWD, "/nowhere/file", O_RDONLY | O_CREAT, 0600);
}

static void cut_file(void)
{
    syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_TRUNC, 0);
}

static void old_open(void)
{
    syscall(SYS_open, "/dev/null", O_WRONLY, 0);
}

static void start_program(void)
{
    char name[] = "true";
    char *const arguments[] = {name, NULL};
    execve("/bin/true", arguments, NULL);
}

static void start_process(void)
{
    if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
        _exit(0);
    }
}

static void use_network(void)
{
    (void)!socket(AF_INET, SOCK_STREAM, 0);
}

static void use_netlink(void)
{
    (void)!socket(AF_NETLINK, SOCK_RAW, 0);
}

static void trace(void)
{
    ptrace(PTRACE_ATTACH, getppid(), 0, 0);
}

static void signal_other(void)
{
    kill(getppid(), 0);
}

static void read_other(void)
{
    syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void mount_something(void)
{
    syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL);
}

static void rename_file(void)
{
    syscall(SYS_rename, "/nowhere/a", "/nowhere/b");
}

static void change_mode(void)
{
    syscall(SYS_chmod, "/nowhere/a", 0777);
}

static void change_user(void)
{
    syscall(SYS_setuid, 0);
}

static void use_bpf(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
}

static void leave_group(void)
{
    syscall(SYS_setsid);
}

static const struct {
    const char *name;
    void (*call)(void);
} forbidden[] = {
    {"open for writing", open_for_writing},
    {"open for both", open_for_both},
    {"make a file", make_file},
    {"cut a file", cut_file},
    {"old open", old_open},
    {"start a program", start_program},
    {"start a process", start_process},
    {"use the network", use_network},
    {"use netlink", use_netlink},
    {"trace", trace},
    {"signal another", signal_other},
    {"read another's memory", read_other},
    {"mount", mount_something},
    {"rename", rename_file},
    {"change a mode", change_mode},
    {"change user", change_user},
    {"BPF", use_bpf},
    {"new session", leave_group},
};

/* What the device does inside; true when all of it worked. */
static bool permitted(void)
{
    char path[32];
    int memory = memfd_create("monatt-test", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    int null = open(path, O_RDONLY | O_CLOEXEC);
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = null >= 0 && memory >= 0 && local >= 0 && pwrite(memory, "x", 1, 0) == 1 &&
              ftruncate(memory, 0) == 0 && fdatasync(memory) == 0 && getpid() > 0;
    close(null);
    close(memory);
    close(local);
    return ok;
}

static int status_of(pid_t child)
{
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

static void test_kills(gconstpointer argument)
{
    size_t which = GPOINTER_TO_SIZE(argument);
    pid_t child = fork();
    if (child == 0) {
        MonattError err = {0};
        if (!before_files(&err) || !before_guest(&err)) {
            _exit(2);
        }
        if (!permitted()) {
            _exit(3);
        }
        forbidden[which].call();
        _exit(4);
    }
    int status = status_of(child);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}

static void test_permits(void)
{
    pid_t child = fork();
    if (child == 0) {
        MonattError err = {0};
        bool ok = before_files(&err) && before_guest(&err);
        _exit(!ok ? 2 : permitted() ? 0 : 3);
    }
    int status = status_of(child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* Limits and privileges, as the kernel shows them. */
static void test_drops(void)
{
    pid_t child = fork();
    if (child == 0) {
        MonattError err = {0};
        struct rlimit core;
        char text[4096] = "";
        int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        if (!before_files(&err) || getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0 ||
            !before_guest(&err)) {
            _exit(2);
        }
        if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
            _exit(3);
        }
        bool ok = strstr(text, "CapEff:\t0000000000000000") &&
                  strstr(text, "CapPrm:\t0000000000000000") && strstr(text, "NoNewPrivs:\t1") &&
                  strstr(text, "Seccomp:\t2");
        _exit(ok ? 0 : 4);
    }
    int status = status_of(child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-sandbox/permits", test_permits);
    g_test_add_func("/device-sandbox/drops", test_drops);
    for (size_t i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        g_autofree char *path = g_strdup_printf("/device-sandbox/kills/%s", forbidden[i].name);
        g_strdelimit(path, " '", '-');
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_kills);
    }
    return g_test_run();
}
