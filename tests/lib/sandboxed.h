/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandboxed.h - a child inside the device's sandbox, with folders as the attach service makes them
 */
#ifndef TESTS_LIB_SANDBOXED_H
#define TESTS_LIB_SANDBOXED_H

#include "hw-attest/sandbox-layers.h"

/* How far a child has gone before it runs a test's function. */
typedef enum SandboxedStage {
    SANDBOXED_FILES,    /* own user, limits */
    SANDBOXED_ROOT,     /* then the own root alone */
    SANDBOXED_LANDLOCK, /* in place of the own root */
    SANDBOXED_THREADS,  /* all but the filter */
    SANDBOXED_ALL,
} SandboxedStage;

#define SANDBOXED_SKIPPED 77 /* a child's exit status: this kernel lacks the layer */
#define SANDBOXED_FAILED 78  /* the sandbox could not be entered; the reason is on stderr */

typedef struct Sandboxed {
    char own[80];   /* run folder of this VM: tpm.sock (listening) and log */
    char other[80]; /* another VM's, of another user: secret */
    VmUser user;
    pid_t sibling; /* a process of the other VM's user; 0: not root */
    int shm_key;   /* System V shared memory of the host */
    char abstract[32];
    /* In the child. */
    uint32_t layers;
    int run_fd;
    int log_fd;
    int status_fd; /* its /proc/self/status, opened while there was one */
} Sandboxed;

extern Sandboxed sandboxed;

/* Once before the first and after the last test. */
void sandboxed_set_up(void);
void sandboxed_tear_down(void);
/* Wait status of a child that went so far and then did it; its result is the exit status. */
int sandboxed_run(SandboxedStage stage, int (*inside)(const void *), const void *argument);
/* Asserts that it returned 0; skips the test when it returned SANDBOXED_SKIPPED. */
void sandboxed_check(SandboxedStage stage, int (*inside)(const void *), const void *argument);
/* As an ordinary user, who may have user namespaces or not. */
int sandboxed_run_unprivileged(int (*inside)(const void *), const void *argument);

#endif
