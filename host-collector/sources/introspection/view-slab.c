/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-slab.c - V4: every object in the slabs that task_structs are made from
 *
 * Memory is not undone by unlinking: a task that left list and IDR still lies in its slab.  The
 * freelists are hardened and not walked; every object is looked at and must look alive.  Slabs
 * are found by their struct page, of which only those at multiples of the smallest slab are read.
 */
#include "host-collector/sources/introspection/task-views.h"

#include <endian.h>

#define OBJECTS_MASK 0x7fffu /* slab.objects is 15 bits wide */
#define OO_OBJECTS 0xffffu   /* kmem_cache_order_objects: objects below, order above */
#define OO_ORDER_SHIFT 16
#define ORDER_MAXIMUM 10
#define COMMAND_BYTES 16
#define OBJECT_SIZE_MAXIMUM 65536u

typedef struct TaskCache {
    uint64_t address; /* of the kmem_cache */
    uint64_t pages;   /* vmemmap_base: the array of struct page */
    uint64_t direct;  /* page_offset_base: the direct map */
    uint32_t object_size;
    uint32_t objects; /* at most, in one slab */
    uint32_t order;   /* of the smallest slab */
} TaskCache;

static bool read_cache(GuestKernel *kernel, TaskCache *cache)
{
    const KernelSymbols *symbols = &kernel->symbols;
    uint32_t usual, minimum;

    if (!address_space_u64(&kernel->space, symbols->task_cache, &cache->address) ||
        !address_space_u64(&kernel->space, symbols->vmemmap_base, &cache->pages) ||
        !address_space_u64(&kernel->space, symbols->page_offset_base, &cache->direct) ||
        !address_space_u32(&kernel->space, cache->address + kernel->offsets.cache_size,
                           &cache->object_size) ||
        !address_space_u32(&kernel->space, cache->address + kernel->offsets.cache_objects,
                           &usual) ||
        !address_space_u32(&kernel->space, cache->address + kernel->offsets.cache_minimum,
                           &minimum)) {
        return false;
    }
    cache->objects = usual & OO_OBJECTS;
    cache->order = minimum >> OO_ORDER_SHIFT;
    /* Smaller than sizeof(struct task_struct): it ends in FPU state of the size the CPU needs. */
    return cache->object_size > kernel->offsets.task_command + COMMAND_BYTES &&
           cache->object_size <= OBJECT_SIZE_MAXIMUM && cache->order <= ORDER_MAXIMUM;
}

static MonattReason carve(GuestKernel *kernel, const TaskCache *cache, uint64_t frame,
                          uint32_t objects, TaskTable *table, WalkBudget *budget)
{
    uint64_t first = cache->direct + frame * GUEST_PAGE_SIZE;

    for (uint32_t i = 0; i < objects; i++) {
        GuestTask task;
        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!guest_task_read(kernel, first + (uint64_t)i * cache->object_size, &task) ||
            !guest_task_plausible(kernel, &task)) {
            continue;
        }
        if (!task_table_add(table, &task, MONATT_VIEW_SLAB)) {
            return MONATT_REASON_BUDGET;
        }
    }
    return MONATT_REASON_NONE;
}

static MonattReason carve_region(GuestKernel *kernel, const GuestRegion *region,
                                 const TaskCache *cache, TaskTable *table, WalkBudget *budget)
{
    const KernelOffsets *o = &kernel->offsets;
    uint64_t step = 1ull << cache->order;
    uint64_t frame = (region->guest_physical / GUEST_PAGE_SIZE + step - 1) & ~(step - 1);
    uint64_t end = (region->guest_physical + region->size) / GUEST_PAGE_SIZE;

    for (; frame < end; frame += step) {
        uint64_t page = cache->pages + frame * o->page_size, owner;
        uint32_t word, objects;
        MonattReason reason;

        if (!walk_budget_take(budget, 1)) {
            return MONATT_REASON_BUDGET;
        }
        if (!address_space_u64(&kernel->space, page + o->slab_cache, &owner) ||
            owner != cache->address ||
            !address_space_u32(&kernel->space, page + o->slab_objects, &word)) {
            continue; /* a hole of the memory map, or another use of this page */
        }
        objects = (word >> o->slab_objects_shift) & OBJECTS_MASK;
        objects = objects < cache->objects ? objects : cache->objects;
        reason = carve(kernel, cache, frame, objects, table, budget);
        if (reason != MONATT_REASON_NONE) {
            return reason;
        }
    }
    return MONATT_REASON_NONE;
}

TaskViewResult task_views_slab(GuestKernel *kernel, TaskTable *table, WalkBudget *budget)
{
    const GuestMemory *memory = kernel->space.memory;
    TaskViewResult result = {MONATT_REASON_NONE, 0};
    TaskCache cache;

    if (!read_cache(kernel, &cache)) {
        result.reason = MONATT_REASON_TORN;
        return result;
    }
    for (size_t i = 0; i < memory->count && result.reason == MONATT_REASON_NONE; i++) {
        result.reason = carve_region(kernel, &memory->regions[i], &cache, table, budget);
    }
    return result;
}
