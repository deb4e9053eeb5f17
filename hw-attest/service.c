/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service.c - accepts launchers, forks devices, starts their swtpms, kills stalled ones
 *
 * Reads nothing a guest or launcher wrote: the device process does that.  A vCPU that waits for a
 * device has no time-out, so a device that is stopped or stalls is killed here.  One that dies by a
 * signal is started again with what the service kept of it; when that happens too often, or the
 * signal came from its sandbox, QEMU reads all ones and goes on.
 */
#include "hw-attest/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "hw-attest/service-children.h"
#include "libmonatt/base/log.h"

#define TICK_MS 500
#define TICKS_SILENT 20   /* 10 s of our own time without a sign of life */
#define TICKS_WIRE_BUSY 6 /* 3 s within one guest access */
#define RESTARTS_WITHIN_MS 60000
#define LINK_MESSAGES_MAXIMUM 64 /* that a dead device left; more than a socket holds */
#define PRIVATE_WAIT_MS 60000    /* a private service whose launcher never came */

typedef struct ServiceVm {
    pid_t pid; /* 0: free slot */
    pid_t swtpm;
    pid_t reopener; /* 0, or a child that answers one REOPEN */
    VmUser user;
    int link;
    bool has_folders; /* vid is set, and its folders are this device's */
    uint8_t vid[MONATT_UUID_SIZE];
    DeviceKept *kept; /* shared with the device process, and with no other */
    Keeper keeper;    /* for its next process */
    unsigned restarts;
    int64_t restarted_ms[SERVICE_RESTARTS_MAXIMUM]; /* the last ones, restart n at n % maximum */
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

/* Whose run folder it is, of this service's VMs; NULL: nobody's. */
static ServiceVm *owner_of(Service *service, const uint8_t *vid)
{
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        ServiceVm *vm = &service->vms[i];
        if (vm->has_folders && monatt_bytes_equal(vm->vid, vid, MONATT_UUID_SIZE)) {
            return vm;
        }
    }
    return NULL;
}

/* A device that is killed leaves its folder; its lock on device.pid went with it.  A VM of ours has
 * none before its device made it, and one that was taken over may have removed it. */
