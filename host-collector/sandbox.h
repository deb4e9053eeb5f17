/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - what the collector gives up before it answers anybody
 *
 * Modest on purpose: it starts workers, which need to give up more themselves, and speaks to a
 * host TPM over whatever tss2 loads.  What parses guests' bytes is the worker, whose sandbox is
 * its own (worker-sandbox.h).
 */
#ifndef MONATT_HOST_COLLECTOR_SANDBOX_H
#define MONATT_HOST_COLLECTOR_SANDBOX_H

#include "libmonatt/base/error.h"

/* Before any thread and any file: no new privileges, no core file, no debugger of another user,
 * capabilities down to sandbox.c's list, and the calls of sandbox.c's table answer EPERM from now
 * on.  Workers inherit all of it. */
bool sandbox_enter(MonattError *err) MONATT_MUST_CHECK;

#endif
