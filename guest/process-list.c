/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process-list.c - the guest's own list of processes, for the host to compare with what it sees
 *
 * Kernel threads are in it, the threads of a process are not: what /proc lists.  Must never leave
 * out a process that it cannot read well: a list with a gap would look like a hidden process.
 */
#include "guest/process-list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_ENTRIES_MAXIMUM                                                                       \
    (1024 * 1024)     /* directory entries looked at; pid_max is below 4 Mi                        \
                       */
#define STAT_SIZE 512 /* "pid (command) state ppid": the rest is not needed */

static bool is_pid(const char *name, uint32_t *ret_pid)
{
    char *end;
    if (name[0] < '1' || name[0] > '9') {
        return false;
    }
    unsigned long value = strtoul(name, &end, 10);
    if (*end != '\0' || value > INT_MAX) {
        return false;
    }
    *ret_pid = (uint32_t)value;
    return true;
}

/* False when the process is gone by now. */
static bool read_task(int proc_fd, uint32_t pid, MonattGuestTask *task)
{
    char name[32];
    char text[STAT_SIZE];
    struct stat status;
    snprintf(name, sizeof(name), "%u/stat", pid);
    int fd MONATT_CLEANUP_CLOSE = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return false;
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    memset(task, 0, sizeof(*task));
    task->pid = pid;
    task->uid = status.st_uid;
    /* The command may hold parentheses and blanks of its own: the last ')' ends it. */
    const char *begin = strchr(text, '(');
    const char *end = strrchr(text, ')');
    if (begin && end && end > begin) {
        size_t length = (size_t)(end - begin - 1);
        if (length > MONATT_GUEST_COMMAND_MAXIMUM) {
            length = MONATT_GUEST_COMMAND_MAXIMUM;
        }
        memcpy(task->command, begin + 1, length);
        unsigned parent;
        if (sscanf(end + 1, " %*c %u", &parent) == 1) {
            task->parent_pid = parent;
        }
    }
    return true;
}

static int compare_tasks(const void *a, const void *b)
{
    uint32_t left = ((const MonattGuestTask *)a)->pid;
    uint32_t right = ((const MonattGuestTask *)b)->pid;
    return (left > right) - (left < right);
}

bool process_list_collect(const char *proc, MonattGuestTask *tasks, size_t capacity,
                          size_t *ret_count, MonattError *err)
{
    DIR *stream = opendir(proc);
    if (!stream) {
        monatt_error_set_errno(err, errno, "process list: '%s'", proc);
        return monatt_error_hint(err, "is proc mounted at %s?", proc);
    }
    size_t count = 0;
    bool full = false;
    struct dirent *entry;
    for (unsigned i = 0; i < PROC_ENTRIES_MAXIMUM && !full && (entry = readdir(stream)); i++) {
        uint32_t pid;
        if (!is_pid(entry->d_name, &pid)) {
            continue;
        }
        full = count == capacity;
        if (!full && read_task(dirfd(stream), pid, &tasks[count])) {
            count++;
        }
    }
    closedir(stream);
    if (full) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "process list: '%s': more than %zu processes", proc, capacity);
    }
    if (count == 0) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "process list: '%s': no process is in it",
                         proc);
        return monatt_error_hint(err, "is proc mounted at %s?", proc);
    }
    qsort(tasks, count, sizeof(*tasks), compare_tasks);
    /* A process that forks while /proc is read may be listed twice. */
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (tasks[i].pid != tasks[kept - 1].pid) {
            tasks[kept++] = tasks[i];
        }
    }
    *ret_count = kept;
    return true;
}

bool process_list_encode(const uint8_t nonce[MONATT_NONCE_SIZE], const MonattGuestTask *tasks,
                         size_t count, uint8_t *bytes, size_t capacity, size_t *ret_size,
                         MonattError *err)
{
    MonattWriter w;
    monatt_writer_init(&w, bytes, capacity);
    monatt_guest_list_begin(&w, nonce, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        monatt_guest_list_add(&w, &tasks[i]);
    }
    return monatt_writer_finish(&w, "process list", ret_size, err);
}
