/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-report-codec.c - both ways of a check report
 *
 * The reading half gets the bytes of a process that a guest may have taken: it refuses whatever
 * the writing half cannot have written.  Must never let pass a sighting as a finding, nor a row
 * that a later reader would stumble over.
 */
#include "host-collector/worker/check-report-codec.h"

#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/reader.h"
#include "libmonatt/base/text.h"

static const uint8_t report_magic[4] = {'M', 'C', 'R', '1'};

static void put_text(MonattWriter *w, const char *text, size_t capacity)
{
    size_t length = strnlen(text, capacity - 1);
    monatt_writer_u16_be(w, (uint16_t)length);
    monatt_writer_bytes(w, text, length);
}

static void put_result(MonattWriter *w, const CheckResult *result)
{
    monatt_writer_u16_be(w, result->check);
    monatt_writer_u32_be(w, result->reason);
    monatt_writer_u32_be(w, result->passes);
    monatt_writer_u32_be(w, result->findings);
    monatt_writer_u32_be(w, result->unsettled);
    monatt_writer_u64_be(w, result->cpu_us);
    monatt_writer_u8(w, result->has_digest ? sizeof(result->digest) : 0);
    monatt_writer_bytes(w, result->digest, result->has_digest ? sizeof(result->digest) : 0);
    monatt_writer_u8(w, result->counter_count);
    for (uint8_t i = 0; i < result->counter_count; i++) {
        put_text(w, result->counters[i].name, sizeof(result->counters[i].name));
        monatt_writer_u64_be(w, result->counters[i].value);
    }
    put_text(w, result->text, sizeof(result->text));
}

static void put_finding(MonattWriter *w, const CheckFinding *finding)
{
    monatt_writer_u16_be(w, finding->check);
    monatt_writer_u8(w, finding->severity);
    monatt_writer_u32_be(w, finding->sightings);
    monatt_writer_u64_be(w, finding->address);
    monatt_writer_u32_be(w, finding->pid);
    monatt_writer_u64_be(w, finding->start_ns);
    put_text(w, finding->object, sizeof(finding->object));
    put_text(w, finding->expected, sizeof(finding->expected));
    put_text(w, finding->observed, sizeof(finding->observed));
    put_text(w, finding->owner, sizeof(finding->owner));
    put_text(w, finding->text, sizeof(finding->text));
}

bool check_report_encode(const CheckReport *report, bool snapshot, const Table *tables,
                         uint32_t wanted, void *buffer, size_t capacity, size_t *ret_size,
                         MonattError *err)
{
    MonattWriter w;
    uint8_t count = 0;

    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_bytes(&w, report_magic, sizeof(report_magic));
    monatt_writer_u64_be(&w, report->t0_ns);
    monatt_writer_u64_be(&w, report->t1_ns);
    monatt_writer_u8(&w, snapshot);
    put_text(&w, report->kernel, sizeof(report->kernel));
    monatt_writer_u32_be(&w, (uint32_t)report->result_count);
    for (size_t i = 0; i < report->result_count; i++) {
        put_result(&w, &report->results[i]);
    }
    monatt_writer_u32_be(&w, (uint32_t)report->finding_count);
    for (size_t i = 0; i < report->finding_count; i++) {
        put_finding(&w, &report->findings[i]);
    }
    for (size_t i = 0; table_forms[i].name; i++) {
        count += wanted >> i & 1;
    }
    monatt_writer_u8(&w, count);
    for (size_t i = 0; table_forms[i].name; i++) {
        if (wanted >> i & 1) {
            monatt_writer_u8(&w, (uint8_t)i);
            monatt_writer_u32_be(&w, tables[i].rows);
            monatt_writer_u8(&w, tables[i].cut);
            monatt_writer_u32_be(&w, (uint32_t)tables[i].size);
        }
    }
    return monatt_writer_finish(&w, "check report", ret_size, err);
}

