/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms.h - the kernel's own compressed symbol table, decoded whole, by name and by address
 *
 * Where the table lies stands in VMCOREINFO from Linux 6.0 on; before, its shape tells
 * (kallsyms-shape.c).  How it encodes addresses changed often (kernel/kallsyms.c): absolute,
 * absolute per-CPU (x86 up to 6.14), relative to a base, relative to the place of each offset
 * (7.0).  The one is taken by which _stext comes out as VMCOREINFO has it.
 *
 * Must never allocate by what the guest's count says: memory grows with what was decoded, up to
 * the bounds below.
 */
#ifndef MONATT_INTROSPECTION_KALLSYMS_H
#define MONATT_INTROSPECTION_KALLSYMS_H

#include "host-collector/sources/introspection/address-space.h"
#include "host-collector/sources/introspection/vmcoreinfo.h"

#define KALLSYMS_MAXIMUM 1000000                  /* Debian's have 90,000 to 150,000 */
#define KALLSYMS_TEXT_MAXIMUM (16u * 1024 * 1024) /* bytes of names; Debian's take 3 to 5 MB */
#define KALLSYMS_NAME_MAXIMUM 512                 /* KSYM_NAME_LEN */

typedef struct KallsymsEntry {
    uint64_t address;
    uint32_t text; /* where its name begins in Kallsyms.text */
} KallsymsEntry;

/* Where the parts of the table are; guest-virtual, 0: there is none. */
typedef struct KallsymsPlaces {
    uint64_t names;
    uint64_t number;
    uint64_t tokens;
    uint64_t index;
    uint64_t offsets;
    uint64_t base;
    uint64_t addresses; /* of the absolute form, instead of offsets */
} KallsymsPlaces;

typedef struct Kallsyms {
    KallsymsEntry *entries; /* ascending by address; of one address as the kernel has them */
    uint32_t count;
    char *text; /* names, each with its terminator */
    size_t text_size;
    uint32_t *slots; /* hash of the name to entry + 1 */
    uint32_t slot_mask;
} Kallsyms;

/*
 * Decodes the whole table.  FORMAT: it is not one, or not in a known form; LIMIT: more than the
 * bounds; MISSING: VMCOREINFO does not say where it is and nothing has its shape.  After a
 * failure there is nothing to clear.
 */
bool kallsyms_load(Kallsyms *symbols, AddressSpace *space, const Vmcoreinfo *info,
                   MonattError *err) MONATT_MUST_CHECK;
void kallsyms_clear(Kallsyms *symbols);
/* A second one, to be cleared by itself; false: from is empty, or out of memory. */
bool kallsyms_copy(Kallsyms *ret, const Kallsyms *from) MONATT_MUST_CHECK;
/* Of several with this name, the one at the lowest address. */
bool kallsyms_find(const Kallsyms *symbols, const char *name,
                   uint64_t *ret_address) MONATT_MUST_CHECK;
/* The first symbol at the greatest address that is not above address, in the same half of the
 * address space; NULL: none. */
const KallsymsEntry *kallsyms_at(const Kallsyms *symbols, uint64_t address);

/* For Linux before 6.0 (kallsyms-shape.c): from what lies in the pages behind _stext. */
bool kallsyms_locate(AddressSpace *space, uint64_t stext,
                     KallsymsPlaces *ret_places) MONATT_MUST_CHECK;

#endif
