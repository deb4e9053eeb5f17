/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.c - sets a device up, sandboxes it, serves the wire, cleans up
 *
 * Until the launcher has its answer no guest exists; after it nothing is opened but for reading.
 */
#include "hw-attest/vm.h"

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
#include "hw-attest/control.h"
#include "hw-attest/qmp.h"
#include "hw-attest/sandbox.h"
#include "hw-attest/vfio-listen.h"
#include "hw-attest/wire.h"
#include "libmonatt/base/log.h"
#include "libmonatt/formats/plugin-ring.h"

#define REQUEST_TIMEOUT_MS 10000 /* a launcher that connects and says nothing */
#define LINK_TIMEOUT_MS 10000
#define QEMU_WAIT_MS 60000 /* a launcher's QEMU on a loaded host, from the answer to its device */
#define LOCK_WAIT_MS 1000  /* a VM started again at once: its last device is on its way out */

typedef struct Vm {
    const VmOptions *options;
    Device *device;
    TpmBackend tpm;
    EventLog log;
    Control control;
    Qmp qmp;
    char run_folder[VM_PATH_MAXIMUM];
    char state_folder[VM_PATH_MAXIMUM];
    bool run_folder_made;
    int link;
    uint16_t request_id;
    int pid_fd;  /* locked as long as the device lives */
    int lock_fd; /* the state folder's */
    int end_fd;  /* wakes the qmp thread at the end */
    int state_fd;
    int listen_fd;
    int wire_fd;      /* ours */
    int wire_peer_fd; /* QEMU's; -1 with vfio-user */
    const Wire *wire;
    VfioListen vfio;
    pthread_t threads[5];
    size_t thread_count;
} Vm;

static bool folder_of(const char *base, const uint8_t vid[MONATT_UUID_SIZE], const char *longest,
                      size_t limit, char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    char uuid[MONATT_UUID_TEXT_SIZE];
    monatt_text_from_uuid(vid, uuid);
    int length = snprintf(ret_path, VM_PATH_MAXIMUM, "%s/vm/%s", base, uuid);
    if (length < 0 || (size_t)length + strlen(longest) >= limit) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "folder: '%.80s/vm/%s': path is too long", base,
                         uuid);
        return monatt_error_hint(err, "choose a shorter folder: %zu bytes are allowed",
                                 limit - strlen("/vm/") - MONATT_UUID_TEXT_SIZE - strlen(longest));
    }
    return true;
}

bool vm_run_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                   char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    /* sun_path of a UNIX socket has 108 bytes. */
    return folder_of(options->run_dir, vid, "/" VFIO_LISTEN_NAME, 108, ret_path, err);
}

bool vm_state_folder(const VmOptions *options, const uint8_t vid[MONATT_UUID_SIZE],
                     char ret_path[VM_PATH_MAXIMUM], MonattError *err)
{
    return folder_of(options->state_dir, vid, "/tpm", VM_PATH_MAXIMUM, ret_path, err);
}

void vm_remove_run_folder(const char *path)
{
    static const char *const names[] = {"control.sock", "tpm.sock", "tpm.sock.ctrl", "device.pid",
                                        VFIO_LISTEN_NAME};
    char file[VM_PATH_MAXIMUM + 32];
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        snprintf(file, sizeof(file), "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

static bool ask_service(int link, uint8_t type, const uint8_t *vid, MonattError *err)
{
    uint8_t message[1 + MONATT_UUID_SIZE] = {type};
    memcpy(message + 1, vid, MONATT_UUID_SIZE);
    uint8_t answer = VM_LINK_FAILED;
    struct pollfd wait = {.fd = link, .events = POLLIN};
    if (send(link, message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message) ||
        poll(&wait, 1, LINK_TIMEOUT_MS) != 1 || recv(link, &answer, 1, 0) != 1 ||
        answer != VM_LINK_DONE) {
        if (type == VM_LINK_SWTPM) {
            monatt_error_set(err, MONATT_ERROR_PEER, "swtpm: the attach service did not start it");
            return monatt_error_hint(err, "is swtpm installed and in the service's PATH?");
        }
        return monatt_error_set(err, MONATT_ERROR_PEER,
                                "attach service: did not take the VM's uuid");
    }
    return true;
}

static bool respawn(void *argument)
{
    Vm *vm = argument;
    MonattError err = {0};
    if (!ask_service(vm->link, VM_LINK_SWTPM, vm->device->vid, &err)) {
        monatt_log_failure(&err);
        return false;
    }
    return true;
}

static bool alive(void *argument)
{
    Vm *vm = argument;
    return ask_service(vm->link, VM_LINK_ALIVE, vm->device->vid, NULL);
}

static bool make_folder(const char *path, MonattError *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return monatt_error_set_errno(err, errno, "folder: '%s'", path);
    }
    return true;
}

/* A lock that lives as long as this process: two devices of one VM would share its identity. */
static bool lock_file(const char *folder, const char *name, int *ret_fd, MonattError *err)
{
    char path[VM_PATH_MAXIMUM + 32];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    *ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0) {
        return monatt_error_set_errno(err, errno, "'%s'", path);
    }
    int64_t until = device_now_ms() + LOCK_WAIT_MS;
    const struct timespec pause = {.tv_nsec = 10000000};
    while (flock(*ret_fd, LOCK_EX | LOCK_NB) != 0) {
        if (device_now_ms() < until) {
            nanosleep(&pause, NULL);
            continue;
        }
        monatt_error_set(err, MONATT_ERROR_BUSY, "attach: '%s': this VM has a device already",
                         folder);
        return monatt_error_hint(err, "end the VM that runs with this uuid, or give another -uuid");
    }
    return true;
}

