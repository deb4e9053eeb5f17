/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure-checks.c - the checks of a guest's kernel: what they compare with, and their records
 *
 * Must never record less than the worker said, nor compare with a kernel that is not the one of
 * MR20.
 */
#include "host-collector/measure-checks.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host-collector/measure.h"
#include "host-collector/sources/introspection/checks/register-findings.h"
#include "libmonatt/base/log.h"

#define CHECKS_DEADLINE_MS 3000
#define KERNEL_MAXIMUM (64u << 20) /* as much as a worker takes */
/* Every check but the hidden tasks, which have records of their own. */
#define CHECKS_WANTED (UINT64_MAX & ~(1ull << MONATT_SUBCHECK_HIDDEN_TASK))

/* Is it the kernel that startup-integrity speaks of? */
static bool is_measured(Vm *vm, int fd, uint64_t size, MonattError *err)
{
    g_autofree MonattBootItemPayload *items =
        g_new(MonattBootItemPayload, MONATT_BOOT_ITEMS_MAXIMUM);
    uint8_t digest[MONATT_SHA256_SIZE];
    unsigned length = 0;
    size_t count;
    if (size < 1 || size > KERNEL_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "kernel: %llu bytes",
                                (unsigned long long)size);
    }
    if (!monatt_device_boot_items(vm->control, items, &count, err)) {
        return false;
    }
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0); /* sealed: it stays so long */
    if (bytes == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "kernel: map");
    }
    bool hashed = EVP_Digest(bytes, size, digest, &length, EVP_sha256(), NULL) == 1;
    munmap(bytes, size);
    for (size_t i = 0; hashed && i < count; i++) {
        if (items[i].kind == MONATT_BOOT_KERNEL && items[i].size == size &&
            monatt_bytes_equal(items[i].sha256, digest, sizeof(digest))) {
            return true;
        }
    }
    return monatt_error_set(err, MONATT_ERROR_REFUSED, "kernel: it is not the one of MR%d",
                            MONATT_MR_BOOT);
}

/* Once a worker: it keeps its copy.  Without one the checks say so themselves. */
static bool give_kernel(Vm *vm, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t size;
    MonattError why = {0};
    if (vm->kernel_given) {
        return true;
    }
    bool there =
        monatt_device_kernel(vm->control, &fd, &size, &why) && is_measured(vm, fd, size, &why);
    if (!there && why.code != MONATT_ERROR_MISSING) {
        monatt_log_warning("VM '%.64s': %s: the guest's code is compared with no file",
                           vm->status.name, why.message);
    }
    const MonattWorkerInputs inputs = {.set_image = true, .image_fd = there ? fd : -1};
    vm->kernel_given = monatt_worker_inputs(vm->worker, &inputs, err);
    return vm->kernel_given;
}

/* Each time: registers are of an instant. */
static bool give_registers(Vm *vm, MonattError *err)
{
    g_autofree MonattVcpuRegisters *vcpus = g_new(MonattVcpuRegisters, MONATT_VCPUS_MAXIMUM);
    size_t count = 0;
    MonattError why = {0};
    if (!monatt_device_vcpu_registers(vm->control, vcpus, &count, &why)) {
        monatt_log_debug("VM '%.64s': %s", vm->status.name, why.message);
        count = 0;
    }
    const MonattWorkerInputs inputs = {.set_vcpus = true, .vcpus = vcpus, .vcpu_count = count};
    return monatt_worker_inputs(vm->worker, &inputs, err);
}

/* What was found in registers is looked for in others: each measurement takes its time. */
static bool confirm(Vm *vm, const MonattCheckRequest *request, MonattCheckReport *report,
                    MonattError *err)
{
    for (int i = 1; i < REGISTER_READINGS && !request->snapshot; i++) {
        const MonattCheckRequest more = {.deadline_ms = request->deadline_ms,
                                         .checks = register_findings(&report->report)};
        MonattCheckReport *again = NULL;
        if (more.checks == 0) {
            break;
        }
        if (!give_registers(vm, err) || !monatt_worker_checks(vm->worker, &more, &again, err)) {
            return false;
        }
        register_findings_confirm(&report->report, &again->report);
        monatt_check_report_free(again);
    }
    return true;
}

static bool look(Vm *vm, const MonattCheckRequest *request, MonattCheckReport **ret_report,
                 MonattError *err)
{
    if (!measure_need_worker(vm, err) || !give_kernel(vm, err) || !give_registers(vm, err) ||
        !monatt_worker_checks(vm->worker, request, ret_report, err)) {
        return false;
    }
    if (!confirm(vm, request, *ret_report, err)) {
        monatt_check_report_free(*ret_report);
        *ret_report = NULL;
        return false;
    }
    return true;
}

bool measure_look_at_checks(Vm *vm, const MonattCheckRequest *request,
                            MonattCheckReport **ret_report, MonattError *err)
{
    MonattError why = {0};
    if (look(vm, request, ret_report, &why)) {
        return true;
    }
    if (why.code == MONATT_ERROR_PEER) {
        /* It may have been killed by mistake; two are not. */
        monatt_log_warning("VM '%.64s': %s; a new worker is started", vm->status.name, why.message);
        return look(vm, request, ret_report, err);
    }
    if (err) {
        *err = why;
    }
    return false;
}

