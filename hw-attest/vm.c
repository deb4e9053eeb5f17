/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.c - sets a device up, sandboxes it, serves the wire, cleans up
 *
 * Until the launcher has its answer no guest exists; after it nothing is opened but for reading.
 */
#include "hw-attest/vm-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "hw-attest/keeper.h"
#include "hw-attest/sandbox.h"
#include "libmonatt/base/log.h"
#include "libmonatt/formats/plugin-ring.h"

#define REQUEST_TIMEOUT_MS 10000 /* a launcher that connects and says nothing */
#define LINK_TIMEOUT_MS 10000
#define TPM_END_MS 1000    /* for TPM2_Shutdown; a swtpm that is stopped does not hold up more */
#define QEMU_WAIT_MS 60000 /* a launcher's QEMU on a loaded host, from the answer to its device */
#define QEMU_END_MS 5000   /* between the ends of its devices and of its monitor, loaded host */
#define LOCK_WAIT_MS 1000  /* a VM started again at once: its last device is on its way out */

/* One question to the attach service with its answer; two threads ask.  want descriptors come. */
static bool ask_with(Vm *vm, uint16_t type, const void *payload, size_t size, const int *fds,
                     size_t fd_count, int *ret_fds, size_t want, MonattError *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static MonattControlMessage answer; /* 64 KiB, under the lock */
    pthread_mutex_lock(&lock);
    bool ok = monatt_control_call_with(vm->link, type, payload, size, fds, fd_count,
                                       LINK_TIMEOUT_MS, &answer, err);
    if (ok && answer.fd_count != want) {
        ok = monatt_error_set(err, MONATT_ERROR_FORMAT, "attach service: %zu descriptors",
                              answer.fd_count);
    }
    for (size_t i = 0; ok && i < want; i++) {
        ret_fds[i] = answer.fds[i];
        answer.fds[i] = -1;
    }
    if (ok || answer.fd_count > 0) {
        monatt_control_message_clear(&answer);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

static bool ask_service(Vm *vm, VmLinkMessage type, const int *fds, size_t fd_count, int *ret_fds,
                        size_t want, MonattError *err)
{
    return ask_with(vm, (uint16_t)type, vm->device->vid, MONATT_UUID_SIZE, fds, fd_count, ret_fds,
                    want, err);
}

static bool keep(Vm *vm, KeptFile which, int fd, MonattError *err)
{
    const uint8_t payload = (uint8_t)which;
    return ask_with(vm, KEEPER_FILE, &payload, 1, &fd, 1, NULL, 0, err);
}

static void keep_tpm(void *argument)
{
    Vm *vm = argument;
    MonattError err = {0};
    if (!keep(vm, KEPT_FILE_TPM, vm->tpm.socket.data_fd, &err)) {
        monatt_log_warning("swtpm: the attach service does not keep its connection");
    }
}

/* All that another process needs to go on for this one. */
static bool keep_all(Vm *vm, MonattError *err)
{
    const Device *device = vm->device;
    DeviceFixed *fixed = &device->kept->fixed;
    const struct {
        KeptFile which;
        int fd;
    } files[] = {{KEPT_FILE_WIRE, vm->wire_fd},        {KEPT_FILE_QMP, vm->qmp.fd},
                 {KEPT_FILE_RING, device->ring_fd},    {KEPT_FILE_LISTEN, vm->listen_fd},
                 {KEPT_FILE_RUN, vm->run_fd},          {KEPT_FILE_STATE, vm->state_fd},
                 {KEPT_FILE_LOCK, vm->lock_fd},        {KEPT_FILE_PID, vm->pid_fd},
                 {KEPT_FILE_KERNEL, device->kernel_fd}};
    kept_commit(vm->device);
    bool by_path = vm->wire == &wire_vfio_user;
    if (by_path && vm->qmp.fd < 0) {
        return true; /* QEMU could not be given another device */
    }
    memcpy(fixed->name, device->name, sizeof(fixed->name));
    fixed->accelerator = device->accelerator;
    fixed->wire = by_path ? MONATT_WIRE_VFIO_USER : MONATT_WIRE_MPQEMU;
    fixed->actions = vm->actions;
    fixed->qemu_user = vm->vfio.user;
    fixed->qemu_pid = device->qemu_pid;
    fixed->ring_size = device->ring_size;
    fixed->start_boottime_ns = device->start_boottime_ns;
    fixed->item_count = device->item_count;
    memcpy(fixed->items, device->items, sizeof(fixed->items));
    fixed->ek = vm->tpm.ek;
    fixed->ak_public256 = vm->tpm.ak_public256;
    fixed->ak_public384 = vm->tpm.ak_public384;
    bool ok = true;
    for (size_t i = 0; ok && i < MONATT_ARRAY_SIZE(files); i++) {
        ok = files[i].fd < 0 || keep(vm, files[i].which, files[i].fd, err);
    }
    return ok && ask_with(vm, KEEPER_COMPLETE, NULL, 0, NULL, 0, NULL, 0, err);
}

static bool reopen(void *argument, const int *fds, size_t count, int *ret_fds, MonattError *err)
{
    return ask_service(argument, VM_LINK_REOPEN, fds, count, ret_fds, count, err);
}

static bool respawn(void *argument)
{
    Vm *vm = argument;
    MonattError err = {0};
    if (!ask_service(vm, VM_LINK_SWTPM, NULL, 0, NULL, 0, &err)) {
        monatt_log_failure(&err);
        return false;
    }
    return true;
}

static bool alive(void *argument)
{
    Vm *vm = argument;
    MonattError err = {0};
    return ask_service(vm, VM_LINK_ALIVE, NULL, 0, NULL, 0, &err);
}

static bool open_folders(Vm *vm, MonattError *err)
{
    Device *device = vm->device;
    const struct timespec pause = {.tv_nsec = 10000000};
    int64_t until = device_now_ms() + LOCK_WAIT_MS;
    int folders[3] = {-1, -1, -1};
    if (!vm_run_folder(vm->options, device->vid, vm->run_folder, err)) {
        return false;
    }
    /* The service makes the folders, locks them for this process and gives them to its user. */
    while (!ask_service(vm, VM_LINK_VID, NULL, 0, folders, 3, err)) {
        if (err->code != MONATT_ERROR_BUSY || device_now_ms() >= until) {
            return false;
        }
        monatt_error_clear(err);
        nanosleep(&pause, NULL);
    }
    vm->run_fd = folders[0];
    vm->state_fd = folders[1];
    vm->lock_fd = folders[2];
    /* By descriptor: the folders above may be closed to this user. */
    snprintf(vm->run_place, sizeof(vm->run_place), "/proc/self/fd/%d", vm->run_fd);
    vm->pid_fd = openat(vm->run_fd, "device.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (vm->pid_fd < 0 || flock(vm->pid_fd, LOCK_EX | LOCK_NB) != 0) {
        return monatt_error_set_errno(err, errno, "'%s/device.pid'", vm->run_folder);
    }
    if (!event_log_open(&vm->log, vm->state_fd, err)) {
        return false;
    }
    device->log_fd = vm->log.fd;
    return true;
}

void vm_init_tpm(Vm *vm)
{
    snprintf(vm->tpm.path, sizeof(vm->tpm.path), "%s/tpm.sock", vm->run_place);
    vm->tpm.respawn = respawn;
    vm->tpm.alive = alive;
    vm->tpm.connected = keep_tpm;
    vm->tpm.service_argument = vm;
    vm->tpm.log = &vm->log;
}

static bool open_tpm(Vm *vm, MonattError *err)
{
    Device *device = vm->device;
    uint8_t seed[MONATT_BOOT_SEED_SIZE];
    vm_init_tpm(vm);
    if (!ask_service(vm, VM_LINK_SWTPM, NULL, 0, NULL, 0, err) ||
        !tpm_backend_start(&vm->tpm, err)) {
        return false;
    }
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "boot seed: no random bytes");
    }
    memcpy(device->boot_seed, seed, sizeof(seed));
    device->boot_count = vm->tpm.reset_count;
    return true;
}

