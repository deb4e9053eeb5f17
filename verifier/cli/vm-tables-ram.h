/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-tables-ram.h - a look at a file of guest RAM, by a worker of our own and without a collector
 */
#ifndef MONATT_VERIFIER_VM_TABLES_RAM_H
#define MONATT_VERIFIER_VM_TABLES_RAM_H

#include <jansson.h>
#include "verifier/cli/command.h"

/*
 * Options ram, low and kernel of arguments; table NULL: all checks.  The worker is in its sandbox
 * before it reads the file.  What comes back is check_json()'s; NULL with error set.
 */
json_t *vm_tables_ram(const CommandArguments *arguments, const char *table,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
