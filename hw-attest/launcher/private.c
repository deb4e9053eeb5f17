/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * private.c - starts a private attach service and removes its folder after it
 *
 * A keeper process stays beside it, which waits for its end and removes the folder; keeper and
 * service hold a lock on the folder, so that the next private start removes what killed ones left.
 * QEMU must never get a child that it does not know: the keeper is nobody's child.
 */
#include "hw-attest/launcher/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "monatt-private-"
#define READY_PATIENCE_MS 30000
#define TREE_FDS 8
#define YOUNG_S 10 /* a folder that another start has just made and not locked yet */

static int private_remove_entry(const char *path, const struct stat *status, int kind,
                                struct FTW *where)
{
    remove(path); /* what cannot be removed is left: the rest should go */
    return 0;
}

static void private_remove(const char *dir)
{
    nftw(dir, private_remove_entry, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Folders of ours that nobody locks any more. */
static void private_sweep(void)
{
    DIR *folder = opendir("/tmp");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char path[PATH_MAX];
        struct stat status;
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/tmp/%s", entry->d_name);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        if (fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
            time(NULL) - status.st_mtime > YOUNG_S && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            private_remove(path);
        }
        close(fd);
    }
    if (folder) {
        closedir(folder);
    }
}

static void private_close_others(int first, int second)
{
    /* The launcher's sealed copies and the user's own descriptors are not the service's. */
    int low = first < second ? first : second;
    int high = first < second ? second : first;
    close_range(3, (unsigned)low - 1, 0);
    close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
}

static void private_serve(const char *program, const char *dir, int ready_fd)
{
    char state[PRIVATE_DIR_SIZE + 8];
    char number[16];
    snprintf(state, sizeof(state), "%s/state", dir);
    snprintf(number, sizeof(number), "%d", ready_fd);
    execl(program, program, "serve", "--private", "--run-dir", dir, "--state-dir", state,
          "--ready-fd", number, (char *)NULL);
    _exit(127);
}

/* Never returns: the process beside the service. */
static void private_keep(const char *program, const char *dir, int lock_fd, int ready_fd,
                         bool quiet)
{
    int null_fd = open("/dev/null", O_RDWR);
    setsid(); /* ^C at the VM's terminal ends the VM, and that the service */
    dup2(null_fd, 0);
    dup2(null_fd, 1);
    if (quiet) {
        dup2(null_fd, 2);
    }
    private_close_others(lock_fd, ready_fd);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        private_serve(program, dir, ready_fd);
    }
    close(ready_fd);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    /* A device of a killed service lives on as long as its VM and holds the lock too. */
    if (fcntl(lock_fd, F_GETFD) >= 0) {
        close(lock_fd);
        int again = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (again >= 0) {
            while (flock(again, LOCK_EX) != 0 && errno == EINTR) {
            }
        }
    }
    private_remove(dir);
    _exit(0);
}

bool private_start(const char *program, bool quiet, char ret_dir[PRIVATE_DIR_SIZE],
                   MonattError *err)
{
    int ready[2];
    char byte = 0;
    if (access(program, X_OK) != 0) {
        monatt_error_set_errno(err, errno, "private attach service: '%.100s'", program);
        return monatt_error_hint(err, "install hw-attest beside monatt-qemu");
    }
    private_sweep();
    snprintf(ret_dir, PRIVATE_DIR_SIZE, "/tmp/" PREFIX "XXXXXX");
    if (!mkdtemp(ret_dir)) {
        return monatt_error_set_errno(err, errno, "private attach service: '/tmp'");
    }
    int lock_fd MONATT_CLEANUP_CLOSE = open(ret_dir, O_RDONLY | O_DIRECTORY);
    if (lock_fd < 0 || flock(lock_fd, LOCK_SH | LOCK_NB) != 0 || pipe(ready) != 0) {
        int saved = errno;
        private_remove(ret_dir);
        return monatt_error_set_errno(err, saved, "private attach service: '%s'", ret_dir);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        if (fork() == 0) {
            private_keep(program, ret_dir, lock_fd, ready[1], quiet);
        }
        _exit(0);
    }
    close(ready[1]);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    struct pollfd wait = {.fd = ready[0], .events = POLLIN};
    bool good = pid > 0 && poll(&wait, 1, READY_PATIENCE_MS) == 1 && read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    if (!good) {
        monatt_error_set(err, MONATT_ERROR_PEER, "private attach service: '%.100s' did not start",
                         program);
        return monatt_error_hint(err, "what it printed says why");
    }
    return true;
}