static void encode_summary(MonattWriter *w, const void *payload)
{
    monatt_check_summary_encode(w, payload);
}

static void encode_finding(MonattWriter *w, const void *payload)
{
    monatt_check_finding_encode(w, payload);
}

static bool record_summary(Vm *vm, const MonattCheckSummaryPayload *summary, uint64_t t0,
                           uint64_t t1, MonattError *err)
{
    bool whole = summary->reason == MONATT_REASON_NONE;
    const VmRecord record = {
        .index = MONATT_MR_INTROSPECTION,
        .type = MONATT_RECORD_CHECK_SUMMARY,
        .source = VM_SOURCE_INTROSPECTION,
        .t0_ns = t0,
        .t1_ns = t1,
        .flags = (whole ? 0 : MONATT_RECORD_PARTIAL) |
                 (summary->reason == MONATT_REASON_TORN ? MONATT_RECORD_TORN : 0),
        .coverage_ppm = whole ? MONATT_COVERAGE_WHOLE : 0,
        .encode = encode_summary,
        .payload = summary,
    };
    return vm_record(vm, &record, err);
}

static uint32_t degraded_of(const CheckReport *report, uint16_t check)
{
    uint32_t count = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        count +=
            report->findings[i].check == check && report->findings[i].severity == CHECK_DEGRADED;
    }
    return count;
}

static bool record_result(Vm *vm, const CheckReport *report, const CheckResult *result,
                          MonattError *err)
{
    uint32_t degraded = degraded_of(report, result->check);
    MonattCheckSummaryPayload summary = {
        .check = result->check,
        .reason = result->reason,
        .passes = result->passes,
        .findings = MAX(result->findings, degraded),
        .degraded = degraded,
        .unsettled = result->unsettled,
        .counter_count = result->counter_count,
        .has_digest = result->has_digest,
    };
    for (uint8_t i = 0; i < result->counter_count; i++) {
        g_strlcpy(summary.counters[i].name, result->counters[i].name,
                  sizeof(summary.counters[i].name));
        summary.counters[i].value = result->counters[i].value;
    }
    memcpy(summary.digest, result->digest, sizeof(summary.digest));
    g_strlcpy(summary.text, result->text, sizeof(summary.text));
    return record_summary(vm, &summary, report->t0_ns, report->t1_ns, err);
}

static bool record_finding(Vm *vm, const CheckReport *report, const CheckFinding *finding,
                           MonattError *err)
{
    const VmRecord record = {
        .index = MONATT_MR_INTROSPECTION,
        .type = MONATT_RECORD_CHECK_FINDING,
        .source = VM_SOURCE_INTROSPECTION,
        .t0_ns = report->t0_ns,
        .t1_ns = report->t1_ns,
        .coverage_ppm = MONATT_COVERAGE_WHOLE,
        .encode = encode_finding,
        .payload = finding,
    };
    if (!vm_record(vm, &record, err)) {
        return false;
    }
    vm->ledger.findings += finding->severity == CHECK_COMPROMISED; /* as the device counts them */
    return true;
}

static bool record_report(Vm *vm, const CheckReport *report, MonattError *err)
{
    for (size_t i = 0; i < report->result_count; i++) {
        if (!record_result(vm, report, &report->results[i], err)) {
            return false;
        }
    }
    for (size_t i = 0; i < report->finding_count; i++) {
        if (!record_finding(vm, report, &report->findings[i], err)) {
            return false;
        }
    }
    return true;
}

/* No look is a record too, of each check, so that its absence is signed. */
static bool record_failure(Vm *vm, const MonattError *why, uint64_t t0, MonattError *err)
{
    MonattCheckSummaryPayload summary = {.reason = why->code == MONATT_ERROR_MISSING
                                                       ? MONATT_REASON_NO_MEMORY
                                                       : MONATT_REASON_WORKER_DIED};
    g_strlcpy(summary.text, why->message, sizeof(summary.text));
    monatt_log_warning("VM '%.64s': no check of its kernel: %s", vm->status.name, why->message);
    for (uint16_t check = MONATT_SUBCHECK_HIDDEN_TASK + 1;
         monatt_check_by_name(monatt_check_name(check)) == check; check++) {
        summary.check = check;
        if (!record_summary(vm, &summary, t0, vm_now_ns(), err)) {
            return false;
        }
    }
    return true;
}

bool measure_checks(Vm *vm, const MonattError *unable, MonattError *err)
{
    static const MonattCheckRequest request = {.deadline_ms = CHECKS_DEADLINE_MS,
                                               .checks = CHECKS_WANTED};
    MonattCheckReport *report = NULL;
    MonattError why = {0};
    uint64_t t0 = vm_now_ns();
    if (unable) {
        return record_failure(vm, unable, t0, err);
    }
    if (!measure_look_at_checks(vm, &request, &report, &why)) {
        return record_failure(vm, &why, t0, err);
    }
    bool good = record_report(vm, &report->report, err);
    monatt_check_report_free(report);
    return good;
}
