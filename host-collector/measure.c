/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure.c - boot items, plugin windows and tasks become records
 *
 * Must never drop a finding, a loss or a reason on its way into a register.
 */
#include "host-collector/measure.h"

#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>
#include "host-collector/measure-checks.h"
#include "libmonatt/base/log.h"

#define WORKER_DEADLINE_MS 3000
#define MARK_DEADLINE_MS 1000
#define WORKER_TRIES 2        /* a worker that died may have been killed by mistake; two did not */
#define GUEST_LIST_NONCE_AT 4 /* docs/formats/guest-list.md */
#define SUMS_FLUSH_NS (60ull * 1000000000u)
/* What a summary says it wanted when no worker could be asked. */
#define VIEWS_WANTED                                                                               \
    (MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR) |                    \
     MONATT_VIEW_BIT(MONATT_VIEW_SLAB))

static void encode_boot_item(MonattWriter *w, const void *payload)
{
    monatt_boot_item_encode(w, payload);
}

static void encode_locks(MonattWriter *w, const void *payload)
{
    monatt_locks_encode(w, payload);
}

static void encode_syscalls(MonattWriter *w, const void *payload)
{
    monatt_syscalls_encode(w, payload);
}

static void encode_summary(MonattWriter *w, const void *payload)
{
    monatt_tasks_summary_encode(w, payload);
}

static void encode_finding(MonattWriter *w, const void *payload)
{
    monatt_finding_encode(w, payload);
}

bool measure_boot(Vm *vm, MonattError *err)
{
    if (vm->boot_recorded) {
        return true;
    }
    g_autofree MonattBootItemPayload *items =
        g_new(MonattBootItemPayload, MONATT_BOOT_ITEMS_MAXIMUM);
    size_t count;
    if (!monatt_device_boot_items(vm->control, items, &count, err)) {
        return false;
    }
    /* In the launcher's order, so what a dead collector left out is what is behind its last. */
    while (vm->ledger.boot_items < count) {
        const MonattBootItemPayload *item = &items[vm->ledger.boot_items];
        uint64_t now = vm_now_ns();
        VmRecord record = {
            .index = MONATT_MR_BOOT,
            .type =
                item->kind == MONATT_BOOT_MACHINE ? MONATT_RECORD_MACHINE : MONATT_RECORD_BOOT_ITEM,
            .source = VM_SOURCE_LAUNCHER,
            .t0_ns = vm->status.start_boottime_ns, /* measured before the start */
            .t1_ns = now,
            .coverage_ppm = MONATT_COVERAGE_WHOLE,
            .encode = encode_boot_item,
            .payload = item,
        };
        if (!vm_record(vm, &record, err)) {
            return false;
        }
    }
    vm->boot_recorded = true;
    return true;
}

static bool open_plugin(Vm *vm, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t size;
    if (!monatt_device_ring(vm->control, &fd, &size, err)) {
        return false;
    }
    vm->plugin = plugin_source_new(fd, size, err);
    return vm->plugin != NULL;
}

void measure_plugin_begin(Vm *vm, bool reset_seen)
{
    MonattError err = {0};
    uint64_t from = vm->ledger.plugin_end_ns;
    memset(&vm->sums, 0, sizeof(vm->sums));
    if (!vm->status.plugin || (!vm->plugin && !open_plugin(vm, &err))) {
        return; /* measure_plugin_drain() says it */
    }
    if (from > 0) {
        plugin_source_skip_until(vm->plugin, vm->status.start_boottime_ns + from);
    } else if (reset_seen) {
        /* Windows of the boot before are not this one's. */
        plugin_source_skip_until(vm->plugin, vm_now_ns());
    }
}

