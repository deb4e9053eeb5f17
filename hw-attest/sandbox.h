/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - what a device process gives up before the first byte of a guest
 *
 * Three stages, because some rights are one thread's and some files are needed to start:
 *   before files: limits, the VM's own user.  Sockets, files and swtpm's connection come after it.
 *   before threads: a root of its own, no network, landlock, no capability.  Threads inherit all.
 *   before guest: seccomp with an allow-list on every thread.
 */
#ifndef HW_ATTEST_SANDBOX_H
#define HW_ATTEST_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include "hw-attest/vm-user.h"

#define SANDBOX_TEXT_SIZE 160

/* What of it is in force; the kernel or a container may not offer everything. */
typedef enum SandboxLayer {
    SANDBOX_USER = 1 << 0,       /* a user of the VM's own */
    SANDBOX_NAMESPACES = 1 << 1, /* own network, IPC and host name */
    SANDBOX_ROOT = 1 << 2,       /* sees nothing but its run folder */
    SANDBOX_LANDLOCK = 1 << 3,
    SANDBOX_SECCOMP = 1 << 4,
} SandboxLayer;

/* What a device may still reach. */
typedef struct SandboxPlace {
    int run_fd;          /* the VM's run folder: swtpm's sockets; closed when a root has it */
    const int *file_fds; /* files that are opened again, read-only, by their descriptors */
    size_t file_count;
} SandboxPlace;

/* Limits and user; no core files (they would hold guest memory).  Adds to *layers. */
bool sandbox_before_files(const VmUser *user, uint32_t *layers, MonattError *err) MONATT_MUST_CHECK;
/*
 * In the only thread.  Fails only where staying as it is would be a hole; a layer that the kernel
 * does not have is missing in *layers.  With SANDBOX_ROOT the run folder is /run from now on, and
 * place->run_fd was closed.
 */
bool sandbox_before_threads(const SandboxPlace *place, uint32_t *layers,
                            MonattError *err) MONATT_MUST_CHECK;
/* When all threads run: only the calls of sandbox-filter.c's table, for every thread; any other
 * call kills the process. */
bool sandbox_before_guest(uint32_t *layers, MonattError *err) MONATT_MUST_CHECK;
/* For a child that becomes swtpm, which has a filter of its own (--seccomp): the rest of it. */
bool sandbox_before_swtpm(const VmUser *user, MonattError *err) MONATT_MUST_CHECK;
/*
 * Who a peer on a socket is, whose file has mode 0600: in a user namespace everybody but this user
 * looks like the same nobody, and of these only root gets past the mode.
 */
uid_t sandbox_peer(uid_t uid);
/* "own user, own root, no network, landlock, seccomp", or "nothing". */
void sandbox_layers_text(uint32_t layers, char ret[SANDBOX_TEXT_SIZE]);
/* What this kernel offers a service of this user: asked in a child, changes nothing. */
uint32_t sandbox_probe(void);

#endif
