/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-records.c - encodes and decodes what a check of the guest's kernel says
 *
 * Must never take a payload that could be written in two ways.  Format: docs/formats/records.md.
 */
#include "libmonatt/formats/check-records.h"

#include <string.h>
#include "libmonatt/base/macros.h"

static bool has_name_twice(const MonattCheckSummaryPayload *payload, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(payload->counters[i].name, payload->counters[at].name) == 0) {
            return true;
        }
    }
    return false;
}

void monatt_check_summary_encode(MonattWriter *w, const MonattCheckSummaryPayload *payload)
{
    if (payload->counter_count > MONATT_CHECK_COUNTERS || payload->degraded > payload->findings) {
        w->failed = true;
        return;
    }
    monatt_writer_u16_be(w, payload->check);
    monatt_writer_u32_be(w, payload->reason);
    monatt_writer_u32_be(w, payload->passes);
    monatt_writer_u32_be(w, payload->findings);
    monatt_writer_u32_be(w, payload->degraded);
    monatt_writer_u32_be(w, payload->unsettled);
    monatt_writer_u8(w, payload->counter_count);
    for (size_t i = 0; i < payload->counter_count; i++) {
        w->failed = w->failed || has_name_twice(payload, i);
        monatt_record_put_text(w, payload->counters[i].name, MONATT_CHECK_COUNTER_TEXT);
        monatt_writer_u64_be(w, payload->counters[i].value);
    }
    monatt_writer_u8(w, payload->has_digest);
    if (payload->has_digest) {
        monatt_writer_bytes(w, payload->digest, sizeof(payload->digest));
    }
    monatt_record_put_text(w, payload->text, MONATT_TEXT_MAXIMUM);
}

static bool read_counters(MonattReader *r, MonattCheckSummaryPayload *payload)
{
    if (payload->counter_count > MONATT_CHECK_COUNTERS) {
        return monatt_reader_fail(r, "%u counters, the limit is %d", payload->counter_count,
                                  MONATT_CHECK_COUNTERS);
    }
    for (size_t i = 0; i < payload->counter_count; i++) {
        if (!monatt_record_get_text(r, payload->counters[i].name, MONATT_CHECK_COUNTER_TEXT) ||
            !monatt_reader_u64_be(r, &payload->counters[i].value)) {
            return false;
        }
        if (has_name_twice(payload, i)) {
            return monatt_reader_fail(r, "counter '%s' twice", payload->counters[i].name);
        }
    }
    return true;
}

