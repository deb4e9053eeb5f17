/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task-table.c - a set of tasks with open addressing, of fixed size so that a guest cannot grow it
 */
#include "host-collector/sources/introspection/task-table.h"

#include <endian.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

bool task_table_init(TaskTable *table, MonattError *err)
{
    /* calloc of this size is untouched pages: what is not used costs nothing. */
    table->tasks = calloc(TASK_TABLE_MAXIMUM, sizeof(*table->tasks));
    table->slots = calloc(TASK_TABLE_SLOTS, sizeof(*table->slots));
    table->count = 0;
    if (!table->tasks || !table->slots) {
        task_table_clear(table);
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "task table: out of memory");
    }
    return true;
}

void task_table_clear(TaskTable *table)
{
    free(table->tasks);
    free(table->slots);
    table->tasks = NULL;
    table->slots = NULL;
    table->count = 0;
}

static uint32_t slot_of(uint64_t address, uint32_t pid, uint64_t start_ns)
{
    /* Fibonacci hashing.  A guest that makes its tasks collide gets an incomplete view. */
    uint64_t key = (address >> 6) ^ ((uint64_t)pid << 40) ^ start_ns;
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 40) % TASK_TABLE_SLOTS;
}

/* Probes of one lookup: with random keys at half load 64 in a row are full once in 10^9. */
#define PROBES_MAXIMUM 256u

/* The slot that holds it or the free one where it belongs; TASK_TABLE_SLOTS: neither. */
static uint32_t probe(const TaskTable *table, uint64_t address, uint32_t pid, uint64_t start_ns)
{
    uint32_t slot = slot_of(address, pid, start_ns);

    for (uint32_t i = 0; i < PROBES_MAXIMUM; i++) {
        const GuestTask *task;
        if (table->slots[slot] == 0) {
            return slot;
        }
        task = &table->tasks[table->slots[slot] - 1];
        if (task->address == address && task->pid == pid && task->start_ns == start_ns) {
            return slot;
        }
        slot = (slot + 1) % TASK_TABLE_SLOTS;
    }
    return TASK_TABLE_SLOTS;
}

void task_table_reset(TaskTable *table)
{
    /* Clears what was used only: a scan every second must not touch a MiB for 100 tasks. */
    if (table->count > TASK_TABLE_MAXIMUM / 16) {
        memset(table->slots, 0, TASK_TABLE_SLOTS * sizeof(*table->slots));
    } else {
        for (uint32_t i = 0; i < table->count; i++) {
            const GuestTask *task = &table->tasks[i];
            uint32_t slot = slot_of(task->address, task->pid, task->start_ns);
            for (uint32_t k = 0; k < PROBES_MAXIMUM && table->slots[slot] != 0; k++) {
                table->slots[slot] = 0;
                slot = (slot + 1) % TASK_TABLE_SLOTS;
            }
        }
    }
    table->count = 0;
}

bool task_table_add(TaskTable *table, const GuestTask *task, MonattTaskView view)
{
    uint32_t slot = probe(table, task->address, task->pid, task->start_ns);
    GuestTask *stored;

    if (slot == TASK_TABLE_SLOTS) {
        return false;
    }
    if (table->slots[slot] == 0) {
        if (table->count == TASK_TABLE_MAXIMUM) {
            return false;
        }
        table->tasks[table->count] = *task;
        table->tasks[table->count].views = 0;
        table->slots[slot] = ++table->count;
    }
    stored = &table->tasks[table->slots[slot] - 1];
    stored->views |= MONATT_VIEW_BIT(view);
    /* Ending is final: whoever saw that saw it last. */
    stored->settled = stored->settled && task->settled;
    return true;
}

GuestTask *task_table_find(const TaskTable *table, uint64_t address, uint32_t pid,
                           uint64_t start_ns)
{
    uint32_t slot = probe(table, address, pid, start_ns);
    if (slot == TASK_TABLE_SLOTS || table->slots[slot] == 0) {
        return NULL;
    }
    return &table->tasks[table->slots[slot] - 1];
}

void task_table_forget_view(TaskTable *table, MonattTaskView view)
{
    for (uint32_t i = 0; i < table->count; i++) {
        table->tasks[i].views &= ~MONATT_VIEW_BIT(view);
    }
}

static int by_identity(const void *a, const void *b)
{
    const GuestTask *x = a, *y = b;
    if (x->address != y->address) {
        return x->address < y->address ? -1 : 1;
    }
    if (x->pid != y->pid) {
        return x->pid < y->pid ? -1 : 1;
    }
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

void task_table_sort(TaskTable *table)
{
    memset(table->slots, 0, TASK_TABLE_SLOTS * sizeof(*table->slots));
    qsort(table->tasks, table->count, sizeof(*table->tasks), by_identity);
    for (uint32_t i = 0; i < table->count; i++) {
        const GuestTask *task = &table->tasks[i];
        uint32_t slot = probe(table, task->address, task->pid, task->start_ns);
        if (slot != TASK_TABLE_SLOTS) {
            table->slots[slot] = i + 1;
        }
    }
}

uint32_t task_table_digest(const TaskTable *table, MonattTaskView view,
                           uint8_t ret_digest[MONATT_SHA256_SIZE])
{
    struct sha256_ctx hash;
    uint32_t count = 0;

    sha256_init(&hash);
    for (uint32_t i = 0; i < table->count; i++) {
        const GuestTask *task = &table->tasks[i];
        uint64_t address = htobe64(task->address), start = htobe64(task->start_ns);
        uint32_t pid = htobe32(task->pid);
        if (!(task->views & MONATT_VIEW_BIT(view))) {
            continue;
        }
        sha256_update(&hash, sizeof(address), (const uint8_t *)&address);
        sha256_update(&hash, sizeof(pid), (const uint8_t *)&pid);
        sha256_update(&hash, sizeof(start), (const uint8_t *)&start);
        count++;
    }
    sha256_digest(&hash, MONATT_SHA256_SIZE, ret_digest);
    return count;
}
