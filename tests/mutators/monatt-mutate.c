/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monatt-mutate.c - hides a process of a test's guest by writing the guest's RAM from outside
 *
 *   monatt-mutate --memory FILE hide PID --from list|list+idr|idr
 *   monatt-mutate --memory FILE unhide PID
 *   monatt-mutate --memory FILE unlink|relink STRUCTURE MEMBER ADDRESS
 *   monatt-mutate --qemu PID …       the memory backend of that QEMU
 *
 * Writes what a rootkit inside would write: it unlinks the task_struct from init_task.tasks and
 * empties its slot in the IDR of PIDs; or takes the node MEMBER of the structure at ADDRESS out of
 * its list of any kind, and puts it back where it was.  It takes no lock of the guest, so stop the
 * guest first (QMP "stop") or keep it idle.  Guests of one region at guest-physical 0 (up to 2 GiB
 * on q35). A test tool: it needs write access to the memory backend, which only root and QEMU have.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host-collector/sources/introspection/task-scan.h"
#include "libmonatt/base/log.h"

#define SLOT_BITS 6
#define SLOT_MASK 63u
#define DEPTH_MAXIMUM 11
#define FROM_LIST 1u
#define FROM_IDR 2u

typedef struct Mutation {
    GuestMemory memory;
    GuestKernel kernel;
    TaskScan scan;
    uint8_t *writable;
    uint64_t size;
} Mutation;

/* QEMU names the file behind "-object memory-backend-memfd" so. */
static bool find_backend(unsigned long qemu, char *path, size_t capacity, MonattError *err)
{
    char folder[64], link[512];
    const struct dirent *entry;
    DIR *directory;

    snprintf(folder, sizeof(folder), "/proc/%lu/fd", qemu);
    directory = opendir(folder);
    if (!directory) {
        return monatt_error_set_errno(err, errno, "memory backend: '%s'", folder);
    }
    while ((entry = readdir(directory))) {
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
        if (size > 0) {
            link[size] = '\0';
            if (strstr(link, "memfd:memory-backend-memfd")) {
                snprintf(path, capacity, "%s/%.16s", folder, entry->d_name);
                closedir(directory);
                return true;
            }
        }
    }
    closedir(directory);
    return monatt_error_set(err, MONATT_ERROR_MISSING,
                            "memory backend: QEMU %lu has no memory-backend-memfd", qemu);
}

static bool open_memory(Mutation *mutation, const char *path, MonattError *err)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    MonattRamRegion region = {0};

    if (fd < 0 || fstat(fd, &status) < 0) {
        return monatt_error_set_errno(err, errno, "guest memory: '%s'", path);
    }
    region.size = (uint64_t)status.st_size;
    mutation->size = region.size;
    mutation->writable = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mutation->writable == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "guest memory: '%s'", path);
    }
    return guest_memory_map(&mutation->memory, &region, &fd, 1, err) &&
           guest_kernel_find(&mutation->kernel, &mutation->memory, err) &&
           task_scan_init(&mutation->scan, err);
}

static bool write_u64(Mutation *mutation, uint64_t address, uint64_t value, MonattError *err)
{
    uint64_t physical;

    if (!address_space_translate(&mutation->kernel.space, address, &physical) ||
        physical + sizeof(value) > mutation->size) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest memory: %#lx is not mapped",
                                (unsigned long)address);
    }
    memcpy(mutation->writable + physical, &value, sizeof(value));
    return true;
}

static bool read_u64(Mutation *mutation, uint64_t address, uint64_t *ret_value, MonattError *err)
{
    if (!address_space_u64(&mutation->kernel.space, address, ret_value)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest memory: %#lx is not mapped",
                                (unsigned long)address);
    }
    return true;
}

static const GuestTask *find_task(Mutation *mutation, uint32_t pid, MonattError *err)
{
    task_scan_run(&mutation->scan, &mutation->kernel);
    for (uint32_t i = 0; i < mutation->scan.table.count; i++) {
        const GuestTask *task = &mutation->scan.table.tasks[i];
        if (task->pid == pid && task->settled && guest_task_is_leader(task)) {
            return task;
        }
    }
    monatt_error_set(err, MONATT_ERROR_MISSING, "guest process %u: not there", pid);
    return NULL;
}

static bool unlink_list(Mutation *mutation, const GuestTask *task, MonattError *err)
{
    uint64_t node = task->address + mutation->kernel.offsets.task_tasks, next, previous;

    return read_u64(mutation, node, &next, err) && read_u64(mutation, node + 8, &previous, err) &&
           write_u64(mutation, previous, next, err) &&
           write_u64(mutation, next + 8, previous, err) &&
           /* As list_del_init(): exit() of the process then still works. */
           write_u64(mutation, node, node, err) && write_u64(mutation, node + 8, node, err);
}

/* At the end, where copy_process() would put it. */
static bool link_list(Mutation *mutation, const GuestTask *task, MonattError *err)
{
    uint64_t head = mutation->kernel.symbols.init_task + mutation->kernel.offsets.task_tasks;
    uint64_t node = task->address + mutation->kernel.offsets.task_tasks, last;

    return read_u64(mutation, head + 8, &last, err) && write_u64(mutation, node, head, err) &&
           write_u64(mutation, node + 8, last, err) && write_u64(mutation, last, node, err) &&
           write_u64(mutation, head + 8, node, err);
}

