/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-table.c - which checks there are: one line each, ascending by number
 */
#include "host-collector/sources/introspection/checks/check-list.h"

#include <string.h>

/* One a line, so that two changes do not meet. */
/* clang-format off */
const Check *const check_table[] = {
    &check_kernel_origin,
    &check_kernel_text,
    &check_kernel_rodata,
    &check_modules,
    &check_module_text,
    &check_executable_pages,
    &check_interrupt_table,
    &check_control_registers,
    &check_function_pointers,
    &check_strings,
    &check_credentials,
    &check_vdso,
    &check_bpf,
    &check_kprobes,
    &check_ftrace,
    &check_netfilter,
    &check_sockets,
    &check_programs,
    &check_task_list,
    NULL,
};
/* clang-format on */

const Check *check_by_id(uint16_t id)
{
    for (size_t i = 0; check_table[i]; i++) {
        if (check_table[i]->id == id) {
            return check_table[i];
        }
    }
    return NULL;
}

const Check *check_by_name(const char *name)
{
    for (size_t i = 0; check_table[i]; i++) {
        if (strcmp(check_table[i]->name, name) == 0) {
            return check_table[i];
        }
    }
    return NULL;
}