static bool open_sockets(Vm *vm, int connection, MonattError *err)
{
    Device *device = vm->device;
    char path[VM_PATH_MAXIMUM + 32];
    int pair[2];
    snprintf(path, sizeof(path), "%s/control.sock", vm->run_place);
    if (!monatt_control_listen(path, &vm->listen_fd, err)) {
        return false;
    }
    device->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device->ring.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->wake_fd < 0 || device->ring.wake_fd < 0) {
        return monatt_error_set_errno(err, errno, "attach: eventfd");
    }
    if (vm->wire == &wire_vfio_user) {
        return vfio_listen_open(&vm->vfio, vm->run_folder, vm->run_place, connection, err);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return monatt_error_set_errno(err, errno, "attach: sockets");
    }
    vm->wire_fd = pair[0];
    vm->wire_peer_fd = pair[1];
    return true;
}

bool vm_write_pid(Vm *vm, MonattError *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(vm->pid_fd, 0) != 0 || pwrite(vm->pid_fd, text, (size_t)length, 0) != length) {
        return monatt_error_set_errno(err, errno, "'%s/device.pid'", vm->run_folder);
    }
    return true;
}

static bool take_request(Vm *vm, int connection, MonattError *err)
{
    static MonattControlMessage message;
    static MonattAttachRequest request;
    Device *device = vm->device;
    if (!monatt_control_receive(connection, REQUEST_TIMEOUT_MS, &message, err)) {
        return false;
    }
    vm->request_id = message.id;
    if (message.type != MONATT_CONTROL_ATTACH || message.fd_count > 2) {
        monatt_control_message_clear(&message);
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "attach: not an attach request");
    }
    if (!monatt_attach_request_decode(message.payload, message.payload_size, &request, err)) {
        monatt_control_message_clear(&message);
        return false;
    }
    vm->wire = request.wire == MONATT_WIRE_VFIO_USER ? &wire_vfio_user : &wire_mpqemu;
    device->reset.can_restore = vm->wire == &wire_vfio_user;
    vm->actions = request.actions;
    memcpy(device->vid, request.vid, sizeof(device->vid));
    memcpy(device->name, request.name, sizeof(device->name));
    device->accelerator = request.accelerator;
    device->item_count = request.item_count;
    memcpy(device->items, request.items, sizeof(device->items));
    qmp_init(&vm->qmp, message.fd_count > 0 ? message.fds[0] : -1, vm->end_fd);
    device->qmp_open = message.fd_count > 0;
    device->vcpu_job.fd = vm->qmp.fd;
    bool kernel_good = message.fd_count < 2 || vm_set_kernel(device, message.fds[1], err);
    message.fd_count = 0; /* monitor and kernel are ours now */
    if (!kernel_good) {
        return false;
    }
    if (request.want_plugin &&
        !monatt_plugin_ring_create(request.vcpus, &device->ring_fd, &device->ring_size, err)) {
        return false;
    }
    return true;
}