/* The most frequent calls of both; a number that has fallen off either list is in total only. */
static void add_syscalls(MonattSyscallsPayload *sum, const MonattSyscallsPayload *more)
{
    sum->vcpus = more->vcpus;
    sum->windows += more->windows;
    sum->window_ns = more->window_ns;
    sum->total += more->total;
    sum->drops += more->drops;
    for (size_t i = 0; i < more->top_count && i < MONATT_SYSCALL_TOP; i++) {
        size_t at = 0;
        while (at < sum->top_count && sum->top[at].number != more->top[i].number) {
            at++;
        }
        if (at < sum->top_count) {
            sum->top[at].count += more->top[i].count;
        } else if (sum->top_count < MONATT_SYSCALL_TOP) {
            sum->top[sum->top_count].number = more->top[i].number;
            sum->top[sum->top_count++].count = more->top[i].count;
        } else if (more->top[i].count > sum->top[at - 1].count) {
            sum->top[at - 1].number = more->top[i].number;
            sum->top[at - 1].count = more->top[i].count;
        }
        /* Keep the list falling: one insertion is enough, it was sorted before. */
        for (size_t k = MIN(at, (size_t)sum->top_count - 1);
             k > 0 && sum->top[k].count > sum->top[k - 1].count; k--) {
            uint16_t number = sum->top[k].number;
            uint64_t count = sum->top[k].count;
            sum->top[k] = sum->top[k - 1];
            sum->top[k - 1].number = number;
            sum->top[k - 1].count = count;
        }
    }
}

static void add_locks(MonattLocksPayload *sum, const MonattLocksPayload *more)
{
    sum->vcpus = more->vcpus;
    sum->windows += more->windows;
    sum->window_ns = more->window_ns;
    sum->lock_total += more->lock_total;
    sum->split_total += more->split_total;
    sum->drops += more->drops;
    for (size_t i = 0; i < MONATT_DENSITY_BINS; i++) {
        unsigned both = (unsigned)sum->density[i] + more->density[i];
        sum->density[i] = (uint16_t)MIN(both, (unsigned)UINT16_MAX);
    }
    memcpy(sum->state, more->state, sizeof(sum->state)); /* of the last 1,000 windows */
}

static bool flush_sums(Vm *vm, MonattError *err)
{
    VmPluginSums *sums = &vm->sums;
    VmRecord record = {
        .index = MONATT_MR_PLUGIN,
        .source = VM_SOURCE_PLUGIN,
        .t0_ns = sums->t0_ns,
        .t1_ns = sums->t1_ns,
        .coverage_ppm = MONATT_COVERAGE_WHOLE,
    };
    if (sums->monitors & MONATT_PLUGIN_MONITOR_LOCKS) {
        record.type = MONATT_RECORD_LOCKS;
        record.flags = sums->locks.drops > 0 ? MONATT_RECORD_DROPPED : 0;
        record.encode = encode_locks;
        record.payload = &sums->locks;
        if (!vm_record(vm, &record, err)) {
            return false;
        }
    }
    if (sums->monitors & MONATT_PLUGIN_MONITOR_SYSCALLS) {
        record.type = MONATT_RECORD_SYSCALLS;
        record.flags = sums->syscalls.drops > 0 ? MONATT_RECORD_DROPPED : 0;
        record.encode = encode_syscalls;
        record.payload = &sums->syscalls;
        if (!vm_record(vm, &record, err)) {
            return false;
        }
    }
    memset(sums, 0, sizeof(*sums));
    return true;
}

bool measure_plugin_drain(Vm *vm, bool flush, MonattError *err)
{
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
    uint64_t t0;
    uint64_t t1;
    MonattError why = {0};
    if (!vm->status.plugin) {
        return true;
    }
    if (!vm->plugin && !open_plugin(vm, err)) {
        return false;
    }
    if (plugin_source_collect(vm->plugin, &locks, &syscalls, &t0, &t1, &why)) {
        VmPluginSums *sums = &vm->sums;
        if (!plugin_source_monitors(vm->plugin, &sums->monitors, err)) {
            return false;
        }
        sums->t0_ns = sums->some ? sums->t0_ns : t0;
        sums->t1_ns = t1;
        sums->some = true;
        add_locks(&sums->locks, &locks);
        add_syscalls(&sums->syscalls, &syscalls);
    } else if (why.code != MONATT_ERROR_BUSY && why.code != MONATT_ERROR_MISSING) {
        if (err) {
            *err = why;
        }
        return false;
    }
    if (vm->sums.some && (flush || vm->sums.t1_ns - vm->sums.t0_ns > SUMS_FLUSH_NS)) {
        return flush_sums(vm, err);
    }
    return true;
}

