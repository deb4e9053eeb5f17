/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc-walk.c - in a bench's guest: how long the guest's own way to its process list takes
 *
 *   proc-walk ROUNDS     a line for each: processes, microseconds
 *
 * What ps does and no more: reads /proc and the stat file of each process.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static unsigned walk(void)
{
    char path[280], text[1024];
    const struct dirent *entry;
    unsigned count = 0;
    DIR *proc = opendir("/proc");

    while (proc && (entry = readdir(proc))) {
        int fd;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        fd = open(path, O_RDONLY);
        if (fd >= 0) {
            count += read(fd, text, sizeof(text)) > 0;
            close(fd);
        }
    }
    if (proc) {
        closedir(proc);
    }
    return count;
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;

    for (unsigned long i = 0; i < rounds; i++) {
        double begin = now_us();
        unsigned count = walk();
        printf("%u %.1f\n", count, now_us() - begin);
    }
    return 0;
}
