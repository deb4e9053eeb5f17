/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-report.h - what one measurement of a guest's tasks says
 *
 * Made in the worker, parsed by its client.  Everything in it that came from the guest is bounded
 * and printable, and still only the guest's word.
 */
#ifndef MONATT_INTROSPECTION_TASK_REPORT_H
#define MONATT_INTROSPECTION_TASK_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/formats/record-payloads.h"

#define MONATT_REPORT_FINDINGS 64    /* more are counted in the summary and not listed */
#define MONATT_REPORT_TASKS 131072   /* of one guest; more: MONATT_REASON_BUDGET */
#define MONATT_REPORT_KERNEL_SIZE 65 /* the release, e.g. "6.1.0-56-cloud-amd64" */

/* One task as the worker saw it in the last scan. */
typedef struct MonattTask {
    uint64_t address; /* of its task_struct, guest-virtual */
    uint64_t start_ns;
    uint32_t pid;
    uint32_t tgid; /* differs from pid: a thread, which the task list never holds */
    uint32_t uid;
    uint32_t views;        /* MONATT_VIEW_BIT()s that show it */
    uint8_t kernel_thread; /* has no mm */
    char command[17];      /* printable */
} MonattTask;

/* Why a view that was wanted could not be read whole. */
typedef struct MonattViewState {
    bool wanted;
    bool complete;
    uint32_t reason; /* MonattReason, NONE when complete */
    uint32_t tasks;
} MonattViewState;

/*
 * summary and findings are ready for monatt_tasks_summary_encode() (0x1901) and
 * monatt_finding_encode() (0x1902).  A measurement that was not whole (no kernel found, a view
 * torn) is still a report: summary.reason and summary.text say what, and views_read which.
 */
typedef struct MonattTaskReport {
    MonattTasksSummaryPayload summary;
    MonattViewState views[MONATT_VIEW_COUNT]; /* by MonattTaskView; [0] unused */
    size_t finding_count;
    MonattFindingPayload findings[MONATT_REPORT_FINDINGS];
    uint64_t t0_ns; /* CLOCK_BOOTTIME of the host: before the first scan, after the last */
    uint64_t t1_ns;
    uint64_t scan_us; /* the worker's CPU time for one scan of all views, the last one's */
    char kernel[MONATT_REPORT_KERNEL_SIZE];
    size_t task_count;
    MonattTask *tasks; /* ascending by address, pid and start */
} MonattTaskReport;
void monatt_task_report_free(MonattTaskReport *report);

#endif
