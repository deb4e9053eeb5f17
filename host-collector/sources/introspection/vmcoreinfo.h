/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmcoreinfo.h - the note in which a Linux kernel describes itself to crash dump tools
 *
 * Lines "KEY=VALUE" in a page of their own (kernel/vmcore_info.c).  It is where an introspection
 * without a symbol file can begin: it names the page-table root and where kallsyms lie.  The
 * guest can write any number of false ones; who uses one must check what it says.
 */
#ifndef MONATT_INTROSPECTION_VMCOREINFO_H
#define MONATT_INTROSPECTION_VMCOREINFO_H

#include "host-collector/sources/introspection/guest-memory.h"

#define VMCOREINFO_SIZE 4096 /* VMCOREINFO_BYTES is one page */

typedef struct Vmcoreinfo {
    char text[VMCOREINFO_SIZE + 1];
    size_t size;
} Vmcoreinfo;

/* The next page at or after *address that looks like one; *address moves behind it. */
bool vmcoreinfo_find(const GuestMemory *memory, uint64_t *address,
                     Vmcoreinfo *ret_info) MONATT_MUST_CHECK;
/* The page at this guest-physical address, when it looks like one. */
bool vmcoreinfo_read(const GuestMemory *memory, uint64_t page,
                     Vmcoreinfo *ret_info) MONATT_MUST_CHECK;
/* The value of a whole key, e.g. "SYMBOL(_stext)", as a number of this base; signed decimals are
 * taken as their two's complement. */
bool vmcoreinfo_number(const Vmcoreinfo *info, const char *key, int base,
                       uint64_t *ret_value) MONATT_MUST_CHECK;
/* Copies a value as printable text. */
bool vmcoreinfo_text(const Vmcoreinfo *info, const char *key, char *ret_text,
                     size_t capacity) MONATT_MUST_CHECK;

#endif
