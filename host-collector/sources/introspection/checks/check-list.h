/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-list.h - the checks by name, for check-table.c and for tests of one of them
 */
#ifndef MONATT_INTROSPECTION_CHECK_LIST_H
#define MONATT_INTROSPECTION_CHECK_LIST_H

#include "host-collector/sources/introspection/checks/check.h"

extern const Check check_kernel_origin;
extern const Check check_kernel_text;
extern const Check check_kernel_rodata;
extern const Check check_executable_pages;
extern const Check check_modules;
extern const Check check_module_text;
extern const Check check_interrupt_table;
extern const Check check_function_pointers;
extern const Check check_control_registers;
extern const Check check_credentials;
extern const Check check_vdso;
extern const Check check_strings;
extern const Check check_bpf;
extern const Check check_ftrace;
extern const Check check_kprobes;
extern const Check check_netfilter;
extern const Check check_programs;
extern const Check check_sockets;
extern const Check check_task_list;

#endif
