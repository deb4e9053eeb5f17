/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - whether the guest's memory can be handed to the device as descriptors
 */
#ifndef HW_ATTEST_LAUNCHER_MEMORY_H
#define HW_ATTEST_LAUNCHER_MEMORY_H

#include "hw-attest/launcher/machine.h"

/*
 * Sets memory_bytes and add_memory.  USAGE with a hint for memory that is private to QEMU: without
 * descriptors QEMU runs on, fills its log, and nothing can look into the guest.
 */
bool memory_read(const Arguments *arguments, Machine *machine, MonattError *err) MONATT_MUST_CHECK;
/* "512", "1.5G", "0x20000000" with this suffix when there is none, in bytes; USAGE. */
bool memory_size(const char *text, char suffix, uint64_t *ret_bytes,
                 MonattError *err) MONATT_MUST_CHECK;
/* The id after -machine memory-backend=, or "". */
bool machine_backend(const Arguments *arguments, char ret_id[MACHINE_VALUE_SIZE],
                     MonattError *err) MONATT_MUST_CHECK;

#endif
