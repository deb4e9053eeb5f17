/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin-source.c - reads the plugin's rings and adds their windows up
 *
 * Must never let the ring size an allocation or bound a loop: both are bounded by the ring's
 * constant geometry.  What was refused once stays refused, because the other side is then not
 * ours any more.
 */
#include "plugin-source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
/* Linux has under 500 system calls; a guest that makes more different ones gets the rest folded
 * into "unknown". */
#define CALLS_MAXIMUM 1024
#define STATE_WINDOWS (MONATT_STATE_BYTES * 8)
/* The ring is read a moment after the clock; a record from further ahead is a lie. */
#define AHEAD_MAXIMUM_NS (10 * NS_PER_S)

typedef struct Vcpu {
    MonattPluginCursor cursor;
    uint64_t lost_seen;
    uint64_t window; /* of the record read last */
    bool held;       /* record belongs to a window that had not closed */
    MonattPluginRecord record;
} Vcpu;

typedef struct SplitWindow {
    uint64_t window;
    uint64_t splits;
} SplitWindow;

struct PluginSource {
    MonattPluginRing ring;
    bool refused;
    MonattError refusal;
    uint64_t epoch_ns, window_ns; /* 0: no plugin seen yet */
    uint64_t next_window;         /* first window of the next call */
    uint64_t skip_ns, skip_window;
    uint64_t unplaced_seen;
    uint8_t state[MONATT_STATE_BYTES]; /* of the 1,000 windows before next_window */
    Vcpu *vcpus;
    SplitWindow *split_windows; /* of this call */
    size_t split_count, split_capacity;
    size_t call_count;
    struct {
        uint16_t number;
        uint64_t count;
    } calls[CALLS_MAXIMUM]; /* of this call, by number */
};

PluginSource *plugin_source_new(int ring_fd, uint64_t size, MonattError *err)
{
    PluginSource *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        monatt_error_set_errno(err, ENOMEM, "plugin source");
        return NULL;
    }
    if (!monatt_plugin_ring_map(ring_fd, false, &source->ring, err)) {
        plugin_source_free(source);
        return NULL;
    }
    if (source->ring.size != size) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "plugin ring: %zu bytes: the device said %llu",
                         source->ring.size, (unsigned long long)size);
        plugin_source_free(source);
        return NULL;
    }
    source->vcpus = calloc(source->ring.vcpus, sizeof(*source->vcpus));
    if (source->vcpus == NULL) {
        monatt_error_set_errno(err, ENOMEM, "plugin source of %u vCPUs", source->ring.vcpus);
        plugin_source_free(source);
        return NULL;
    }
    return source;
}

void plugin_source_free(PluginSource *source)
{
    if (source == NULL) {
        return;
    }
    monatt_plugin_ring_unmap(&source->ring);
    free(source->vcpus);
    free(source->split_windows);
    free(source);
}

static bool refuse(PluginSource *source, const MonattError *why, MonattError *err)
{
    source->refused = true;
    source->refusal = *why;
    if (err != NULL) {
        *err = *why;
    }
    return false;
}

/* Reads what the plugin says of itself; epoch and window length may be said once only. */
static bool status_of(PluginSource *source, MonattPluginRingStatus *ret_status, MonattError *err)
{
    MonattError why = {0};
    MonattPluginRingStatus status;
    if (source->refused) {
        return refuse(source, &source->refusal, err);
    }
    if (!monatt_plugin_ring_status(&source->ring, &status, &why)) {
        return refuse(source, &why, err);
    }
    if (status.state == MONATT_PLUGIN_ABSENT) {
        if (source->window_ns == 0) {
            return monatt_error_set(err, MONATT_ERROR_MISSING,
                                    "plugin ring: no plugin has opened it yet");
        }
        monatt_error_set(&why, MONATT_ERROR_FORMAT, "plugin ring: says that no plugin was there");
        return refuse(source, &why, err);
    }
    if (source->window_ns == 0) {
        source->window_ns = status.window_ns;
        source->epoch_ns = status.epoch_ns;
    }
    if (source->window_ns != status.window_ns || source->epoch_ns != status.epoch_ns ||
        status.unplaced < source->unplaced_seen) {
        monatt_error_set(&why, MONATT_ERROR_FORMAT,
                         "plugin ring: epoch, window or loss changed while the VM ran");
        return refuse(source, &why, err);
    }
    *ret_status = status;
    return true;
}

bool plugin_source_monitors(PluginSource *source, uint32_t *ret_monitors, MonattError *err)
{
    MonattPluginRingStatus status;
    if (!status_of(source, &status, err)) {
        return false;
    }
    *ret_monitors = status.monitors;
    return true;
}

void plugin_source_skip_until(PluginSource *source, uint64_t boottime_ns)
{
    if (boottime_ns > source->skip_ns) {
        source->skip_ns = boottime_ns;
    }
}

