/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.c - what a task of the guest is, field by field
 */
#include "host-collector/sources/introspection/checks/process.h"

#include "libmonatt/base/macros.h"

#define LEVELS_MAXIMUM 32 /* MAX_PID_NS_LEVEL */
#define NUMBER_SIZE_MAXIMUM 64

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ProcessLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(task_parent, "task_struct", "real_parent"),
    MEMBER(task_mm, "task_struct", "mm"),
    MEMBER(task_files, "task_struct", "files"),
    MEMBER(task_namespaces, "task_struct", "nsproxy"),
    MEMBER(task_cred, "task_struct", "real_cred"),
    MEMBER(task_pid, "task_struct", "thread_pid"),
    MEMBER(task_exit, "task_struct", "exit_state"),
    MEMBER(task_signal, "task_struct", "signal"),
    MEMBER(task_tgid, "task_struct", "tgid"),
    MEMBER(signal_threads, "signal_struct", "nr_threads"),
    MEMBER(mm_program, "mm_struct", "exe_file"),
    MEMBER(cred_uid, "cred", "uid"),
    MEMBER(cred_gid, "cred", "gid"),
    MEMBER(cred_user, "cred", "user_ns"),
    MEMBER(user_number, "user_namespace", "ns.inum"),
    MEMBER(namespaces_net, "nsproxy", "net_ns"),
    MEMBER(namespaces_mount, "nsproxy", "mnt_ns"),
    MEMBER(net_number, "net", "ns.inum"),
    MEMBER(mount_number, "mnt_namespace", "ns.inum"),
    MEMBER(pid_level, "pid", "level"),
    MEMBER(pid_numbers, "pid", "numbers"),
    LAYOUT_SIZE(ProcessLayout, number_size, "upid"),
    MEMBER(number_value, "upid", "nr"),
    MEMBER(number_space, "upid", "ns"),
    MEMBER(space_number, "pid_namespace", "ns.inum"),
    MEMBER(file_path, "file", "f_path"),
    MEMBER(file_inode, "file", "f_inode"),
    MEMBER(path_mount, "path", "mnt"),
    MEMBER(path_entry, "path", "dentry"),
    MEMBER(entry_parent, "dentry", "d_parent"),
    MEMBER(entry_name, "dentry", "d_name.name"),
    MEMBER(entry_hash, "dentry", "d_hash"),
    MEMBER(entry_inode, "dentry", "d_inode"),
    MEMBER(mount_root, "vfsmount", "mnt_root"),
    MEMBER(mount_parent, "mount", "mnt_parent"),
    MEMBER(mount_place, "mount", "mnt_mountpoint"),
    MEMBER(mount_inner, "mount", "mnt"),
};

void process_layout_read(GuestKernel *kernel, ProcessLayout *layout)
{
    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), layout);
}

static uint64_t pointer(GuestKernel *kernel, uint64_t base, uint32_t offset)
{
    uint64_t value;
    return base != 0 && layout_has(offset) &&
                   address_space_u64(&kernel->space, base + offset, &value)
               ? value
               : 0;
}

static uint32_t number(GuestKernel *kernel, uint64_t base, uint32_t offset)
{
    uint32_t value;
    return base != 0 && layout_has(offset) &&
                   address_space_u32(&kernel->space, base + offset, &value)
               ? value
               : PROCESS_NOT_KNOWN;
}

/* The last of a pid's numbers is the one in the process's own namespace. */
static void read_pid(GuestKernel *kernel, const ProcessLayout *layout, Process *process)
{
    uint64_t pid = pointer(kernel, process->task, layout->task_pid), space;
    uint32_t level = number(kernel, pid, layout->pid_level);

    process->own_pid = process->pid_namespace = PROCESS_NOT_KNOWN;
    if (level >= LEVELS_MAXIMUM || !layout_has(layout->pid_numbers) ||
        !layout_has(layout->number_size) || layout->number_size > NUMBER_SIZE_MAXIMUM) {
        return;
    }
    pid += layout->pid_numbers + (uint64_t)level * layout->number_size;
    process->own_pid = number(kernel, pid, layout->number_value);
    space = pointer(kernel, pid, layout->number_space);
    process->pid_namespace = number(kernel, space, layout->space_number);
}

void process_read(GuestKernel *kernel, const ProcessLayout *layout, uint64_t task,
                  Process *ret_process)
{
    uint64_t cred = pointer(kernel, task, layout->task_cred);
    uint64_t namespaces = pointer(kernel, task, layout->task_namespaces);

    *ret_process = (Process){.task = task};
    ret_process->mm = pointer(kernel, task, layout->task_mm);
    ret_process->files = pointer(kernel, task, layout->task_files);
    ret_process->program = pointer(kernel, ret_process->mm, layout->mm_program);
    ret_process->parent =
        number(kernel, pointer(kernel, task, layout->task_parent), layout->task_tgid);
    ret_process->exit_state = number(kernel, task, layout->task_exit);
    ret_process->threads =
        number(kernel, pointer(kernel, task, layout->task_signal), layout->signal_threads);
    ret_process->uid = number(kernel, cred, layout->cred_uid);
    ret_process->gid = number(kernel, cred, layout->cred_gid);
    ret_process->user_namespace =
        number(kernel, pointer(kernel, cred, layout->cred_user), layout->user_number);
    ret_process->net = pointer(kernel, namespaces, layout->namespaces_net);
    ret_process->net_namespace = number(kernel, ret_process->net, layout->net_number);
    ret_process->mount_namespace =
        number(kernel, pointer(kernel, namespaces, layout->namespaces_mount), layout->mount_number);
    read_pid(kernel, layout, ret_process);
}
