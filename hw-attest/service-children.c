/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service-children.c - swtpm with what its sandbox needs, and the opener of guest memory
 *
 * A child that is not a device must end with its work or with its VM: the service keeps its pid.
 */
#include "hw-attest/service-children.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/sandbox.h"
#include "libmonatt/base/log.h"

bool service_find_swtpm(MonattError *err)
{
    char path[PATH_MAX];
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        size_t length = strcspn(folders, ":");
        int size = snprintf(path, sizeof(path), "%.*s/swtpm", (int)length, folders);
        if (length > 0 && size > 0 && (size_t)size < sizeof(path) && access(path, X_OK) == 0) {
            return true;
        }
        folders += length + (folders[length] == ':');
    }
    monatt_error_set(err, MONATT_ERROR_MISSING, "swtpm: no such program in PATH");
    return monatt_error_hint(err, "install it: apt install swtpm");
}

/* By descriptor: the folders above may be closed to the VM's user. */
static bool open_for_swtpm(const char *path, int number)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    return fd >= 0 && dup2(fd, number) == number;
}

static void become_swtpm(const VmUser *user, const uint8_t *vid, const char *run, const char *state,
                         const sigset_t *mask)
{
    char prefix[MONATT_UUID_TEXT_SIZE + 16];
    char uuid[MONATT_UUID_TEXT_SIZE];
    MonattError err = {0};
    close_range(3, ~0U, 0);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (!open_for_swtpm(run, 10) || !open_for_swtpm(state, 11)) {
        monatt_log_error("swtpm: '%s': %s", run, strerrordesc_np(errno));
        _exit(127);
    }
    if (!sandbox_before_swtpm(user, &err)) {
        monatt_log_failure(&err);
        _exit(127);
    }
    monatt_text_from_uuid(vid, uuid);
    snprintf(prefix, sizeof(prefix), "prefix=%s: ", uuid); /* whose it is, in ps and in its lines */
    execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", "dir=/proc/self/fd/11,mode=0600",
           "--server", "type=unixio,path=/proc/self/fd/10/tpm.sock,mode=0600", "--ctrl",
           "type=unixio,path=/proc/self/fd/10/tpm.sock.ctrl,mode=0600", "--flags", "not-need-init",
           "--log", prefix, "--terminate", (char *)NULL);
    monatt_log_error("swtpm: cannot be started as user %u: %s", geteuid(), strerrordesc_np(errno));
    _exit(127);
}

pid_t service_start_swtpm(const VmOptions *options, const VmUser *user,
                          const uint8_t vid[MONATT_UUID_SIZE], const sigset_t *mask)
{
    char run[VM_PATH_MAXIMUM];
    char state[VM_PATH_MAXIMUM];
    char tpm[VM_PATH_MAXIMUM + 8];
    MonattError err = {0};
    if (!service_find_swtpm(&err) || !vm_run_folder(options, vid, run, &err) ||
        !vm_state_folder(options, vid, state, &err)) {
        monatt_log_failure(&err);
        return -1;
    }
    snprintf(tpm, sizeof(tpm), "%s/tpm", state);
    pid_t pid = fork();
    if (pid == 0) {
        become_swtpm(user, vid, run, tpm, mask);
    }
    return pid;
}

static bool open_again(int fd, int *ret_fd)
{
    char path[32];
    struct stat file;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY || fstat(fd, &file) != 0 ||
        !S_ISREG(file.st_mode)) {
        return false;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return *ret_fd >= 0;
}

pid_t service_start_reopener(int link, const MonattControlMessage *request)
{
    int fds[MONATT_CONTROL_FDS];
    MonattError err = {0};
    pid_t pid = fork();
    if (pid != 0) {
        return pid < 0 ? 0 : pid;
    }
    for (size_t i = 0; i < request->fd_count; i++) {
        if (!open_again(request->fds[i], &fds[i])) {
            _exit(1);
        }
    }
    bool sent = monatt_control_send(link, request->type | MONATT_CONTROL_ANSWER, request->id, NULL,
                                    0, fds, request->fd_count, &err);
    _exit(sent ? 0 : 1);
}
