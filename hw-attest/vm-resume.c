/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-resume.c - a device process that goes on for one that was killed
 *
 * The guest runs already, and maybe waits for an answer: nothing here may wait for swtpm.  What the
 * service kept from before the guest ran is believed, the rest is recovery.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include "hw-attest/recovery.h"
#include "hw-attest/replace.h"
#include "hw-attest/sandbox.h"
#include "hw-attest/vm-parts.h"
#include "libmonatt/base/log.h"

#define REPLACE_AGAIN_MS 30000

static bool resume_fixed(Vm *vm, const uint8_t vid[MONATT_UUID_SIZE], const Keeper *keeper,
                         MonattError *err)
{
    Device *device = vm->device;
    const DeviceFixed *fixed = keeper->fixed;
    memcpy(device->vid, vid, sizeof(device->vid));
    memcpy(device->name, fixed->name, sizeof(device->name));
    device->qemu_pid = fixed->qemu_pid;
    device->ring_fd = keeper->files[KEPT_FILE_RING];
    device->ring_size = fixed->ring_size;
    device->start_boottime_ns = fixed->start_boottime_ns;
    device->item_count = fixed->item_count;
    memcpy(device->items, fixed->items, sizeof(device->items));
    vm->wire = fixed->wire == MONATT_WIRE_VFIO_USER ? &wire_vfio_user : &wire_mpqemu;
    vm->actions = fixed->actions;
    vm->vfio.user = fixed->qemu_user;
    vm->wire_fd = keeper->files[KEPT_FILE_WIRE];
    vm->listen_fd = keeper->files[KEPT_FILE_LISTEN];
    vm->run_fd = keeper->files[KEPT_FILE_RUN];
    vm->state_fd = keeper->files[KEPT_FILE_STATE];
    vm->lock_fd = keeper->files[KEPT_FILE_LOCK];
    vm->pid_fd = keeper->files[KEPT_FILE_PID];
    qmp_init(&vm->qmp, keeper->files[KEPT_FILE_QMP], vm->end_fd);
    device->qmp_open = vm->qmp.fd >= 0;
    device->vcpu_job.fd = vm->qmp.fd;
    MonattError no_kernel = {0};
    if (keeper->files[KEPT_FILE_KERNEL] >= 0 &&
        !vm_set_kernel(device, keeper->files[KEPT_FILE_KERNEL], &no_kernel)) {
        monatt_log_failure(&no_kernel); /* the VM goes on, its kernel is compared with nothing */
    }
    device->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device->ring.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->wake_fd < 0 || device->ring.wake_fd < 0) {
        return monatt_error_set_errno(err, errno, "restart: eventfd");
    }
    if (!vm_run_folder(vm->options, vid, vm->run_folder, err)) {
        return false;
    }
    snprintf(vm->run_place, sizeof(vm->run_place), "/proc/self/fd/%d", vm->run_fd);
    vm_init_tpm(vm);
    vm->tpm.ek = fixed->ek;
    vm->tpm.ak_public256 = fixed->ak_public256;
    vm->tpm.ak_public384 = fixed->ak_public384;
    vm->tpm.socket.data_fd = keeper->files[KEPT_FILE_TPM];
    return vm_write_pid(vm, err);
}

/* The map of the service is the device's word from before, checked as if it came from QEMU. */
static void resume_ram(Device *device, const Keeper *keeper)
{
    for (size_t i = 0; i < keeper->ram.count; i++) {
        if (!wire_region_valid(&keeper->ram.regions[i])) {
            monatt_log_error("restart: '%s': guest RAM: region %zu wraps", device->name, i);
            return;
        }
    }
    guest_ram_replace(&device->ram, keeper->ram.regions, keeper->ram_fds, keeper->ram.count);
    device->ram_kept = keeper->ram.messages;
    if (keeper->interrupt_fds[0] >= 0) {
        interrupt_take(device, keeper->interrupt_fds[0], keeper->interrupt_fds[1]);
    }
}

/* To the guest it is another device, which was just plugged: nothing of its wire goes on. */
static void begin_wire_anew(Device *device)
{
    device->wire_failed = false;
    device->reset.attaching = true;
    wire_reset(device);
    device->reset.attaching = false;
}

void vm_replace(Vm *vm)
{
    Device *device = vm->device;
    const Replace replace = {.path = vm->vfio.path, .actions = vm->actions};
    /* Without it QEMU has not come so far yet, and will connect by itself. */
    bool runs = device->reset.monitor;
    ReplaceResult result = REPLACE_LATER;
    while (runs && result == REPLACE_LATER) {
        MonattError err = {0};
        result = replace_run(&replace, &vm->qmp, device, &err);
        if (result != REPLACE_DONE) {
            monatt_log_failure(&err);
        }
        pthread_mutex_lock(&device->lock);
        device->wire_failed = result != REPLACE_DONE;
        if (device->wire_failed) {
            device_post(device, MONATT_EVENT_FAULT, MONATT_FAULT_WIRE);
        }
        pthread_mutex_unlock(&device->lock);
        if (result == REPLACE_LATER) {
            runs = qmp_run_until(&vm->qmp, device, device_now_ms() + REPLACE_AGAIN_MS);
        }
    }
}

int vm_resume(const VmOptions *options, const VmUser *user, const uint8_t vid[MONATT_UUID_SIZE],
              int link, DeviceKept *kept, const Keeper *keeper)
{
    static Vm vm;
    MonattError err = {0};
    uint8_t warm[MONATT_SHA384_SIZE];
    if (!vm_init(&vm, options, link, kept) || !resume_fixed(&vm, vid, keeper, &err) ||
        !sandbox_before_files(user, &vm.sandbox, &err) ||
        !event_log_open_present(&vm.log, vm.state_fd, &err)) {
        monatt_log_failure(&err);
        return 1; /* the service ends the VM's device */
    }
    vm.resumed = true;
    if (vm.wire == &wire_vfio_user &&
        !vfio_listen_again(&vm.vfio, vm.run_folder, vm.run_place, &err)) {
        monatt_log_failure(&err);
        return 1;
    }
    /* What comes now was written by a process that a guest may have taken over. */
    if (!vm_leave_files(&vm, &err)) {
        monatt_log_failure(&err);
        return 1;
    }
    resume_ram(vm.device, keeper);
    recovery_run(vm.device, &vm.log, &vm.tpm.resume);
    if (vm.wire == &wire_vfio_user) {
        begin_wire_anew(vm.device);
    }
    vm.device->log_fd = vm.log.fd;
    if (!registers_sha256("", 0, warm) || !registers_sha384("", 0, warm) ||
        !vm_enter_sandbox(&vm, &err)) {
        monatt_log_failure(&err);
        return 1;
    }
    return vm_serve_until_end(&vm, "goes on");
}
