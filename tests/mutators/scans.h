/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scans.h - counts the scans of a healthy guest, and what they say that is not so
 *
 * A scan: check_runner_measure() with all checks, as a worker does it.  Whatever it finds in a
 * healthy guest is false, and is said on stderr with all that a person needs to look for its cause.
 */
#ifndef MONATT_TESTS_SCANS_H
#define MONATT_TESTS_SCANS_H

#include "host-collector/sources/introspection/checks/check-runner.h"
#include "tests/mutators/baselines.h"

typedef struct Scans {
    unsigned long count;
    unsigned long clock;   /* the thread that stands for all vCPUs */
    unsigned long every;   /* scans between two lines of progress, and two looks of the baselines */
    const char *registers; /* NULL: none; a socket is asked anew for each scan, as a worker does */
    CheckRunner *runner;
    Mutator *mutator;
    CheckInputs *inputs;
    CheckVcpu *vcpus; /* what inputs->vcpus is; VCPU_SOURCE_MAXIMUM of them */
    const Baselines *baselines;
} Scans;

/* One JSON object a line on stdout: after each "every" scans and at the end, what was counted from
 * the first on.  Fails when the registers cannot be read any more. */
bool scans_run(const Scans *scans, MonattError *err) MONATT_MUST_CHECK;

#endif
