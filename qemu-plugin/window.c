/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window.c - counts in private memory and writes one record when a window is over
 *
 * Must never block, allocate or lock: each event is a clock read, a comparison and an addition;
 * the division is only made when a window begins.
 */
#include "window.h"

#include <string.h>
#include <time.h>

void window_init(Window *window, const MonattPluginRing *ring, uint32_t vcpu, uint64_t epoch_ns,
                 uint64_t length_ns)
{
    memset(window, 0, sizeof(*window));
    monatt_plugin_producer_init(&window->producer, ring, vcpu);
    window->epoch_ns = epoch_ns;
    window->length_ns = length_ns;
    window->end_ns = epoch_ns + length_ns;
    window->record.kind = MONATT_PLUGIN_RECORD_WINDOW;
}

uint64_t window_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Hands over what was counted, if anything was. */
static void write_out(Window *window)
{
    MonattPluginRecord *record = &window->record;
    if (record->locks == 0 && record->syscalls == 0) {
        return;
    }
    monatt_plugin_producer_write(&window->producer, record);
    window->written++;
    record->locks = 0;
    record->splits = 0;
    record->syscalls = 0;
    record->flags = 0;
    record->pair_count = 0;
}

/* Closes the open window when now_ns is past it.  Time before it (a clock that went back) counts
 * for the open window: numbers of one vCPU never fall. */
static void advance(Window *window, uint64_t now_ns)
{
    if (__builtin_expect(now_ns < window->end_ns, 1)) {
        return;
    }
    write_out(window);
    window->record.window = (now_ns - window->epoch_ns) / window->length_ns;
    window->end_ns = window->epoch_ns + (window->record.window + 1) * window->length_ns;
    window->written = 0;
}

void window_lock(Window *window, uint64_t now_ns, bool split)
{
    advance(window, now_ns);
    window->record.locks++;
    window->record.splits += split;
}

/* True when the number has been counted under its name. */
static bool count_pair(MonattPluginRecord *record, uint16_t number)
{
    for (size_t i = 0; i < record->pair_count; i++) {
        if (record->pairs[i].number == number) {
            if (record->pairs[i].count == UINT16_MAX) {
                return false;
            }
            record->pairs[i].count++;
            return true;
        }
    }
    if (record->pair_count == MONATT_PLUGIN_RING_PAIRS) {
        return false;
    }
    record->pairs[record->pair_count].number = number;
    record->pairs[record->pair_count].count = 1;
    record->pair_count++;
    return true;
}

void window_syscall(Window *window, uint64_t now_ns, uint16_t number)
{
    MonattPluginRecord *record = &window->record;
    advance(window, now_ns);
    if (number != MONATT_PLUGIN_SYSCALL_UNKNOWN && !count_pair(record, number)) {
        /* One record is kept back for the window's end. */
        if (window->written + 1 < WINDOW_RECORDS_MAXIMUM) {
            write_out(window);
            count_pair(record, number);
        } else {
            record->flags |= MONATT_PLUGIN_FLAG_FOLDED;
        }
    }
    record->syscalls++;
}

void window_sleep(Window *window, uint64_t now_ns)
{
    advance(window, now_ns);
    if (window->written + 1 < WINDOW_RECORDS_MAXIMUM) {
        write_out(window);
    }
}
