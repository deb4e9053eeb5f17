/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor.h - what a monitor of the plugin is: a name, a bit, and a look at each new block
 *
 * A monitor marks the instructions it wants when a block is translated; its callbacks then run
 * inside the guest's execution and must never block, allocate or lock.  All state is in the
 * vCPU's Window.  A new monitor is one file, one row in plugin.c, one bit in plugin-ring.h.
 */
#ifndef QEMU_PLUGIN_MONITOR_H
#define QEMU_PLUGIN_MONITOR_H

#include "qemu-api-v1.h"
#include "window.h"

typedef struct Monitor {
    const char *name;
    uint32_t bit; /* MONATT_PLUGIN_MONITOR_* */
    void (*translate)(struct qemu_plugin_tb *tb);
} Monitor;

extern const Monitor monitor_locks;
extern const Monitor monitor_syscalls;

/* The vCPU's window, or NULL (and counted as unplaced) when the ring has no room for the vCPU. */
Window *plugin_window(unsigned int vcpu);

#endif