bool monatt_check_summary_decode(const MonattRecord *record, MonattCheckSummaryPayload *ret,
                                 MonattError *err)
{
    MonattReader r;
    MonattCheckSummaryPayload payload = {0};
    uint8_t has_digest;
    if (!monatt_record_payload(record, MONATT_RECORD_CHECK_SUMMARY, &r, err) ||
        !monatt_reader_u16_be(&r, &payload.check) || !monatt_reader_u32_be(&r, &payload.reason) ||
        !monatt_reader_u32_be(&r, &payload.passes) ||
        !monatt_reader_u32_be(&r, &payload.findings) ||
        !monatt_reader_u32_be(&r, &payload.degraded) ||
        !monatt_reader_u32_be(&r, &payload.unsettled) ||
        !monatt_reader_u8(&r, &payload.counter_count) || !read_counters(&r, &payload) ||
        !monatt_reader_u8(&r, &has_digest)) {
        return false;
    }
    if (has_digest > 1) {
        return monatt_reader_fail(&r, "digest mark is %u", has_digest);
    }
    payload.has_digest = has_digest == 1;
    if (payload.has_digest && !monatt_reader_copy(&r, payload.digest, sizeof(payload.digest))) {
        return false;
    }
    if (!monatt_record_get_text(&r, payload.text, MONATT_TEXT_MAXIMUM) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    if (payload.degraded > payload.findings) {
        return monatt_reader_fail(&r, "more degraded findings than findings");
    }
    *ret = payload;
    return true;
}

void monatt_check_finding_encode(MonattWriter *w, const MonattCheckFindingPayload *payload)
{
    if (payload->severity != MONATT_SEVERITY_COMPROMISED &&
        payload->severity != MONATT_SEVERITY_DEGRADED) {
        w->failed = true;
        return;
    }
    monatt_writer_u16_be(w, payload->check);
    monatt_writer_u8(w, payload->severity);
    monatt_writer_u32_be(w, payload->sightings);
    monatt_writer_u64_be(w, payload->address);
    monatt_writer_u32_be(w, payload->pid);
    monatt_writer_u64_be(w, payload->start_ns);
    monatt_record_put_text(w, payload->object, MONATT_CHECK_OBJECT_TEXT);
    monatt_record_put_text(w, payload->expected, MONATT_CHECK_VALUE_TEXT);
    monatt_record_put_text(w, payload->observed, MONATT_CHECK_VALUE_TEXT);
    monatt_record_put_text(w, payload->owner, MONATT_CHECK_OBJECT_TEXT);
    monatt_record_put_text(w, payload->text, MONATT_TEXT_MAXIMUM);
}

bool monatt_check_finding_decode(const MonattRecord *record, MonattCheckFindingPayload *ret,
                                 MonattError *err)
{
    MonattReader r;
    MonattCheckFindingPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_CHECK_FINDING, &r, err) ||
        !monatt_reader_u16_be(&r, &payload.check) || !monatt_reader_u8(&r, &payload.severity) ||
        !monatt_reader_u32_be(&r, &payload.sightings) ||
        !monatt_reader_u64_be(&r, &payload.address) || !monatt_reader_u32_be(&r, &payload.pid) ||
        !monatt_reader_u64_be(&r, &payload.start_ns)) {
        return false;
    }
    if (payload.severity != MONATT_SEVERITY_COMPROMISED &&
        payload.severity != MONATT_SEVERITY_DEGRADED) {
        return monatt_reader_fail(&r, "severity %u is not known", payload.severity);
    }
    if (!monatt_record_get_text(&r, payload.object, MONATT_CHECK_OBJECT_TEXT) ||
        !monatt_record_get_text(&r, payload.expected, MONATT_CHECK_VALUE_TEXT) ||
        !monatt_record_get_text(&r, payload.observed, MONATT_CHECK_VALUE_TEXT) ||
        !monatt_record_get_text(&r, payload.owner, MONATT_CHECK_OBJECT_TEXT) ||
        !monatt_record_get_text(&r, payload.text, MONATT_TEXT_MAXIMUM) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

bool monatt_check_finding_is_same(const MonattCheckFindingPayload *a,
                                  const MonattCheckFindingPayload *b)
{
    return a->check == b->check && a->address == b->address && a->pid == b->pid &&
           a->start_ns == b->start_ns && strcmp(a->object, b->object) == 0;
}

static const struct {
    uint16_t check;
    const char *name;
} names[] = {
    {MONATT_SUBCHECK_HIDDEN_TASK, "hidden-tasks"},
    {MONATT_SUBCHECK_KERNEL_ORIGIN, "kernel-origin"},
    {MONATT_SUBCHECK_KERNEL_TEXT, "kernel-text"},
    {MONATT_SUBCHECK_KERNEL_RODATA, "kernel-rodata"},
    {MONATT_SUBCHECK_MODULES, "modules"},
    {MONATT_SUBCHECK_MODULE_TEXT, "module-text"},
    {MONATT_SUBCHECK_EXECUTABLE_PAGES, "executable-pages"},
    {MONATT_SUBCHECK_INTERRUPT_TABLE, "interrupt-table"},
    {MONATT_SUBCHECK_CONTROL_REGISTERS, "control-registers"},
    {MONATT_SUBCHECK_FUNCTION_POINTERS, "function-pointers"},
    {MONATT_SUBCHECK_STRINGS, "strings"},
    {MONATT_SUBCHECK_CREDENTIALS, "credentials"},
    {MONATT_SUBCHECK_VDSO, "vdso"},
    {MONATT_SUBCHECK_BPF, "bpf"},
    {MONATT_SUBCHECK_KPROBES, "kprobes"},
    {MONATT_SUBCHECK_FTRACE, "ftrace"},
    {MONATT_SUBCHECK_NETFILTER, "netfilter"},
    {MONATT_SUBCHECK_SOCKETS, "sockets"},
    {MONATT_SUBCHECK_PROGRAMS, "programs"},
    {MONATT_SUBCHECK_TASKS, "tasks"},
};

const char *monatt_check_name(uint16_t check)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        if (names[i].check == check) {
            return names[i].name;
        }
    }
    return "unknown-check";
}

uint16_t monatt_check_by_name(const char *name)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].check;
        }
    }
    return 0;
}
