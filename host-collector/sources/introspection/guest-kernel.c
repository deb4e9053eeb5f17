/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel.c - from VMCOREINFO to page tables, symbols and structure offsets
 *
 * Must never accept half a kernel: every symbol and offset that a view needs is there or the
 * candidate is refused with the name of what is missing.
 */
#include "host-collector/sources/introspection/guest-kernel.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host-collector/sources/introspection/btf.h"
#include "host-collector/sources/introspection/kallsyms.h"
#include "libmonatt/base/text.h"

#define CANDIDATES_MAXIMUM 64 /* properties 8: a guest can write false notes; try all, bound 64 */
#define KERNEL_MAP_BASE 0xffffffff80000000ull /* __START_KERNEL_map, Documentation/arch/x86 */
#define INIT_COMMAND "swapper/0"
#define COMMAND_SIZE 16 /* TASK_COMM_LEN */
#define STRUCT_SIZE_MAXIMUM (1u << 20)
#define ALIVE_WAIT_MS 20
#define ALIVE_WAITS 50 /* one second: the longest time a tickless idle guest was seen to sleep */

static bool find_symbols(GuestKernel *kernel, uint64_t *ret_btf, uint64_t *ret_btf_end,
                         MonattError *err)
{
    KallsymsWanted wanted[] = {
        {.name = "init_task"},        {.name = "init_pid_ns"},        {.name = "runqueues"},
        {.name = "__per_cpu_offset"}, {.name = "nr_cpu_ids"},         {.name = "vmemmap_base"},
        {.name = "page_offset_base"}, {.name = "task_struct_cachep"}, {.name = "__start_BTF"},
        {.name = "__stop_BTF"},       {.name = "jiffies_64"},         {.name = "total_forks"},
    };
    uint64_t *const targets[] = {
        &kernel->symbols.init_task,
        &kernel->symbols.init_pid_ns,
        &kernel->symbols.runqueues,
        &kernel->symbols.per_cpu_offset,
        &kernel->symbols.nr_cpu_ids,
        &kernel->symbols.vmemmap_base,
        &kernel->symbols.page_offset_base,
        &kernel->symbols.task_cache,
        ret_btf,
        ret_btf_end,
        &kernel->symbols.jiffies,
        &kernel->symbols.total_forks,
    };
    const size_t optional = MONATT_ARRAY_SIZE(wanted) - 1; /* total_forks only informs */

    if (!kallsyms_resolve(&kernel->space, &kernel->info, wanted, MONATT_ARRAY_SIZE(wanted), err)) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(wanted); i++) {
        if (!wanted[i].found && i < optional) {
            return monatt_error_set(err, MONATT_ERROR_MISSING, "guest kernel %s: no symbol %s",
                                    kernel->release, wanted[i].name);
        }
        *targets[i] = wanted[i].found ? wanted[i].address : 0;
    }
    return true;
}

enum {
    S_TASK,
    S_CRED,
    S_NAMESPACE,
    S_IDR,
    S_XARRAY,
    S_NODE,
    S_PID,
    S_RQ,
    S_ENTITY,
    S_CACHE,
    S_SLAB,
    S_PAGE,
    S_COUNT
};
static const char *const struct_names[S_COUNT] = {
    "task_struct", "cred", "pid_namespace", "idr",        "xarray", "xa_node",
    "pid",         "rq",   "sched_entity",  "kmem_cache", "slab",   "page",
};

typedef struct OffsetRow {
    int type; /* S_… */
    const char *member;
    size_t target; /* within KernelOffsets */
} OffsetRow;
#define ROW(type, member, field)                                                                   \
    {                                                                                              \
        type, member, offsetof(KernelOffsets, field)                                               \
    }
static const OffsetRow offset_rows[] = {
    ROW(S_TASK, "tasks", task_tasks),
    ROW(S_TASK, "pid", task_pid),
    ROW(S_TASK, "tgid", task_tgid),
    ROW(S_TASK, "comm", task_command),
    ROW(S_TASK, "mm", task_mm),
    ROW(S_TASK, "cred", task_cred),
    ROW(S_TASK, "pid_links", task_pid_links),
    ROW(S_TASK, "__state", task_state),
    ROW(S_TASK, "exit_state", task_exit_state),
    ROW(S_TASK, "stack", task_stack),
    ROW(S_TASK, "usage", task_usage),
    ROW(S_TASK, "start_time", task_start_time),
    ROW(S_CRED, "uid", cred_uid),
    ROW(S_NODE, "shift", node_shift),
    ROW(S_NODE, "offset", node_offset),
    ROW(S_NODE, "parent", node_parent),
    ROW(S_NODE, "slots", node_slots),
    ROW(S_PID, "tasks", pid_tasks),
    ROW(S_RQ, "curr", rq_current),
    ROW(S_RQ, "idle", rq_idle),
    ROW(S_RQ, "cfs_tasks", rq_cfs_tasks),
    ROW(S_CACHE, "size", cache_size),
    ROW(S_CACHE, "oo", cache_objects),
    ROW(S_CACHE, "min", cache_minimum),
    ROW(S_SLAB, "slab_cache", slab_cache),
};

