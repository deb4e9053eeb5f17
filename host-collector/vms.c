/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vms.c - looks into RUN_DIR/vm twice a second and at each question about an unknown VM
 *
 * Names of folders are believed only when they are UUIDs, and a device only for its own UUID.
 */
#include "host-collector/vms.h"

#include <dirent.h>
#include <string.h>
#include "libmonatt/base/log.h"

#define SCAN_INTERVAL_US (500 * 1000)

struct Vms {
    char *folder;
    const char *worker_path;
    VmReporter reporter;
    GMutex lock;
    GCond changed;
    bool stopping;
    GMutex scanning; /* one scan at a time */
    GPtrArray *list;
    GThread *thread;
};

static Vm *find_by_uuid(Vms *vms, const uint8_t vid[MONATT_UUID_SIZE])
{
    for (guint i = 0; i < vms->list->len; i++) {
        Vm *vm = g_ptr_array_index(vms->list, i);
        if (monatt_bytes_equal(vm->vid, vid, MONATT_UUID_SIZE)) {
            return vm;
        }
    }
    return NULL;
}

/* Takes out what is gone; their threads have ended. */
static void remove_gone(Vms *vms)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    g_mutex_lock(&vms->lock);
    for (guint i = vms->list->len; i > 0; i--) {
        Vm *vm = g_ptr_array_index(vms->list, i - 1);
        if (vm_gone(vm)) {
            g_ptr_array_add(gone, vm);
            g_ptr_array_steal_index(vms->list, i - 1);
        }
    }
    g_mutex_unlock(&vms->lock);
    for (guint i = 0; i < gone->len; i++) {
        Vm *vm = g_ptr_array_index(gone, i);
        char name[MONATT_NAME_SIZE];
        vm_name(vm, name);
        monatt_log_info("VM '%s': its device is gone", name);
        vm_stop(vm);
        vm_unref(vm);
    }
}

static void look_at(Vms *vms, const char *entry)
{
    uint8_t vid[MONATT_UUID_SIZE];
    if (!monatt_text_to_uuid(entry, vid, NULL)) {
        return;
    }
    g_mutex_lock(&vms->lock);
    bool skip = find_by_uuid(vms, vid) != NULL || vms->list->len >= VMS_MAXIMUM;
    g_mutex_unlock(&vms->lock);
    if (skip) {
        return;
    }
    g_autofree char *folder = g_strdup_printf("%s/%s", vms->folder, entry);
    MonattError err = {0};
    Vm *vm = vm_new(folder, vid, vms->worker_path, &vms->reporter, &err);
    if (!vm) {
        /* Not ready yet, or what a killed device left behind: the next scan looks again. */
        monatt_log_debug("VM %s: %s", entry, err.message);
        return;
    }
    char name[MONATT_NAME_SIZE];
    vm_name(vm, name);
    monatt_log_info("VM '%s': found", name);
    g_mutex_lock(&vms->lock);
    g_ptr_array_add(vms->list, vm);
    g_mutex_unlock(&vms->lock);
}

static void scan(Vms *vms)
{
    g_mutex_lock(&vms->scanning);
    remove_gone(vms);
    DIR *folder = opendir(vms->folder);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        look_at(vms, entry->d_name);
    }
    if (folder) {
        closedir(folder);
    }
    g_mutex_unlock(&vms->scanning);
}

static void *run(void *data)
{
    Vms *vms = data;
    bool stopping = false;
    while (!stopping) {
        scan(vms);
        gint64 until = g_get_monotonic_time() + SCAN_INTERVAL_US;
        g_mutex_lock(&vms->lock);
        while (!vms->stopping && g_cond_wait_until(&vms->changed, &vms->lock, until)) {
        }
        stopping = vms->stopping;
        g_mutex_unlock(&vms->lock);
    }
    return NULL;
}

Vms *vms_new(const char *run_dir, const char *worker_path, VmReporter reporter)
{
    Vms *vms = g_new0(Vms, 1);
    vms->folder = g_strdup_printf("%s/vm", run_dir);
    vms->worker_path = worker_path;
    vms->reporter = reporter;
    g_mutex_init(&vms->lock);
    g_mutex_init(&vms->scanning);
    g_cond_init(&vms->changed);
    vms->list = g_ptr_array_new();
    scan(vms);
    vms->thread = g_thread_new("vms", run, vms);
    return vms;
}

void vms_free(Vms *vms)
{
    if (!vms) {
        return;
    }
    g_mutex_lock(&vms->lock);
    vms->stopping = true;
    g_cond_broadcast(&vms->changed);
    g_mutex_unlock(&vms->lock);
    g_thread_join(vms->thread);
    for (guint i = 0; i < vms->list->len; i++) {
        Vm *vm = g_ptr_array_index(vms->list, i);
        vm_stop(vm);
        vm_unref(vm);
    }
    g_ptr_array_unref(vms->list);
    g_mutex_clear(&vms->lock);
    g_mutex_clear(&vms->scanning);
    g_cond_clear(&vms->changed);
    g_free(vms->folder);
    g_free(vms);
}

static Vm *find(Vms *vms, const char *name_or_uuid)
{
    uint8_t vid[MONATT_UUID_SIZE];
    Vm *found = NULL;
    g_mutex_lock(&vms->lock);
    if (monatt_text_to_uuid(name_or_uuid, vid, NULL)) {
        found = find_by_uuid(vms, vid);
    }
    for (guint i = 0; i < vms->list->len && !found; i++) {
        char name[MONATT_NAME_SIZE];
        Vm *vm = g_ptr_array_index(vms->list, i);
        vm_name(vm, name);
        found = strcmp(name, name_or_uuid) == 0 ? vm : NULL;
    }
    if (found) {
        vm_ref(found);
    }
    g_mutex_unlock(&vms->lock);
    return found;
}

Vm *vms_find(Vms *vms, const char *name_or_uuid, MonattError *err)
{
    Vm *vm = find(vms, name_or_uuid);
    if (!vm || vm_gone(vm)) {
        if (vm) {
            vm_unref(vm);
        }
        scan(vms); /* one that has just started */
        vm = find(vms, name_or_uuid);
    }
    if (!vm) {
        char shown[MONATT_NAME_SIZE];
        monatt_text_printable(name_or_uuid, strlen(name_or_uuid), shown, sizeof(shown));
        monatt_error_set(err, MONATT_ERROR_MISSING, "VM '%s': does not run here", shown);
        monatt_error_hint(err, "see 'monatt vm list'; was it started with monatt-qemu?");
    }
    return vm;
}

static gint by_name(gconstpointer left, gconstpointer right)
{
    char names[2][MONATT_NAME_SIZE];
    vm_name(*(Vm *const *)left, names[0]);
    vm_name(*(Vm *const *)right, names[1]);
    return strcmp(names[0], names[1]);
}

GPtrArray *vms_list(Vms *vms)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vm_unref);
    g_mutex_lock(&vms->lock);
    for (guint i = 0; i < vms->list->len; i++) {
        Vm *vm = g_ptr_array_index(vms->list, i);
        if (!vm_gone(vm)) {
            g_ptr_array_add(list, vm_ref(vm));
        }
    }
    g_mutex_unlock(&vms->lock);
    g_ptr_array_sort(list, by_name);
    return list;
}
