/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-pending.c - what the kernel has been told to run later: high-resolution timers and work
 *
 * Each CPU has a tree of timers for each clock (struct hrtimer_cpu_base).  Work waits in the list
 * of a pool (all are in worker_pool_idr), is given to a worker (scheduled) and is run by it
 * (current_func).  Both come and go all the time: what was torn is read again.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/rb-walk.h"
#include "host-collector/sources/introspection/xarray-walk.h"
#include "libmonatt/base/macros.h"

#define CLOCKS 32u   /* of one CPU; HRTIMER_MAX_CLOCK_BASES is 8 */
#define WORKS 65536u /* of one list */
#define POOLS 8192u

typedef struct PendingLayout {
    uint32_t clocks, clock_size, tree;
    uint32_t timer_node, timer_function;
} PendingLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(PendingLayout, field, structure, path)
static const LayoutRow timer_rows[] = {
    MEMBER(clocks, "hrtimer_cpu_base", "clock_base"),
    LAYOUT_SIZE(PendingLayout, clock_size, "hrtimer_clock_base"),
    MEMBER(tree, "hrtimer_clock_base", "active.rb_root.rb_root"),
    MEMBER(timer_node, "hrtimer", "node"),
    MEMBER(timer_function, "hrtimer", "function"),
};

typedef struct WorkLayout {
    uint32_t pools, waiting, workers;
    uint32_t worker_node, worker_function, worker_scheduled;
    uint32_t work_entry, work_function;
} WorkLayout;
#undef MEMBER
#define MEMBER(field, structure, path) LAYOUT_MEMBER(WorkLayout, field, structure, path)
static const LayoutRow work_rows[] = {
    MEMBER(pools, "idr", "idr_rt.xa_head"),
    MEMBER(waiting, "worker_pool", "worklist"),
    MEMBER(workers, "worker_pool", "workers"),
    MEMBER(worker_node, "worker", "node"),
    MEMBER(worker_function, "worker", "current_func"),
    MEMBER(worker_scheduled, "worker", "scheduled"),
    MEMBER(work_entry, "work_struct", "entry"),
    MEMBER(work_function, "work_struct", "func"),
};

typedef struct PendingWalk {
    CheckContext *context;
    PointersCheck *check;
    PendingLayout timers;
    WorkLayout works;
    uint32_t cpu, pool_count;
    uint64_t timer_count, work_count, pools[POOLS];
} PendingWalk;

static RbTurn judge_timer(void *user, uint64_t node)
{
    PendingWalk *walk = user;
    uint64_t at = node - walk->timers.timer_node + walk->timers.timer_function, function;
    char place[POINTER_PLACE_SIZE];

    if (address_space_u64(&walk->context->kernel->space, at, &function)) {
        walk->timer_count++;
        snprintf(place, sizeof(place), "of CPU %u", walk->cpu);
        pointers_judge(walk->context, walk->check, "precise timer", place, at, function,
                       POINTER_OWN);
    }
    return RB_BOTH;
}

