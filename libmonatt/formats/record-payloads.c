/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record-payloads.c - encodes and decodes the payload of each "MTE1" record type
 *
 * Collector and verifier share these functions, so that the two cannot differ.  A decode never
 * trusts a count or a length: each has its maximum, lists must be sorted and unique, text must be
 * printable, and nothing may follow.  Format: docs/formats/records.md.
 */
#include "libmonatt/formats/record-payloads.h"

#include <string.h>

void monatt_locks_encode(MonattWriter *w, const MonattLocksPayload *payload)
{
    monatt_writer_u32_be(w, payload->vcpus);
    monatt_writer_u64_be(w, payload->windows);
    monatt_writer_u64_be(w, payload->window_ns);
    monatt_writer_u64_be(w, payload->lock_total);
    monatt_writer_u64_be(w, payload->split_total);
    monatt_writer_u64_be(w, payload->drops);
    for (size_t i = 0; i < MONATT_DENSITY_BINS; i++) {
        monatt_writer_u16_be(w, payload->density[i]);
    }
    monatt_writer_bytes(w, payload->state, sizeof(payload->state));
}

bool monatt_locks_decode(const MonattRecord *record, MonattLocksPayload *ret, MonattError *err)
{
    MonattReader r;
    MonattLocksPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_LOCKS, &r, err) ||
        !monatt_reader_u32_be(&r, &payload.vcpus) || !monatt_reader_u64_be(&r, &payload.windows) ||
        !monatt_reader_u64_be(&r, &payload.window_ns) ||
        !monatt_reader_u64_be(&r, &payload.lock_total) ||
        !monatt_reader_u64_be(&r, &payload.split_total) ||
        !monatt_reader_u64_be(&r, &payload.drops)) {
        return false;
    }
    for (size_t i = 0; i < MONATT_DENSITY_BINS; i++) {
        if (!monatt_reader_u16_be(&r, &payload.density[i])) {
            return false;
        }
    }
    if (!monatt_reader_copy(&r, payload.state, sizeof(payload.state)) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    if (payload.split_total > payload.lock_total) {
        return monatt_reader_fail(&r, "more split locks than locks");
    }
    *ret = payload;
    return true;
}

void monatt_syscalls_encode(MonattWriter *w, const MonattSyscallsPayload *payload)
{
    if (payload->top_count > MONATT_SYSCALL_TOP) {
        w->failed = true;
        return;
    }
    monatt_writer_u32_be(w, payload->vcpus);
    monatt_writer_u64_be(w, payload->windows);
    monatt_writer_u64_be(w, payload->window_ns);
    monatt_writer_u64_be(w, payload->total);
    monatt_writer_u64_be(w, payload->drops);
    monatt_writer_u16_be(w, payload->top_count);
    for (size_t i = 0; i < payload->top_count; i++) {
        monatt_writer_u16_be(w, payload->top[i].number);
        monatt_writer_u64_be(w, payload->top[i].count);
    }
}

