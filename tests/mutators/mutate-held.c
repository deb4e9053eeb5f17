/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-held.c - functions that the kernel holds in no registry: of timers, pending work,
 * interrupts and open files
 */
#include "host-collector/sources/introspection/xarray-walk.h"
#include "tests/mutators/mutate.h"

#define FOUND 1024u
#define VECTORS 256u
#define DESCRIPTORS 64u /* of a process: as many fit into its first table */

/* Any CPU's first timer of any clock: the root of a tree is never without one while it is used. */
static bool precise_timer(Mutator *mutator, const char *argument, MonattError *err)
{
    GuestKernel *kernel = &mutator->kernel;
    uint64_t symbol, base, node, target, found[FOUND];
    uint32_t clocks, size, at, tree, timer_node, function;
    size_t count = 0;

    (void)argument;
    if (!mutator_symbol(mutator, "hrtimer_bases", &symbol, err) ||
        !mutator_member(mutator, "hrtimer_cpu_base", "clock_base", &at, err) ||
        !mutator_member(mutator, "hrtimer_clock_base", "active.rb_root.rb_root", &tree, err) ||
        !mutator_member(mutator, "hrtimer", "node", &timer_node, err) ||
        !mutator_member(mutator, "hrtimer", "function", &function, err) ||
        !guest_kernel_array(kernel, "hrtimer_cpu_base", "clock_base", &clocks, &size)) {
        return false;
    }
    for (uint32_t cpu = 0; cpu < guest_kernel_cpus(kernel); cpu++) {
        for (uint32_t i = 0; i < clocks && guest_kernel_per_cpu(kernel, symbol, cpu, &base); i++) {
            if (address_space_u64(&kernel->space, base + at + (uint64_t)i * size + tree, &node) &&
                node != 0 && count < FOUND) {
                found[count++] = node - timer_node + function;
            }
        }
    }
    if (count == 0) {
        return mutator_none(err, "precise timer");
    }
    node = found[mutator_draw(mutator, count)];
    mutator_say(mutator, node, "", "the function of a precise timer at %#lx", (unsigned long)node);
    return mutator_foreign(mutator, &target, err) && mutator_write_u64(mutator, node, target, err);
}

typedef struct Pools {
    uint64_t items[FOUND];
    size_t count;
} Pools;

static MonattReason keep_pool(void *user, uint64_t index, uint64_t pool)
{
    Pools *pools = user;

    (void)index;
    if (pools->count < FOUND) {
        pools->items[pools->count++] = pool;
    }
    return MONATT_REASON_NONE;
}

/* A piece of work that nobody queued, at the front of a pool's list. */
static bool pending_work(Mutator *mutator, const char *argument, MonattError *err)
{
    WalkBudget budget = {.steps = CHECK_STEPS};
    Pools pools = {.count = 0};
    uint64_t symbol, root, head, first, work, target;
    uint32_t at, list, entry, function;

    (void)argument;
    if (!mutator_symbol(mutator, "worker_pool_idr", &symbol, err) ||
        !mutator_member(mutator, "idr", "idr_rt.xa_head", &at, err) ||
        !mutator_member(mutator, "worker_pool", "worklist", &list, err) ||
        !mutator_member(mutator, "work_struct", "entry", &entry, err) ||
        !mutator_member(mutator, "work_struct", "func", &function, err) ||
        !mutator_read_u64(mutator, symbol + at, &root, err)) {
        return false;
    }
    if (xarray_walk(&mutator->kernel, root, &budget, keep_pool, &pools) != MONATT_REASON_NONE ||
        pools.count == 0) {
        return mutator_none(err, "pool of workers");
    }
    head = pools.items[mutator_draw(mutator, pools.count)] + list;
    if (!mutator_read_u64(mutator, head, &first, err) || !mutator_scratch(mutator, &work, err) ||
        !mutator_foreign(mutator, &target, err)) {
        return false;
    }
    work += 0x400; /* of an object that lies somewhere in its page */
    mutator_say(mutator, work + function, "", "a piece of work at %#lx in the list of a pool",
                (unsigned long)work);
    return mutator_write_u64(mutator, work + entry, first, err) &&
           mutator_write_u64(mutator, work + entry + 8, head, err) &&
           mutator_write_u64(mutator, work + function, target, err) &&
           mutator_write_u64(mutator, first + 8, work + entry, err) &&
           mutator_write_u64(mutator, head, work + entry, err);
}

