/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.c - connection, thread and boot of one VM
 *
 * The device is believed about registers and log; nothing the guest wrote is parsed here.  What
 * this process knows of a boot is read again from the log whenever a doubt is possible.
 */
#include "host-collector/vm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/measure.h"
#include "libmonatt/base/log.h"
#include "libmonatt/evidence/evidence.h"

#define TICK_MS 1000
#define CALL_TIMEOUT_MS 10000
#define THREAD_TAKE_US (50 * 1000)

uint64_t vm_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t vm_since_start_ns(const Vm *vm, uint64_t boottime_ns)
{
    uint64_t start = vm->status.start_boottime_ns;
    return boottime_ns > start ? boottime_ns - start : 0;
}

GBytes *vm_read_log(int log_fd, uint64_t bytes, MonattError *err)
{
    if (bytes > MONATT_EVENT_LOG_MAXIMUM) {
        monatt_error_set(err, MONATT_ERROR_LIMIT,
                         "event log: %llu bytes are more than evidence "
                         "can carry",
                         (unsigned long long)bytes);
        monatt_error_hint(err, "ask again once the device has cut it; else restart the VM");
        return NULL;
    }
    uint8_t *buffer = g_malloc(bytes + 1);
    uint64_t at = 0;
    while (at < bytes) {
        ssize_t got = pread(log_fd, buffer + at, bytes - at, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            monatt_error_set(err, MONATT_ERROR_BUSY, "event log: %llu of %llu bytes are there",
                             (unsigned long long)at, (unsigned long long)bytes);
            g_free(buffer);
            return NULL;
        }
        at += (uint64_t)got;
    }
    return g_bytes_new_take(buffer, bytes);
}

static bool read_ledger(Vm *vm, MonattError *err)
{
    int fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t bytes;
    uint64_t records;
    if (!monatt_device_log(vm->control, &fd, &bytes, &records, err)) {
        return false;
    }
    GBytes *log = vm_read_log(fd, bytes, err);
    if (!log) {
        return false;
    }
    gsize size;
    const void *data = g_bytes_get_data(log, &size);
    vm->ledger_good = ledger_scan(&vm->ledger, data, size, err);
    g_bytes_unref(log);
    return vm->ledger_good;
}

static void forget_boot(Vm *vm)
{
    vm->ledger_good = false;
    vm->boot_recorded = false;
    vm->marked = false;
    memset(&vm->sums, 0, sizeof(vm->sums));
    monatt_worker_free(vm->worker);
    vm->worker = NULL;
}

/* With the VM taken: status of now, ledger of this boot, boot items recorded. */
static bool refresh(Vm *vm, MonattError *err)
{
    MonattDeviceStatus status;
    if (!monatt_device_status(vm->control, &status, err)) {
        return false;
    }
    bool same =
        monatt_bytes_equal(status.boot_seed, vm->status.boot_seed, sizeof(status.boot_seed));
    vm->status = status;
    g_mutex_lock(&vm->lock);
    vm->seen = status;
    g_mutex_unlock(&vm->lock);
    if (!same) {
        forget_boot(vm);
    }
    if (status.fault != MONATT_FAULT_NONE || status.reset_pending) {
        return true; /* vm_take() says it; nothing can be recorded now */
    }
    if (!vm->ledger_good) {
        if (!read_ledger(vm, err)) {
            return false;
        }
        measure_plugin_begin(vm, vm->had_boot && !same);
        vm->had_boot = true;
    }
    return measure_boot(vm, err);
}

static bool take(Vm *vm, int64_t deadline_us, MonattError *err)
{
    bool taken = false;
    g_mutex_lock(&vm->lock);
    while (!vm->gone && !vm->stopping && vm->taken &&
           g_cond_wait_until(&vm->changed, &vm->lock, deadline_us)) {
    }
    if (vm->gone || vm->stopping) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "VM '%.64s': its device is gone",
                         vm->seen.name);
        monatt_error_hint(err, "restart the VM");
    } else if (vm->taken) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "VM '%.64s': another measurement still runs",
                         vm->seen.name);
        monatt_error_hint(err, "ask again in a few seconds");
    } else {
        taken = vm->taken = true;
    }
    g_mutex_unlock(&vm->lock);
    return taken;
}

void vm_release(Vm *vm)
{
    g_mutex_lock(&vm->lock);
    vm->taken = false;
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
}

