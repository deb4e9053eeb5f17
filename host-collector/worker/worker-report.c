/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-report.c - both ways of a task report
 *
 * The reading half gets the bytes of a process that a guest may have taken: it refuses whatever
 * the writing half cannot have written, and allocates by what has been counted, not by what is
 * claimed.
 */
#include "host-collector/worker/worker-report.h"

#include <stdlib.h>
#include <string.h>
#include "host-collector/worker/worker-client.h"
#include "libmonatt/base/text.h"
#include "libmonatt/formats/record.h"

static const uint8_t report_magic[4] = {'M', 'W', 'R', '1'};

#define PAYLOAD_MAXIMUM (MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE)
#define TASK_SIZE_MINIMUM 34u /* without a command: bounds the allocation by the bytes there */
#define VIEWS_ALL ((1u << MONATT_VIEW_COUNT) - 2) /* bits 1 to 7 */

/* Length and payload; the length is known only afterwards. */
static size_t begin_payload(MonattWriter *w)
{
    monatt_writer_u32_be(w, 0);
    return w->size;
}

static void end_payload(MonattWriter *w, size_t begin)
{
    if (!w->failed) {
        monatt_writer_patch_u32_be(w, begin - 4, (uint32_t)(w->size - begin));
    }
}

static void put_tasks(MonattWriter *w, const TaskTable *tasks)
{
    monatt_writer_u32_be(w, tasks->count);
    for (uint32_t i = 0; i < tasks->count; i++) {
        const GuestTask *task = &tasks->tasks[i];
        size_t length = strnlen(task->command, sizeof(task->command) - 1);

        monatt_writer_u64_be(w, task->address);
        monatt_writer_u64_be(w, task->start_ns);
        monatt_writer_u32_be(w, task->pid);
        monatt_writer_u32_be(w, task->tgid);
        monatt_writer_u32_be(w, task->uid);
        monatt_writer_u32_be(w, task->views);
        monatt_writer_u8(w, task->kernel_thread);
        monatt_writer_u8(w, (uint8_t)length);
        monatt_writer_bytes(w, task->command, length);
    }
}

bool worker_report_encode(const MonattTaskReport *report, const TaskTable *tasks, void *buffer,
                          size_t capacity, size_t *ret_size, MonattError *err)
{
    MonattWriter w;
    size_t begin, length = strnlen(report->kernel, sizeof(report->kernel) - 1);

    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_bytes(&w, report_magic, sizeof(report_magic));
    monatt_writer_u64_be(&w, report->t0_ns);
    monatt_writer_u64_be(&w, report->t1_ns);
    monatt_writer_u64_be(&w, report->scan_us);
    monatt_writer_u16_be(&w, (uint16_t)length);
    monatt_writer_bytes(&w, report->kernel, length);
    begin = begin_payload(&w);
    monatt_tasks_summary_encode(&w, &report->summary);
    end_payload(&w, begin);
    for (int view = 1; view < MONATT_VIEW_COUNT; view++) {
        monatt_writer_u8(&w, report->views[view].wanted);
        monatt_writer_u8(&w, report->views[view].complete);
        monatt_writer_u32_be(&w, report->views[view].reason);
        monatt_writer_u32_be(&w, report->views[view].tasks);
    }
    monatt_writer_u32_be(&w, (uint32_t)report->finding_count);
    for (size_t i = 0; i < report->finding_count; i++) {
        begin = begin_payload(&w);
        monatt_finding_encode(&w, &report->findings[i]);
        end_payload(&w, begin);
    }
    put_tasks(&w, tasks);
    return monatt_writer_finish(&w, "task report", ret_size, err);
}

static bool get_payload(MonattReader *r, uint16_t type, MonattRecord *ret_record)
{
    uint32_t length;
    const uint8_t *bytes;

    if (!monatt_reader_count(r, PAYLOAD_MAXIMUM, &length) ||
        !monatt_reader_bytes(r, length, &bytes)) {
        return false;
    }
    *ret_record = (MonattRecord){
        .type = type, .version = MONATT_RECORD_VERSION, .payload = bytes, .payload_size = length};
    return true;
}

static bool get_summary(MonattReader *r, MonattTasksSummaryPayload *summary)
{
    MonattRecord record;

    if (!get_payload(r, MONATT_RECORD_TASKS_SUMMARY, &record) ||
        !monatt_tasks_summary_decode(&record, summary, r->err)) {
        return false;
    }
    if (summary->sub_check != MONATT_SUBCHECK_HIDDEN_TASK ||
        summary->reason > MONATT_REASON_PAUSED ||
        ((summary->views_wanted | summary->views_read) & ~VIEWS_ALL) ||
        (summary->views_read & ~summary->views_wanted)) {
        return monatt_reader_fail(r, "summary is not of hidden tasks");
    }
    return true;
}

