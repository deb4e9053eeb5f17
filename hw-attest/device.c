/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - state that a device's threads share; nothing here waits
 */
#include "hw-attest/device.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "libmonatt/eventlog/cel.h"

/* A log entry without its content: numbers and two digests (docs/formats/event-log.md). */
#define ENTRY_OVERHEAD 127u

Device *device_new(DeviceKept *kept)
{
    Device *device = calloc(1, sizeof(*device));
    if (!device) {
        return NULL;
    }
    device->kept_owned = !kept;
    device->kept = kept ? kept : calloc(1, sizeof(*kept));
    if (!device->kept) {
        free(device);
        return NULL;
    }
    device->pipe = &device->kept->pipe;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->changed, &attributes);
    pthread_cond_init(&device->enqueued, &attributes);
    pthread_condattr_destroy(&attributes);
    registers_init(&device->registers);
    reset_init(&device->reset);
    command_init(&device->command);
    report_init(&device->report, device_now_ms());
    pci_config_init(&device->config);
    guest_ram_init(&device->ram);
    ring_init(&device->ring);
    interrupt_init(&device->interrupt);
    device->ring_fd = -1;
    device->kernel_fd = -1;
    device->log_fd = -1;
    device->wake_fd = -1;
    device->keeper_fd = -1;
    device->vcpu_job.fd = -1;
    device->start_boottime_ns = device_boottime_ns();
    return device;
}

void device_free(Device *device)
{
    if (device) {
        command_dma_off(device);
        interrupt_clear(&device->interrupt);
        guest_ram_clear(&device->ram);
        report_drop(&device->report);
        int old MONATT_CLEANUP_CLOSE = report_take_old(&device->report);
        pthread_cond_destroy(&device->enqueued);
        pthread_cond_destroy(&device->changed);
        pthread_mutex_destroy(&device->lock);
        if (device->kept_owned) {
            free(device->kept);
        }
        free(device);
    }
}

int64_t device_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t device_boottime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void device_lock_first(Device *device)
{
    atomic_fetch_add(&device->wire_waits, 1);
    pthread_mutex_lock(&device->lock);
    atomic_fetch_sub(&device->wire_waits, 1);
}

bool device_wait_until(Device *device, int64_t deadline_ms)
{
    if (device_now_ms() >= deadline_ms) {
        return false;
    }
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    pthread_cond_timedwait(&device->changed, &device->lock, &until);
    return true;
}

uint32_t device_fault(const Device *device)
{
    if (device->tpm_differs) {
        return MONATT_FAULT_TPM_DIFFERS;
    }
    if (device->tpm_gone) {
        return MONATT_FAULT_TPM_GONE;
    }
    if (device->recovery_failed) {
        return MONATT_FAULT_RECOVERY;
    }
    if (device->reset.restored) {
        return MONATT_FAULT_RESTORED;
    }
    if (device->log_failed) {
        return MONATT_FAULT_LOG_WRITE;
    }
    return device->wire_failed ? MONATT_FAULT_WIRE : MONATT_FAULT_NONE;
}

bool device_broken(const Device *device)
{
    return device->tpm_gone || device->tpm_differs || device->recovery_failed ||
           device->reset.restored;
}

void device_changed(Device *device)
{
    if (!device->in_message) {
        kept_commit(device);
    }
}

void device_post(Device *device, MonattDeviceEvent event, uint64_t detail)
{
    device_changed(device);
    size_t slot = device->events_posted % MONATT_ARRAY_SIZE(device->events);
    device->events[slot].event = (uint16_t)event;
    device->events[slot].detail = detail;
    device->events_posted++;
    pthread_cond_broadcast(&device->changed);
    pthread_cond_signal(&device->enqueued); /* the end of the VM is news for the log thread too */
    device_wake_control(device);
}

void device_wake_control(Device *device)
{
    if (device->wake_fd >= 0) {
        uint64_t one = 1;
        ssize_t written = write(device->wake_fd, &one, sizeof(one));
        (void)written; /* full means that the thread is awake anyway */
    }
}

void device_begin_reset(Device *device)
{
    device->resetting = true;
    atomic_store(&device->kept->log_rotated, false);
    device_changed(device);
    pthread_cond_broadcast(&device->changed);
}

void device_finish_reset(Device *device, uint64_t boot_count,
                         const uint8_t seed[MONATT_BOOT_SEED_SIZE])
{
    command_begin_update(&device->command);
    registers_init(&device->registers);
    command_end_update(&device->command);
    shadow_update_all(device);
    command_new_boot(&device->command);
    report_drop(&device->report);
    pipe_clear(device->pipe);
    hold_end(&device->hold);
    memcpy(device->boot_seed, seed, MONATT_BOOT_SEED_SIZE);
    device->boot_count = boot_count;
    device->log_bytes = 0;
    device->guest_bytes = 0;
    device->seal.impossible = device->seal.due = false;
    device->durable = 0;
    device->synced_bytes = 0;
    device->paused_ns = 0;
    device->stopped_since_ns = (int64_t)device_boottime_ns();
    device->guest_list_size = 0;
    device->tpm_gone = false;
    device->tpm_differs = false;
    device->recovery_failed = false;
    device->resetting = false;
    device_post(device, MONATT_EVENT_RESET, boot_count);
}