static bool check_fault(Vm *vm, MonattError *err)
{
    static const char *const texts[] = {
        [MONATT_FAULT_TPM_GONE] = "its swtpm died or does not answer",
        [MONATT_FAULT_TPM_DIFFERS] = "device and swtpm disagree about a register",
        [MONATT_FAULT_LOG_WRITE] = "its event log cannot be written",
        [MONATT_FAULT_WIRE] = "the connection to QEMU was dropped",
        [MONATT_FAULT_RESTORED] = "the VM was put into a saved state, of which it knows nothing",
        [MONATT_FAULT_RECOVERY] = "its event log and what it measured do not fit together",
    };
    uint32_t fault = vm->status.fault;
    if (fault != MONATT_FAULT_NONE) {
        monatt_error_set(err, MONATT_ERROR_FAULT, "VM '%.64s': device fault: %s", vm->status.name,
                         fault < MONATT_ARRAY_SIZE(texts) ? texts[fault] : "unknown");
        return monatt_error_hint(err, fault == MONATT_FAULT_LOG_WRITE
                                          ? "free some space in the state folder"
                                          : "reset or restart the VM");
    }
    if (vm->status.reset_pending) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "VM '%.64s': is being reset", vm->status.name);
        return monatt_error_hint(err, "ask again in a few seconds");
    }
    return true;
}

bool vm_take(Vm *vm, int64_t deadline_us, MonattError *err)
{
    if (!take(vm, deadline_us, err)) {
        return false;
    }
    if (!refresh(vm, err) || !check_fault(vm, err)) {
        vm_release(vm);
        return false;
    }
    return true;
}

bool vm_record(Vm *vm, const VmRecord *record, MonattError *err)
{
    uint8_t bytes[MONATT_CONTENT_MAXIMUM];
    MonattWriter w;
    size_t size;
    uint64_t number;
    MonattRecord header = {
        .type = record->type,
        .version = MONATT_RECORD_VERSION,
        .reset_count = vm->status.boot_count,
        .sequence = vm->ledger.sequences[record->index],
        .t0_ns = vm_since_start_ns(vm, record->t0_ns),
        .t1_ns = vm_since_start_ns(vm, record->t1_ns),
        .flags = record->flags | (vm->status.stopped ? MONATT_RECORD_PAUSED : 0),
        .coverage_ppm = record->coverage_ppm,
        .source_id = record->source,
    };
    memcpy(header.vid, vm->vid, sizeof(header.vid));
    monatt_writer_init(&w, bytes, sizeof(bytes));
    monatt_record_begin(&w, &header);
    record->encode(&w, record->payload);
    if (!monatt_record_end(&w, &size, err)) {
        return false;
    }
    if (!monatt_device_extend(vm->control, record->index, bytes, size, &number, err)) {
        vm->ledger_good = vm->boot_recorded =
            false; /* it may or may not be in the log: read that again */
        return false;
    }
    ledger_note(&vm->ledger, record->index, record->type, number, header.t1_ns);
    return true;
}

static bool asks_report(const MonattControlMessage *message)
{
    MonattReader r;
    uint16_t event;
    monatt_reader_init(&r, "event", message->payload, message->payload_size, NULL);
    return message->type == MONATT_CONTROL_EVENT && monatt_reader_u16_be(&r, &event) &&
           event == MONATT_EVENT_REPORT_WANTED;
}

/* True while the device is there. */
static bool read_events(Vm *vm, bool *ret_report)
{
    static const int limit = 64; /* a flood of events is one refresh */
    for (int i = 0; i < limit; i++) {
        struct pollfd wait = {.fd = vm->events, .events = POLLIN};
        MonattControlMessage *message;
        MonattError err = {0};
        bool good;
        if (poll(&wait, 1, 0) <= 0) {
            return true;
        }
        message = g_new(MonattControlMessage, 1); /* 64 KiB: not for a thread's stack */
        good = monatt_control_receive(vm->events, 0, message, &err);
        if (good) {
            *ret_report = *ret_report || asks_report(message);
            monatt_control_message_clear(message);
        }
        g_free(message);
        if (!good) {
            return false;
        }
    }
    return true;
}