static void *log_thread(void *argument)
{
    Vm *vm = argument;
    event_log_run(&vm->log, vm->device);
    return NULL;
}

static void *tpm_thread(void *argument)
{
    Vm *vm = argument;
    tpm_backend_run(&vm->tpm, vm->device);
    return NULL;
}

static void *control_thread(void *argument)
{
    Vm *vm = argument;
    control_run(&vm->control, vm->device);
    return NULL;
}

static void *ring_thread(void *argument)
{
    Vm *vm = argument;
    ring_run(vm->device);
    return NULL;
}

static void *qmp_thread(void *argument)
{
    Vm *vm = argument;
    vm->qmp.keep = vm->device;
    if (vm->resumed && vm->qmp.fd >= 0) {
        qmp_resume(&vm->qmp, vm->device);
        if (vm->wire == &wire_vfio_user) {
            vm_replace(vm);
        }
    }
    qmp_run(&vm->qmp, vm->device);
    return NULL;
}

static bool start_threads(Vm *vm, MonattError *err)
{
    static void *(*const bodies[])(void *) = {log_thread, tpm_thread, control_thread, qmp_thread,
                                              ring_thread};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(bodies); i++) {
        int rc = pthread_create(&vm->threads[i], NULL, bodies[i], vm);
        if (rc != 0) {
            return monatt_error_set_errno(err, rc, "device: thread");
        }
        vm->thread_count++;
    }
    return true;
}

static bool answer(Vm *vm, int connection, MonattError *err)
{
    uint8_t payload[8 + 2 + MONATT_WIRE_PATH_SIZE];
    MonattAttachAnswer attached = {.ring_size = vm->device->ring_size};
    MonattWriter w;
    int fds[2];
    size_t fd_count = 0;
    if (vm->wire == &wire_vfio_user) {
        memcpy(attached.wire_path, vm->vfio.path, sizeof(attached.wire_path));
    } else {
        fds[fd_count++] = vm->wire_peer_fd;
    }
    if (vm->device->ring_fd >= 0) {
        fds[fd_count++] = vm->device->ring_fd;
    }
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_attach_answer_encode(&w, &attached);
    return monatt_control_send(connection, MONATT_CONTROL_ATTACH | MONATT_CONTROL_ANSWER,
                               vm->request_id, payload, w.size, fds, fd_count, err);
}

