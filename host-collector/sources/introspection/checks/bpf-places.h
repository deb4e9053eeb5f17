/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-places.h - where a BPF program that may alter things alters what hiding needs
 *
 * Properties 2: the calls getdents, read, openat, kill and bpf, and what they go through.
 */
#ifndef MONATT_INTROSPECTION_BPF_PLACES_H
#define MONATT_INTROSPECTION_BPF_PLACES_H

#include <stdbool.h>

bool bpf_event_is_sensitive(const char *name);    /* "sys_exit_getdents64" */
bool bpf_function_is_sensitive(const char *name); /* "vfs_read", "bpf_lsm_bpf" */

#endif
