/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recovery.h - a device's state from what its killed process left
 *
 * Input is the shared block (kept.h) and the event log on disk.  Whoever took the last process
 * over wrote both, so: every number is bounded before it is used, the registers are what the log
 * and the waiting records replay to, and what does not fit together is a fault until the VM's
 * reset, never a guess.  What a takeover could have done before is not undone by this: it could
 * have extended and quoted as it liked.
 */
#ifndef HW_ATTEST_RECOVERY_H
#define HW_ATTEST_RECOVERY_H

#include "hw-attest/event-log.h"
#include "libmonatt/eventlog/cel.h"

/*
 * Fills a fresh device from its block, cuts the log back to its last whole record that counts,
 * and gives the registers as they stand at the pipe's `synced` (malloc'ed, the caller's; NULL:
 * swtpm has nothing to be compared with).  Bounded by the log's size; no other thread runs yet.
 * What does not fit: device->recovery_failed, a line in the log, and the state as far as it goes.
 * A wire that cannot be gone on with: device->wire_failed.
 */
void recovery_run(Device *device, EventLog *log, MonattCelReplay **ret_synced);
/* One waiting record on top of a replay; FORMAT: the pipe's entry is not one that can be. */
bool recovery_step(MonattCelReplay *replay, const PipeEntry *entry,
                   MonattError *err) MONATT_MUST_CHECK;

#endif
