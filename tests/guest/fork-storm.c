/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fork-storm.c - in a test's guest: makes and ends processes and threads as fast as it can
 *
 *   fork-storm SECONDS [PROCESSES]     prints how many were made
 *
 * For measurements that must not take a race for a hidden process.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAXIMUM 16
#define BATCH 4 /* children alive at a time, in each process */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *nothing(void *argument)
{
    return argument;
}

static pid_t make_short(void)
{
    pid_t child = vfork();
    if (child == 0) {
        _exit(0);
    }
    return child;
}

static pid_t make_threaded(void)
{
    pid_t child = fork();
    pthread_t thread;

    if (child == 0) {
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
            pthread_join(thread, NULL);
        }
        _exit(0);
    }
    return child;
}

static unsigned long storm(double end)
{
    unsigned long made = 0;

    while (now() < end) {
        for (int i = 0; i < BATCH; i++) {
            made += (i % 2 ? make_threaded() : make_short()) > 0;
        }
        while (waitpid(-1, NULL, 0) > 0) {
        }
    }
    return made;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    unsigned long processes = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    int pipes[2];
    unsigned long made, sum = 0;
    double end = now() + seconds;

    if (processes == 0 || processes > PROCESSES_MAXIMUM || pipe(pipes) != 0) {
        return 2;
    }
    for (unsigned long i = 0; i < processes; i++) {
        if (fork() == 0) {
            made = storm(end);
            _exit(write(pipes[1], &made, sizeof(made)) == sizeof(made) ? 0 : 1);
        }
    }
    for (unsigned long i = 0; i < processes && read(pipes[0], &made, sizeof(made)) > 0; i++) {
        sum += made;
    }
    printf("%lu\n", sum);
    return 0;
}