static void read_timers(PendingWalk *walk)
{
    CheckContext *context = walk->context;
    GuestKernel *kernel = context->kernel;
    uint32_t clocks, size, cpus = guest_kernel_cpus(kernel);
    uint64_t symbol, base;
    char lacks[96];

    layout_read(kernel, timer_rows, MONATT_ARRAY_SIZE(timer_rows), &walk->timers);
    if (layout_lacks(timer_rows, MONATT_ARRAY_SIZE(timer_rows), &walk->timers, sizeof(walk->timers),
                     lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!guest_kernel_symbol(kernel, "hrtimer_bases", &symbol) ||
        !guest_kernel_array(kernel, "hrtimer_cpu_base", "clock_base", &clocks, &size) ||
        size != walk->timers.clock_size || clocks > CLOCKS) {
        check_lacks(context, "hrtimer_bases of a known form");
        return;
    }
    for (walk->cpu = 0; walk->cpu < cpus; walk->cpu++) {
        if (!guest_kernel_per_cpu(kernel, symbol, walk->cpu, &base)) {
            continue; /* a CPU that was never there */
        }
        for (uint32_t i = 0; i < clocks; i++) {
            MonattReason reason = MONATT_REASON_TORN;
            uint64_t tree = base + walk->timers.clocks + (uint64_t)i * size + walk->timers.tree;
            for (int k = 0; k < POINTER_TRIES && reason == MONATT_REASON_TORN; k++) {
                reason = rb_walk(context, tree, judge_timer, walk);
            }
            if (reason != MONATT_REASON_NONE) {
                check_reason(context, reason, "the precise timers of CPU %u are not readable whole",
                             walk->cpu);
            }
        }
    }
    check_count(context, "precise timers", walk->timer_count);
}

typedef void (*NodeVisit)(PendingWalk *walk, uint64_t node);

static void judge_work(PendingWalk *walk, uint64_t node)
{
    uint64_t at = node - walk->works.work_entry + walk->works.work_function, function;

    if (address_space_u64(&walk->context->kernel->space, at, &function)) {
        walk->work_count++;
        pointers_judge(walk->context, walk->check, "work", "waiting", at, function, POINTER_OWN);
    }
}

/* name: of the list, for the reason. */
static void walk_ring(PendingWalk *walk, uint64_t head, const char *name, NodeVisit visit)
{
    MonattReason reason = MONATT_REASON_TORN;

    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk list;
        uint64_t node;
        uint32_t count = 0;

        guest_list_begin(&list, walk->context, GUEST_LIST_RING, head);
        while (count < WORKS && guest_list_next(&list, &node)) {
            visit(walk, node);
            count++;
        }
        reason = count == WORKS ? MONATT_REASON_BUDGET : list.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(walk->context, reason, "the %s are not readable whole", name);
    }
}

static void judge_worker(PendingWalk *walk, uint64_t node)
{
    uint64_t worker = node - walk->works.worker_node, function, first;
    uint64_t scheduled = worker + walk->works.worker_scheduled;

    if (address_space_u64(&walk->context->kernel->space, worker + walk->works.worker_function,
                          &function)) {
        walk->work_count += function != 0;
        pointers_judge(walk->context, walk->check, "work", "running",
                       worker + walk->works.worker_function, function, POINTER_OWN);
    }
    /* A worker that is gone meanwhile has no list. */
    if (address_space_u64(&walk->context->kernel->space, scheduled, &first) && first != scheduled) {
        walk_ring(walk, scheduled, "pieces of work of a worker", judge_work);
    }
}

static MonattReason keep_pool(void *user, uint64_t index, uint64_t pool)
{
    PendingWalk *walk = user;

    (void)index;
    if (walk->pool_count == POOLS) {
        return MONATT_REASON_BUDGET;
    }
    walk->pools[walk->pool_count++] = pool;
    return MONATT_REASON_NONE;
}

static void read_works(PendingWalk *walk)
{
    CheckContext *context = walk->context;
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t pools, root;
    char lacks[96];

    layout_read(context->kernel, work_rows, MONATT_ARRAY_SIZE(work_rows), &walk->works);
    if (layout_lacks(work_rows, MONATT_ARRAY_SIZE(work_rows), &walk->works, sizeof(walk->works),
                     lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!guest_kernel_symbol(context->kernel, "worker_pool_idr", &pools)) {
        check_lacks(context, "symbol 'worker_pool_idr'");
        return;
    }
    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        walk->pool_count = 0;
        if (address_space_u64(&context->kernel->space, pools + walk->works.pools, &root)) {
            reason = xarray_walk(context->kernel, root, &context->budget, keep_pool, walk);
        }
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the pools of workers are not readable whole");
    }
    for (uint32_t i = 0; i < walk->pool_count; i++) {
        walk_ring(walk, walk->pools[i] + walk->works.waiting, "pieces of work", judge_work);
        walk_ring(walk, walk->pools[i] + walk->works.workers, "workers", judge_worker);
    }
    check_count(context, "pieces of work", walk->work_count);
}

void pointers_read_pending(CheckContext *context, PointersCheck *check)
{
    static PendingWalk walk; /* large; checks run one after the other */

    walk.context = context;
    walk.check = check;
    walk.timer_count = walk.work_count = 0;
    walk.pool_count = 0;
    read_timers(&walk);
    read_works(&walk);
}