static bool member_offset(const Btf *btf, const uint32_t *types, int type, const char *name,
                          uint32_t *ret_offset, MonattError *err)
{
    BtfMember member;
    if (!btf_member(btf, types[type], name, &member) || member.bit_offset % 8 != 0 ||
        member.bit_offset / 8 >= STRUCT_SIZE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "guest kernel: BTF has no %s.%s",
                                struct_names[type], name);
    }
    *ret_offset = member.bit_offset / 8;
    return true;
}

static bool sum_offsets(const Btf *btf, const uint32_t *types, const OffsetRow *rows, size_t count,
                        uint32_t *ret_sum, MonattError *err)
{
    *ret_sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t offset;
        if (!member_offset(btf, types, rows[i].type, rows[i].member, &offset, err)) {
            return false;
        }
        *ret_sum += offset;
    }
    return true;
}

static bool find_offsets(KernelOffsets *offsets, const Btf *btf, MonattError *err)
{
    static const OffsetRow idr_path[] = {
        {S_NAMESPACE, "idr", 0}, {S_IDR, "idr_rt", 0}, {S_XARRAY, "xa_head", 0}};
    static const OffsetRow group_path[] = {{S_TASK, "se", 0}, {S_ENTITY, "group_node", 0}};
    uint32_t types[S_COUNT];
    BtfMember objects;

    btf_find_structs(btf, struct_names, types, S_COUNT);
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(offset_rows); i++) {
        const OffsetRow *row = &offset_rows[i];
        uint32_t offset;
        if (!member_offset(btf, types, row->type, row->member, &offset, err)) {
            return false;
        }
        memcpy((char *)offsets + row->target, &offset, sizeof(offset));
    }
    if (!sum_offsets(btf, types, idr_path, MONATT_ARRAY_SIZE(idr_path),
                     &offsets->namespace_idr_root, err) ||
        !sum_offsets(btf, types, group_path, MONATT_ARRAY_SIZE(group_path),
                     &offsets->task_group_node, err)) {
        return false;
    }
    if (!btf_member(btf, types[S_SLAB], "objects", &objects)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "guest kernel: BTF has no slab.objects");
    }
    offsets->slab_objects = objects.bit_offset / 32 * 4;
    offsets->slab_objects_shift = objects.bit_offset % 32;
    offsets->page_size = btf_struct_size(btf, types[S_PAGE]);
    if (offsets->page_size == 0 || offsets->page_size > GUEST_PAGE_SIZE) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest kernel: struct page of %u bytes",
                                offsets->page_size);
    }
    return true;
}

static bool read_offsets(GuestKernel *kernel, uint64_t begin, uint64_t end, MonattError *err)
{
    void *bytes MONATT_CLEANUP_FREE = NULL;
    Btf btf;
    bool good;

    if (end <= begin || end - begin > BTF_SIZE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest kernel %s: no BTF (odd size)",
                                kernel->release);
    }
    bytes = malloc(end - begin);
    if (!bytes) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest kernel: out of memory");
    }
    if (!address_space_read(&kernel->space, begin, bytes, end - begin)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest kernel %s: BTF is not mapped",
                                kernel->release);
    }
    if (!btf_init(&btf, bytes, end - begin, err)) {
        return false;
    }
    good = find_offsets(&kernel->offsets, &btf, err);
    btf_clear(&btf);
    return good;
}

static bool init_task_there(GuestKernel *kernel)
{
    char command[COMMAND_SIZE];
    uint32_t pid;
    return address_space_u32(&kernel->space, kernel->symbols.init_task + kernel->offsets.task_pid,
                             &pid) &&
           pid == 0 &&
           address_space_read(&kernel->space,
                              kernel->symbols.init_task + kernel->offsets.task_command, command,
                              sizeof(command)) &&
           strncmp(command, INIT_COMMAND, sizeof(command)) == 0;
}

