/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandboxed.c - what a sandboxed child needs and what it must not reach
 */
#include "tests/lib/sandboxed.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNPRIVILEGED 65533 /* a user without any right; not nobody, who may have processes */

Sandboxed sandboxed;

static char folder[40];
static int host_listen = -1;
static int own_listen = -1;
static int shm = -1;

static int listen_at(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)address, size), ==, 0);
    g_assert_cmpint(listen(fd, 16), ==, 0);
    return fd;
}

static void make_file(const char *in, const char *name, uid_t owner)
{
    g_autofree char *path = g_build_filename(in, name, NULL);
    g_assert_true(g_file_set_contents(path, "content", -1, NULL));
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(path, owner, owner), ==, 0);
    }
}

static void start_sibling(uid_t uid)
{
    sandboxed.sibling = fork();
    if (sandboxed.sibling == 0) {
        if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) {
            _exit(1);
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
}

void sandboxed_set_up(void)
{
    bool root = geteuid() == 0;
    uid_t other = VM_USERS_LAST;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(folder, sizeof(folder), "/tmp/monatt-sandbox-XXXXXX");
    g_assert_nonnull(mkdtemp(folder)); /* mode 0700: no path leads a VM's user into it */
    snprintf(sandboxed.own, sizeof(sandboxed.own), "%s/own", folder);
    snprintf(sandboxed.other, sizeof(sandboxed.other), "%s/other", folder);
    g_assert_cmpint(mkdir(sandboxed.own, 0700), ==, 0);
    g_assert_cmpint(mkdir(sandboxed.other, 0700), ==, 0);
    sandboxed.user = (VmUser){.change = root, .uid = VM_USERS_FIRST, .gid = VM_USERS_FIRST};
    make_file(sandboxed.own, "log", sandboxed.user.uid);
    make_file(sandboxed.own, "unnamed", sandboxed.user.uid);
    make_file(sandboxed.other, "secret", other);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/tpm.sock", sandboxed.own);
    own_listen = listen_at(&address, sizeof(address));
    if (root) {
        g_assert_cmpint(chown(address.sun_path, sandboxed.user.uid, sandboxed.user.gid), ==, 0);
        g_assert_cmpint(chown(sandboxed.own, sandboxed.user.uid, sandboxed.user.gid), ==, 0);
        g_assert_cmpint(chown(sandboxed.other, other, other), ==, 0);
        start_sibling(other);
        /* A service started by a login has groups: its children must lose them. */
        const gid_t groups[] = {4711, 4712};
        g_assert_cmpint(setgroups(2, groups), ==, 0);
    }
    memset(address.sun_path, 0, sizeof(address.sun_path));
    snprintf(sandboxed.abstract, sizeof(sandboxed.abstract), "monatt-test-%d", (int)getpid());
    memcpy(address.sun_path + 1, sandboxed.abstract, strlen(sandboxed.abstract));
    host_listen = listen_at(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                                  strlen(sandboxed.abstract)));
    sandboxed.shm_key = 0x4d4f0000 + (int)getpid();
    shm = shmget(sandboxed.shm_key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    g_assert_cmpint(shm, >=, 0);
}

void sandboxed_tear_down(void)
{
    static const char *const names[] = {
        "own/log", "own/unnamed", "own/tpm.sock", "other/secret", "own", "other", ""};
    shmctl(shm, IPC_RMID, NULL);
    close(host_listen);
    close(own_listen);
    if (sandboxed.sibling > 0) {
        kill(sandboxed.sibling, SIGKILL);
        waitpid(sandboxed.sibling, NULL, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_assert_cmpint(remove(path), ==, 0);
    }
}

static bool enter(SandboxedStage stage, const VmUser *user, MonattError *err)
{
    bool entered = false;
    /* As the service hands them over: the user itself finds no way there. */
    sandboxed.run_fd = open(sandboxed.own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!sandbox_before_files(user, &sandboxed.layers, err)) {
        return false;
    }
    sandboxed.log_fd = openat(sandboxed.run_fd, "log", O_RDWR | O_CLOEXEC);
    sandboxed.status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (sandboxed.log_fd < 0 || sandboxed.status_fd < 0) {
        return monatt_error_set_errno(err, errno, "log or status");
    }
    const SandboxPlace place = {
        .run_fd = sandboxed.run_fd, .file_fds = &sandboxed.log_fd, .file_count = 1};
    if (stage == SANDBOXED_FILES) {
        return true;
    }
    if (stage == SANDBOXED_ROOT) {
        return sandbox_enter_root(&place, &sandboxed.layers, err);
    }
    if (stage == SANDBOXED_LANDLOCK) {
        bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  sandbox_enter_landlock(&place, &entered, err);
        sandboxed.layers |= entered ? SANDBOX_LANDLOCK : 0;
        return ok;
    }
    return sandbox_before_threads(&place, &sandboxed.layers, err) &&
           (stage == SANDBOXED_THREADS || sandbox_before_guest(&sandboxed.layers, err));
}

static int run(SandboxedStage stage, uid_t start_as, const VmUser *user,
               int (*inside)(const void *), const void *argument)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        MonattError err = {0};
        if (start_as != 0 && (setresgid(start_as, start_as, start_as) != 0 ||
                              setresuid(start_as, start_as, start_as) != 0)) {
            _exit(SANDBOXED_FAILED);
        }
        if (!enter(stage, user, &err)) {
            fprintf(stderr, "# %s\n", err.message);
            _exit(SANDBOXED_FAILED);
        }
        _exit(inside(argument));
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

int sandboxed_run(SandboxedStage stage, int (*inside)(const void *), const void *argument)
{
    return run(stage, 0, &sandboxed.user, inside, argument);
}

int sandboxed_run_unprivileged(int (*inside)(const void *), const void *argument)
{
    const VmUser same = {.change = false};
    if (geteuid() != 0) {
        return run(SANDBOXED_THREADS, 0, &same, inside, argument);
    }
    g_assert_cmpint(chmod(folder, 0711), ==, 0);
    g_assert_cmpint(chown(sandboxed.own, UNPRIVILEGED, UNPRIVILEGED), ==, 0);
    g_autofree char *log = g_build_filename(sandboxed.own, "log", NULL);
    g_assert_cmpint(chown(log, UNPRIVILEGED, UNPRIVILEGED), ==, 0);
    int status = run(SANDBOXED_THREADS, UNPRIVILEGED, &same, inside, argument);
    g_assert_cmpint(chmod(folder, 0700), ==, 0);
    g_assert_cmpint(chown(sandboxed.own, sandboxed.user.uid, sandboxed.user.gid), ==, 0);
    g_assert_cmpint(chown(log, sandboxed.user.uid, sandboxed.user.gid), ==, 0);
    return status;
}

void sandboxed_check(SandboxedStage stage, int (*inside)(const void *), const void *argument)
{
    int status = sandboxed_run(stage, inside, argument);
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SANDBOXED_SKIPPED) {
        g_test_skip("this kernel or container does not offer the layer");
        return;
    }
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}
