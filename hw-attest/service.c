/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service.c - accepts launchers, forks devices, starts their swtpms, kills stalled ones
 *
 * Reads nothing a guest or launcher wrote: the device process does that.  A vCPU that waits for a
 * device has no time-out, so a device that is stopped or stalls is killed here: QEMU then reads
 * all ones and goes on.
 */
#include "hw-attest/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

#define TICK_MS 500
#define TICKS_SILENT 20       /* 10 s of our own time without a sign of life */
#define TICKS_WIRE_BUSY 6     /* 3 s within one guest access */
#define PRIVATE_WAIT_MS 60000 /* a private service whose launcher never came */

typedef struct ServiceVm {
    pid_t pid; /* 0: free slot */
    pid_t swtpm;
    int link;
    bool known; /* vid is set */
    uint8_t vid[MONATT_UUID_SIZE];
    DeviceKept *kept; /* shared with the device process, and with no other */
    unsigned last_ticks;
    unsigned silent;
    unsigned last_busy;
    unsigned busy;
} ServiceVm;

typedef struct Service {
    const ServiceOptions *options;
    int listen_fd;
    int signal_fd;
    sigset_t old_mask;
    bool had_vm;
    bool stop;
    int64_t started_ms;
    size_t count;
    ServiceVm vms[SERVICE_VMS_MAXIMUM];
} Service;

static bool make_folder(const char *path, mode_t mode, MonattError *err)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        int saved = errno;
        monatt_error_set_errno(err, saved, "folder: '%s'", path);
        return monatt_error_hint(err, "choose folders with --run-dir and --state-dir");
    }
    return true;
}

/* A device that is killed leaves its folder; its lock on device.pid went with it. */
static void remove_stale(const char *folder)
{
    DIR *folders = opendir(folder);
    struct dirent *entry;
    while (folders && (entry = readdir(folders))) {
        uint8_t vid[MONATT_UUID_SIZE];
        char path[VM_PATH_MAXIMUM + 280];
        if (!monatt_text_to_uuid(entry->d_name, vid, NULL)) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s/device.pid", folder, entry->d_name);
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        vm_remove_run_folder(path);
        monatt_log_info("removed '%s': its device is gone", path);
        if (fd >= 0) {
            close(fd);
        }
    }
    if (folders) {
        closedir(folders);
    }
}

/* Looked for before the fork, so that a missing program has a name in the error. */
static bool find_swtpm(MonattError *err)
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

static bool prepare(Service *service, char *socket_path, size_t capacity, MonattError *err)
{
    const VmOptions *vm = &service->options->vm;
    char path[VM_PATH_MAXIMUM];
    static const uint8_t longest[MONATT_UUID_SIZE];
    if (!find_swtpm(err) || !vm_run_folder(vm, longest, path, err) ||
        !vm_state_folder(vm, longest, path, err)) {
        return false;
    }
    if (!make_folder(vm->run_dir, 0755, err) || !make_folder(vm->state_dir, 0700, err)) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/vm", vm->state_dir);
    if (!make_folder(path, 0700, err)) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/vm", vm->run_dir);
    /* Entered but not listed: QEMU of another user finds its VM's vfio-user socket in there. */
    if (!make_folder(path, 0711, err)) {
        return false;
    }
    if (chmod(path, 0711) != 0) {
        return monatt_error_set_errno(err, errno, "folder: '%s'", path);
    }
    remove_stale(path);
    snprintf(socket_path, capacity, "%s/attach.sock", vm->run_dir);
    int other;
    if (monatt_control_connect(socket_path, &other, err)) {
        close(other);
        monatt_error_set(err, MONATT_ERROR_BUSY, "attach service: '%s': another one serves it",
                         socket_path);
        return monatt_error_hint(err, "end it, or choose another folder with --run-dir");
    }
    monatt_error_clear(err);
    unlink(socket_path);
    if (!monatt_control_listen(socket_path, &service->listen_fd, err)) {
        return false;
    }
    /* Who may attach is decided by SO_PEERCRED, so that a list of users is possible. */
    if (service->options->uid_count > 0 && chmod(socket_path, 0666) != 0) {
        return monatt_error_set_errno(err, errno, "attach service: '%s'", socket_path);
    }
    return true;
}

static bool peer_allowed(const Service *service, int fd, struct ucred *peer)
{
    socklen_t size = sizeof(*peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size) != 0) {
        return false;
    }
    if (peer->uid == 0 || peer->uid == geteuid()) {
        return true;
    }
    for (size_t i = 0; i < service->options->uid_count; i++) {
        if (peer->uid == service->options->uids[i]) {
            return true;
        }
    }
    return false;
}