static bool try_candidate(GuestKernel *kernel, const GuestMemory *memory, MonattError *err)
{
    uint64_t root, physical_base, five_levels = 0, stext, physical, btf, btf_end;

    if (!vmcoreinfo_text(&kernel->info, "OSRELEASE", kernel->release, sizeof(kernel->release)) ||
        !vmcoreinfo_number(&kernel->info, "SYMBOL(swapper_pg_dir)", 16, &root) ||
        !vmcoreinfo_number(&kernel->info, "SYMBOL(_stext)", 16, &stext) ||
        !vmcoreinfo_number(&kernel->info, "NUMBER(phys_base)", 10, &physical_base)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "guest kernel: VMCOREINFO lacks root, _stext or phys_base");
    }
    if (vmcoreinfo_number(&kernel->info, "NUMBER(pgtable_l5_enabled)", 10, &five_levels) &&
        five_levels > 1) {
        five_levels = 1;
    }
    address_space_init(&kernel->space, memory, root - KERNEL_MAP_BASE + physical_base,
                       five_levels ? 5 : 4);
    if (!address_space_translate(&kernel->space, stext, &physical) ||
        physical != stext - KERNEL_MAP_BASE + physical_base) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest kernel %s: its page tables do not map its own text",
                                kernel->release);
    }
    if (!find_symbols(kernel, &btf, &btf_end, err) || !read_offsets(kernel, btf, btf_end, err)) {
        return false;
    }
    if (!init_task_there(kernel)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest kernel %s: no init_task",
                                kernel->release);
    }
    return true;
}

/* A kernel of an earlier boot may still lie in RAM; only the running one's ticks go on. */
static bool alive(GuestKernel *kernel)
{
    uint64_t before = guest_kernel_jiffies(kernel);
    const struct timespec wait = {.tv_nsec = ALIVE_WAIT_MS * 1000000L};

    for (int i = 0; i < ALIVE_WAITS; i++) {
        if (guest_kernel_jiffies(kernel) != before) {
            return true;
        }
        nanosleep(&wait, NULL);
    }
    return false;
}

/* other fits as well as kernel does; leaves the running one in kernel. */
static bool choose_alive(GuestKernel *kernel, const GuestKernel *other, MonattError *err)
{
    GuestKernel *second MONATT_CLEANUP_FREE = malloc(sizeof(*second));
    bool first_alive, second_alive;

    if (!second) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest kernel: out of memory");
    }
    *second = *other;
    first_alive = alive(kernel);
    second_alive = alive(second);
    if (first_alive == second_alive) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest kernel: two fit (%s, %s) and %s of them run",
                                kernel->release, second->release, first_alive ? "both" : "none");
    }
    if (second_alive) {
        *kernel = *second;
    }
    return true;
}

bool guest_kernel_find(GuestKernel *kernel, const GuestMemory *memory, MonattError *err)
{
    GuestKernel *candidate MONATT_CLEANUP_FREE = malloc(sizeof(*candidate));
    uint64_t address = 0;
    bool found = false;
    MonattError why = {0};

    if (!candidate) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest kernel: out of memory");
    }
    monatt_error_set(&why, MONATT_ERROR_MISSING,
                     "guest kernel: no VMCOREINFO in guest RAM (no Linux, or not booted yet)");
    for (int i = 0; i < CANDIDATES_MAXIMUM; i++) {
        if (!vmcoreinfo_find(memory, &address, &candidate->info)) {
            break;
        }
        /* The kernel keeps the text twice: for itself and as an ELF note. */
        if (found && strcmp(candidate->info.text, kernel->info.text) == 0) {
            continue;
        }
        candidate->note_address = address - GUEST_PAGE_SIZE;
        if (!try_candidate(candidate, memory, &why)) {
            continue;
        }
        if (found) {
            if (!choose_alive(kernel, candidate, err)) {
                return false;
            }
        } else {
            *kernel = *candidate;
            found = true;
        }
    }
    if (!found) {
        if (err) {
            *err = why;
            err->code = MONATT_ERROR_MISSING;
        }
        return false;
    }
    return true;
}

bool guest_kernel_check(GuestKernel *kernel)
{
    Vmcoreinfo *now MONATT_CLEANUP_FREE = malloc(sizeof(*now));
    uint64_t address = kernel->note_address;

    address_space_forget(&kernel->space);
    return now && vmcoreinfo_find(kernel->space.memory, &address, now) &&
           address == kernel->note_address + GUEST_PAGE_SIZE &&
           strcmp(now->text, kernel->info.text) == 0 && init_task_there(kernel);
}

uint64_t guest_kernel_jiffies(GuestKernel *kernel)
{
    uint64_t value = 0;
    return address_space_u64(&kernel->space, kernel->symbols.jiffies, &value) ? value : 0;
}

uint64_t guest_kernel_forks(GuestKernel *kernel)
{
    uint64_t value = 0;
    if (kernel->symbols.total_forks == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.total_forks, &value)) {
        return 0;
    }
    return value;
}