static bool get_text(MonattReader *r, char *text, size_t capacity)
{
    const uint8_t *bytes;
    uint16_t length;

    if (!monatt_reader_sized_u16_be(r, capacity - 1, &bytes, &length)) {
        return false;
    }
    for (uint16_t i = 0; i < length; i++) {
        if (bytes[i] < 0x20 || bytes[i] > 0x7e) {
            return monatt_reader_fail(r, "text with byte %#x", bytes[i]);
        }
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
    return true;
}

static bool get_flag(MonattReader *r, bool *ret_flag)
{
    uint8_t value;
    if (!monatt_reader_u8(r, &value)) {
        return false;
    }
    *ret_flag = value == 1;
    return value <= 1 || monatt_reader_fail(r, "flag %u", value);
}

static bool get_counters(MonattReader *r, CheckResult *result)
{
    if (!monatt_reader_u8(r, &result->counter_count)) {
        return false;
    }
    if (result->counter_count > CHECK_COUNTERS) {
        return monatt_reader_fail(r, "%u counters", result->counter_count);
    }
    for (uint8_t i = 0; i < result->counter_count; i++) {
        if (!get_text(r, result->counters[i].name, sizeof(result->counters[i].name)) ||
            !monatt_reader_u64_be(r, &result->counters[i].value)) {
            return false;
        }
    }
    return true;
}

static bool get_result(MonattReader *r, CheckResult *result)
{
    uint8_t digest_size;

    if (!monatt_reader_u16_be(r, &result->check) || !monatt_reader_u32_be(r, &result->reason) ||
        !monatt_reader_u32_be(r, &result->passes) || !monatt_reader_u32_be(r, &result->findings) ||
        !monatt_reader_u32_be(r, &result->unsettled) || !monatt_reader_u64_be(r, &result->cpu_us) ||
        !monatt_reader_u8(r, &digest_size)) {
        return false;
    }
    if (result->reason > MONATT_REASON_PAUSED ||
        (digest_size != 0 && digest_size != sizeof(result->digest))) {
        return monatt_reader_fail(r, "reason %u, digest of %u bytes", result->reason, digest_size);
    }
    result->has_digest = digest_size > 0;
    return monatt_reader_copy(r, result->digest, digest_size) && get_counters(r, result) &&
           get_text(r, result->text, sizeof(result->text));
}

static bool get_results(MonattReader *r, bool snapshot, CheckReport *report)
{
    uint32_t count;

    if (!monatt_reader_count(r, CHECKS_MAXIMUM, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        CheckResult *result = &report->results[i];
        if (!get_result(r, result)) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (report->results[k].check == result->check) {
                return monatt_reader_fail(r, "check %u twice", result->check);
            }
        }
        /* What did not settle makes a verdict unknown: there must be a reason. */
        if ((snapshot && result->findings > 0) ||
            (!snapshot && result->unsettled > 0 && result->reason == MONATT_REASON_NONE)) {
            return monatt_reader_fail(r, "check %u: %u findings, %u unsettled", result->check,
                                      result->findings, result->unsettled);
        }
    }
    report->result_count = count;
    return true;
}

static bool get_finding(MonattReader *r, CheckFinding *finding)
{
    return monatt_reader_u16_be(r, &finding->check) && monatt_reader_u8(r, &finding->severity) &&
           monatt_reader_u32_be(r, &finding->sightings) &&
           monatt_reader_u64_be(r, &finding->address) && monatt_reader_u32_be(r, &finding->pid) &&
           monatt_reader_u64_be(r, &finding->start_ns) &&
           get_text(r, finding->object, sizeof(finding->object)) &&
           get_text(r, finding->expected, sizeof(finding->expected)) &&
           get_text(r, finding->observed, sizeof(finding->observed)) &&
           get_text(r, finding->owner, sizeof(finding->owner)) &&
           get_text(r, finding->text, sizeof(finding->text));
}

/* As many are listed as the results count, up to the maximum. */
static bool check_counts(MonattReader *r, bool snapshot, const CheckReport *report)
{
    uint64_t counted = 0;
    for (size_t i = 0; i < report->result_count; i++) {
        const CheckResult *result = &report->results[i];
        uint32_t of_it = snapshot ? result->unsettled : result->findings;
        uint32_t listed = 0;
        for (size_t k = 0; k < report->finding_count; k++) {
            listed += report->findings[k].check == result->check;
        }
        if (listed > of_it) {
            return monatt_reader_fail(r, "check %u: %u listed of %u", result->check, listed, of_it);
        }
        counted += of_it;
    }
    if (report->finding_count < CHECK_FINDINGS && !snapshot && counted != report->finding_count) {
        return monatt_reader_fail(r, "%zu findings listed of %lu", report->finding_count,
                                  (unsigned long)counted);
    }
    return true;
}

static bool get_findings(MonattReader *r, bool snapshot, CheckReport *report)
{
    uint32_t count;

    if (!monatt_reader_count(r, CHECK_FINDINGS, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        CheckFinding *finding = &report->findings[i];
        bool known = false;
        if (!get_finding(r, finding)) {
            return false;
        }
        for (size_t k = 0; k < report->result_count; k++) {
            known = known || report->results[k].check == finding->check;
        }
        if (!known || finding->severity < CHECK_COMPROMISED || finding->severity > CHECK_DEGRADED ||
            (snapshot ? finding->sightings != 1 : finding->sightings < CHECK_RUNNER_SCANS)) {
            return monatt_reader_fail(r, "finding of check %u, severity %u, %u sightings",
                                      finding->check, finding->severity, finding->sightings);
        }
    }
    report->finding_count = count;
    return check_counts(r, snapshot, report);
}

static bool get_table_heads(MonattReader *r, uint32_t wanted, MonattCheckReport *answer)
{
    uint8_t count, number, last = 0;
    size_t forms = 0;

    while (table_forms[forms].name) {
        forms++;
    }
    if (!monatt_reader_u8(r, &count)) {
        return false;
    }
    if (count > forms) {
        return monatt_reader_fail(r, "%u tables", count);
    }
    for (uint8_t i = 0; i < count; i++) {
        MonattCheckTable *table = &answer->tables[i];
        uint32_t size;
        if (!monatt_reader_u8(r, &number) || !monatt_reader_count(r, TABLE_ROWS, &table->rows) ||
            !get_flag(r, &table->cut) || !monatt_reader_count(r, TABLE_BYTES, &size)) {
            return false;
        }
        if (number >= forms || !(wanted >> number & 1) || (i > 0 && number <= last)) {
            return monatt_reader_fail(r, "table %u", number);
        }
        table->form = &table_forms[number];
        table->size = size;
        last = number;
    }
    answer->table_count = count;
    return true;
}

static bool check_rows(MonattReader *r, const MonattCheckTable *table)
{
    TableReader reader = {
        .bytes = table->bytes, .size = table->size, .columns = table->form->count};
    TableCell cells[TABLE_COLUMNS];
    MonattError why = {0};
    uint32_t rows = 0;

    while (table_read_row(&reader, cells, &why)) {
        rows++;
    }
    if (why.code != MONATT_ERROR_NONE || rows != table->rows) {
        return monatt_reader_fail(r, "table '%s': %u rows of %u: %.100s", table->form->name, rows,
                                  table->rows, why.message);
    }
    return true;
}

static bool get_tables(MonattReader *r, uint32_t wanted, MonattCheckReport *answer)
{
    if (!get_table_heads(r, wanted, answer)) {
        return false;
    }
    for (size_t i = 0; i < answer->table_count; i++) {
        MonattCheckTable *table = &answer->tables[i];
        if (!monatt_reader_bytes(r, table->size, &table->bytes) || !check_rows(r, table)) {
            return false;
        }
    }
    return true;
}

static bool get_report(MonattReader *r, bool snapshot, uint32_t wanted, MonattCheckReport *answer)
{
    CheckReport *report = &answer->report;
    uint8_t magic[4];

    if (!monatt_reader_copy(r, magic, sizeof(magic))) {
        return false;
    }
    if (!monatt_bytes_equal(magic, report_magic, sizeof(magic))) {
        return monatt_reader_fail(r, "not a check report");
    }
    if (!monatt_reader_u64_be(r, &report->t0_ns) || !monatt_reader_u64_be(r, &report->t1_ns) ||
        !get_flag(r, &answer->snapshot) || !get_text(r, report->kernel, sizeof(report->kernel))) {
        return false;
    }
    if (report->t1_ns < report->t0_ns || answer->snapshot != snapshot) {
        return monatt_reader_fail(r, "times or kind of look do not fit");
    }
    return get_results(r, snapshot, report) && get_findings(r, snapshot, report) &&
           get_tables(r, wanted, answer) && monatt_reader_finish(r);
}

bool check_report_decode(uint8_t *bytes, size_t size, bool snapshot, uint32_t wanted,
                         MonattCheckReport **ret_report, MonattError *err)
{
    MonattCheckReport *answer = calloc(1, sizeof(*answer));
    MonattReader r;

    if (!answer) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "check report: out of memory");
    }
    monatt_reader_init(&r, "check report", bytes, size, err);
    if (!get_report(&r, snapshot, wanted, answer)) {
        free(answer);
        return false;
    }
    answer->bytes = bytes;
    *ret_report = answer;
    return true;
}

void monatt_check_report_free(MonattCheckReport *report)
{
    if (report) {
        free(report->bytes);
        free(report);
    }
}

const MonattCheckTable *monatt_check_report_table(const MonattCheckReport *report, const char *name)
{
    for (size_t i = 0; i < report->table_count; i++) {
        if (strcmp(report->tables[i].form->name, name) == 0) {
            return &report->tables[i];
        }
    }
    return NULL;
}
