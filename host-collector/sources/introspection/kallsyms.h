/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms.h - the addresses of a few kernel symbols, from the kernel's own compressed table
 *
 * Where the table lies stands in VMCOREINFO from Linux 6.0 on.  How it encodes addresses changed
 * thrice (kernel/kallsyms.c): absolute per-CPU (x86 up to 6.14), relative to a base, relative to
 * the place of each offset (7.0).  The one is taken by which _stext comes out as VMCOREINFO has it.
 */
#ifndef MONATT_INTROSPECTION_KALLSYMS_H
#define MONATT_INTROSPECTION_KALLSYMS_H

#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/vmcoreinfo.h"

#define KALLSYMS_MAXIMUM 1000000  /* Debian's have 90,000 to 150,000 */
#define KALLSYMS_NAME_MAXIMUM 512 /* KSYM_NAME_LEN */
#define KALLSYMS_WANTED_MAXIMUM 32

typedef struct KallsymsWanted {
    const char *name;
    uint64_t address; /* set on success */
    bool found;
} KallsymsWanted;

/*
 * Looks up wanted[0 … count); a name that is not there is left with found false.  FORMAT: the
 * table is not one; MISSING: VMCOREINFO does not say where it is.
 */
bool kallsyms_resolve(AddressSpace *space, const Vmcoreinfo *info, KallsymsWanted *wanted,
                      size_t count, MonattError *err) MONATT_MUST_CHECK;

#endif
