/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service-children.h - what the attach service starts for a VM besides its device
 */
#ifndef HW_ATTEST_SERVICE_CHILDREN_H
#define HW_ATTEST_SERVICE_CHILDREN_H

#include <signal.h>
#include "hw-attest/vm.h"

/* Looked for before the fork, so that a missing program has a name in the error. */
bool service_find_swtpm(MonattError *err) MONATT_MUST_CHECK;
/* The VM's swtpm as the VM's user, in its folders; mask: its signals.  -1: logged why not. */
pid_t service_start_swtpm(const VmOptions *options, const VmUser *user,
                          const uint8_t vid[MONATT_UUID_SIZE], const sigset_t *mask);
/*
 * Answers one VM_LINK_REOPEN: read-only descriptors of files that the device holds open and so may
 * read, but whose user it is not.  A child, since opening may wait for a file system that a
 * launcher's user serves himself.  0: could not be started.
 */
pid_t service_start_reopener(int link, const MonattControlMessage *request);

#endif
