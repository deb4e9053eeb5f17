/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-report.h - a task report as bytes: written in the worker, read by its client
 *
 * Big-endian: "MWR1" | u64 t0 | u64 t1 | u64 scan us | u16 length, release |
 * u32 length, payload of 0x1901 | 7 x { u8 wanted, u8 complete, u32 reason, u32 tasks } |
 * u32 n | n x { u32 length, payload of 0x1902 } |
 * u32 m | m x { u64 address, u64 start, u32 pid, u32 tgid, u32 uid, u32 views, u8 kernel thread,
 * u8 length, command }.
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_REPORT_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_REPORT_H

#include "host-collector/sources/introspection/task-report.h"
#include "host-collector/sources/introspection/task-table.h"

/* Everything at its maximum: 131,072 tasks of 51 bytes, 64 findings of 600, and the rest. */
#define WORKER_REPORT_MAXIMUM (MONATT_REPORT_TASKS * 51u + MONATT_REPORT_FINDINGS * 600u + 4096u)

/* report's own tasks are not used: they come from the table. LIMIT: does not fit. */
bool worker_report_encode(const MonattTaskReport *report, const TaskTable *tasks, void *buffer,
                          size_t capacity, size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;

#endif