static bool open_folders(Vm *vm, MonattError *err)
{
    Device *device = vm->device;
    char path[VM_PATH_MAXIMUM + 32];
    if (!vm_run_folder(vm->options, device->vid, vm->run_folder, err) ||
        !vm_state_folder(vm->options, device->vid, vm->state_folder, err) ||
        !make_folder(vm->state_folder, err)) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/tpm", vm->state_folder);
    if (!make_folder(path, err) || !lock_file(vm->state_folder, "lock", &vm->lock_fd, err)) {
        return false;
    }
    vm->state_fd = open(vm->state_folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (vm->state_fd < 0) {
        return monatt_error_set_errno(err, errno, "folder: '%s'", vm->state_folder);
    }
    /* Ours alone, since the lock is ours: what a killed device left is in the way. */
    vm_remove_run_folder(vm->run_folder);
    if (!make_folder(vm->run_folder, err)) {
        return false;
    }
    if (chmod(vm->run_folder, 0711) != 0) { /* entered, not listed: VFIO_LISTEN_NAME */
        return monatt_error_set_errno(err, errno, "folder: '%s'", vm->run_folder);
    }
    vm->run_folder_made = true;
    if (!lock_file(vm->run_folder, "device.pid", &vm->pid_fd, err)) {
        return false;
    }
    if (!event_log_open(&vm->log, vm->state_fd, err)) {
        return false;
    }
    device->log_fd = vm->log.fd;
    return true;
}

static bool open_tpm(Vm *vm, MonattError *err)
{
    Device *device = vm->device;
    uint8_t seed[MONATT_BOOT_SEED_SIZE];
    int length = snprintf(vm->tpm.path, sizeof(vm->tpm.path), "%s/tpm.sock", vm->run_folder);
    if (length < 0 || (size_t)length >= sizeof(vm->tpm.path)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "swtpm: socket path is too long");
    }
    vm->tpm.respawn = respawn;
    vm->tpm.alive = alive;
    vm->tpm.service_argument = vm;
    vm->tpm.log = &vm->log;
    if (!ask_service(vm->link, VM_LINK_VID, device->vid, err) ||
        !ask_service(vm->link, VM_LINK_SWTPM, device->vid, err) ||
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
    snprintf(path, sizeof(path), "%s/control.sock", vm->run_folder);
    if (!monatt_control_listen(path, &vm->listen_fd, err)) {
        return false;
    }
    device->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device->ring.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->wake_fd < 0 || device->ring.wake_fd < 0) {
        return monatt_error_set_errno(err, errno, "attach: eventfd");
    }
    if (vm->wire == &wire_vfio_user) {
        return vfio_listen_open(&vm->vfio, vm->run_folder, connection, err);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return monatt_error_set_errno(err, errno, "attach: sockets");
    }
    vm->wire_fd = pair[0];
    vm->wire_peer_fd = pair[1];
    return true;
}