static void refuse(int connection, uint16_t id, const MonattError *err)
{
    uint8_t payload[MONATT_ERROR_MESSAGE_SIZE + MONATT_ERROR_HINT_SIZE + 6];
    MonattError ignored = {0};
    size_t size = monatt_control_refusal_encode(err, payload, sizeof(payload));
    bool sent =
        monatt_control_send(connection, MONATT_CONTROL_ERROR, id, payload, size, NULL, 0, &ignored);
    (void)sent; /* the launcher may be gone */
}

static bool set_up(Vm *vm, int connection, MonattError *err)
{
    uint8_t warm[MONATT_SHA384_SIZE];
    return take_request(vm, connection, err) && open_folders(vm, err) && vm_write_pid(vm, err) &&
           open_tpm(vm, err) && open_sockets(vm, connection, err) &&
           /* libcrypto reads its configuration at the first hash: not inside the sandbox. */
           registers_sha256("", 0, warm) && registers_sha384("", 0, warm);
}

/* Unblocks and ends all threads; none of them starts anything anew once `ending` is set. */
static void end_threads(Vm *vm)
{
    Device *device = vm->device;
    pthread_mutex_lock(&device->lock);
    device->ending = true;
    device_post(device, MONATT_EVENT_ENDED, 0);
    ring_wake(device);
    int64_t until = device_now_ms() + TPM_END_MS;
    while (!device->tpm_ended && device_wait_until(device, until)) {
    }
    pthread_mutex_unlock(&device->lock);
    const uint64_t one = 1;
    ssize_t written = write(vm->end_fd, &one, sizeof(one));
    (void)written; /* else the thread ends with its next tick */
    /* The tpm thread may wait for a swtpm that is stopped. */
    if (vm->tpm.socket.data_fd >= 0) {
        shutdown(vm->tpm.socket.data_fd, SHUT_RDWR);
    }
    if (vm->tpm.socket.control_fd >= 0) {
        shutdown(vm->tpm.socket.control_fd, SHUT_RDWR);
    }
    for (size_t i = 0; i < vm->thread_count; i++) {
        pthread_join(vm->threads[i], NULL);
    }
}

/* True when QEMU is gone in order; the wire's descriptor is closed in any case. */
static bool serve_wire(Vm *vm, MonattError *err)
{
    /* A QEMU that runs may take its time to let a dead device go; its end is seen by its monitor.
     */
    int64_t until = vm->resumed ? INT64_MAX : device_now_ms() + QEMU_WAIT_MS;
    if (vm->wire == &wire_vfio_user &&
        !vfio_listen_accept(&vm->vfio, vm->device, until, &vm->wire_fd, err)) {
        monatt_log_failure(err);
        return true; /* no QEMU that a fault could be shown to */
    }
    bool ok = vm->wire->serve(vm->device, vm->wire_fd, err);
    shutdown(vm->wire_fd, SHUT_RDWR); /* the attach service has a duplicate */
    close(vm->wire_fd);
    return ok;
}

/* After a framing error the device stays for those who ask what happened, until QEMU is gone. */
static void wait_for_qemu(Device *device)
{
    pthread_mutex_lock(&device->lock);
    device->wire_failed = true;
    device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_WIRE);
    while (device->qmp_open) {
        pthread_cond_wait(&device->changed, &device->lock);
    }
    pthread_mutex_unlock(&device->lock);
}

/*
 * A vfio-user device whose wire is over while its QEMU goes on: the guest ejected it, or an answer
 * would have come too late.  Another process is plugged in its place (replace.h).
 */
static bool wants_another(const Vm *vm, bool ended, const MonattError *err)
{
    Device *device = vm->device;
    if (vm->wire != &wire_vfio_user || vm->wire_fd < 0) {
        return false;
    }
    int64_t until = device_now_ms() + QEMU_END_MS;
    pthread_mutex_lock(&device->lock);
    /* QEMU's own end closes its monitor too, a moment after its devices. */
    while (ended && device->qmp_open && device_wait_until(device, until)) {
        /* changed is broadcast when it closes */
    }
    bool open = device->qmp_open;
    pthread_mutex_unlock(&device->lock);
    return open && (ended || err->code == MONATT_ERROR_LIMIT);
}

