/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin-source.h - the collector's side of the plugin's ring: windows in, two payloads out
 *
 * Maps the ring read-only and keeps its own cursors.  What a QEMU that a guest has taken writes
 * there can make the source refuse (FORMAT, LIMIT), count wrongly or report loss; never more.
 * Glib-free.  One thread at a time.
 */
#ifndef HOST_COLLECTOR_SOURCES_PLUGIN_PLUGIN_SOURCE_H
#define HOST_COLLECTOR_SOURCES_PLUGIN_PLUGIN_SOURCE_H

#include "libmonatt/formats/plugin-ring.h"
#include "libmonatt/formats/record-payloads.h"

typedef struct PluginSource PluginSource;

/*
 * Maps the ring behind ring_fd, of size bytes, as MONATT_CONTROL_RING gave them; the descriptor
 * stays the caller's and may be closed afterwards.  NULL with FORMAT when it is no sealed ring,
 * SYSTEM when it cannot be mapped.  Reading begins with the oldest record that is still there.
 */
PluginSource *plugin_source_new(int ring_fd, uint64_t size, MonattError *err) MONATT_MUST_CHECK;
void plugin_source_free(PluginSource *source);

/*
 * What the plugin runs: MONATT_PLUGIN_MONITOR_* bits.  A payload of a monitor that is off is all
 * zeros and must not be reported.  MISSING while no plugin has opened the ring.
 */
bool plugin_source_monitors(PluginSource *source, uint32_t *ret_monitors,
                            MonattError *err) MONATT_MUST_CHECK;

/*
 * Windows that ended at or before boottime_ns (CLOCK_BOOTTIME) are skipped, not counted: a new
 * collector gives the t1 of the last record it has in the log, one that saw a VM reset the time
 * of the reset.  Only moves forward.
 */
void plugin_source_skip_until(PluginSource *source, uint64_t boottime_ns);

/*
 * Adds up the windows closed since the last call.  *ret_t0, *ret_t1: CLOCK_BOOTTIME ns of the
 * first window's start and the last one's end; t0 is the t1 of the call before.  drops counts
 * records written over before they were read and events that had no ring: when it is not 0 the
 * sums are too low and the record must carry MONATT_RECORD_DROPPED.  windows counts those between
 * t0 and t1, with or without events; density and state are of the whole VM (all vCPUs added).  A
 * window that a vCPU handed over late counts in the call that finds it.  Call at least every 8 s,
 * or a busy guest writes over what was not read.
 * BUSY: no window has closed since the last call.  MISSING: no plugin yet.  FORMAT, LIMIT: the
 * ring is not to be believed; every later call says the same.
 */
bool plugin_source_collect(PluginSource *source, MonattLocksPayload *ret_locks,
                           MonattSyscallsPayload *ret_syscalls, uint64_t *ret_t0, uint64_t *ret_t1,
                           MonattError *err) MONATT_MUST_CHECK;
/* The same at a given time; for tests. */
bool plugin_source_collect_at(PluginSource *source, uint64_t now_ns, MonattLocksPayload *ret_locks,
                              MonattSyscallsPayload *ret_syscalls, uint64_t *ret_t0,
                              uint64_t *ret_t1, MonattError *err) MONATT_MUST_CHECK;

#endif