static void become_device(Service *service, DeviceKept *kept, int connection, int link,
                          uint32_t peer)
{
    close(service->listen_fd);
    close(service->signal_fd);
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        if (service->vms[i].pid != 0) {
            close(service->vms[i].link);
            munmap(service->vms[i].kept, sizeof(*service->vms[i].kept)); /* another VM's */
        }
    }
    signal(SIGTERM, SIG_DFL);
    /* ^C at the service's terminal must not take the VMs' devices. */
    signal(SIGINT, SIG_IGN);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &service->old_mask, NULL);
    _exit(vm_serve(&service->options->vm, connection, link, peer, kept));
}

static void accept_launcher(Service *service)
{
    struct ucred peer;
    int connection MONATT_CLEANUP_CLOSE = accept4(service->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) {
        return;
    }
    if (!peer_allowed(service, connection, &peer)) {
        monatt_log_warning("attach: uid %u may not: allow it with --allow-uid", peer.uid);
        return;
    }
    size_t slot = 0;
    while (slot < SERVICE_VMS_MAXIMUM && service->vms[slot].pid != 0) {
        slot++;
    }
    int pair[2];
    if (slot == SERVICE_VMS_MAXIMUM || (service->options->private_vm && service->had_vm) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        monatt_log_warning("attach: no room for another VM");
        return;
    }
    DeviceKept *kept =
        mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = kept == MAP_FAILED ? -1 : fork();
    if (pid == 0) {
        close(pair[0]);
        become_device(service, kept, connection, pair[1], (uint32_t)peer.pid);
    }
    close(pair[1]);
    if (pid < 0) {
        monatt_log_error("attach: %s", strerrordesc_np(errno));
        close(pair[0]);
        if (kept != MAP_FAILED) {
            munmap(kept, sizeof(*kept));
        }
        return;
    }
    service->vms[slot] = (ServiceVm){.pid = pid, .link = pair[0], .kept = kept};
    service->count++;
    service->had_vm = true;
}

static pid_t start_swtpm(Service *service, const uint8_t vid[MONATT_UUID_SIZE])
{
    char run[VM_PATH_MAXIMUM];
    char state[VM_PATH_MAXIMUM];
    char state_option[VM_PATH_MAXIMUM + 32];
    char server[VM_PATH_MAXIMUM + 64];
    char control[VM_PATH_MAXIMUM + 64];
    MonattError err = {0};
    if (!find_swtpm(&err) || !vm_run_folder(&service->options->vm, vid, run, &err) ||
        !vm_state_folder(&service->options->vm, vid, state, &err)) {
        monatt_log_failure(&err);
        return -1;
    }
    snprintf(state_option, sizeof(state_option), "dir=%s/tpm,mode=0600", state);
    snprintf(server, sizeof(server), "type=unixio,path=%s/tpm.sock,mode=0600", run);
    snprintf(control, sizeof(control), "type=unixio,path=%s/tpm.sock.ctrl,mode=0600", run);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &service->old_mask, NULL);
        execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state_option, "--server", server,
               "--ctrl", control, "--flags", "not-need-init", "--terminate", (char *)NULL);
        monatt_log_error("swtpm: cannot be started: %s", strerrordesc_np(errno));
        _exit(127);
    }
    return pid;
}

static void end_swtpm(ServiceVm *vm)
{
    if (vm->swtpm > 0) {
        kill(vm->swtpm, SIGKILL); /* our child and not reaped yet: the pid is its own */
        waitpid(vm->swtpm, NULL, 0);
        vm->swtpm = 0;
    }
}

