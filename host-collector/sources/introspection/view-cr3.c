/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view-cr3.c - V6: whose page tables the vCPUs have loaded, by what the host says of their CR3
 *
 * Nothing runs without its page tables, and CR3 is not the guest's to forge.  The kernel notes in
 * the struct page of each process's root which mm it is of, and in the mm whose it is; both must
 * lead back.  A root of nobody is none: init's, EFI's, or one of a process that has just ended.
 */
#include "host-collector/sources/introspection/task-views.h"

#define ROOT_ADDRESS 0x000ffffffffff000ull /* without PCID and bit 63 */
#define USER_ROOT                                                                                  \
    0x1000ull /* with page-table isolation the user's root is the second page of two */

/* The task that owns the mm of this root; false: it is no process's. */
static bool find_owner(GuestKernel *kernel, uint64_t pages, uint64_t direct, uint64_t root,
                       GuestTask *ret_task)
{
    const KernelOffsets *o = &kernel->offsets;
    AddressSpace *space = &kernel->space;
    uint64_t page = pages + root / GUEST_PAGE_SIZE * o->page_size, mm, of_mm, owner, of_owner;

    return address_space_u64(space, page + o->table_mm, &mm) &&
           address_space_u64(space, mm + o->mm_root, &of_mm) && of_mm == direct + root &&
           address_space_u64(space, mm + o->mm_owner, &owner) &&
           address_space_u64(space, owner + o->task_mm, &of_owner) && of_owner == mm &&
           guest_task_read(kernel, owner, ret_task);
}

TaskViewResult task_views_roots(GuestKernel *kernel, TaskTable *table, const uint64_t *roots,
                                size_t count, WalkBudget *budget)
{
    TaskViewResult result = {MONATT_REASON_NONE, 0};
    uint64_t pages, direct;

    if (!address_space_u64(&kernel->space, kernel->symbols.vmemmap_base, &pages) ||
        !address_space_u64(&kernel->space, kernel->symbols.page_offset_base, &direct)) {
        result.reason = MONATT_REASON_TORN;
        return result;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t root = roots[i] & ROOT_ADDRESS;
        GuestTask task;

        if (!walk_budget_take(budget, 1)) {
            result.reason = MONATT_REASON_BUDGET;
            break;
        }
        if ((find_owner(kernel, pages, direct, root, &task) ||
             find_owner(kernel, pages, direct, root & ~USER_ROOT, &task)) &&
            !task_table_add(table, &task, MONATT_VIEW_CR3)) {
            result.reason = MONATT_REASON_BUDGET;
        }
    }
    return result;
}
