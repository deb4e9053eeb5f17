/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel.h - the Linux kernel that runs in a guest, found without any symbol file
 *
 * VMCOREINFO names the page-table root and kallsyms, kallsyms name the roots of the lists and the
 * kernel's BTF, BTF gives the offsets.  A kernel is accepted when all of it fits together and
 * init_task is there; what a guest in full control of its kernel forges beyond that is for the
 * text check against the measured kernel to find.  Linux 5.10 or later, x86-64.
 *
 * A symbol or member that is not there, or BTF as a whole, makes the views that need it say so by
 * its name; it must never make the others unusable, nor be replaced by a guess from the version.
 */
#ifndef MONATT_INTROSPECTION_GUEST_KERNEL_H
#define MONATT_INTROSPECTION_GUEST_KERNEL_H

#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/btf.h"
#include "host-collector/sources/introspection/kallsyms.h"
#include "host-collector/sources/introspection/vmcoreinfo.h"
#include "libmonatt/formats/record-payloads.h"

#define GUEST_KERNEL_RELEASE_SIZE 65
#define GUEST_KERNEL_CPUS_MAXIMUM 512 /* more: the run-queue view stays incomplete */

#define GUEST_KERNEL_CACHE 256 /* lookups of members that are remembered */
#define GUEST_KERNEL_STRUCTURE_SIZE 32
#define GUEST_KERNEL_PATH_SIZE 48
#define GUEST_KERNEL_MISSING_SIZE 96

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
    uint32_t set_hash;  /* css_set: its node in css_set_table, and its lists of tasks */
    uint32_t set_tasks;
    uint32_t set_migrating;
    uint32_t set_dying;
    uint32_t task_set_node;
    uint32_t table_mm; /* struct page (ptdesc) of a page-table root: its mm */
    uint32_t mm_root;
    uint32_t mm_owner;
} KernelOffsets;

/* Guest-virtual addresses; 0: the kernel has no such symbol. */
typedef struct KernelSymbols {
    uint64_t init_task;
    uint64_t init_pid_ns;
    uint64_t runqueues; /* per CPU: plus per_cpu_offset[cpu] */
    uint64_t per_cpu_offset;
    uint64_t nr_cpu_ids;
    uint64_t vmemmap_base; /* the variables, not what they hold */
    uint64_t page_offset_base;
    uint64_t task_cache; /* task_struct_cachep */
    uint64_t set_table;  /* css_set_table */
    uint64_t total_forks;
    uint64_t jiffies;
} KernelSymbols;

/* A member that was looked up, found or not. */
typedef struct CachedMember {
    char structure[GUEST_KERNEL_STRUCTURE_SIZE];
    char path[GUEST_KERNEL_PATH_SIZE];
    BtfMember member;
    bool used;
    bool found;
} CachedMember;

typedef struct GuestKernel {
    AddressSpace space;
    KernelSymbols symbols;
    KernelOffsets offsets;
    uint64_t note_address; /* guest-physical, of the page where VMCOREINFO was found */
    Vmcoreinfo info;
    char release[GUEST_KERNEL_RELEASE_SIZE];
    Kallsyms table;
    Btf types; /* count 0: there are none */
    void *types_bytes;
    /* What each MONATT_VIEW_ needs and is not there: "BTF has no rq.curr"; "": it has all. */
    char missing[MONATT_VIEW_COUNT][GUEST_KERNEL_MISSING_SIZE];
    CachedMember cache[GUEST_KERNEL_CACHE];
} GuestKernel;

/*
 * Looks through all RAM; takes about 50 ms a GiB in use.  MISSING: no kernel that fits (not Linux,
 * not booted yet); the message says what the best candidate lacked.  FORMAT: two kernels fit and
 * both or neither are alive.  memory must outlive it.  kernel is all zeros or was used before: what
 * it held is freed, and after a failure it holds nothing.
 */
bool guest_kernel_find(GuestKernel *kernel, const GuestMemory *memory,
                       MonattError *err) MONATT_MUST_CHECK;
void guest_kernel_clear(GuestKernel *kernel);
/* Whether what was found is still there; false after a reboot into another kernel or place.
 * Takes microseconds: this is a second attach to the same boot. */
