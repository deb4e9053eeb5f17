/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-worker-answer.c - what a worker that a guest has taken may answer to the collector
 */
#include <assert.h>
#include <string.h>
#include "host-collector/worker/worker-client.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattTaskReport *report = NULL;
    MonattError err = {0};

    if (!monatt_worker_answer_parse(data, size, &report, &err)) {
        assert(report == NULL && err.code != MONATT_ERROR_NONE);
        return 0;
    }
    assert(report->finding_count <= MONATT_REPORT_FINDINGS);
    assert(report->task_count <= MONATT_REPORT_TASKS);
    for (size_t i = 0; i < report->task_count; i++) {
        assert(strlen(report->tasks[i].command) < sizeof(report->tasks[i].command));
    }
    monatt_task_report_free(report);
    return 0;
}
