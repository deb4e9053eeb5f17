/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox-layers.h - the sandbox's layers, one a file, for sandbox.c and its tests
 */
#ifndef HW_ATTEST_SANDBOX_LAYERS_H
#define HW_ATTEST_SANDBOX_LAYERS_H

#include "hw-attest/sandbox.h"

/* AddressSanitizer maps terabytes and makes calls of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#define SANDBOX_SANITIZER __has_feature(address_sanitizer)
#else
#define SANDBOX_SANITIZER 0
#endif

/* sandbox.c: this thread has the capability from now on; false when it was never given. */
bool sandbox_raise(int capability);

/* sandbox-root.c: own mount, network, IPC and UTS namespace, and a root that holds the run folder
 * and /proc/self/fd.  Sets what succeeded; an error is one that leaves no safe state. */
bool sandbox_enter_root(const SandboxPlace *place, uint32_t *layers,
                        MonattError *err) MONATT_MUST_CHECK;
/* The same without files, for a program that is started in it. */
void sandbox_enter_namespaces(void);

/* sandbox-landlock.c: the version of the kernel's landlock, 0 without. */
int sandbox_landlock_version(void);
/* Reading of the place's files, and nothing else of any file system or TCP; false: not there. */
bool sandbox_enter_landlock(const SandboxPlace *place, bool *ret_entered,
                            MonattError *err) MONATT_MUST_CHECK;

/* sandbox-filter.c */
bool sandbox_load_filter(MonattError *err) MONATT_MUST_CHECK;
/* The names in its tables, some twice; NULL after the last.  So that a test can miss none. */
const char *sandbox_allowed_call(size_t number);

#endif
