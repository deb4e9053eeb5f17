/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - what a device process gives up before the first byte of a guest
 */
#ifndef HW_ATTEST_SANDBOX_H
#define HW_ATTEST_SANDBOX_H

#include "libmonatt/base/error.h"

/* Before files and sockets are opened: limits; no core files (they would hold guest memory). */
bool sandbox_before_files(MonattError *err) MONATT_MUST_CHECK;
/* When all threads run and all is open: no new privileges, no capabilities, only the calls of
 * sandbox.c's table, for every thread; any other call kills the process. */
bool sandbox_before_guest(MonattError *err) MONATT_MUST_CHECK;

#endif
