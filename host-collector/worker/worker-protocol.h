/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-protocol.h - what worker and client say to each other
 *
 * Messages of libmonatt/control (framing, descriptors, refusals) on a socket pair, which is the
 * worker's descriptor WORKER_SOCKET.  One request, one answer.  Both are built together, so there
 * is no version; the client trusts nothing that comes back.
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_PROTOCOL_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_PROTOCOL_H

#include "libmonatt/control/control.h"

#define WORKER_SOCKET 3

/*
 * REGIONS  u32 count, count x { u64 guest-physical, u64 size, u64 offset }, descriptors: one each
 * CLOCKS   u32 count, descriptors: schedstat and stat of count vCPU threads; repeated at will
 * ENTER    -> once in the sandbox: u32 WORKER_BARRED_* of what could be done on top of seccomp
 * MARK     nonce 32 -> empty
 * TASKS    u32 deadline ms, nonce 32, u32 list size, descriptor: the guest's list when size > 0
 *          -> answers of u32 total, u32 offset, bytes, until total: worker-report.h
 */
typedef enum WorkerType {
    WORKER_REGIONS = 0x101,
    WORKER_CLOCKS = 0x102,
    WORKER_ENTER = 0x103,
    WORKER_MARK = 0x104,
    WORKER_TASKS = 0x105,
} WorkerType;

#define WORKER_BARRED_NETWORK 0x1 /* a network namespace of its own, empty */
#define WORKER_BARRED_FILES 0x2   /* an empty root folder */
#define WORKER_BARRED_USER 0x4    /* no longer root */

#define WORKER_CLOCKS_IN_MESSAGE (MONATT_CONTROL_FDS / 2)
#define WORKER_PART_HEADER 8
#define WORKER_PART_MAXIMUM (MONATT_CONTROL_MAXIMUM - WORKER_PART_HEADER)

#endif
