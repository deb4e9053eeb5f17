/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - the words after "-plugin libmonatt-plugin.so,"
 */
#ifndef QEMU_PLUGIN_OPTIONS_H
#define QEMU_PLUGIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define OPTIONS_WINDOW_DEFAULT_US 1000

typedef struct Options {
    int ring_fd;        /* fd=N: inherited descriptor of the ring; required */
    uint32_t monitors;  /* MONATT_PLUGIN_MONITOR_*: locks=on|off, syscalls=on|off; default all */
    uint64_t window_ns; /* window_us=N, 10 to 1000000; default 1000 */
} Options;

/* USAGE, with the words that are possible as the hint, for anything else. */
bool options_parse(int count, const char *const words[], Options *ret_options,
                   MonattError *err) MONATT_MUST_CHECK;

#endif