static void tick(Vm *vm, MonattLogLimit *limit)
{
    MonattError err = {0};
    unsigned long suppressed;
    if (!take(vm, g_get_monotonic_time() + THREAD_TAKE_US, &err)) {
        return; /* an asker has it, who refreshes it himself */
    }
    bool good = refresh(vm, &err);
    if (good && vm->status.fault == MONATT_FAULT_NONE && !vm->status.reset_pending) {
        good = measure_plugin_drain(vm, false, &err);
    }
    if (!good && monatt_log_allowed(limit, 1, &suppressed)) {
        monatt_log_warning("VM '%.64s': %s", vm->seen.name, err.message);
    }
    vm_release(vm);
}

static void *run(void *data)
{
    Vm *vm = data;
    MonattLogLimit limit = {0};
    bool stopping = false;
    while (!stopping) {
        struct pollfd wait = {.fd = vm->events, .events = POLLIN};
        bool report = false;
        poll(&wait, 1, TICK_MS);
        bool there = read_events(vm, &report);
        g_mutex_lock(&vm->lock);
        vm->gone = vm->gone || !there;
        stopping = vm->stopping || vm->gone;
        g_cond_broadcast(&vm->changed);
        g_mutex_unlock(&vm->lock);
        if (!stopping && report && vm->reporter->answer) {
            vm->reporter->answer(vm->reporter->data, vm);
        }
        if (!stopping) {
            tick(vm, &limit);
        }
    }
    return NULL;
}

static void clear(void *data)
{
    Vm *vm = data;
    monatt_worker_free(vm->worker);
    plugin_source_free(vm->plugin);
    if (vm->control >= 0) {
        close(vm->control);
    }
    if (vm->events >= 0) {
        close(vm->events);
    }
    g_mutex_clear(&vm->lock);
    g_cond_clear(&vm->changed);
    g_free(vm->folder);
}

Vm *vm_ref(Vm *vm)
{
    return g_atomic_rc_box_acquire(vm);
}

void vm_unref(Vm *vm)
{
    g_atomic_rc_box_release_full(vm, clear);
}

static bool connect_device(Vm *vm, MonattError *err)
{
    g_autofree char *path = g_strdup_printf("%s/control.sock", vm->folder);
    MonattControlMessage *answer = g_new(MonattControlMessage, 1);
    bool good = monatt_control_connect(path, &vm->control, err) &&
                monatt_control_connect(path, &vm->events, err) &&
                monatt_control_call(vm->events, MONATT_CONTROL_SUBSCRIBE, NULL, 0, CALL_TIMEOUT_MS,
                                    answer, err);
    if (good) {
        monatt_control_message_clear(answer);
    }
    g_free(answer);
    return good && monatt_device_status(vm->control, &vm->seen, err);
}

Vm *vm_new(const char *folder, const uint8_t vid[MONATT_UUID_SIZE], const char *worker_path,
           const VmReporter *reporter, MonattError *err)
{
    Vm *vm = g_atomic_rc_box_new0(Vm);
    vm->control = vm->events = -1;
    vm->folder = g_strdup(folder);
    vm->worker_path = worker_path;
    vm->reporter = reporter;
    memcpy(vm->vid, vid, sizeof(vm->vid));
    monatt_text_from_uuid(vid, vm->uuid);
    g_mutex_init(&vm->lock);
    g_cond_init(&vm->changed);
    if (!connect_device(vm, err)) {
        vm_unref(vm);
        return NULL;
    }
    if (!monatt_bytes_equal(vm->seen.vid, vid, sizeof(vm->seen.vid))) {
        monatt_error_set(err, MONATT_ERROR_PEER, "VM '%s': its device says another UUID", vm->uuid);
        vm_unref(vm);
        return NULL;
    }
    vm->thread = g_thread_new("vm", run, vm);
    return vm;
}

void vm_stop(Vm *vm)
{
    g_mutex_lock(&vm->lock);
    vm->stopping = true;
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
    if (vm->thread) {
        g_thread_join(vm->thread);
        vm->thread = NULL;
    }
}

bool vm_gone(Vm *vm)
{
    g_mutex_lock(&vm->lock);
    bool gone = vm->gone;
    g_mutex_unlock(&vm->lock);
    return gone;
}

void vm_name(Vm *vm, char *name)
{
    g_mutex_lock(&vm->lock);
    g_strlcpy(name, vm->seen.name, MONATT_NAME_SIZE);
    g_mutex_unlock(&vm->lock);
}
