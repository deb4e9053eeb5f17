/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-modules.h - page tables of 4 KiB and two modules, for an invented kernel
 *
 * Core text and constants are read-only in every mapping, as an honest kernel has them; the space
 * of modules holds "first" and "second", each of text, constants and data.
 */
#ifndef MONATT_TESTS_INVENTED_MODULES_H
#define MONATT_TESTS_INVENTED_MODULES_H

#include "host-collector/sources/introspection/checks/check.h"
#include "tests/lib/invented-kernel.h"

#define MODULES_SPACE 0xffffffffc0000000ull
#define MODULES_PAGES 64u
#define MODULE_FIRST MODULES_SPACE              /* text, constants, data: a page each */
#define MODULE_SECOND (MODULES_SPACE + 0x10000) /* with a page between that guards */
#define MODULES_PACK (MODULES_SPACE + 0x30000)  /* of BPF programs, two pages, when it is made */
#define MODULE_STRUCT 0x2040u                   /* in a module, its struct module */
#define MODULE_SITE 0x100u                      /* in a module, a function that may be traced */

/* Offsets in struct module. */
#define MODULE_STATE 0x8u
#define MODULE_CORE 0x100u

#define PAGE_WRITE 0x2ull
#define PAGE_NO_EXECUTE (1ull << 63)

typedef struct InventedModules {
    InventedKernel invented;
    uint64_t space; /* physical, of MODULES_SPACE */
    uint64_t list, kset, tree, areas, packs;
    uint64_t symbols;     /* bpf_kallsyms, an empty ring */
    uint64_t trampolines; /* of BPF: 1,024 empty chains */
    uint64_t lock;        /* module_mutex, free: its owner is the first word */
    uint64_t real_mode;   /* the variable real_mode_header */
} InventedModules;

void invented_modules_make(InventedModules *made);
void invented_modules_clear(InventedModules *made);
/* Where the bytes at a guest address of the module space, the kernel or the direct map are. */
uint8_t *invented_modules_at(InventedModules *made, uint64_t address);
void invented_modules_put(InventedModules *made, uint64_t address, uint64_t value);
/* The page table entry of a page that is mapped; rights: PAGE_WRITE, PAGE_NO_EXECUTE. */
void invented_modules_map(InventedModules *made, uint64_t address, uint64_t physical,
                          uint64_t rights);
uint64_t *invented_modules_entry(InventedModules *made, uint64_t address);
/* Adds the pack, all free and full of traps; gives back where its bitmap is. */
uint64_t invented_modules_pack(InventedModules *made);
/* Takes "second" out of a place. */
void invented_modules_leave_list(InventedModules *made);
void invented_modules_leave_kset(InventedModules *made);
void invented_modules_leave_tree(InventedModules *made);

/* One pass of one check with owners that are read from the guest. */
typedef struct InventedPass {
    void *state; /* the check's, between passes */
    CheckResult result;
    CheckSightings sightings;
    char missing[96]; /* of the owners */
} InventedPass;
void invented_pass_run(InventedPass *pass, const Check *check, InventedModules *made);
void invented_pass_clear(InventedPass *pass, const Check *check);

#endif
