/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hidden-tasks.h - finds tasks that the kernel runs and that a list of it does not show
 *
 * A live guest is never a snapshot, so a difference between views is only a candidate.  It is a
 * finding when the same task (address, pid, start time) is missing from the same view in
 * HIDDEN_TASKS_SCANS scans, at least HIDDEN_TASKS_GAP_MS apart, with progress of the guest's
 * vCPUs between them, while another view shows it every time (properties 2).
 */
#ifndef MONATT_INTROSPECTION_HIDDEN_TASKS_H
#define MONATT_INTROSPECTION_HIDDEN_TASKS_H

#include "host-collector/sources/introspection/guest-clocks.h"
#include "host-collector/sources/introspection/task-report.h"
#include "host-collector/sources/introspection/task-scan.h"
#include "host-collector/sources/introspection/view-guest-list.h"

#define HIDDEN_TASKS_SCANS 3
#define HIDDEN_TASKS_RUNNING_SCANS 2 /* of one that runs and is in neither list */
#define HIDDEN_TASKS_GAP_MS 100
/* Differences of the first scan that are followed up; a storm of 10,000 forks a second leaves one
 * or two.  More are counted as unsettled. */
#define HIDDEN_TASKS_CANDIDATES 1024

typedef struct HiddenTasks {
    const GuestMemory *memory; /* the caller's, as are the clocks */
    GuestClocks *clocks;
    GuestKernel *kernel;
    bool kernel_found;
    uint32_t searches; /* for a kernel: what was kept about the one before is stale */
    TaskScan scan;
    GuestListView list;
} HiddenTasks;

bool hidden_tasks_init(HiddenTasks *tasks, const GuestMemory *memory, GuestClocks *clocks,
                       MonattError *err) MONATT_MUST_CHECK;
void hidden_tasks_clear(HiddenTasks *tasks);
/* Finds the kernel unless the one found before is still there. */
bool hidden_tasks_attach(HiddenTasks *tasks, MonattError *err) MONATT_MUST_CHECK;
/* CR3 of the vCPUs as the host sees them, for the next measurement; count 0: they are not known. */
void hidden_tasks_roots(HiddenTasks *tasks, const uint64_t *roots, size_t count);
/* One scan, remembered under nonce for the guest's own list. */
bool hidden_tasks_mark(HiddenTasks *tasks, const uint8_t nonce[MONATT_NONCE_SIZE],
                       MonattError *err) MONATT_MUST_CHECK;
/*
 * Measures and fills report, whose tasks point into tasks' table and hold until the next call;
 * what could not be measured stands in it as a reason.  list: the guest's, list_size bytes, or
 * NULL.  Ends within deadline_ms, apart from one scan.
 */
void hidden_tasks_measure(HiddenTasks *tasks, const void *list, size_t list_size,
                          const uint8_t nonce[MONATT_NONCE_SIZE], unsigned deadline_ms,
                          MonattTaskReport *report);

#endif
