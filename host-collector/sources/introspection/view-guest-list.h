/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-guest-list.h - V7: what the guest itself says it runs, bound to a nonce
 *
 * The list is taken after the scan that was marked with its nonce and before the measurement, so
 * a process that is in both of those must be in it; one that came or went meanwhile need not be.
 */
#ifndef MONATT_INTROSPECTION_VIEW_GUEST_LIST_H
#define MONATT_INTROSPECTION_VIEW_GUEST_LIST_H

#include "host-collector/sources/introspection/task-scan.h"
#include "libmonatt/formats/guest-list.h"

typedef struct MarkedTask {
    uint64_t address;
    uint64_t start_ns;
    uint32_t pid;
} MarkedTask;

typedef struct GuestListView {
    bool marked;
    uint8_t nonce[MONATT_NONCE_SIZE];
    MarkedTask *tasks; /* processes of the marked scan, by address, pid, start */
    uint32_t task_count;
    bool usable;    /* a list that bears the nonce of the mark */
    uint32_t *pids; /* of that list, ascending */
    size_t pid_count;
} GuestListView;

void guest_list_view_clear(GuestListView *view);
/* Remembers the scan's processes under nonce; forgets mark and list of before. */
bool guest_list_view_mark(GuestListView *view, const TaskScan *scan,
                          const uint8_t nonce[MONATT_NONCE_SIZE],
                          MonattError *err) MONATT_MUST_CHECK;
/* nonce: which one the list must bear.  FORMAT: malformed; REFUSED: another nonce, or no mark. */
bool guest_list_view_take(GuestListView *view, const void *bytes, size_t size,
                          const uint8_t nonce[MONATT_NONCE_SIZE],
                          MonattError *err) MONATT_MUST_CHECK;
/* True: the list ought to have it and has not. */
bool guest_list_view_lacks(const GuestListView *view, const GuestTask *task);

#endif