bool guest_kernel_check(GuestKernel *kernel) MONATT_MUST_CHECK;
/* The kernel's 64-bit tick counter and its count of forks; 0 when unreadable. */
/*
 * Types for a kernel that carries none (no CONFIG_DEBUG_INFO_BTF): BTF of the same build, given by
 * the operator.  The bytes are copied.  A kernel with types of its own keeps them, and that is a
 * success.  FORMAT, LIMIT, SYSTEM: not BTF, or not this kernel's; the kernel is as before.
 */
bool guest_kernel_use_types(GuestKernel *kernel, const void *bytes, size_t size,
                            MonattError *err) MONATT_MUST_CHECK;
uint64_t guest_kernel_jiffies(GuestKernel *kernel);
uint64_t guest_kernel_forks(GuestKernel *kernel);
/* Whether its boot is through: it patches its text all the time before.  unknown: the answer where
 * the kernel does not say. */
bool guest_kernel_is_running(GuestKernel *kernel, bool unknown);
/* Where the owner of the struct mutex at this address stands; 0: not known, or mutex is 0. */
uint64_t guest_kernel_lock(GuestKernel *kernel, uint64_t mutex);
/* The task that has the lock whose owner stands at lock; 0: none, or lock is 0 or not readable. */
uint64_t guest_kernel_lock_owner(GuestKernel *kernel, uint64_t lock);
#define GUEST_LOCK_FLAGS 7ull /* MUTEX_FLAGS, of the owner's word */

/*
 * Lookups.  Every one may fail for one kernel and work for another: the caller's check then says
 * UNSUPPORTED with the name.  Layout is by member, never by version; a path follows embedded
 * structs ("se.group_node") and unnamed ones, and never a pointer.  Members are remembered.
 */
bool guest_kernel_symbol(GuestKernel *kernel, const char *name,
                         uint64_t *ret_address) MONATT_MUST_CHECK;
/* The symbol at or before address and the distance in bytes; false: none in this half. */
bool guest_kernel_symbol_at(GuestKernel *kernel, uint64_t address,
                            char ret_name[KALLSYMS_NAME_MAXIMUM],
                            uint64_t *ret_offset) MONATT_MUST_CHECK;
/* In bytes; false for a bit field. */
bool guest_kernel_member(GuestKernel *kernel, const char *structure, const char *path,
                         uint32_t *ret_offset) MONATT_MUST_CHECK;
/* A bit field as the 32-bit word at *ret_word_offset, shifted right by *ret_shift, *ret_width wide
 * (1 to 32); of a member that is none, what of it lies in that word. */
bool guest_kernel_bits(GuestKernel *kernel, const char *structure, const char *path,
                       uint32_t *ret_word_offset, uint32_t *ret_shift,
                       uint32_t *ret_width) MONATT_MUST_CHECK;
/* Bytes; 0: there is no such struct, union or typedef. */
uint32_t guest_kernel_sizeof(GuestKernel *kernel, const char *structure);
/* "BPF_PROG_TYPE_XDP".  Before Linux 6.0 a negative one comes as 32 bits without a sign. */
bool guest_kernel_enumerator(GuestKernel *kernel, const char *name,
                             int64_t *ret_value) MONATT_MUST_CHECK;
/* Of several dimensions: all elements. */
bool guest_kernel_array(GuestKernel *kernel, const char *structure, const char *path,
                        uint32_t *ret_elements, uint32_t *ret_element_size) MONATT_MUST_CHECK;
/* nr_cpu_ids, at most GUEST_KERNEL_CPUS_MAXIMUM; 0: not known. */
uint32_t guest_kernel_cpus(GuestKernel *kernel);
/* symbol: a per-CPU one's address, in either form that kernels have it. */
bool guest_kernel_per_cpu(GuestKernel *kernel, uint64_t symbol, uint32_t cpu,
                          uint64_t *ret_address) MONATT_MUST_CHECK;
/* A string of the kernel's, printable, cut to capacity (with the terminator); false: not mapped. */
bool guest_kernel_string(GuestKernel *kernel, uint64_t address, char *ret,
                         size_t capacity) MONATT_MUST_CHECK;

/* Fills symbols, offsets and missing from table and types (guest-kernel-layout.c). */
void guest_kernel_lay_out(GuestKernel *kernel);

#endif
