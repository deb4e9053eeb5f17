/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-image.h - the RAM of an invented guest, small enough to know every byte of it
 *
 * Holds what introspection follows in a Linux: VMCOREINFO, four levels of page tables (4 KiB,
 * 2 MiB and 1 GiB pages), kallsyms, BTF, and tasks in list, IDR, run queue, slab,
 * a set of control groups, and page tables.  The layouts
 * of its structures are its own, so that nobody can rely on those of a real kernel.
 */
#ifndef MONATT_TESTS_GUEST_IMAGE_H
#define MONATT_TESTS_GUEST_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_SIZE (2u * 1024 * 1024)
#define IMAGE_KERNEL 0xffffffff80000000ull /* kernel addresses: this plus the physical one */
#define IMAGE_DIRECT 0xffff888000000000ull /* a 1 GiB page */
#define IMAGE_MEMMAP 0xffffea0000000000ull /* 4 KiB pages: struct page of each frame */
#define IMAGE_ROOT 0x1000u                 /* guest-physical: PML4 */
#define IMAGE_NOTE 0x8000u                 /* VMCOREINFO */
#define IMAGE_TEXT 0x10000u                /* _stext */
#define IMAGE_BTF 0x28000u
#define IMAGE_SLAB 0x40000u
#define IMAGE_TASKS 5 /* pids 1 to 5: systemd, kthreadd, sshd, its thread 4, evil-daemon */
#define IMAGE_THREAD 4
#define IMAGE_VICTIM 5

/* Offsets within its structures. */
#define IMAGE_TASK_SIZE 0x400u
#define IMAGE_TASK_LIST 0x10u
#define IMAGE_TASK_PID 0x20u
#define IMAGE_TASK_MM 0x38u
#define IMAGE_TASK_STATE 0x60u
#define IMAGE_TASK_EXIT 0x64u
#define IMAGE_TASK_FLAGS 0x68u
#define IMAGE_TASK_STACK 0x70u
#define IMAGE_TASK_GROUPS 0xc0u /* cg_list */
#define IMAGE_NODE_SLOTS 0x28u
#define IMAGE_IDR_NODE 0x21000u
#define IMAGE_IDR_HEAD 0x20010u                /* where init_pid_ns keeps its root */
#define IMAGE_QUEUE 0x23100u                   /* CPU 0's: curr, idle, cfs_tasks */
#define IMAGE_MM(pid) (0x30000u + (pid)*0x40u) /* root, owner */
#define IMAGE_SET_TABLE 0x34000u               /* css_set_table */
#define IMAGE_SET 0x35000u                     /* the one css_set: tasks, migrating, dying */
#define IMAGE_SET_HASH 0x40u
#define IMAGE_PROCESS_ROOT(pid) (0x70000u + (pid)*0x1000u) /* what CR3 holds */
#define IMAGE_JIFFIES 0x25000u
#define IMAGE_BANNER 0x25100u /* linux_banner */

/* size must be IMAGE_SIZE; fills it anew. */
void guest_image_fill(uint8_t *bytes, size_t size);
/* guest-physical address of the task_struct of a pid 1 to IMAGE_TASKS. */
uint64_t guest_image_task(uint32_t pid);
/* The same as the guest addresses it. */
uint64_t guest_image_task_address(uint32_t pid);
void guest_image_put_u64(uint8_t *bytes, uint64_t physical, uint64_t value);
void guest_image_put_u32(uint8_t *bytes, uint64_t physical, uint32_t value);
uint64_t guest_image_u64(const uint8_t *bytes, uint64_t physical);
/* What a rootkit does. */
void guest_image_unlink(uint8_t *bytes, uint32_t pid);
void guest_image_clear_pid(uint8_t *bytes, uint32_t pid);
void guest_image_leave_groups(uint8_t *bytes, uint32_t pid);

#endif
