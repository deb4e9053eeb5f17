/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table-columns.c - the tables that people can ask for, and their columns
 *
 * Names are those of lsmod, ss and bpftool where they have one.
 */
#include "host-collector/sources/introspection/checks/table.h"

#include <string.h>

const TableForm table_forms[TABLE_FORMS_MAXIMUM + 1] = {
    {"modules", 8, {"name", "size", "used", "state", "address", "views", "taints", "note"}},
    {"sockets",
     11,
     {"netid", "state", "local", "peer", "netns", "uid", "inode", "pid", "process", "address",
      "note"}},
    {"hooks", 7, {"kind", "place", "target", "owner", "state", "address", "note"}},
    {"bpf",
     10,
     {"id", "type", "name", "tag", "digest", "power", "attached", "loaded_by", "size", "note"}},
    {"maps", 8, {"id", "type", "name", "key", "value", "entries", "frozen", "note"}},
    {"tasks",
     16,
     {"pid", "ppid", "uid", "gid", "state", "threads", "nspid", "pidns", "netns", "mntns", "userns",
      "start_ns", "exe", "command", "views", "note"}},
    {"programs",
     8,
     {"path", "inode", "generation", "size", "pages", "digest", "processes", "note"}},
    {NULL, 0, {NULL}},
};

const TableForm *table_form(const char *name)
{
    for (size_t i = 0; table_forms[i].name; i++) {
        if (strcmp(table_forms[i].name, name) == 0) {
            return &table_forms[i];
        }
    }
    return NULL;
}