static void count_call(PluginSource *source, uint16_t number, uint64_t count)
{
    size_t low = 0, high = source->call_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (source->calls[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < source->call_count && source->calls[low].number == number) {
        source->calls[low].count += count;
        return;
    }
    /* The last place is kept for the unknown ones. */
    if (number != MONATT_PLUGIN_SYSCALL_UNKNOWN && source->call_count >= CALLS_MAXIMUM - 1) {
        count_call(source, MONATT_PLUGIN_SYSCALL_UNKNOWN, count);
        return;
    }
    memmove(&source->calls[low + 1], &source->calls[low],
            (source->call_count - low) * sizeof(source->calls[0]));
    source->calls[low].number = number;
    source->calls[low].count = count;
    source->call_count++;
}

static bool note_split(PluginSource *source, uint64_t window, uint64_t splits, MonattError *err)
{
    if (source->split_count == source->split_capacity) {
        /* At most one entry a record read: vcpus * capacity of the ring. */
        size_t capacity = source->split_capacity == 0 ? 256 : source->split_capacity * 2;
        SplitWindow *grown = realloc(source->split_windows, capacity * sizeof(*grown));
        if (grown == NULL) {
            return monatt_error_set_errno(err, ENOMEM, "plugin source: %zu windows", capacity);
        }
        source->split_windows = grown;
        source->split_capacity = capacity;
    }
    source->split_windows[source->split_count++] = (SplitWindow){window, splits};
    return true;
}

static bool add_record(PluginSource *source, const MonattPluginRecord *record,
                       MonattLocksPayload *locks, MonattSyscallsPayload *syscalls, MonattError *err)
{
    uint64_t named = 0;
    if (record->window < source->skip_window) {
        return true;
    }
    locks->lock_total += record->locks;
    locks->split_total += record->splits;
    syscalls->total += record->syscalls;
    for (size_t i = 0; i < record->pair_count; i++) {
        count_call(source, record->pairs[i].number, record->pairs[i].count);
        named += record->pairs[i].count;
    }
    if (record->syscalls > named) {
        count_call(source, MONATT_PLUGIN_SYSCALL_UNKNOWN, record->syscalls - named);
    }
    return record->splits == 0 || note_split(source, record->window, record->splits, err);
}

/* Adds the records of one vCPU whose windows are over, i.e. before window end. */
static bool read_vcpu(PluginSource *source, uint32_t index, uint64_t end, MonattLocksPayload *locks,
                      MonattSyscallsPayload *syscalls, uint64_t *drops, MonattError *err)
{
    Vcpu *vcpu = &source->vcpus[index];
    uint64_t latest = end + AHEAD_MAXIMUM_NS / source->window_ns + 1;
    for (uint32_t i = 0; i < source->ring.capacity; i++) {
        if (!vcpu->held) {
            bool some = false;
            bool good = monatt_plugin_ring_next(&source->ring, index, &vcpu->cursor, &vcpu->record,
                                                &some, err);
            uint64_t lost = vcpu->cursor.lost - vcpu->lost_seen;
            vcpu->lost_seen = vcpu->cursor.lost;
            /* Records before one that is to be skipped were to be skipped, too. */
            if (!(good && some && vcpu->record.window <= source->skip_window)) {
                *drops += lost;
            }
            if (!good || !some) {
                return good;
            }
            if (vcpu->record.window < vcpu->window || vcpu->record.window > latest) {
                return monatt_error_set(
                    err, MONATT_ERROR_FORMAT, "plugin ring: vCPU %u: window %llu after %llu", index,
                    (unsigned long long)vcpu->record.window, (unsigned long long)vcpu->window);
            }
            vcpu->window = vcpu->record.window;
            vcpu->held = true;
        }
        if (vcpu->record.window >= end) {
            return true;
        }
        vcpu->held = false;
        if (!add_record(source, &vcpu->record, locks, syscalls, err)) {
            return false;
        }
    }
    return true; /* what is left, a ring full of records, is late in the next call */
}

static int by_window(const void *a, const void *b)
{
    uint64_t x = ((const SplitWindow *)a)->window, y = ((const SplitWindow *)b)->window;
    return (x > y) - (x < y);
}

static size_t density_bin(uint64_t splits)
{
    size_t bin = splits == 0 ? 0 : 64 - (size_t)__builtin_clzll(splits);
    return bin < MONATT_DENSITY_BINS ? bin : MONATT_DENSITY_BINS - 1;
}

static void density_add(uint16_t *bin, uint64_t count)
{
    *bin = count > (uint64_t)UINT16_MAX - *bin ? UINT16_MAX : (uint16_t)(*bin + count);
}

/* Moves the state bits on to the 1,000 windows before end. */
static void shift_state(PluginSource *source, uint64_t windows)
{
    uint8_t shifted[MONATT_STATE_BYTES] = {0};
    for (uint64_t w = windows; w < STATE_WINDOWS; w++) {
        if ((source->state[w / 8] >> (w % 8) & 1) != 0) {
            uint64_t to = w - windows;
            shifted[to / 8] |= (uint8_t)(1u << (to % 8));
        }
    }
    memcpy(source->state, shifted, sizeof(shifted));
}

/* Density and state from the windows with split locks; vCPUs of one window are added. */
static void fill_density(PluginSource *source, uint64_t end, MonattLocksPayload *locks)
{
    uint64_t busy = 0;
    if (source->split_count > 1) {
        qsort(source->split_windows, source->split_count, sizeof(SplitWindow), by_window);
    }
    for (size_t i = 0; i < source->split_count;) {
        uint64_t window = source->split_windows[i].window, splits = 0;
        for (; i < source->split_count && source->split_windows[i].window == window; i++) {
            splits += source->split_windows[i].splits;
        }
        density_add(&locks->density[density_bin(splits)], 1);
        busy += window >= source->next_window;
        if (end - window <= STATE_WINDOWS) {
            uint64_t bit = STATE_WINDOWS - (end - window);
            source->state[bit / 8] |= (uint8_t)(1u << (bit % 8));
        }
    }
    density_add(&locks->density[0], locks->windows - busy);
    memcpy(locks->state, source->state, sizeof(locks->state));
}

static void fill_top(PluginSource *source, MonattSyscallsPayload *syscalls)
{
    for (size_t n = 0; n < MONATT_SYSCALL_TOP && n < source->call_count; n++) {
        size_t best = n;
        for (size_t i = n + 1; i < source->call_count; i++) {
            if (source->calls[i].count > source->calls[best].count ||
                (source->calls[i].count == source->calls[best].count &&
                 source->calls[i].number < source->calls[best].number)) {
                best = i;
            }
        }
        syscalls->top[n].number = source->calls[best].number;
        syscalls->top[n].count = source->calls[best].count;
        source->calls[best] = source->calls[n];
        syscalls->top_count++;
    }
}

bool plugin_source_collect_at(PluginSource *source, uint64_t now_ns, MonattLocksPayload *ret_locks,
                              MonattSyscallsPayload *ret_syscalls, uint64_t *ret_t0,
                              uint64_t *ret_t1, MonattError *err)
{
    MonattPluginRingStatus status;
    MonattLocksPayload locks = {0};
    MonattSyscallsPayload syscalls = {0};
    MonattError why = {0};
    uint64_t drops = 0;
    if (!status_of(source, &status, err)) {
        return false;
    }
    if (source->epoch_ns > now_ns) {
        monatt_error_set(&why, MONATT_ERROR_FORMAT, "plugin ring: began in the future");
        return refuse(source, &why, err);
    }
    uint64_t end = (now_ns - source->epoch_ns) / source->window_ns;
    if (source->skip_ns > source->epoch_ns) {
        uint64_t skip = (source->skip_ns - source->epoch_ns) / source->window_ns;
        source->skip_window = skip < end ? skip : end;
    }
    if (source->skip_window > source->next_window) {
        shift_state(source, source->skip_window - source->next_window);
        source->next_window = source->skip_window;
    }
    if (end <= source->next_window) {
        return monatt_error_set(err, MONATT_ERROR_BUSY,
                                "plugin ring: no window has closed since the last reading");
    }
    source->split_count = 0;
    source->call_count = 0;
    for (uint32_t i = 0; i < source->ring.vcpus; i++) {
        if (!read_vcpu(source, i, end, &locks, &syscalls, &drops, &why)) {
            return refuse(source, &why, err);
        }
    }
    drops += status.unplaced - source->unplaced_seen;
    source->unplaced_seen = status.unplaced;
    locks.vcpus = syscalls.vcpus = source->ring.vcpus;
    locks.windows = syscalls.windows = end - source->next_window;
    locks.window_ns = syscalls.window_ns = source->window_ns;
    locks.drops = syscalls.drops = drops;
    shift_state(source, locks.windows);
    fill_density(source, end, &locks);
    fill_top(source, &syscalls);
    *ret_t0 = source->epoch_ns + source->next_window * source->window_ns;
    *ret_t1 = source->epoch_ns + end * source->window_ns;
    source->next_window = end;
    *ret_locks = locks;
    *ret_syscalls = syscalls;
    return true;
}

bool plugin_source_collect(PluginSource *source, MonattLocksPayload *ret_locks,
                           MonattSyscallsPayload *ret_syscalls, uint64_t *ret_t0, uint64_t *ret_t1,
                           MonattError *err)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return plugin_source_collect_at(source, (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec,
                                    ret_locks, ret_syscalls, ret_t0, ret_t1, err);
}
