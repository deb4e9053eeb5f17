/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-timers.c - what the timer wheels will run, and the delayed work behind them
 *
 * Each CPU has a few wheels (struct timer_base) of hlist heads.  Timers come and go all the time:
 * a bucket that changed under our eyes is read again.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include "libmonatt/base/macros.h"

#define BUCKETS 1024u /* WHEEL_SIZE is 576 */
#define BASES 4u      /* NR_BASES: 2, from 6.9 on 3 */
#define TIMERS 4096u  /* of one bucket */

typedef struct TimerLayout {
    uint32_t base_size, vectors, entry, function;
    uint32_t work_timer, work_function; /* of struct delayed_work; may be missing */
} TimerLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(TimerLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    LAYOUT_SIZE(TimerLayout, base_size, "timer_base"),
    MEMBER(vectors, "timer_base", "vectors"),
    MEMBER(entry, "timer_list", "entry"),
    MEMBER(function, "timer_list", "function"),
    MEMBER(work_timer, "delayed_work", "timer"),
    MEMBER(work_function, "delayed_work", "work.func"),
};

typedef struct TimerWalk {
    CheckContext *context;
    PointersCheck *check;
    TimerLayout layout;
    uint64_t delayed; /* delayed_work_timer_fn */
    uint64_t count;
    uint32_t cpu;
} TimerWalk;

static void judge_timer(TimerWalk *walk, uint64_t timer)
{
    AddressSpace *space = &walk->context->kernel->space;
    const TimerLayout *layout = &walk->layout;
    uint64_t function, work;
    char place[POINTER_PLACE_SIZE];

    if (!address_space_u64(space, timer + layout->function, &function)) {
        return; /* it was freed meanwhile: the walk will say so */
    }
    walk->count++;
    snprintf(place, sizeof(place), "of CPU %u", walk->cpu);
    pointers_judge(walk->context, walk->check, "timer", place, timer + layout->function, function,
                   POINTER_OWN);
    if (function == walk->delayed && function != 0 && layout_has(layout->work_timer) &&
        layout_has(layout->work_function)) {
        uint64_t at = timer - layout->work_timer + layout->work_function;
        if (address_space_u64(space, at, &work)) {
            pointers_judge(walk->context, walk->check, "work", "delayed", at, work, POINTER_OWN);
        }
    }
}

static void walk_bucket(TimerWalk *walk, uint64_t head)
{
    MonattReason reason = MONATT_REASON_TORN;

    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk list;
        uint64_t node;
        uint32_t count = 0;

        guest_list_begin(&list, walk->context, GUEST_LIST_CHAIN, head);
        while (count < TIMERS && guest_list_next(&list, &node)) {
            judge_timer(walk, node - walk->layout.entry);
            count++;
        }
        reason = count == TIMERS ? MONATT_REASON_BUDGET : list.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(walk->context, reason, "the timers of CPU %u are not readable whole",
                     walk->cpu);
    }
}

static void walk_base(TimerWalk *walk, uint64_t vectors, uint32_t buckets)
{
    uint8_t bytes[BUCKETS * sizeof(uint64_t)];

    if (!address_space_read(&walk->context->kernel->space, vectors, bytes, buckets * 8)) {
        check_reason(walk->context, MONATT_REASON_TORN, "the timers of CPU %u are not readable",
                     walk->cpu);
        return;
    }
    for (uint32_t i = 0; i < buckets && check_step(walk->context); i++) {
        if (pointers_word(bytes, i * 8) != 0) {
            walk_bucket(walk, vectors + 8ull * i);
        }
    }
}

void pointers_read_timers(CheckContext *context, PointersCheck *check)
{
    GuestKernel *kernel = context->kernel;
    TimerWalk walk = {.context = context, .check = check};
    uint32_t elements, element_size, cpus = guest_kernel_cpus(kernel), bases = 0;
    uint64_t symbol, base;
    char lacks[96];
    const KallsymsEntry *entry;

    layout_read(kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &walk.layout);
    if (layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &walk.layout,
                     offsetof(TimerLayout, work_timer), lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!guest_kernel_symbol(kernel, "timer_bases", &symbol) ||
        !guest_kernel_array(kernel, "timer_base", "vectors", &elements, &element_size) ||
        element_size != sizeof(uint64_t) || elements > BUCKETS) {
        check_lacks(context, "timer_bases and timer_base.vectors of a known form");
        return;
    }
    if (!guest_kernel_symbol(kernel, "delayed_work_timer_fn", &walk.delayed)) {
        walk.delayed = 0;
    }
    entry = kallsyms_at(&kernel->table, symbol);
    for (; entry && entry < kernel->table.entries + kernel->table.count; entry++) {
        if (entry->address > symbol) {
            bases = (uint32_t)((entry->address - symbol) / walk.layout.base_size);
            break;
        }
    }
    bases = bases < BASES ? bases : BASES;
    if (bases == 0 || cpus == 0) {
        check_lacks(context, "timer_bases of a known size");
        return;
    }
    for (walk.cpu = 0; walk.cpu < cpus; walk.cpu++) {
        for (uint32_t i = 0; i < bases; i++) {
            if (guest_kernel_per_cpu(kernel, symbol, walk.cpu, &base)) {
                walk_base(&walk, base + (uint64_t)i * walk.layout.base_size + walk.layout.vectors,
                          elements);
            }
        }
    }
    check_count(context, "timers", walk.count);
}