bool device_ready(Device *device, MonattError *err)
{
    if (device_broken(device)) {
        monatt_error_set(err, MONATT_ERROR_FAULT, "device: '%s': %s", device->name,
                         device->tpm_gone         ? "its swtpm is gone"
                         : device->tpm_differs    ? "its swtpm shows other values"
                         : device->reset.restored ? "the VM was put into a saved state"
                                                  : "its event log is not what it wrote");
        return monatt_error_hint(err, "reset the VM");
    }
    if (device->resetting || reset_pending(&device->reset, device_now_ms())) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "device: '%s': a VM reset is under way",
                                device->name);
    }
    if (device->log_failed) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "device: '%s': event log cannot be written",
                         device->name);
        return monatt_error_hint(err, "free space in the state folder; it is tried again");
    }
    if (device->ending) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "device: '%s': the VM ended", device->name);
    }
    return true;
}

uint32_t device_guest_room(const Device *device)
{
    if (device->guest_bytes + ENTRY_OVERHEAD + MONATT_CONTENT_MAXIMUM <=
        MONATT_EVENT_LOG_GUEST_SHARE) {
        return MONATT_ERR_NONE;
    }
    return device->seal.impossible ? MONATT_ERR_FULL : MONATT_ERR_BUSY;
}

bool device_extend(Device *device, RegistersParty party, uint32_t index, const uint8_t *sha256,
                   const uint8_t *sha384, uint8_t content_type, const void *content, size_t size,
                   uint64_t *ret_number, MonattError *err)
{
    if (size > MONATT_CONTENT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "extend: MR%u: content of %zu bytes",
                                index, size);
    }
    if (!registers_check(index, party, err) || !device_ready(device, err)) {
        return false;
    }
    PipeEntry *entry = pipe_reserve(device->pipe, party == REGISTERS_HOST);
    if (!entry) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "extend: MR%u: %d extends are waiting",
                                index, PIPE_ENTRIES);
    }
    command_begin_update(&device->command);
    bool ok = registers_extend(&device->registers, index, party, sha256, sha384, err);
    command_end_update(&device->command);
    if (!ok) {
        return false;
    }
    shadow_update(device, index);
    entry->index = (uint8_t)index;
    entry->host = party == REGISTERS_HOST;
    entry->content_type = content_type;
    entry->has_sha256 = sha256 != NULL;
    entry->has_sha384 = sha384 != NULL;
    if (sha256) {
        memcpy(entry->sha256, sha256, sizeof(entry->sha256));
    }
    if (sha384) {
        memcpy(entry->sha384, sha384, sizeof(entry->sha384));
    }
    entry->content_size = (uint16_t)size;
    if (size > 0) {
        memcpy(entry->content, content, size);
    }
    device->guest_bytes += party == REGISTERS_GUEST ? ENTRY_OVERHEAD + size : 0;
    *ret_number = device->pipe->enqueued;
    pipe_commit(device->pipe);
    device_changed(device);
    pthread_cond_signal(&device->enqueued);
    return true;
}

bool device_reset_register(Device *device, uint32_t index, MonattError *err)
{
    if (!device_ready(device, err)) {
        return false;
    }
    PipeEntry *entry = pipe_reserve(device->pipe, false);
    if (!entry) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "reset: MR%u: %d extends are waiting",
                                index, PIPE_ENTRIES);
    }
    command_begin_update(&device->command);
    bool ok = registers_reset(&device->registers, index, err);
    command_end_update(&device->command);
    if (!ok) {
        return false;
    }
    shadow_update(device, index);
    entry->index = (uint8_t)index;
    entry->host = false;
    entry->content_type = MONATT_CEL_RESET;
    entry->has_sha256 = false;
    entry->has_sha384 = false;
    entry->content_size = 0;
    device->guest_bytes += ENTRY_OVERHEAD;
    pipe_commit(device->pipe);
    device_changed(device);
    pthread_cond_signal(&device->enqueued);
    return true;
}

void device_status(Device *device, MonattDeviceStatus *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->vid, device->vid, sizeof(ret->vid));
    memcpy(ret->name, device->name, sizeof(ret->name));
    memcpy(ret->boot_seed, device->boot_seed, sizeof(ret->boot_seed));
    ret->boot_count = device->boot_count;
    ret->start_boottime_ns = device->start_boottime_ns;
    ret->records = device->pipe->enqueued;
    ret->synced_records = device->pipe->synced;
    ret->paused_ns = device->paused_ns;
    if (device->stopped) {
        ret->paused_ns += device_boottime_ns() - (uint64_t)device->stopped_since_ns;
    }
    ret->fault = device_fault(device);
    ret->device_pid = (uint32_t)getpid();
    ret->qemu_pid = device->qemu_pid;
    ret->stopped = device->stopped;
    ret->accelerator = device->accelerator;
    ret->plugin = device->ring_fd >= 0;
    ret->reset_pending = device->resetting || reset_pending(&device->reset, device_now_ms());
}
