/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.h - whom a kernel code address belongs to
 *
 * Read once a pass, for all checks: core text, modules (hidden ones too), BPF programs and
 * trampolines, ftrace trampolines, kprobe slots and the few other places where a kernel runs code.
 * It says whose it is, never whether it may be there.
 */
#ifndef MONATT_INTROSPECTION_OWNER_H
#define MONATT_INTROSPECTION_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include "host-collector/sources/introspection/guest-kernel.h"
#include "host-collector/sources/introspection/walk-budget.h"

#define OWNER_NAME_SIZE 65
#define OWNER_CLAIM_SIZE 160

typedef enum OwnerKind {
    OWNER_NONE = 0, /* nobody that is known: an orphan */
    OWNER_KERNEL,   /* _stext to _etext */
    OWNER_INIT,     /* .init.text, only while booting */
    OWNER_MODULE,
    OWNER_BPF_PROGRAM,
    OWNER_BPF_TRAMPOLINE,
    OWNER_FTRACE_TRAMPOLINE,
    OWNER_KPROBE,  /* instruction and optimised-instruction slots */
    OWNER_ITS,     /* pages of indirect-target thunks */
    OWNER_EXECMEM, /* the kernel's cache of executable memory, filled with traps */
    OWNER_ENTRY,   /* the CPU entry area, a fixed part of it */
    OWNER_EFI,
    OWNER_REALMODE,
    OWNER_OTHER,
} OwnerKind;

typedef struct Owner {
    OwnerKind kind;
    char name[OWNER_NAME_SIZE]; /* the module, the program; "" when the kind says all */
    bool hidden;                /* the module is not in the list that lsmod shows */
} Owner;

typedef struct Owners Owners;

/* NULL: out of memory.  What could not be read is in owners_missing(). */
Owners *owners_read(GuestKernel *kernel, WalkBudget *budget);
void owners_free(Owners *owners);
/* OWNER_NONE when nobody has it. */
void owners_find(const Owners *owners, uint64_t address, Owner *ret_owner);
/* What made the map incomplete ("module list torn"), "" when nothing did: an orphan is then none.
 */
const char *owners_missing(const Owners *owners);
const char *owner_kind_name(OwnerKind kind); /* "module", "BPF program" … */

/* Whether some record says that it has a byte of address to end and is not believed: what and why;
 * NULL: none does.  Valid as long as owners. */
const char *owners_claim(const Owners *owners, uint64_t address, uint64_t end);

/* Whoever has a byte of the page at address (which is aligned), free space of a pack of BPF
 * programs too; *ret_end: up to where that, or the lack of an owner, goes on (page aligned). */
void owners_find_page(const Owners *owners, uint64_t address, Owner *ret_owner, uint64_t *ret_end);
/* The index-th pack of BPF programs: one bit of chunks for each OWNER_PACK_CHUNK bytes that are in
 * use; valid as long as owners.  False: there are not so many. */
#define OWNER_PACK_CHUNK 64u /* BPF_PROG_CHUNK_SIZE */
bool owners_pack(const Owners *owners, size_t index, uint64_t *ret_start, uint64_t *ret_end,
                 const uint8_t **ret_chunks);
/* What the map was made of; valid as long as owners. */
const struct ModuleList *owners_modules(const Owners *owners);
const struct VmapAreas *owners_areas(const Owners *owners);

#endif
