/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram-file.h - a guest's RAM and a kernel image from files, for the tools of tests and bench
 *
 * The file is the RAM from guest-physical 0; what is above low bytes of it lies at 4 GiB, as QEMU's
 * q35 and pc have it.
 */
#ifndef MONATT_TESTS_RAM_FILE_H
#define MONATT_TESTS_RAM_FILE_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/guest-clocks.h"

#define RAM_ABOVE_HOLE (4ull << 30)

/* How size bytes of a file lie in the guest; low 0: all from 0.  Writes one region or two. */
size_t ram_file_regions(uint64_t size, uint64_t low, MonattRamRegion ret_regions[2]);
/* Maps the file; memory is to be cleared. */
bool ram_file_open(const char *path, uint64_t low, GuestMemory *memory,
                   MonattError *err) MONATT_MUST_CHECK;
/* Maps a kernel file for the checks; it stays mapped until the program ends. */
bool ram_file_image(const char *path, CheckInputs *inputs, MonattError *err) MONATT_MUST_CHECK;
/* A process whose first thread stands for all vCPUs; pid 0: none. */
void ram_file_clock(unsigned long pid, GuestClocks *clocks);
/* A number of the command line, in any base that strtoul() knows; nothing behind it. */
bool ram_file_number(const char *text, unsigned long *ret_value) MONATT_MUST_CHECK;

#endif
