/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.h - what a task of the guest is: its program, its parent, whose it is and where it lives
 */
#ifndef MONATT_INTROSPECTION_PROCESS_H
#define MONATT_INTROSPECTION_PROCESS_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/layout.h"

#define PROCESS_PATH_SIZE                                                                          \
    257 /* with the terminator; what is longer loses its front: "…" as "..." */
#define PROCESS_NOT_KNOWN UINT32_MAX

/* Offsets; LAYOUT_MISSING where this kernel has none. */
typedef struct ProcessLayout {
    uint32_t task_parent;
    uint32_t task_mm;
    uint32_t task_files;
    uint32_t task_namespaces;
    uint32_t task_cred;
    uint32_t task_pid;
    uint32_t task_exit;
    uint32_t task_signal;
    uint32_t task_tgid;
    uint32_t signal_threads;
    uint32_t mm_program; /* mm_struct.exe_file */
    uint32_t cred_uid;
    uint32_t cred_gid;
    uint32_t cred_user;
    uint32_t user_number;
    uint32_t namespaces_net;
    uint32_t namespaces_mount;
    uint32_t net_number;
    uint32_t mount_number;
    uint32_t pid_level;
    uint32_t pid_numbers;
    uint32_t number_size;
    uint32_t number_value;
    uint32_t number_space;
    uint32_t space_number;
    uint32_t file_path;
    uint32_t file_inode;
    uint32_t path_mount;
    uint32_t path_entry;
    uint32_t entry_parent;
    uint32_t entry_name;
    uint32_t entry_hash;
    uint32_t entry_inode;
    uint32_t mount_root; /* vfsmount.mnt_root */
    uint32_t mount_parent;
    uint32_t mount_place;
    uint32_t mount_inner; /* mount.mnt */
} ProcessLayout;

typedef struct Process {
    uint64_t task;
    uint64_t mm;      /* 0: a kernel thread */
    uint64_t files;   /* files_struct; 0: none, it ends */
    uint64_t program; /* struct file; 0: none */
    uint64_t net;     /* struct net; 0: not known */
    uint32_t parent;
    uint32_t uid;
    uint32_t gid;
    uint32_t threads;
    uint32_t exit_state;
    uint32_t own_pid;       /* in its own pid namespace */
    uint32_t pid_namespace; /* numbers as /proc/PID/ns has them; PROCESS_NOT_KNOWN */
    uint32_t net_namespace;
    uint32_t mount_namespace;
    uint32_t user_namespace;
} Process;

void process_layout_read(GuestKernel *kernel, ProcessLayout *layout);
/* What cannot be read stays 0 or PROCESS_NOT_KNOWN. */
void process_read(GuestKernel *kernel, const ProcessLayout *layout, uint64_t task,
                  Process *ret_process);
/*
 * The path of an open file from its mount's root through all mounts, as /proc/PID/exe has it, with
 * " (deleted)" where its name is gone (process-path.c).  False: it could not be followed, and
 * ret_path holds what there is.
 */
bool process_path(GuestKernel *kernel, const ProcessLayout *layout, uint64_t file,
                  char ret_path[PROCESS_PATH_SIZE], bool *ret_deleted) MONATT_MUST_CHECK;

#endif
