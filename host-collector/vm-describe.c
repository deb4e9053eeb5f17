/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-describe.c - a VM as JSON for people and scripts; says nothing that a verdict may rest on
 */
#include <unistd.h>
#include "host-collector/vm.h"

static const char *state_of(const MonattDeviceStatus *status)
{
    if (status->fault != MONATT_FAULT_NONE) {
        return "fault";
    }
    if (status->reset_pending) {
        return "resetting";
    }
    return status->stopped ? "paused" : "running";
}

static const char *fault_of(uint32_t fault)
{
    static const char *const names[] = {"none", "tpm-gone", "tpm-differs", "log-write",
                                        "wire", "recovery", "restored"};
    return fault < MONATT_ARRAY_SIZE(names) ? names[fault] : "unknown";
}

static json_t *describe(const Vm *vm, const MonattDeviceStatus *status)
{
    static const char *const accelerators[] = {"unknown", "tcg", "kvm"};
    json_t *row = json_object();
    json_object_set_new(row, "vid", json_string(vm->uuid));
    json_object_set_new(row, "name", json_string(status->name));
    json_object_set_new(row, "state", json_string(state_of(status)));
    json_object_set_new(row, "boot_count", json_integer((json_int_t)status->boot_count));
    json_object_set_new(row, "records", json_integer((json_int_t)status->records));
    json_object_set_new(row, "fault", json_string(fault_of(status->fault)));
    json_object_set_new(row, "accelerator",
                        json_string(status->accelerator < MONATT_ARRAY_SIZE(accelerators)
                                        ? accelerators[status->accelerator]
                                        : "unknown"));
    json_object_set_new(row, "plugin", json_boolean(status->plugin != 0));
    return row;
}

json_t *vm_describe(Vm *vm)
{
    g_mutex_lock(&vm->lock);
    MonattDeviceStatus seen = vm->seen;
    g_mutex_unlock(&vm->lock);
    return describe(vm, &seen);
}

json_t *vm_describe_whole(Vm *vm, MonattError *err)
{
    g_autofree char *path = g_strdup_printf("%s/control.sock", vm->folder);
    g_autofree MonattRegisterValue *values = g_new(MonattRegisterValue, MONATT_REGISTER_COUNT);
    MonattDeviceStatus status;
    int fd MONATT_CLEANUP_CLOSE = -1;
    /* A connection of its own: a measurement may be under way on the VM's. */
    if (!monatt_control_connect(path, &fd, err) || !monatt_device_status(fd, &status, err) ||
        !monatt_device_registers(fd, values, err)) {
        return NULL;
    }
    char hex[2 * MONATT_SHA384_SIZE + 1];
    json_t *row = describe(vm, &status);
    json_t *registers = json_array();
    monatt_text_from_bytes(status.boot_seed, sizeof(status.boot_seed), hex);
    json_object_set_new(row, "boot_seed", json_string(hex));
    json_object_set_new(row, "qemu_pid", json_integer(status.qemu_pid));
    json_object_set_new(row, "device_pid", json_integer(status.device_pid));
    json_object_set_new(row, "registers", registers);
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        json_t *value = json_object();
        monatt_text_from_bytes(values[i].sha256, sizeof(values[i].sha256), hex);
        json_object_set_new(value, "sha-256", json_string(hex));
        monatt_text_from_bytes(values[i].sha384, sizeof(values[i].sha384), hex);
        json_object_set_new(value, "sha-384", json_string(hex));
        json_object_set_new(value, "extends", json_integer((json_int_t)values[i].extends));
        json_object_set_new(value, "synced", json_integer((json_int_t)values[i].synced));
        json_array_append_new(registers, value);
    }
    return row;
}