static bool get_views(MonattReader *r, MonattTaskReport *report)
{
    for (int view = 1; view < MONATT_VIEW_COUNT; view++) {
        MonattViewState *state = &report->views[view];
        uint32_t bit = MONATT_VIEW_BIT(view);
        uint8_t wanted, complete;

        if (!monatt_reader_u8(r, &wanted) || !monatt_reader_u8(r, &complete) ||
            !monatt_reader_u32_be(r, &state->reason) || !monatt_reader_u32_be(r, &state->tasks)) {
            return false;
        }
        state->wanted = wanted;
        state->complete = complete;
        if (wanted > 1 || complete > 1 || state->reason > MONATT_REASON_PAUSED ||
            state->wanted != !!(report->summary.views_wanted & bit) ||
            state->complete != !!(report->summary.views_read & bit) ||
            (state->complete && state->reason != MONATT_REASON_NONE)) {
            return monatt_reader_fail(r, "view %d does not agree with the summary", view);
        }
    }
    return true;
}

static bool get_findings(MonattReader *r, MonattTaskReport *report)
{
    uint32_t count;

    if (!monatt_reader_count(r, MONATT_REPORT_FINDINGS, &count)) {
        return false;
    }
    if (count > report->summary.findings ||
        (count < MONATT_REPORT_FINDINGS && count != report->summary.findings)) {
        return monatt_reader_fail(r, "%u findings, the summary says %u", count,
                                  report->summary.findings);
    }
    for (uint32_t i = 0; i < count; i++) {
        MonattFindingPayload *finding = &report->findings[i];
        MonattRecord record;

        if (!get_payload(r, MONATT_RECORD_FINDING, &record) ||
            !monatt_finding_decode(&record, finding, r->err)) {
            return false;
        }
        if (finding->sub_check != MONATT_SUBCHECK_HIDDEN_TASK || finding->views_present == 0 ||
            finding->views_absent == 0 ||
            ((finding->views_present | finding->views_absent) & ~VIEWS_ALL) ||
            (finding->views_present & finding->views_absent)) {
            return monatt_reader_fail(r, "finding %u does not say who sees it and who not", i);
        }
    }
    report->finding_count = count;
    return true;
}

static bool get_task(MonattReader *r, MonattTask *task)
{
    uint8_t length;
    const uint8_t *command;

    if (!monatt_reader_u64_be(r, &task->address) || !monatt_reader_u64_be(r, &task->start_ns) ||
        !monatt_reader_u32_be(r, &task->pid) || !monatt_reader_u32_be(r, &task->tgid) ||
        !monatt_reader_u32_be(r, &task->uid) || !monatt_reader_u32_be(r, &task->views) ||
        !monatt_reader_u8(r, &task->kernel_thread) || !monatt_reader_u8(r, &length) ||
        !monatt_reader_bytes(r, length, &command)) {
        return false;
    }
    if (length >= sizeof(task->command) || (task->views & ~VIEWS_ALL)) {
        return monatt_reader_fail(r, "task of a command of %u bytes, views %#x", length,
                                  task->views);
    }
    monatt_text_printable(command, length, task->command, sizeof(task->command));
    return true;
}

static bool get_tasks(MonattReader *r, MonattTaskReport *report)
{
    uint32_t count;

    if (!monatt_reader_count(r, MONATT_REPORT_TASKS, &count)) {
        return false;
    }
    if (count > monatt_reader_left(r) / TASK_SIZE_MINIMUM) {
        return monatt_reader_fail(r, "%u tasks in %zu bytes", count, monatt_reader_left(r));
    }
    report->tasks = calloc(count ? count : 1, sizeof(*report->tasks));
    if (!report->tasks) {
        return monatt_error_set(r->err, MONATT_ERROR_SYSTEM, "task report: out of memory");
    }
    report->task_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!get_task(r, &report->tasks[i])) {
            return false;
        }
    }
    return true;
}

static bool get_head(MonattReader *r, MonattTaskReport *report)
{
    uint8_t magic[sizeof(report_magic)];
    uint16_t length;
    const uint8_t *release;

    if (!monatt_reader_copy(r, magic, sizeof(magic))) {
        return false;
    }
    if (!monatt_bytes_equal(magic, report_magic, sizeof(magic))) {
        return monatt_reader_fail(r, "does not begin with MWR1");
    }
    if (!monatt_reader_u64_be(r, &report->t0_ns) || !monatt_reader_u64_be(r, &report->t1_ns) ||
        !monatt_reader_u64_be(r, &report->scan_us) || !monatt_reader_u16_be(r, &length) ||
        !monatt_reader_bytes(r, length, &release)) {
        return false;
    }
    if (length >= sizeof(report->kernel) || report->t1_ns < report->t0_ns) {
        return monatt_reader_fail(r, "ends before it began, or a release of %u bytes", length);
    }
    monatt_text_printable(release, length, report->kernel, sizeof(report->kernel));
    return true;
}

bool monatt_worker_answer_parse(const void *bytes, size_t size, MonattTaskReport **ret_report,
                                MonattError *err)
{
    MonattTaskReport *report = calloc(1, sizeof(*report));
    MonattReader r;

    if (!report) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "task report: out of memory");
    }
    monatt_reader_init(&r, "task report", bytes, size, err);
    if (!get_head(&r, report) || !get_summary(&r, &report->summary) || !get_views(&r, report) ||
        !get_findings(&r, report) || !get_tasks(&r, report) || !monatt_reader_finish(&r)) {
        monatt_task_report_free(report);
        return false;
    }
    *ret_report = report;
    return true;
}

void monatt_task_report_free(MonattTaskReport *report)
{
    if (report) {
        free(report->tasks);
        free(report);
    }
}