static void serve_link(Service *service, ServiceVm *vm)
{
    uint8_t message[1 + MONATT_UUID_SIZE];
    uint8_t answer = VM_LINK_FAILED;
    ssize_t got = recv(vm->link, message, sizeof(message), MSG_DONTWAIT);
    if (got != (ssize_t)sizeof(message)) {
        return;
    }
    if (message[0] == VM_LINK_VID && !vm->known) {
        /* Once, before the sandbox: a device taken over cannot name another VM's folder. */
        memcpy(vm->vid, message + 1, sizeof(vm->vid));
        vm->known = true;
        answer = VM_LINK_DONE;
    } else if (message[0] == VM_LINK_SWTPM && vm->known) {
        end_swtpm(vm);
        vm->swtpm = start_swtpm(service, vm->vid);
        answer = vm->swtpm > 0 ? VM_LINK_DONE : VM_LINK_FAILED;
    } else if (message[0] == VM_LINK_ALIVE && vm->known) {
        if (vm->swtpm > 0 && waitpid(vm->swtpm, NULL, WNOHANG) == vm->swtpm) {
            vm->swtpm = 0;
        }
        answer = vm->swtpm > 0 ? VM_LINK_DONE : VM_LINK_FAILED;
    }
    ssize_t sent = send(vm->link, &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* a device that died is cleaned up by SIGCHLD */
}

static void end_vm(Service *service, ServiceVm *vm, int status)
{
    char path[VM_PATH_MAXIMUM];
    end_swtpm(vm);
    if (WIFSIGNALED(status)) {
        monatt_log_warning("device %d: killed by signal %d", (int)vm->pid, WTERMSIG(status));
    }
    if (vm->known && vm_run_folder(&service->options->vm, vm->vid, path, NULL)) {
        /* A new device of the same VM may hold the folder by now: its lock says so. */
        char pid_path[VM_PATH_MAXIMUM + 16];
        snprintf(pid_path, sizeof(pid_path), "%s/device.pid", path);
        int fd = open(pid_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
            vm_remove_run_folder(path);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    close(vm->link);
    munmap(vm->kept, sizeof(*vm->kept));
    memset(vm, 0, sizeof(*vm));
    service->count--;
}

static void reap(Service *service)
{
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        ServiceVm *vm = &service->vms[i];
        int status;
        if (vm->pid == 0) {
            continue;
        }
        if (vm->swtpm > 0 && waitpid(vm->swtpm, &status, WNOHANG) == vm->swtpm) {
            vm->swtpm = 0;
        }
        if (waitpid(vm->pid, &status, WNOHANG | WUNTRACED) != vm->pid) {
            continue;
        }
        if (WIFSTOPPED(status)) {
            monatt_log_warning("device %d: stopped: killed, its VM goes on", (int)vm->pid);
            kill(vm->pid, SIGKILL);
            continue;
        }
        end_vm(service, vm, status);
    }
}

static void watch(Service *service)
{
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        ServiceVm *vm = &service->vms[i];
        if (vm->pid == 0) {
            continue;
        }
        unsigned ticks = atomic_load(&vm->kept->heartbeat.ticks);
        unsigned busy = atomic_load(&vm->kept->heartbeat.wire_busy);
        /* Counted in rounds of ours, so that a host that schedules nobody accuses nobody. */
        vm->silent = ticks != 0 && ticks == vm->last_ticks ? vm->silent + 1 : 0;
        vm->busy = (busy & 1) && busy == vm->last_busy ? vm->busy + 1 : 0;
        vm->last_ticks = ticks;
        vm->last_busy = busy;
        if (vm->silent >= TICKS_SILENT || vm->busy >= TICKS_WIRE_BUSY) {
            monatt_log_warning("device %d: stalled: killed, its VM goes on", (int)vm->pid);
            kill(vm->pid, SIGKILL);
        }
    }
}

static void read_signals(Service *service)
{
    struct signalfd_siginfo info;
    while (read(service->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            service->stop = true;
        }
    }
}

static void loop(Service *service)
{
    int64_t last_watch = device_now_ms();
    while (!service->stop) {
        struct pollfd polls[SERVICE_VMS_MAXIMUM + 2];
        size_t slots[SERVICE_VMS_MAXIMUM];
        size_t count = 2;
        polls[0] = (struct pollfd){.fd = service->listen_fd, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = service->signal_fd, .events = POLLIN};
        for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
            if (service->vms[i].pid != 0) {
                slots[count - 2] = i;
                polls[count++] = (struct pollfd){.fd = service->vms[i].link, .events = POLLIN};
            }
        }
        /* Nothing to watch: sleep until somebody comes. */
        int timeout = service->count > 0 || service->options->private_vm ? TICK_MS : -1;
        int ready = poll(polls, count, timeout);
        if (ready > 0 && polls[1].revents) {
            read_signals(service);
        }
        for (size_t i = 2; ready > 0 && i < count; i++) {
            if (polls[i].revents & POLLIN) {
                serve_link(service, &service->vms[slots[i - 2]]);
            }
        }
        reap(service);
        if (ready > 0 && polls[0].revents) {
            accept_launcher(service);
        }
        if (device_now_ms() - last_watch >= TICK_MS) {
            last_watch = device_now_ms();
            watch(service);
        }
        if (service->options->private_vm && service->count == 0 &&
            (service->had_vm || device_now_ms() - service->started_ms > PRIVATE_WAIT_MS)) {
            break;
        }
    }
}

bool service_run(const ServiceOptions *options, MonattError *err)
{
    static Service service;
    char socket_path[VM_PATH_MAXIMUM + 16];
    sigset_t mask;
    service.options = options;
    service.listen_fd = -1;
    service.started_ms = device_now_ms();
    if (!prepare(&service, socket_path, sizeof(socket_path), err)) {
        return false;
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, &service.old_mask);
    service.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (service.signal_fd < 0) {
        unlink(socket_path);
        return monatt_error_set_errno(err, errno, "attach service");
    }
    monatt_log_info("serves '%s'", socket_path);
    if (options->ready_fd >= 0) {
        ssize_t written = write(options->ready_fd, "R", 1);
        (void)written; /* who waited for it may be gone */
        close(options->ready_fd);
    }
    loop(&service);
    unlink(socket_path);
    close(service.listen_fd);
    close(service.signal_fd);
    return true;
}
