/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command-line.h - the arguments that QEMU is executed with
 */
#ifndef HW_ATTEST_LAUNCHER_COMMAND_LINE_H
#define HW_ATTEST_LAUNCHER_COMMAND_LINE_H

#include "hw-attest/launcher/attach.h"
#include "hw-attest/launcher/boot.h"

/*
 * The user's words in their order, then ours, so that no device of the user's moves to another
 * slot.  plugin: path, or NULL for none.  ret is cleared by the caller.
 */
bool command_line_make(const Arguments *arguments, const Machine *machine, const Boot *boot,
                       const Attachment *attachment, const char *program, const char *plugin,
                       Words *ret, MonattError *err) MONATT_MUST_CHECK;

#endif
