/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-clocks.c - reads the vCPU threads' schedstat and stat through descriptors opened before
 *
 * Must work inside the sandbox: pread() on what is open, nothing else.
 */
#include "host-collector/sources/introspection/guest-clocks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNNING_PROGRESS_NS 10000000u /* properties 2: 10 ms of guest CPU time between scans */
#define TEXT_SIZE 512

static bool read_text(int fd, char text[TEXT_SIZE])
{
    ssize_t size = pread(fd, text, TEXT_SIZE - 1, 0);
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    return true;
}

static bool run_time(int fd, uint64_t *ret_ns)
{
    char text[TEXT_SIZE], *end;
    if (!read_text(fd, text)) {
        return false;
    }
    *ret_ns = strtoull(text, &end, 10);
    return end != text && *end == ' ';
}

/* The state letter stands behind the last ')' of "pid (comm) S …". */
static bool asleep(int fd)
{
    char text[TEXT_SIZE];
    const char *end;
    if (!read_text(fd, text)) {
        return false;
    }
    end = strrchr(text, ')');
    return end && end[1] == ' ' && (end[2] == 'S' || end[2] == 'I');
}

void guest_clocks_clear(GuestClocks *clocks)
{
    for (size_t i = 0; i < clocks->count; i++) {
        close(clocks->vcpus[i].run_fd);
        close(clocks->vcpus[i].state_fd);
    }
    clocks->count = 0;
}

void guest_clocks_mark(GuestClocks *clocks)
{
    for (size_t i = 0; i < clocks->count; i++) {
        if (!run_time(clocks->vcpus[i].run_fd, &clocks->vcpus[i].run_ns)) {
            clocks->vcpus[i].run_ns = UINT64_MAX;
        }
    }
}

bool guest_clocks_advanced(GuestClocks *clocks)
{
    bool any = false;

    for (size_t i = 0; i < clocks->count; i++) {
        uint64_t now;
        if (!run_time(clocks->vcpus[i].run_fd, &now) || now < clocks->vcpus[i].run_ns) {
            return false;
        }
        now -= clocks->vcpus[i].run_ns;
        if (now < RUNNING_PROGRESS_NS && !asleep(clocks->vcpus[i].state_fd)) {
            return false;
        }
        /* All asleep and none has run at all: the VM is paused. */
        any = any || now > 0;
    }
    return any;
}
