/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * description.h - the canonical text of what machine a VM is
 *
 * One "key=value" a line, sorted, so that the order of options does not matter.  It holds what
 * changes the guest's hardware or firmware tables, and no name, uuid, MAC, disk or display: the
 * same image on another disk is the same machine.
 */
#ifndef HW_ATTEST_LAUNCHER_DESCRIPTION_H
#define HW_ATTEST_LAUNCHER_DESCRIPTION_H

#include "hw-attest/launcher/machine.h"

/*
 * facts are lines of files in it, already measured.  ret_text is the caller's to free; summary is
 * one line for people, cut to its capacity.
 */
bool description_write(const Arguments *arguments, const Machine *machine, const Words *facts,
                       char **ret_text, char *summary, size_t capacity,
                       MonattError *err) MONATT_MUST_CHECK;

#endif