static bool same_regions(const Vm *vm, const MonattRamRegion *regions, size_t count)
{
    if (count != vm->region_count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (regions[i].guest_physical != vm->regions[i].guest_physical ||
            regions[i].size != vm->regions[i].size || regions[i].offset != vm->regions[i].offset) {
            return false;
        }
    }
    return true;
}

bool measure_need_worker(Vm *vm, MonattError *err)
{
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    int fds[MONATT_RAM_REGIONS_MAXIMUM];
    uint32_t threads[MONATT_VCPUS_MAXIMUM];
    size_t thread_count = 0;
    uint32_t qemu_pid = 0;
    size_t count;
    bool good = true;
    if (!monatt_device_ram(vm->control, regions, fds, &count, err)) {
        return false;
    }
    if (vm->worker && (!monatt_worker_alive(vm->worker) || !same_regions(vm, regions, count))) {
        monatt_worker_free(vm->worker);
        vm->worker = NULL;
        vm->marked = false;
    }
    if (count == 0) {
        good = monatt_error_set(err, MONATT_ERROR_MISSING, "guest RAM: QEMU has shared none");
    } else if (!vm->worker) {
        good = monatt_device_vcpus(vm->control, &qemu_pid, threads, &thread_count, err) &&
               monatt_worker_start(vm->worker_path, regions, fds, count, threads, thread_count,
                                   &vm->worker, err);
        vm->kernel_given = false;
        if (good) {
            memcpy(vm->regions, regions, count * sizeof(*regions));
            vm->region_count = count;
        } else {
            vm->worker = NULL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    return good;
}

void measure_show_nonce(Vm *vm)
{
    MonattError err = {0};
    uint8_t nonce[MONATT_NONCE_SIZE];
    /* Without it the guest's own list cannot be bound to a scan, and is not used. */
    vm->marked = false;
    if (!vm->worker || RAND_bytes(nonce, sizeof(nonce)) != 1 ||
        !monatt_worker_mark(vm->worker, nonce, MARK_DEADLINE_MS, &err) ||
        !monatt_device_set_nonce(vm->control, nonce, &err)) {
        if (err.code != MONATT_ERROR_NONE) {
            monatt_log_debug("VM '%.64s': guest list: %s", vm->status.name, err.message);
        }
        return;
    }
    memcpy(vm->nonce, nonce, sizeof(vm->nonce));
    vm->marked = true;
}

static bool ask_worker(Vm *vm, MonattTaskReport **ret_report, MonattError *err)
{
    int list MONATT_CLEANUP_CLOSE = -1;
    size_t size;
    MonattError none = {0};
    if (!measure_need_worker(vm, err)) {
        return false;
    }
    if (vm->marked && monatt_device_guest_list(vm->control, &list, &size, &none)) {
        /* One that answers an older nonce says nothing about now.  Only compared, never parsed. */
        uint8_t bears[MONATT_NONCE_SIZE];
        if (pread(list, bears, sizeof(bears), GUEST_LIST_NONCE_AT) != (ssize_t)sizeof(bears) ||
            !monatt_bytes_equal(bears, vm->nonce, sizeof(bears))) {
            close(list);
            list = -1;
        }
    } else {
        list = -1; /* this guest has sent none */
    }
    return monatt_worker_tasks(vm->worker, list, list >= 0 ? vm->nonce : NULL, WORKER_DEADLINE_MS,
                               ret_report, err);
}

bool measure_look_at_tasks(Vm *vm, MonattTaskReport **ret_report, MonattError *err)
{
    for (int i = 0; i < WORKER_TRIES; i++) {
        MonattError why = {0};
        if (ask_worker(vm, ret_report, &why)) {
            return true;
        }
        if (i == WORKER_TRIES - 1 || why.code != MONATT_ERROR_PEER) {
            if (err) {
                *err = why;
            }
            return false;
        }
        monatt_log_warning("VM '%.64s': %s; a new worker is started", vm->status.name, why.message);
    }
    return false;
}

static bool record_summary(Vm *vm, const MonattTasksSummaryPayload *summary, uint64_t t0,
                           uint64_t t1, MonattError *err)
{
    unsigned wanted = (unsigned)__builtin_popcount(summary->views_wanted);
    unsigned read = (unsigned)__builtin_popcount(summary->views_wanted & summary->views_read);
    VmRecord record = {
        .index = MONATT_MR_INTROSPECTION,
        .type = MONATT_RECORD_TASKS_SUMMARY,
        .source = VM_SOURCE_INTROSPECTION,
        .t0_ns = t0,
        .t1_ns = t1,
        .flags = (read < wanted ? MONATT_RECORD_PARTIAL : 0) |
                 (summary->reason == MONATT_REASON_TORN ? MONATT_RECORD_TORN : 0),
        .coverage_ppm = wanted > 0 ? MONATT_COVERAGE_WHOLE * read / wanted : 0,
        .encode = encode_summary,
        .payload = summary,
    };
    return vm_record(vm, &record, err);
}

/* No measurement is a record too, so that its absence is signed. */
static bool record_failure(Vm *vm, const MonattError *why, uint64_t t0, MonattError *err)
{
    MonattTasksSummaryPayload summary = {
        .sub_check = MONATT_SUBCHECK_HIDDEN_TASK,
        .views_wanted = VIEWS_WANTED,
        .reason =
            why->code == MONATT_ERROR_MISSING ? MONATT_REASON_NO_MEMORY : MONATT_REASON_WORKER_DIED,
    };
    g_strlcpy(summary.text, why->message, sizeof(summary.text));
    monatt_log_warning("VM '%.64s': no task measurement: %s", vm->status.name, why->message);
    return record_summary(vm, &summary, t0, vm_now_ns(), err);
}

static bool record_report(Vm *vm, const MonattTaskReport *report, MonattError *err)
{
    if (!record_summary(vm, &report->summary, report->t0_ns, report->t1_ns, err)) {
        return false;
    }
    for (size_t i = 0; i < report->finding_count; i++) {
        VmRecord record = {
            .index = MONATT_MR_INTROSPECTION,
            .type = MONATT_RECORD_FINDING,
            .source = VM_SOURCE_INTROSPECTION,
            .t0_ns = report->t0_ns,
            .t1_ns = report->t1_ns,
            .coverage_ppm = MONATT_COVERAGE_WHOLE,
            .encode = encode_finding,
            .payload = &report->findings[i],
        };
        if (!vm_record(vm, &record, err)) {
            return false;
        }
    }
    return true;
}

bool measure_tasks(Vm *vm, MonattError *err)
{
    MonattTaskReport *report = NULL;
    MonattError why = {0};
    uint64_t t0 = vm_now_ns();
    if (!measure_look_at_tasks(vm, &report, &why)) {
        if (why.code == MONATT_ERROR_SYSTEM) {
            /* No worker could be started: the host's fault, said as such and not as the guest's. */
            monatt_error_prefix(&why, "worker: ");
        }
        return record_failure(vm, &why, t0, err) && measure_checks(vm, &why, err);
    }
    bool good = record_report(vm, report, err);
    monatt_task_report_free(report);
    good = good && measure_checks(vm, NULL, err);
    measure_show_nonce(vm);
    return good;
}