/* By the vectors of a CPU: the handler of a driver, or where none is the one of the interrupt. */
static bool interrupt_handler(Mutator *mutator, const char *argument, MonattError *err)
{
    GuestKernel *kernel = &mutator->kernel;
    uint64_t symbol, base, vectors[VECTORS], found[FOUND], action, target;
    uint32_t handle, first, handler;
    size_t count = 0;

    (void)argument;
    if (!mutator_symbol(mutator, "vector_irq", &symbol, err) ||
        !mutator_member(mutator, "irq_desc", "handle_irq", &handle, err) ||
        !mutator_member(mutator, "irq_desc", "action", &first, err) ||
        !mutator_member(mutator, "irqaction", "handler", &handler, err)) {
        return false;
    }
    for (uint32_t cpu = 0; cpu < guest_kernel_cpus(kernel); cpu++) {
        if (!guest_kernel_per_cpu(kernel, symbol, cpu, &base) ||
            !address_space_read(&kernel->space, base, vectors, sizeof(vectors))) {
            continue;
        }
        for (uint32_t i = 0; i < VECTORS; i++) {
            /* VECTOR_SHUTDOWN and VECTOR_RETRIGGERED are errors: no address. */
            if (vectors[i] != 0 && vectors[i] < UINT64_MAX - 4095 && count < FOUND &&
                address_space_u64(&kernel->space, vectors[i] + first, &action)) {
                found[count++] = action != 0 ? action + handler : vectors[i] + handle;
            }
        }
    }
    if (count == 0) {
        return mutator_none(err, "interrupt");
    }
    base = found[mutator_draw(mutator, count)];
    mutator_say(mutator, base, "", "the handler of an interrupt at %#lx", (unsigned long)base);
    return mutator_foreign(mutator, &target, err) && mutator_write_u64(mutator, base, target, err);
}

/* An open file with a copy of its operations in which one is another. */
static bool open_file(Mutator *mutator, const char *argument, MonattError *err)
{
    AddressSpace *space = &mutator->kernel.space;
    uint64_t files, table, array, pointers[DESCRIPTORS], found[FOUND], old, copy;
    uint32_t files_at, table_at, array_at, operations, slot;
    uint32_t size = guest_kernel_sizeof(&mutator->kernel, "file_operations");
    size_t count = 0;

    (void)argument;
    if (!mutator_member(mutator, "task_struct", "files", &files_at, err) ||
        !mutator_member(mutator, "files_struct", "fdt", &table_at, err) ||
        !mutator_member(mutator, "fdtable", "fd", &array_at, err) ||
        !mutator_member(mutator, "file", "f_op", &operations, err) ||
        !mutator_member(mutator, "file_operations", "read_iter", &slot, err)) {
        return false;
    }
    for (uint32_t i = 0; i < mutator->tasks.table.count; i++) {
        const GuestTask *task = &mutator->tasks.table.tasks[i];
        if (task->kernel_thread || !address_space_u64(space, task->address + files_at, &files) ||
            files == 0 || !address_space_u64(space, files + table_at, &table) ||
            !address_space_u64(space, table + array_at, &array) ||
            !address_space_read(space, array, pointers, sizeof(pointers))) {
            continue;
        }
        for (size_t k = 0; k < DESCRIPTORS && count < FOUND; k++) {
            if (pointers[k] != 0) {
                found[count++] = pointers[k];
            }
        }
    }
    if (count == 0) {
        return mutator_none(err, "open file");
    }
    files = found[mutator_draw(mutator, count)] + operations;
    if (!mutator_read_u64(mutator, files, &old, err) ||
        !mutator_forge(mutator, old, size, slot, &copy, err)) {
        return false;
    }
    mutator_say(mutator, copy + slot, "", "the operations of an open file at %#lx",
                (unsigned long)files);
    return mutator_write_u64(mutator, files, copy, err);
}

#define POINTERS MUTATION_BIT(MONATT_SUBCHECK_FUNCTION_POINTERS)
const Mutation mutations_of_held[] = {
    {"precise-timer", POINTERS, false, "the function of a high-resolution timer", precise_timer},
    {"pending-work", POINTERS, false, "a piece of work in the list of a pool", pending_work},
    {"interrupt-handler", POINTERS, false, "the handler of an interrupt", interrupt_handler},
    {"open-file", POINTERS, false, "the operations of an open file", open_file},
    {NULL},
};