static bool write_pid(Vm *vm, MonattError *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(vm->pid_fd, 0) != 0 || write(vm->pid_fd, text, (size_t)length) != length) {
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
    if (message.type != MONATT_CONTROL_ATTACH || message.fd_count > 1) {
        monatt_control_message_clear(&message);
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "attach: not an attach request");
    }
    if (!monatt_attach_request_decode(message.payload, message.payload_size, &request, err)) {
        monatt_control_message_clear(&message);
        return false;
    }
    vm->wire = request.wire == MONATT_WIRE_VFIO_USER ? &wire_vfio_user : &wire_mpqemu;
    memcpy(device->vid, request.vid, sizeof(device->vid));
    memcpy(device->name, request.name, sizeof(device->name));
    device->accelerator = request.accelerator;
    device->item_count = request.item_count;
    memcpy(device->items, request.items, sizeof(device->items));
    qmp_init(&vm->qmp, message.fd_count == 1 ? message.fds[0] : -1, vm->end_fd);
    device->qmp_open = message.fd_count == 1;
    message.fd_count = 0; /* the monitor is ours now */
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
    MonattWriter w;
    MonattError ignored;
    monatt_writer_init(&w, payload, sizeof(payload));
    monatt_writer_u16_be(&w, (uint16_t)err->code);
    monatt_writer_u16_be(&w, (uint16_t)strlen(err->message));
    monatt_writer_bytes(&w, err->message, strlen(err->message));
    monatt_writer_u16_be(&w, (uint16_t)strlen(err->hint));
    monatt_writer_bytes(&w, err->hint, strlen(err->hint));
    bool sent = monatt_control_send(connection, MONATT_CONTROL_ERROR, id, payload, w.size, NULL, 0,
                                    &ignored);
    (void)sent; /* the launcher may be gone */
}

static bool set_up(Vm *vm, int connection, MonattError *err)
{
    uint8_t warm[MONATT_SHA384_SIZE];
    return take_request(vm, connection, err) && open_folders(vm, err) && write_pid(vm, err) &&
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
    if (vm->wire == &wire_vfio_user &&
        !vfio_listen_accept(&vm->vfio, vm->device, device_now_ms() + QEMU_WAIT_MS, &vm->wire_fd,
                            err)) {
        monatt_log_failure(err);
        return true; /* no QEMU that a fault could be shown to */
    }
    bool ok = vm->wire->serve(vm->device, vm->wire_fd, err);
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

int vm_serve(const VmOptions *options, int connection, int link, uint32_t peer_pid,
             DeviceKept *kept)
{
    static Vm vm;
    MonattError err = {0};
    int status = 1;
    vm.options = options;
    vm.link = link;
    vm.pid_fd = vm.lock_fd = vm.state_fd = vm.listen_fd = vm.wire_fd = vm.wire_peer_fd = -1;
    vfio_listen_init(&vm.vfio);
    vm.log.fd = vm.log.previous_fd = -1;
    vm.tpm.socket.data_fd = vm.tpm.socket.control_fd = -1;
    vm.device = device_new(kept);
    if (!vm.device) {
        monatt_error_set(&err, MONATT_ERROR_SYSTEM, "attach: no memory");
        refuse(connection, vm.request_id, &err);
        return 1;
    }
    /* One line an error, and it is ours: tpm2-tss would write two more. */
    setenv("TSS2_LOG", "all+NONE", 0);
    vm.end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vm.device->qemu_pid = peer_pid;
    if (!sandbox_before_files(&err) || !set_up(&vm, connection, &err)) {
        goto refused;
    }
    control_init(&vm.control, vm.listen_fd, vm.device->wake_fd, &vm.tpm);
    if (!start_threads(&vm, &err) || !sandbox_before_guest(&err) ||
        !answer(&vm, connection, &err)) {
        goto refused;
    }
    close(connection);
    if (vm.wire_peer_fd >= 0) {
        close(vm.wire_peer_fd);
    }
    monatt_log_info("'%s': attached, boot %llu", vm.device->name,
                    (unsigned long long)vm.device->boot_count);
    if (serve_wire(&vm, &err)) {
        status = 0;
    } else {
        monatt_log_failure(&err);
        wait_for_qemu(vm.device);
    }
    end_threads(&vm);
    monatt_log_info("'%s': ended", vm.device->name);
    tpm_backend_stop(&vm.tpm);
    vm_remove_run_folder(vm.run_folder);
    return status;

refused:
    monatt_log_failure(&err);
    if (vm.thread_count > 0) {
        end_threads(&vm);
    }
    tpm_backend_stop(&vm.tpm);
    vfio_listen_close(&vm.vfio);
    if (vm.run_folder_made) {
        vm_remove_run_folder(vm.run_folder);
    }
    /* Last, so that who is refused finds nothing left of the attempt. */
    refuse(connection, vm.request_id, &err);
    return 1;
}