static bool find_slot(Mutation *mutation, uint32_t pid, uint64_t *ret_slot, MonattError *err)
{
    const KernelOffsets *o = &mutation->kernel.offsets;
    uint64_t slot = mutation->kernel.symbols.init_pid_ns + o->namespace_idr_root, node;

    for (int depth = 0; depth < DEPTH_MAXIMUM; depth++) {
        uint8_t shift;
        if (!read_u64(mutation, slot, &node, err)) {
            return false;
        }
        node &= ~3ull;
        if (!address_space_read(&mutation->kernel.space, node + o->node_shift, &shift, 1)) {
            break;
        }
        slot = node + o->node_slots + 8ull * ((pid >> shift) & SLOT_MASK);
        if (shift == 0) {
            *ret_slot = slot;
            return true;
        }
    }
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest process %u: no slot in the IDR", pid);
}

/* The struct pid of a task: the one whose list of tasks begins with its link. */
static bool pid_of(Mutation *mutation, const GuestTask *task, uint64_t *ret_pid, MonattError *err)
{
    uint64_t link = task->address + mutation->kernel.offsets.task_pid_links, back;

    /* hlist_node.pprev points at pid.tasks[PIDTYPE_PID].first */
    if (!read_u64(mutation, link + 8, &back, err)) {
        return false;
    }
    *ret_pid = back - mutation->kernel.offsets.pid_tasks;
    return true;
}

static bool hide(Mutation *mutation, const GuestTask *task, unsigned from, MonattError *err)
{
    uint64_t slot;

    return (!(from & FROM_LIST) || unlink_list(mutation, task, err)) &&
           (!(from & FROM_IDR) ||
            (find_slot(mutation, task->pid, &slot, err) && write_u64(mutation, slot, 0, err)));
}

static bool unhide(Mutation *mutation, const GuestTask *task, MonattError *err)
{
    uint64_t slot, pid;

    return ((task->views & MONATT_VIEW_BIT(MONATT_VIEW_LIST)) || link_list(mutation, task, err)) &&
           ((task->views & MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR)) ||
            (pid_of(mutation, task, &pid, err) && find_slot(mutation, task->pid, &slot, err) &&
             write_u64(mutation, slot, pid, err)));
}

/* A list_head, hlist_node or hlist_nulls_node: its own links stay, so that it can be put back. */
static bool move_node(Mutation *mutation, const char *structure, const char *member,
                      uint64_t address, bool back, MonattError *err)
{
    uint64_t next, previous, node;
    uint32_t offset;

    if (!guest_kernel_member(&mutation->kernel, structure, member, &offset)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "guest kernel: no %s.%s", structure,
                                member);
    }
    node = address + offset;
    if (!read_u64(mutation, node, &next, err) || !read_u64(mutation, node + 8, &previous, err) ||
        !write_u64(mutation, previous, back ? node : next, err)) {
        return false;
    }
    return next == 0 || (next & 1) || write_u64(mutation, next + 8, back ? node : previous, err);
}

static bool number(const char *text, unsigned long *ret_value)
{
    char *end;
    errno = 0;
    *ret_value = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret_value <= UINT32_MAX;
}

static bool from_word(const char *word, unsigned *ret_from)
{
    static const struct {
        const char *word;
        unsigned from;
    } words[] = {{"list", FROM_LIST}, {"idr", FROM_IDR}, {"list+idr", FROM_LIST | FROM_IDR}};

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(words); i++) {
        if (strcmp(word, words[i].word) == 0) {
            *ret_from = words[i].from;
            return true;
        }
    }
    return false;
}

static bool run_node(Mutation *mutation, char **words, MonattError *err)
{
    char *end;
    uint64_t address = strtoull(words[3], &end, 16);

    if (*end != '\0' ||
        !move_node(mutation, words[1], words[2], address, words[0][0] == 'r', err)) {
        return false;
    }
    printf("{\"address\": \"%#lx\"}\n", (unsigned long)address);
    return true;
}

static bool run(int argc, char **argv, MonattError *err)
{
    static Mutation mutation;
    char backend[96];
    const char *path = argc > 2 ? argv[2] : "";
    const GuestTask *task;
    unsigned long value, pid = 0;
    unsigned from = 0;
    bool hiding = argc == 7 && strcmp(argv[3], "hide") == 0 && strcmp(argv[5], "--from") == 0 &&
                  from_word(argv[6], &from);
    bool node = argc == 7 && (strcmp(argv[3], "unlink") == 0 || strcmp(argv[3], "relink") == 0);
    bool qemu = argc > 2 && strcmp(argv[1], "--qemu") == 0;

    if (!(node ||
          ((hiding || (argc == 5 && strcmp(argv[3], "unhide") == 0)) && number(argv[4], &pid))) ||
        !(qemu || strcmp(argv[1], "--memory") == 0)) {
        return monatt_error_set(err, MONATT_ERROR_USAGE,
                                "monatt-mutate --memory FILE|--qemu PID hide PID --from "
                                "list|idr|list+idr | unhide PID | unlink|relink STRUCTURE MEMBER "
                                "ADDRESS");
    }
    if (qemu) {
        if (!number(path, &value) || !find_backend(value, backend, sizeof(backend), err)) {
            return false;
        }
        path = backend;
    }
    if (node) {
        return open_memory(&mutation, path, err) && run_node(&mutation, &argv[3], err);
    }
    if (!open_memory(&mutation, path, err) || !(task = find_task(&mutation, (uint32_t)pid, err)) ||
        !(hiding ? hide(&mutation, task, from, err) : unhide(&mutation, task, err))) {
        return false;
    }
    printf("{\"pid\": %u, \"command\": \"%s\", \"address\": \"%#lx\"}\n", task->pid, task->command,
           (unsigned long)task->address);
    return true;
}

int main(int argc, char **argv)
{
    MonattError err = {0};

    monatt_log_init("monatt-mutate");
    if (!run(argc, argv, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