bool monatt_syscalls_decode(const MonattRecord *record, MonattSyscallsPayload *ret,
                            MonattError *err)
{
    MonattReader r;
    MonattSyscallsPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_SYSCALLS, &r, err) ||
        !monatt_reader_u32_be(&r, &payload.vcpus) || !monatt_reader_u64_be(&r, &payload.windows) ||
        !monatt_reader_u64_be(&r, &payload.window_ns) ||
        !monatt_reader_u64_be(&r, &payload.total) || !monatt_reader_u64_be(&r, &payload.drops) ||
        !monatt_reader_u16_be(&r, &payload.top_count)) {
        return false;
    }
    if (payload.top_count > MONATT_SYSCALL_TOP) {
        return monatt_reader_fail(&r, "%u system calls, the limit is %d", payload.top_count,
                                  MONATT_SYSCALL_TOP);
    }
    for (size_t i = 0; i < payload.top_count; i++) {
        if (!monatt_reader_u16_be(&r, &payload.top[i].number) ||
            !monatt_reader_u64_be(&r, &payload.top[i].count)) {
            return false;
        }
        if (i > 0 && payload.top[i].count > payload.top[i - 1].count) {
            return monatt_reader_fail(&r, "system calls are not sorted by falling count");
        }
        for (size_t k = 0; k < i; k++) {
            if (payload.top[k].number == payload.top[i].number) {
                return monatt_reader_fail(&r, "system call %u twice", payload.top[i].number);
            }
        }
    }
    if (!monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

void monatt_tasks_summary_encode(MonattWriter *w, const MonattTasksSummaryPayload *payload)
{
    if (payload->view_count > MONATT_VIEW_COUNT) {
        w->failed = true;
        return;
    }
    monatt_writer_u16_be(w, payload->sub_check);
    monatt_writer_u32_be(w, payload->views_wanted);
    monatt_writer_u32_be(w, payload->views_read);
    monatt_writer_u32_be(w, payload->scans);
    monatt_writer_u32_be(w, payload->retries);
    monatt_writer_u32_be(w, payload->findings);
    monatt_writer_u32_be(w, payload->unsettled);
    monatt_writer_u32_be(w, payload->reason);
    monatt_writer_u64_be(w, payload->total_forks);
    monatt_writer_u8(w, payload->view_count);
    for (size_t i = 0; i < payload->view_count; i++) {
        monatt_writer_u8(w, payload->views[i].view);
        monatt_writer_u32_be(w, payload->views[i].tasks);
        monatt_writer_bytes(w, payload->views[i].digest, MONATT_SHA256_SIZE);
    }
    monatt_record_put_text(w, payload->text, MONATT_TEXT_MAXIMUM);
}

bool monatt_tasks_summary_decode(const MonattRecord *record, MonattTasksSummaryPayload *ret,
                                 MonattError *err)
{
    MonattReader r;
    MonattTasksSummaryPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_TASKS_SUMMARY, &r, err) ||
        !monatt_reader_u16_be(&r, &payload.sub_check) ||
        !monatt_reader_u32_be(&r, &payload.views_wanted) ||
        !monatt_reader_u32_be(&r, &payload.views_read) ||
        !monatt_reader_u32_be(&r, &payload.scans) || !monatt_reader_u32_be(&r, &payload.retries) ||
        !monatt_reader_u32_be(&r, &payload.findings) ||
        !monatt_reader_u32_be(&r, &payload.unsettled) ||
        !monatt_reader_u32_be(&r, &payload.reason) ||
        !monatt_reader_u64_be(&r, &payload.total_forks) ||
        !monatt_reader_u8(&r, &payload.view_count)) {
        return false;
    }
    if (payload.view_count > MONATT_VIEW_COUNT) {
        return monatt_reader_fail(&r, "%u views, the limit is %d", payload.view_count,
                                  MONATT_VIEW_COUNT);
    }
    for (size_t i = 0; i < payload.view_count; i++) {
        if (!monatt_reader_u8(&r, &payload.views[i].view) ||
            !monatt_reader_u32_be(&r, &payload.views[i].tasks) ||
            !monatt_reader_copy(&r, payload.views[i].digest, MONATT_SHA256_SIZE)) {
            return false;
        }
        if (payload.views[i].view == 0 || payload.views[i].view >= MONATT_VIEW_COUNT) {
            return monatt_reader_fail(&r, "view %u is not known", payload.views[i].view);
        }
        if (i > 0 && payload.views[i].view <= payload.views[i - 1].view) {
            return monatt_reader_fail(&r, "views are not sorted and unique");
        }
    }
    if (!monatt_record_get_text(&r, payload.text, MONATT_TEXT_MAXIMUM) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

void monatt_finding_encode(MonattWriter *w, const MonattFindingPayload *payload)
{
    monatt_writer_u16_be(w, payload->sub_check);
    monatt_writer_u64_be(w, payload->address);
    monatt_writer_u32_be(w, payload->pid);
    monatt_writer_u32_be(w, payload->tgid);
    monatt_writer_u32_be(w, payload->uid);
    monatt_writer_u64_be(w, payload->start_ns);
    monatt_writer_u32_be(w, payload->views_present);
    monatt_writer_u32_be(w, payload->views_absent);
    monatt_writer_u32_be(w, payload->scans);
    monatt_record_put_text(w, payload->command, MONATT_TEXT_MAXIMUM);
    monatt_record_put_text(w, payload->text, MONATT_TEXT_MAXIMUM);
}

bool monatt_finding_decode(const MonattRecord *record, MonattFindingPayload *ret, MonattError *err)
{
    MonattReader r;
    MonattFindingPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_FINDING, &r, err) ||
        !monatt_reader_u16_be(&r, &payload.sub_check) ||
        !monatt_reader_u64_be(&r, &payload.address) || !monatt_reader_u32_be(&r, &payload.pid) ||
        !monatt_reader_u32_be(&r, &payload.tgid) || !monatt_reader_u32_be(&r, &payload.uid) ||
        !monatt_reader_u64_be(&r, &payload.start_ns) ||
        !monatt_reader_u32_be(&r, &payload.views_present) ||
        !monatt_reader_u32_be(&r, &payload.views_absent) ||
        !monatt_reader_u32_be(&r, &payload.scans) ||
        !monatt_record_get_text(&r, payload.command, MONATT_TEXT_MAXIMUM) ||
        !monatt_record_get_text(&r, payload.text, MONATT_TEXT_MAXIMUM) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

bool monatt_finding_is_same(const MonattFindingPayload *a, const MonattFindingPayload *b)
{
    return a->sub_check == b->sub_check && a->address == b->address && a->pid == b->pid &&
           a->start_ns == b->start_ns;
}

void monatt_boot_item_encode(MonattWriter *w, const MonattBootItemPayload *payload)
{
    monatt_writer_u16_be(w, payload->kind);
    monatt_writer_u64_be(w, payload->size);
    monatt_writer_bytes(w, payload->sha256, sizeof(payload->sha256));
    monatt_writer_bytes(w, payload->sha384, sizeof(payload->sha384));
    monatt_record_put_text(w, payload->name, MONATT_TEXT_MAXIMUM);
}

bool monatt_boot_item_decode(const MonattRecord *record, MonattBootItemPayload *ret,
                             MonattError *err)
{
    MonattReader r;
    MonattBootItemPayload payload = {0};
    /* The machine's description has the same form in a record type of its own. */
    uint16_t type =
        record->type == MONATT_RECORD_MACHINE ? MONATT_RECORD_MACHINE : MONATT_RECORD_BOOT_ITEM;
    if (!monatt_record_payload(record, type, &r, err) || !monatt_reader_u16_be(&r, &payload.kind) ||
        !monatt_reader_u64_be(&r, &payload.size) ||
        !monatt_reader_copy(&r, payload.sha256, sizeof(payload.sha256)) ||
        !monatt_reader_copy(&r, payload.sha384, sizeof(payload.sha384)) ||
        !monatt_record_get_text(&r, payload.name, MONATT_TEXT_MAXIMUM) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    if ((payload.kind == MONATT_BOOT_MACHINE) != (type == MONATT_RECORD_MACHINE)) {
        return monatt_reader_fail(&r, "kind %u does not belong into a %s record", payload.kind,
                                  monatt_record_type_name(type));
    }
    *ret = payload;
    return true;
}

void monatt_report_encode(MonattWriter *w, const MonattReportPayload *payload)
{
    if (payload->range_count > MONATT_REPORT_RANGES) {
        w->failed = true;
        return;
    }
    monatt_writer_bytes(w, payload->previous, sizeof(payload->previous));
    monatt_writer_bytes(w, payload->nonce, sizeof(payload->nonce));
    monatt_writer_u32_be(w, payload->number);
    monatt_writer_u32_be(w, payload->measurements);
    monatt_writer_u16_be(w, payload->range_count);
    for (size_t i = 0; i < payload->range_count; i++) {
        monatt_writer_u8(w, payload->ranges[i].index);
        monatt_writer_u64_be(w, payload->ranges[i].first);
        monatt_writer_u64_be(w, payload->ranges[i].last);
    }
}

bool monatt_report_decode(const MonattRecord *record, MonattReportPayload *ret, MonattError *err)
{
    MonattReader r;
    MonattReportPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_REPORT, &r, err) ||
        !monatt_reader_copy(&r, payload.previous, sizeof(payload.previous)) ||
        !monatt_reader_copy(&r, payload.nonce, sizeof(payload.nonce)) ||
        !monatt_reader_u32_be(&r, &payload.number) ||
        !monatt_reader_u32_be(&r, &payload.measurements) ||
        !monatt_reader_u16_be(&r, &payload.range_count)) {
        return false;
    }
    if (payload.range_count > MONATT_REPORT_RANGES) {
        return monatt_reader_fail(&r, "%u ranges, the limit is %d", payload.range_count,
                                  MONATT_REPORT_RANGES);
    }
    for (size_t i = 0; i < payload.range_count; i++) {
        if (!monatt_reader_u8(&r, &payload.ranges[i].index) ||
            !monatt_reader_u64_be(&r, &payload.ranges[i].first) ||
            !monatt_reader_u64_be(&r, &payload.ranges[i].last)) {
            return false;
        }
        if (payload.ranges[i].index >= MONATT_REGISTER_COUNT) {
            return monatt_reader_fail(&r, "register %u does not exist", payload.ranges[i].index);
        }
        if (i > 0 && payload.ranges[i].index <= payload.ranges[i - 1].index) {
            return monatt_reader_fail(&r, "registers are not sorted and unique");
        }
        if (payload.ranges[i].first > payload.ranges[i].last) {
            return monatt_reader_fail(&r, "a range ends before it begins");
        }
    }
    if (!monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

const char *monatt_boot_item_kind_name(uint16_t kind)
{
    switch (kind) {
    case MONATT_BOOT_FIRMWARE:
        return "firmware";
    case MONATT_BOOT_KERNEL:
        return "kernel";
    case MONATT_BOOT_INITRD:
        return "initrd";
    case MONATT_BOOT_COMMAND_LINE:
        return "command-line";
    case MONATT_BOOT_QEMU:
        return "qemu";
    case MONATT_BOOT_OPTION_ROM:
        return "option-rom";
    case MONATT_BOOT_VARIABLE_STORE:
        return "variable-store";
    case MONATT_BOOT_MACHINE:
        return "machine";
    default:
        return "unknown";
    }
}

const char *monatt_task_view_name(uint8_t view)
{
    switch (view) {
    case MONATT_VIEW_LIST:
        return "task list";
    case MONATT_VIEW_PID_IDR:
        return "pid IDR";
    case MONATT_VIEW_RUN_QUEUES:
        return "run queues";
    case MONATT_VIEW_SLAB:
        return "task slab";
    case MONATT_VIEW_CGROUPS:
        return "cgroups";
    case MONATT_VIEW_CR3:
        return "page tables in use";
    case MONATT_VIEW_GUEST_LIST:
        return "guest's own list";
    default:
        return "unknown view";
    }
}

const char *monatt_reason_name(uint32_t reason)
{
    switch (reason) {
    case MONATT_REASON_NONE:
        return "none";
    case MONATT_REASON_WORKER_DIED:
        return "worker died";
    case MONATT_REASON_NO_MEMORY:
        return "no guest memory";
    case MONATT_REASON_UNSUPPORTED:
        return "guest kernel not supported";
    case MONATT_REASON_TORN:
        return "lists still torn after the retries";
    case MONATT_REASON_BUDGET:
        return "out of steps or time";
    case MONATT_REASON_STALLED:
        return "guest did not run between scans";
    case MONATT_REASON_PAUSED:
        return "guest is paused";
    default:
        return "unknown reason";
    }
}

const char *monatt_sub_check_name(uint16_t sub_check)
{
    static const char *const names[] = {
        [MONATT_SUBCHECK_HIDDEN_TASK] = "hidden-tasks",
        [MONATT_SUBCHECK_KERNEL_ORIGIN] = "kernel-origin",
        [MONATT_SUBCHECK_KERNEL_TEXT] = "kernel-text",
        [MONATT_SUBCHECK_KERNEL_RODATA] = "kernel-rodata",
        [MONATT_SUBCHECK_MODULES] = "modules",
        [MONATT_SUBCHECK_MODULE_TEXT] = "module-text",
        [MONATT_SUBCHECK_EXECUTABLE_PAGES] = "executable-pages",
        [MONATT_SUBCHECK_INTERRUPT_TABLE] = "interrupt-table",
        [MONATT_SUBCHECK_CONTROL_REGISTERS] = "control-registers",
        [MONATT_SUBCHECK_FUNCTION_POINTERS] = "function-pointers",
        [MONATT_SUBCHECK_STRINGS] = "strings",
        [MONATT_SUBCHECK_CREDENTIALS] = "credentials",
        [MONATT_SUBCHECK_VDSO] = "vdso",
        [MONATT_SUBCHECK_BPF] = "bpf",
        [MONATT_SUBCHECK_KPROBES] = "kprobes",
        [MONATT_SUBCHECK_FTRACE] = "ftrace",
        [MONATT_SUBCHECK_NETFILTER] = "netfilter",
        [MONATT_SUBCHECK_SOCKETS] = "sockets",
        [MONATT_SUBCHECK_PROGRAMS] = "programs",
        [MONATT_SUBCHECK_TASKS] = "tasks",
    };
    const char *name = sub_check < MONATT_ARRAY_SIZE(names) ? names[sub_check] : NULL;
    return name ? name : "unknown-check";
}
