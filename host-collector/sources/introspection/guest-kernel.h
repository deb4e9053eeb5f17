/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel.h - the Linux kernel that runs in a guest, found without any symbol file
 *
 * VMCOREINFO names the page-table root and kallsyms, kallsyms name the roots of the lists and the
 * kernel's BTF, BTF gives the offsets.  A kernel is accepted when all of it fits together and
 * init_task is there; what a guest in full control of its kernel forges beyond that is for the
 * text check against the measured kernel to find.  Linux 6.0 or later with BTF, x86-64.
 */
#ifndef MONATT_INTROSPECTION_GUEST_KERNEL_H
#define MONATT_INTROSPECTION_GUEST_KERNEL_H

#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/vmcoreinfo.h"

#define GUEST_KERNEL_RELEASE_SIZE 65
#define GUEST_KERNEL_CPUS_MAXIMUM 512 /* more: the run-queue view stays incomplete */

/* Byte offsets within the kernel's structures, by its own BTF. */
typedef struct KernelOffsets {
    uint32_t task_tasks;
    uint32_t task_pid;
    uint32_t task_tgid;
    uint32_t task_command;
    uint32_t task_mm;
    uint32_t task_cred;
    uint32_t task_pid_links;
    uint32_t task_state;
    uint32_t task_exit_state;
    uint32_t task_stack;
    uint32_t task_usage;
    uint32_t task_start_time;
    uint32_t task_group_node; /* task_struct.se.group_node */
    uint32_t cred_uid;
    uint32_t namespace_idr_root; /* pid_namespace.idr.idr_rt.xa_head */
    uint32_t node_shift;         /* xa_node */
    uint32_t node_offset;
    uint32_t node_parent;
    uint32_t node_slots;
    uint32_t pid_tasks;
    uint32_t rq_current;
    uint32_t rq_idle;
    uint32_t rq_cfs_tasks;
    uint32_t cache_size; /* kmem_cache */
    uint32_t cache_objects;
    uint32_t cache_minimum;
    uint32_t slab_cache;
    uint32_t slab_objects; /* the 32-bit word with the bit field */
    uint32_t slab_objects_shift;
    uint32_t page_size; /* sizeof(struct page) */
} KernelOffsets;

/* Guest-virtual addresses. */
typedef struct KernelSymbols {
    uint64_t init_task;
    uint64_t init_pid_ns;
    uint64_t runqueues; /* per CPU: plus per_cpu_offset[cpu] */
    uint64_t per_cpu_offset;
    uint64_t nr_cpu_ids;
    uint64_t vmemmap_base; /* the variables, not what they hold */
    uint64_t page_offset_base;
    uint64_t task_cache;  /* task_struct_cachep */
    uint64_t total_forks; /* 0: not known */
    uint64_t jiffies;
} KernelSymbols;

typedef struct GuestKernel {
    AddressSpace space;
    KernelSymbols symbols;
    KernelOffsets offsets;
    uint64_t note_address; /* guest-physical, of the page where VMCOREINFO was found */
    Vmcoreinfo info;
    char release[GUEST_KERNEL_RELEASE_SIZE];
} GuestKernel;

/*
 * Looks through all RAM; takes about 50 ms a GiB in use.  MISSING: no kernel that fits (not Linux,
 * not booted yet, too old); the message says what the best candidate lacked.  FORMAT: two kernels
 * fit and both or neither are alive.  memory must outlive it.
 */
bool guest_kernel_find(GuestKernel *kernel, const GuestMemory *memory,
                       MonattError *err) MONATT_MUST_CHECK;
/* Whether what was found is still there; false after a reboot into another kernel or place. */
bool guest_kernel_check(GuestKernel *kernel) MONATT_MUST_CHECK;
/* The kernel's 64-bit tick counter and its count of forks; 0 when unreadable. */
uint64_t guest_kernel_jiffies(GuestKernel *kernel);
uint64_t guest_kernel_forks(GuestKernel *kernel);

#endif
