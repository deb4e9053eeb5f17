/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module-list.h - the guest's loaded modules, by every place where a struct module hangs
 *
 * Read once a pass with the owners of code.  A module that only some of the places know is in it
 * too: views says which.  What a struct module says of itself (its state, name and sizes) is the
 * guest's word: nothing here leaves a module out because of it.
 */
#ifndef MONATT_INTROSPECTION_MODULE_LIST_H
#define MONATT_INTROSPECTION_MODULE_LIST_H

#include <stddef.h>
#include "host-collector/sources/introspection/checks/check.h"

#define MODULES_MAXIMUM 8192
#define MODULE_NAME_SIZE 57 /* MODULE_NAME_LEN is 56 on 64-bit kernels */
#define MODULE_STRUCT_MAXIMUM 8192u
#define MODULE_MEMORY_MAXIMUM (256u << 20) /* of one of its ranges; more is no module's */

/* In the order of enum mod_mem_type (include/linux/module.h, Linux 6.4 and later). */
typedef enum ModuleMemory {
    MODULE_TEXT,
    MODULE_DATA,
    MODULE_RODATA,
    MODULE_RO_AFTER_INIT,
    MODULE_INIT_TEXT,
    MODULE_INIT_DATA,
    MODULE_INIT_RODATA,
    MODULE_MEMORIES
} ModuleMemory;

/* Places that know a module; letters as the table shows them. */
enum {
    MODULE_VIEW_LIST = 1,    /* L: the list that lsmod shows */
    MODULE_VIEW_KSET = 2,    /* K: its kobject under /sys/module */
    MODULE_VIEW_TREE = 4,    /* T: the tree by which the kernel finds the module of an address */
    MODULE_VIEW_CARVED = 8,  /* C: memory of the module space holds a struct module */
    MODULE_VIEW_AREA = 16,   /* A: a vmalloc area holds it */
    MODULE_VIEW_FTRACE = 32, /* F: the function tracer's records */
    MODULE_VIEW_BTF = 64,    /* B: types that were registered under its name */
    MODULE_VIEW_BUGS = 128,  /* W: the list of those with BUG and WARN tables */
    MODULE_VIEW_PAGES = 256, /* X: executable pages */
};

typedef struct ModuleRange {
    uint64_t start; /* guest-virtual */
    uint64_t size;  /* 0: there is none */
} ModuleRange;

typedef struct Module {
    uint64_t address; /* of its struct module */
    char name[MODULE_NAME_SIZE];
    uint32_t state; /* 0 live, 1 coming, 2 going, 3 unformed: its own word */
    uint32_t used;  /* as lsmod shows it */
    uint64_t taints;
    uint64_t srcversion; /* guest-virtual, of a string; 0: none */
    uint64_t holder;     /* mkobj.kobj.kset: what its kobject says it belongs to */
    uint32_t views;
    ModuleRange ranges[MODULE_MEMORIES];
} Module;

/* Where the parts of a struct module are, by BTF. */
typedef struct ModuleLayout {
    uint32_t size, list, name, state; /* without these there is no list */
    uint32_t memory, memory_base, memory_size, memory_node;
    uint32_t core, core_base, core_size, core_text, core_ro, core_init_ro, init;
    uint32_t used, taints, srcversion, kobject, kset, bugs;
} ModuleLayout;

typedef struct ModuleList {
    Module *items; /* owned */
    size_t count;
    size_t capacity;
    ModuleLayout layout;
    uint32_t sequence; /* of mod_tree, when the reading began */
    char missing[96];  /* why it is not all of them, "" when it is */
} ModuleList;

/* Fills list (which is all zeros) from all places where a struct module hangs. */
void module_list_read(CheckContext *context, ModuleList *list);
void module_list_clear(ModuleList *list);
/* By the address of its struct; NULL: not in it. */
Module *module_list_find(const ModuleList *list, uint64_t address);
/* What lies at address as a struct module; false: it is none (name or ranges are not one's). */
bool module_list_decode(CheckContext *context, const ModuleList *list, uint64_t address,
                        Module *ret_module) MONATT_MUST_CHECK;
/* The module there gets this view, and is added when it is new; false: there is none. */
bool module_list_seen(CheckContext *context, ModuleList *list, uint64_t address,
                      uint32_t view) MONATT_MUST_CHECK;
/* Of its memory that stays after its load. */
uint64_t module_size(const Module *module);
/* Says why the list is incomplete; the first reason stays. */
void module_list_lacks(ModuleList *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * Which generation of modules this is: another whenever the kernel put one into its tree of
 * addresses or took one out, between two looks or during one.  A module in the middle of its end
 * is in no list and still has its code for as long as a grace period takes; of one that is loaded
 * and unloaded without a pause every look may see that.  0: not known (a kernel without the tree).
 */
uint64_t module_list_generation(CheckContext *context, const ModuleList *list);
/* Modules that the list knows, by the other places too (module-views.c). */
void module_views_read(CheckContext *context, ModuleList *list);
/* mod_tree's count of changes, now; 0: not known. */
uint32_t module_sequence(CheckContext *context);

#endif
