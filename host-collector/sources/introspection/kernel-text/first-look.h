/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * first-look.h - a reference for kernel text and constants where no kernel was measured
 *
 * A kernel that the guest's own boot loader took from its disk is nowhere on the host.  What lies
 * in memory when it is looked at first is kept then, with what may be patched at any time taken
 * back to a form that allows each legal one: later changes are found, earlier ones never can be
 * (properties 2.1: trust on first use, at best degraded).
 */
#ifndef MONATT_INTROSPECTION_FIRST_LOOK_H
#define MONATT_INTROSPECTION_FIRST_LOOK_H

#include "host-collector/sources/introspection/kernel-text/text-work.h"

/*
 * The guest's text and constants as they are, with its own symbols; to be cleared with
 * kernel_image_clear().  False: why says what is missing, or that the kernel still boots, and there
 * is nothing to clear; a later pass may succeed.
 */
bool first_look_make(CheckContext *context, KernelImage *ret, char *why,
                     size_t why_size) MONATT_MUST_CHECK;

#endif
