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
 * INPUTS   u32 WORKER_INPUT_* that this message sets anew, u32 bytes of the kernel image, u32 bytes
 *          of the reference BTF (each 0: none), vCPU registers (libmonatt/control, u32 0: none);
 *          descriptors: image and BTF, those with a size -> empty; repeated at will
 * CHECKS   u32 deadline ms, u64 checks (1 << MONATT_SUBCHECK_), u32 tables (1 << index in
 *          table_forms: checks that add to it run too), u32 WORKER_CHECKS_*
 *          -> answers as with TASKS: check-report-codec.h
 */
typedef enum WorkerType {
    WORKER_REGIONS = 0x101,
    WORKER_CLOCKS = 0x102,
    WORKER_ENTER = 0x103,
    WORKER_MARK = 0x104,
    WORKER_TASKS = 0x105,
    WORKER_INPUTS = 0x106,
    WORKER_CHECKS = 0x107,
} WorkerType;

#define WORKER_BARRED_NETWORK 0x1 /* a network namespace of its own, empty */
#define WORKER_BARRED_FILES 0x2   /* an empty root folder */
#define WORKER_BARRED_USER 0x4    /* no longer root */

#define WORKER_INPUT_IMAGE 0x1
#define WORKER_INPUT_BTF 0x2
#define WORKER_INPUT_VCPUS 0x4
/* Debian's kernels are 15 MiB, 60 MiB when not packed; their BTF is 6 MiB. */
#define WORKER_IMAGE_MAXIMUM (64u * 1024 * 1024)
#define WORKER_BTF_MAXIMUM (32u * 1024 * 1024)
#define WORKER_CHECKS_SNAPSHOT 0x1 /* the memory stands still: one look, no waiting */

#define WORKER_CLOCKS_IN_MESSAGE (MONATT_CONTROL_FDS / 2)
#define WORKER_PART_HEADER 8
#define WORKER_PART_MAXIMUM (MONATT_CONTROL_MAXIMUM - WORKER_PART_HEADER)

#endif
