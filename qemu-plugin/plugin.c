/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin.c - what QEMU loads: maps the ring, makes a window a vCPU, registers the monitors
 *
 * All memory is taken here, before the guest runs.  After qemu_plugin_install() nothing in this
 * module may block, allocate or lock.  Format of the ring: docs/formats/plugin-ring.md.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "monitor.h"
#include "options.h"

QEMU_API_EXPORT int qemu_plugin_version = QEMU_API_VERSION;

static const Monitor *const monitors[] = {&monitor_locks, &monitor_syscalls};

static MonattPluginRing ring;
static Window *windows; /* ring.vcpus of them; never freed: vCPU threads outlive any good moment */
static uint32_t enabled;

Window *plugin_window(unsigned int vcpu)
{
    if (__builtin_expect(vcpu >= ring.vcpus, 0)) {
        monatt_plugin_ring_unplaced(&ring);
        return NULL;
    }
    return &windows[vcpu];
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(monitors); i++) {
        if ((enabled & monitors[i]->bit) != 0) {
            monitors[i]->translate(tb);
        }
    }
}

static void on_sleep(uint64_t id, unsigned int vcpu)
{
    if (vcpu < ring.vcpus) {
        window_sleep(&windows[vcpu], window_now_ns());
    }
}

/* The windows stay alone: their vCPUs may still run while QEMU leaves through exit(). */
static void on_exit_of_qemu(uint64_t id, void *userdata)
{
    monatt_plugin_ring_end(&ring);
}

static bool install(uint64_t id, const qemu_info_t *info, int argc, char **argv, MonattError *err)
{
    Options options;
    if (!info->system_emulation || strcmp(info->target_name, "x86_64") != 0) {
        return monatt_error_set(err, MONATT_ERROR_USAGE,
                                "plugin: target '%.32s': only the x86_64 system emulator is known",
                                info->target_name);
    }
    if (!options_parse(argc, (const char *const *)argv, &options, err) ||
        !monatt_plugin_ring_map(options.ring_fd, true, &ring, err)) {
        return false;
    }
    /* The mapping stays; QEMU shall not hand the descriptor on to what it starts. */
    close(options.ring_fd);
    size_t size = ring.vcpus * sizeof(Window);
    windows = aligned_alloc(_Alignof(Window), size);
    if (windows == NULL) {
        return monatt_error_set_errno(err, errno, "plugin: windows of %u vCPUs", ring.vcpus);
    }
    uint64_t epoch_ns = window_now_ns();
    for (uint32_t i = 0; i < ring.vcpus; i++) {
        window_init(&windows[i], &ring, i, epoch_ns, options.window_ns);
    }
    enabled = options.monitors;
    monatt_plugin_ring_start(&ring, options.monitors, options.window_ns, epoch_ns);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_vcpu_idle_cb(id, on_sleep);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return true;
}

QEMU_API_EXPORT int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc, char **argv)
{
    MonattError err = {0};
    monatt_log_init("monatt-plugin");
    if (!install(id, info, argc, argv, &err)) {
        monatt_log_failure(&err);
        return -1;
    }
    return 0;
}