/* Before threads: from here on swtpm's sockets are all that has a path. */
bool vm_leave_files(Vm *vm, MonattError *err)
{
    int files[SEGMENT_FILES + 1];
    const SandboxPlace place = {
        .run_fd = vm->run_fd, .file_fds = files, .file_count = MONATT_ARRAY_SIZE(files)};
    memcpy(files, vm->log.files.fds, sizeof(vm->log.files.fds));
    files[SEGMENT_FILES] = vm->log.files.previous_fd;
    if (!sandbox_before_threads(&place, &vm->sandbox, err)) {
        return false;
    }
    if (vm->sandbox & SANDBOX_ROOT) {
        vm->run_fd = -1;
        snprintf(vm->tpm.path, sizeof(vm->tpm.path), "/run/tpm.sock");
    }
    monatt_close_pointer(&vm->state_fd); /* a folder's descriptor leads to the folders above */
    vm->files_left = true;
    return true;
}

bool vm_init(Vm *vm, const VmOptions *options, int link, DeviceKept *kept)
{
    vm->options = options;
    vm->link = link;
    vm->run_fd = vm->pid_fd = vm->lock_fd = vm->state_fd = vm->listen_fd = -1;
    vm->wire_fd = vm->wire_peer_fd = -1;
    vfio_listen_init(&vm->vfio);
    event_log_init(&vm->log);
    vm->log.limits = options->log_limits;
    vm->tpm.socket.data_fd = vm->tpm.socket.control_fd = -1;
    vm->device = device_new(kept);
    if (!vm->device) {
        return false;
    }
    vm->device->keeper_fd = link;
    /* One line an error, and it is ours: tpm2-tss would write two more. */
    setenv("TSS2_LOG", "all+NONE", 0);
    vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return true;
}

bool vm_enter_sandbox(Vm *vm, MonattError *err)
{
    control_init(&vm->control, vm->listen_fd, vm->device->wake_fd, &vm->tpm);
    vm->control.reopen = reopen;
    vm->control.reopen_argument = vm;
    vm->vfio.monitored = vm->qmp.fd >= 0;
    return (vm->files_left || vm_leave_files(vm, err)) && start_threads(vm, err) &&
           sandbox_before_guest(&vm->sandbox, err);
}

/* Until QEMU is gone; the exit status. */
int vm_serve_until_end(Vm *vm, const char *how)
{
    MonattError err = {0};
    char layers[SANDBOX_TEXT_SIZE];
    int status = 1;
    sandbox_layers_text(vm->sandbox, layers);
    monatt_log_info("'%s': %s, boot %llu, sandbox: %s", vm->device->name, how,
                    (unsigned long long)vm->device->boot_count, layers);
    if (vm->device->wire_failed) {
        shutdown(vm->wire_fd, SHUT_RDWR);
        wait_for_qemu(vm->device);
    } else {
        bool ended = serve_wire(vm, &err);
        if (!ended) {
            monatt_log_failure(&err);
        }
        if (wants_another(vm, ended, &err)) {
            monatt_log_warning("'%s': is unplugged, its QEMU goes on", vm->device->name);
            _exit(VM_EXIT_AGAIN); /* nothing is wound up: it is all another process's now */
        }
        status = ended ? 0 : 1;
        if (!ended) {
            wait_for_qemu(vm->device);
        }
    }
    end_threads(vm);
    monatt_log_info("'%s': ended", vm->device->name);
    tpm_backend_stop(&vm->tpm);
    return status;
}

int vm_serve(const VmOptions *options, const VmUser *user, int connection, int link,
             uint32_t peer_pid, DeviceKept *kept)
{
    static Vm vm;
    MonattError err = {0};
    if (!vm_init(&vm, options, link, kept)) {
        monatt_error_set(&err, MONATT_ERROR_SYSTEM, "attach: no memory");
        refuse(connection, vm.request_id, &err);
        return 1;
    }
    vm.device->qemu_pid = peer_pid;
    if (!sandbox_before_files(user, &vm.sandbox, &err) || !set_up(&vm, connection, &err) ||
        !keep_all(&vm, &err) || !vm_enter_sandbox(&vm, &err) || !answer(&vm, connection, &err)) {
        goto refused;
    }
    close(connection);
    if (vm.wire_peer_fd >= 0) {
        close(vm.wire_peer_fd);
    }
    return vm_serve_until_end(&vm, "attached");

refused:
    monatt_log_failure(&err);
    if (vm.thread_count > 0) {
        end_threads(&vm);
    }
    tpm_backend_stop(&vm.tpm);
    vfio_listen_close(&vm.vfio);
    MonattError ignored = {0};
    bool ended = ask_service(&vm, VM_LINK_END, NULL, 0, NULL, 0, &ignored);
    (void)ended; /* the service cleans up after it in any case */
    /* Last, so that who is refused finds nothing left of the attempt. */
    refuse(connection, vm.request_id, &err);
    return 1;
}