static void remove_stale(Service *service, const char *folder)
{
    DIR *folders = opendir(folder);
    struct dirent *entry;
    while (folders && (entry = readdir(folders))) {
        uint8_t vid[MONATT_UUID_SIZE];
        char path[VM_PATH_MAXIMUM + 280];
        if (!monatt_text_to_uuid(entry->d_name, vid, NULL) || owner_of(service, vid)) {
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

static bool prepare(Service *service, char *socket_path, size_t capacity, MonattError *err)
{
    const VmOptions *vm = &service->options->vm;
    char path[VM_PATH_MAXIMUM];
    static const uint8_t longest[MONATT_UUID_SIZE];
    if (!service_find_swtpm(err) || !vm_run_folder(vm, longest, path, err) ||
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
    remove_stale(service, path);
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

/* A forked device: nothing of the service and of other VMs may stay in it. */
static void leave_service(Service *service, const ServiceVm *own)
{
    close(service->listen_fd);
    close(service->signal_fd);
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        ServiceVm *vm = &service->vms[i];
        if (vm->pid != 0 && vm != own) {
            close(vm->link);
            munmap(vm->kept, sizeof(*vm->kept));
            keeper_clear(&vm->keeper);
        }
    }
    signal(SIGTERM, SIG_DFL);
    /* ^C at the service's terminal must not take the VMs' devices. */
    signal(SIGINT, SIG_IGN);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &service->old_mask, NULL);
}

/* A user that no other VM has, also none of an earlier service. */
static bool pick_user(Service *service, VmUser *ret, MonattError *err)
{
    char run_vm[VM_PATH_MAXIMUM];
    uid_t taken[SERVICE_VMS_MAXIMUM];
    size_t count = 0;
    snprintf(run_vm, sizeof(run_vm), "%s/vm", service->options->vm.run_dir);
    remove_stale(service, run_vm);
    for (size_t i = 0; i < SERVICE_VMS_MAXIMUM; i++) {
        if (service->vms[i].pid != 0) {
            taken[count++] = service->vms[i].user.uid;
        }
    }
    return vm_users_pick(&service->options->users, run_vm, taken, count, ret, err);
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
    VmUser user;
    MonattError err = {0};
    if (!pick_user(service, &user, &err)) {
        monatt_log_failure(&err);
        return;
    }
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
        leave_service(service, NULL);
        _exit(
            vm_serve(&service->options->vm, &user, connection, pair[1], (uint32_t)peer.pid, kept));
    }
    close(pair[1]);
    /* A device that asks and does not read its answers holds nobody up. */
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    if (pid < 0) {
        monatt_log_error("attach: %s", strerrordesc_np(errno));
        close(pair[0]);
        if (kept != MAP_FAILED) {
            munmap(kept, sizeof(*kept));
        }
        return;
    }
    service->vms[slot] = (ServiceVm){.pid = pid, .user = user, .link = pair[0], .kept = kept};
    keeper_init(&service->vms[slot].keeper);
    service->count++;
    service->had_vm = true;
}

static void end_child(pid_t *child)
{
    if (*child > 0) {
        kill(*child, SIGKILL); /* our child and not reaped yet: the pid is its own */
        waitpid(*child, NULL, 0);
        *child = 0;
    }
}

static bool is_alive(ServiceVm *vm)
{
    if (vm->swtpm > 0 && waitpid(vm->swtpm, NULL, WNOHANG) == vm->swtpm) {
        vm->swtpm = 0;
    }
    return vm->swtpm > 0;
}

/* This VM's run folder; a later device of the same VM has one of its own by then. */
static void remove_run_folder(Service *service, ServiceVm *vm)
{
    char path[VM_PATH_MAXIMUM];
    if (vm->has_folders && vm_run_folder(&service->options->vm, vm->vid, path, NULL)) {
        vm_remove_run_folder(path);
        vm_folders_take_back(&service->options->vm, vm->vid, &vm->user);
    }
    vm->has_folders = false;
}

/* Once, before the sandbox: a device taken over cannot name another VM's folder. */
static bool give_folders(Service *service, ServiceVm *vm, const uint8_t *vid, VmFolders *ret,
                         MonattError *err)
{
    if (vm->has_folders || !vm_folders_open(&service->options->vm, vid, &vm->user, ret, err)) {
        return false;
    }
    /* The lock was free, so an earlier device of this VM is dead, if not reaped yet. */
    ServiceVm *earlier = owner_of(service, vid);
    if (earlier) {
        earlier->has_folders = false;
    }
    memcpy(vm->vid, vid, MONATT_UUID_SIZE);
    vm->has_folders = true;
    return true;
}

static bool answer_link(Service *service, ServiceVm *vm, MonattControlMessage *message,
                        VmFolders *folders, MonattError *err)
{
    monatt_error_set(err, MONATT_ERROR_FORMAT, "attach service: not a request of a device");
    if (message->type == KEEPER_FILE || message->type == KEEPER_COMPLETE) {
        return keeper_take(&vm->keeper, vm->kept, message);
    }
    if (message->payload_size != MONATT_UUID_SIZE || message->fd_count != 0) {
        return false;
    }
    if (message->type == VM_LINK_VID) {
        monatt_error_clear(err);
        return give_folders(service, vm, message->payload, folders, err);
    }
    if (message->type == VM_LINK_SWTPM && vm->has_folders) {
        keeper_shut_tpm_down(&vm->keeper);
        end_child(&vm->swtpm);
        vm->swtpm =
            service_start_swtpm(&service->options->vm, &vm->user, vm->vid, &service->old_mask);
        monatt_error_set(err, MONATT_ERROR_PEER, "swtpm: the attach service did not start it");
        monatt_error_hint(err, "is swtpm installed and in the service's PATH?");
        return vm->swtpm > 0;
    }
    if (message->type == VM_LINK_END) {
        end_child(&vm->swtpm);
        remove_run_folder(service, vm);
        return true;
    }
    return message->type == VM_LINK_ALIVE && vm->has_folders && is_alive(vm);
}

static void serve_link(Service *service, ServiceVm *vm)
{
    static MonattControlMessage message;
    uint8_t refusal[MONATT_ERROR_MESSAGE_SIZE + MONATT_ERROR_HINT_SIZE + 6];
    VmFolders folders = {-1, -1, -1};
    MonattError err = {0};
    MonattError ignored = {0};
    bool sent;
    if (!monatt_control_receive(vm->link, 0, &message, &err)) {
        return;
    }
    uint16_t type = message.type;
    if (type == KEEPER_RAM || type == KEEPER_INTERRUPT) {
        bool kept = keeper_take(&vm->keeper, vm->kept, &message);
        (void)kept; /* else a successor does not have them */
        monatt_control_message_clear(&message);
        return;
    }
    if (type == VM_LINK_REOPEN && vm->has_folders) {
        /* While the last one waits, so may this one. */
        if (vm->reopener == 0) {
            vm->reopener = service_start_reopener(vm->link, &message);
        }
        monatt_control_message_clear(&message);
        return;
    }
    if (answer_link(service, vm, &message, &folders, &err)) {
        const int fds[] = {folders.run_fd, folders.state_fd, folders.lock_fd};
        sent = monatt_control_send(vm->link, type | MONATT_CONTROL_ANSWER, message.id, NULL, 0, fds,
                                   folders.run_fd >= 0 ? 3 : 0, &ignored);
    } else {
        size_t size = monatt_control_refusal_encode(&err, refusal, sizeof(refusal));
        sent = monatt_control_send(vm->link, MONATT_CONTROL_ERROR, message.id, refusal, size, NULL,
                                   0, &ignored);
    }
    (void)sent;                 /* a device that died is cleaned up by SIGCHLD */
    vm_folders_close(&folders); /* the lock lives on in the device */
    monatt_control_message_clear(&message);
}

/* May a device that died so be started again? */
static bool may_restart(const Service *service, const ServiceVm *vm, int status)
{
    unsigned limit = service->options->restarts;
    if (!vm->keeper.complete || !vm_goes_on(status) || limit == 0) {
        return false;
    }
    const int64_t *oldest = &vm->restarted_ms[(vm->restarts - limit) % SERVICE_RESTARTS_MAXIMUM];
    if (vm->restarts < limit || device_now_ms() - *oldest >= RESTARTS_WITHIN_MS) {
        return true;
    }
    monatt_log_error("device %d: died %u times in %d s: given up, QEMU reads all ones",
                     (int)vm->pid, limit + 1, RESTARTS_WITHIN_MS / 1000);
    return false;
}

/* The killed device's work goes on in a new process. */
static bool restart(Service *service, ServiceVm *vm)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    /* What is on the old link is the last word about guest RAM. */
    struct pollfd more = {.fd = vm->link, .events = POLLIN};
    for (int i = 0; i < LINK_MESSAGES_MAXIMUM && poll(&more, 1, 0) == 1; i++) {
        serve_link(service, vm);
    }
    atomic_store(&vm->kept->heartbeat.ticks, 0);
    atomic_store(&vm->kept->heartbeat.wire_busy, 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        close(vm->link);
        leave_service(service, vm);
        _exit(vm_resume(&service->options->vm, &vm->user, vm->vid, pair[1], vm->kept, &vm->keeper));
    }
    close(pair[1]);
    if (pid < 0) {
        monatt_log_error("restart: %s", strerrordesc_np(errno));
        close(pair[0]);
        return false;
    }
    monatt_log_warning("device %d: goes on as process %d", (int)vm->pid, (int)pid);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    close(vm->link);
    vm->link = pair[0];
    vm->pid = pid;
    vm->silent = vm->busy = vm->last_ticks = vm->last_busy = 0;
    vm->restarted_ms[vm->restarts++ % SERVICE_RESTARTS_MAXIMUM] = device_now_ms();
    return true;
}

static void end_vm(Service *service, ServiceVm *vm, int status)
{
    end_child(&vm->reopener);
    if (WIFSIGNALED(status)) {
        monatt_log_warning("device %d: killed by signal %d", (int)vm->pid, WTERMSIG(status));
    }
    if (may_restart(service, vm, status) && restart(service, vm)) {
        return;
    }
    if (status != 0) {
        keeper_shut_tpm_down(&vm->keeper);
    }
    end_child(&vm->swtpm);
    keeper_clear(&vm->keeper); /* and QEMU's end of the wire sees the end */
    remove_run_folder(service, vm);
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
        (void)is_alive(vm); /* reaped if it is not */
        if (vm->reopener > 0 && waitpid(vm->reopener, NULL, WNOHANG) == vm->reopener) {
            vm->reopener = 0;
        }
        if (waitpid(vm->pid, &status, WNOHANG | WUNTRACED) != vm->pid) {
            continue;
        }
        if (WIFSTOPPED(status)) {
            monatt_log_warning("device %d: stopped: killed", (int)vm->pid);
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
        bool started = ticks != 0 || vm->restarts > 0; /* a restarted one has a guest waiting */
        vm->silent = started && ticks == vm->last_ticks ? vm->silent + 1 : 0;
        vm->busy = (busy & 1) && busy == vm->last_busy ? vm->busy + 1 : 0;
        vm->last_ticks = ticks;
        vm->last_busy = busy;
        if (vm->silent >= TICKS_SILENT || vm->busy >= TICKS_WIRE_BUSY) {
            monatt_log_warning("device %d: stalled: killed", (int)vm->pid);
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
    /* About 20 descriptors a VM are kept. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
            monatt_log_warning("attach service: limit of descriptors: %s", strerrordesc_np(errno));
        }
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
