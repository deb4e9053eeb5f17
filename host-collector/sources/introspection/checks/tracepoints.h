/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracepoints.h - the functions that are called at the kernel's tracepoints
 *
 * Those of core text only, by the kernel's own array of them; modules have theirs in their data.
 */
#ifndef MONATT_INTROSPECTION_TRACEPOINTS_H
#define MONATT_INTROSPECTION_TRACEPOINTS_H

#include "host-collector/sources/introspection/checks/check.h"

typedef struct TracepointProbe {
    uint64_t tracepoint;
    uint64_t code;
    uint64_t data;
} TracepointProbe;

typedef void (*TracepointVisit)(CheckContext *context, const TracepointProbe *probe, void *user);

/* What the kernel lacks, or could not be read, is said as the check's reason. */
void tracepoints_walk(CheckContext *context, TracepointVisit visit, void *user);
/* "sys_enter"; "?" when it cannot be read. */
void tracepoint_name(CheckContext *context, uint64_t tracepoint, char *name, size_t capacity);

#endif
