/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-checks.h - the checks of one guest as its worker runs them: inputs, runner, tables, answer
 *
 * Inputs come from the collector, so from the host; they are copied, as a file may change or
 * shrink while it is compared.
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_CHECKS_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_CHECKS_H

#include "host-collector/sources/introspection/checks/check-runner.h"
#include "host-collector/sources/introspection/hidden-tasks.h"
#include "host-collector/worker/check-report-codec.h"
#include "libmonatt/control/control.h"

/* The answer, to be sent one piece after the other. */
typedef struct WorkerPiece {
    const uint8_t *bytes;
    size_t size;
} WorkerPiece;

typedef struct WorkerChecks {
    CheckRunner *runner;
    uint32_t search; /* the one of HiddenTasks whose kernel runner knows */
    CheckInputs inputs;
    CheckVcpu vcpus[MONATT_VCPUS_MAXIMUM];
    Table tables[TABLE_FORMS_MAXIMUM];
    CheckReport report;
    uint8_t head[CHECK_REPORT_HEAD_MAXIMUM];
    WorkerPiece pieces[1 + TABLE_FORMS_MAXIMUM]; /* hold until the next call */
    size_t piece_count;
} WorkerChecks;

bool worker_checks_init(WorkerChecks *checks, MonattError *err) MONATT_MUST_CHECK;
/* WORKER_INPUTS; works before and in the sandbox. */
bool worker_checks_take_inputs(WorkerChecks *checks, const MonattControlMessage *message,
                               MonattError *err) MONATT_MUST_CHECK;
/* WORKER_CHECKS: fills pieces. deadline_maximum_ms: of what may be asked. */
bool worker_checks_measure(WorkerChecks *checks, HiddenTasks *tasks,
                           const MonattControlMessage *message, uint32_t deadline_maximum_ms,
                           MonattError *err) MONATT_MUST_CHECK;

#endif
