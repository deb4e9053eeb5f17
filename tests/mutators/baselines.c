/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baselines.c - four simple ways to look, as they are usually done
 */
#include "tests/mutators/baselines.h"

#include <string.h>

#define SYSCALLS 330
#define MODULES_MAXIMUM 4096
#define CHUNK 4096u

const char *const baseline_names[BASELINES] = {
    [BASELINE_LIST_DIFFERENCE] = "list-difference",
    [BASELINE_TABLE_OUTSIDE] = "table-outside-text",
    [BASELINE_TEXT_HASH] = "text-hash",
    [BASELINE_KSET_LIST] = "kset-list",
};

static uint64_t hash_text(Mutator *mutator)
{
    uint64_t start, end, words[CHUNK / 8], hash = 0xcbf29ce484222325ull;
    if (!guest_kernel_symbol(&mutator->kernel, "_stext", &start) ||
        !guest_kernel_symbol(&mutator->kernel, "_etext", &end)) {
        return 0;
    }
    for (uint64_t at = start; at < end; at += CHUNK) {
        size_t size = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        memset(words, 0, sizeof(words));
        if (!address_space_read(&mutator->kernel.space, at, words, size)) {
            return 0;
        }
        for (size_t i = 0; i < CHUNK / 8; i++) {
            hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
            hash ^= hash >> 29;
        }
    }
    return hash;
}

static bool lists_differ(Mutator *mutator)
{
    const uint32_t list = MONATT_VIEW_BIT(MONATT_VIEW_LIST);
    const uint32_t idr = MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR);
    task_scan_run(&mutator->tasks, &mutator->kernel);
    for (uint32_t i = 0; i < mutator->tasks.table.count; i++) {
        const GuestTask *task = &mutator->tasks.table.tasks[i];
        if (guest_task_is_leader(task) && task->pid > 0 &&
            ((task->views & list) == 0) != ((task->views & idr) == 0)) {
            return true;
        }
    }
    return false;
}

static bool table_leads_outside(Mutator *mutator)
{
    uint64_t start, end, table, slots[SYSCALLS];
    if (!guest_kernel_symbol(&mutator->kernel, "_stext", &start) ||
        !guest_kernel_symbol(&mutator->kernel, "_etext", &end)) {
        return false;
    }
    if (guest_kernel_symbol(&mutator->kernel, "sys_call_table", &table) &&
        address_space_read(&mutator->kernel.space, table, slots, sizeof(slots))) {
        for (size_t i = 0; i < SYSCALLS; i++) {
            if (slots[i] < start || slots[i] >= end) {
                return true;
            }
        }
    }
    return false;
}

/* The addresses of the modules behind the nodes of a list; an entry that is none has no module. */
static size_t read_modules(Mutator *mutator, uint64_t head, uint32_t node, bool by_kobject,
                           uint64_t *modules)
{
    uint32_t pointer, kobject;
    uint64_t at;
    size_t count = 0;
    if (!guest_kernel_member(&mutator->kernel, "module_kobject", "mod", &pointer) ||
        !guest_kernel_member(&mutator->kernel, "module", "mkobj", &kobject) ||
        !address_space_u64(&mutator->kernel.space, head, &at)) {
        return 0;
    }
    for (size_t i = 0; i < MODULES_MAXIMUM && at != head; i++) {
        uint64_t module = at - node;
        if (by_kobject &&
            !address_space_u64(&mutator->kernel.space, at - (node - kobject) + pointer, &module)) {
            break;
        }
        if (module) {
            modules[count++] = module;
        }
        if (!address_space_u64(&mutator->kernel.space, at, &at)) {
            break;
        }
    }
    return count;
}

static bool kset_differs(Mutator *mutator)
{
    static uint64_t listed[MODULES_MAXIMUM], shown[MODULES_MAXIMUM];
    uint64_t head, kset;
    uint32_t list, entry, kset_list;
    size_t count, shown_count;
    if (!guest_kernel_symbol(&mutator->kernel, "modules", &head) ||
        !guest_kernel_member(&mutator->kernel, "module", "list", &list) ||
        !guest_kernel_member(&mutator->kernel, "module", "mkobj.kobj.entry", &entry) ||
        !guest_kernel_member(&mutator->kernel, "kset", "list", &kset_list) ||
        !guest_kernel_symbol(&mutator->kernel, "module_kset", &kset) ||
        !address_space_u64(&mutator->kernel.space, kset, &kset)) {
        return false;
    }
    count = read_modules(mutator, head, list, false, listed);
    shown_count = read_modules(mutator, kset + kset_list, entry, true, shown);
    for (size_t i = 0; i < shown_count; i++) {
        bool found = false;
        for (size_t k = 0; k < count; k++) {
            found = found || listed[k] == shown[i];
        }
        if (!found) {
            return true;
        }
    }
    return false;
}

void baselines_learn(Baselines *baselines, Mutator *mutator)
{
    baselines->text = hash_text(mutator);
}

unsigned baselines_alarm(const Baselines *baselines, Mutator *mutator)
{
    address_space_forget(&mutator->kernel.space);
    return (lists_differ(mutator) ? 1u << BASELINE_LIST_DIFFERENCE : 0) |
           (table_leads_outside(mutator) ? 1u << BASELINE_TABLE_OUTSIDE : 0) |
           (hash_text(mutator) != baselines->text ? 1u << BASELINE_TEXT_HASH : 0) |
           (kset_differs(mutator) ? 1u << BASELINE_KSET_LIST : 0);
}
