/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module-sites.h - where the kernel may patch a module's code at any time
 *
 * Static keys and static calls by the module's own tables, function entries by its list of them,
 * kprobes by the kernel's table, trampolines of static calls by their mark, LOCK prefixes by their
 * two values.  Read only for a module whose code has changed.
 */
#ifndef MONATT_INTROSPECTION_MODULE_SITES_H
#define MONATT_INTROSPECTION_MODULE_SITES_H

#include "host-collector/sources/introspection/checks/module-list.h"

#define MODULE_SITE_SIZE 5u /* of a call or jump, and of the NOP in its place */

typedef struct ModuleSitesLayout {
    uint32_t keys, key_count, key_size, calls, call_count, call_size, entries, entry_count;
    uint32_t directory, directory_number; /* mkobj.kobj.sd and kernfs_node.id */
    uint32_t probe_node, probe_address;
} ModuleSitesLayout;

typedef struct ModuleSites {
    ModuleSitesLayout layout;
    uint64_t *items; /* owned, ascending: guest-virtual addresses of sites */
    size_t count;
    size_t capacity;
} ModuleSites;

void module_sites_layout(ModuleSites *sites, CheckContext *context);
void module_sites_clear(ModuleSites *sites);
/* Reads the sites of a module. */
void module_sites_begin(ModuleSites *sites, CheckContext *context, const Module *module);
/* A number that differs each time a module is loaded; 0: not known. */
uint64_t module_sites_use(const ModuleSites *sites, CheckContext *context, uint64_t module);
/*
 * The bytes before and now differ at offset at, which the guest has at address: how many bytes from
 * there on lie in a site that may differ, 0: it is none.  *ret_target: where a call or jump that
 * stands there now leads, or 0.  limit: of both.
 */
size_t module_sites_allow(const ModuleSites *sites, uint64_t address, const uint8_t *before,
                          const uint8_t *now, size_t at, size_t limit, uint64_t *ret_target);

#endif
