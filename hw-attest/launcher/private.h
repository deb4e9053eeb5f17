/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * private.h - an attach service of one VM's own, for debugging and for a first try
 */
#ifndef HW_ATTEST_LAUNCHER_PRIVATE_H
#define HW_ATTEST_LAUNCHER_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include "libmonatt/base/error.h"

#define PRIVATE_DIR_SIZE 64

/*
 * Starts 'hw-attest serve --private' (program: its path) in a new folder under /tmp, which is
 * ret_dir; its run folder is ret_dir itself.  The folder goes with the VM, the VM's TPM with it.
 * quiet: nothing of it goes to our stderr, as QEMU will be a daemon.
 */
bool private_start(const char *program, bool quiet, char ret_dir[PRIVATE_DIR_SIZE],
                   MonattError *err) MONATT_MUST_CHECK;

#endif
