/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-clocks.h - whether the guest's vCPUs ran between two scans
 *
 * A vCPU that the host does not run freezes the guest in the middle of a fork, and the half-made
 * task then looks hidden for as long as that lasts.  So a difference counts as having lasted only
 * when every vCPU went on meanwhile: it used CPU time, or it sleeps because the guest halted it.
 */
#ifndef MONATT_INTROSPECTION_GUEST_CLOCKS_H
#define MONATT_INTROSPECTION_GUEST_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/control/control.h"

typedef struct GuestClocks {
    struct {
        int run_fd;      /* /proc/PID/task/TID/schedstat; owned */
        int state_fd;    /* /proc/PID/task/TID/stat; owned */
        uint64_t run_ns; /* at the last mark */
    } vcpus[MONATT_VCPUS_MAXIMUM];
    size_t count; /* 0: no clocks, and so never any progress */
} GuestClocks;

void guest_clocks_clear(GuestClocks *clocks);
/* From now on progress is counted. */
void guest_clocks_mark(GuestClocks *clocks);
/* True: since the mark the guest went on far enough that no race of then can still be one. */
bool guest_clocks_advanced(GuestClocks *clocks) MONATT_MUST_CHECK;

#endif
