/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-sandbox.h - what a worker may still do once it holds the guest's memory
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_SANDBOX_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

/*
 * Drops everything for good.  mapped_bytes: of guest memory, on top of which a fixed amount may
 * be allocated.  ret_barred: WORKER_BARRED_* of what an unprivileged caller may not do and so may
 * be missing; limits, no_new_privs and seccomp are there or it fails (SYSTEM).
 */
bool worker_sandbox_enter(uint64_t mapped_bytes, uint32_t *ret_barred,
                          MonattError *err) MONATT_MUST_CHECK;

#endif
