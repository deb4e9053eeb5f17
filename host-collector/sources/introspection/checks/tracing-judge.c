/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracing-judge.c - whose code runs when a function of the kernel is probed, traced or replaced
 */
#include "host-collector/sources/introspection/checks/tracing-judge.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"

/* What a system call's functions are called before its own name, Linux 5.10 to 7.2 on x86. */
static const char *const wrappers[] = {"__x64_sys_",       "__ia32_sys_", "__ia32_compat_sys_",
                                       "__se_sys_",        "__do_sys_",   "__se_compat_sys_",
                                       "__do_compat_sys_", "ksys_",       "__sys_"};
static const char *const calls[] = {
    "getdents", "getdents64",  "old_readdir",  "kill",          "tkill",
    "tgkill",   "init_module", "finit_module", "delete_module", "bpf",
};
/* Beginnings and whole names of what those calls, /proc and the kernel's own lookups go through. */
static const char *const beginnings[] = {
    "filldir",       "compat_filldir",      "iterate_dir",
    "audit_",        "kallsyms_",           "bpf_prog",
    "security_bpf",  "load_module",         "do_init_module",
    "__audit_",      "x64_sys_call",        "ia32_sys_call",
    "do_syscall_64", "kill_something_info",
};

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static bool ends(const char *name, const char *with)
{
    size_t length = strlen(name), size = strlen(with);
    return length >= size && strcmp(name + length - size, with) == 0;
}

bool traced_function_is_sensitive(const char *name)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(wrappers); i++) {
        if (!begins(name, wrappers[i])) {
            continue;
        }
        for (size_t j = 0; j < MONATT_ARRAY_SIZE(calls); j++) {
            if (strcmp(name + strlen(wrappers[i]), calls[j]) == 0) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(beginnings); i++) {
        if (begins(name, beginnings[i])) {
            return true;
        }
    }
    return ends(name, "_seq_show") || (begins(name, "find_") && strstr(name, "task")) ||
           strstr(name, "lookup_name") || strstr(name, "kallsyms");
}

/* NULL: it may be there. */
static const char *judge(CheckContext *context, const TracedHook *hook, const Owner *owner,
                         CheckSeverity *ret_severity)
{
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t offset;

    *ret_severity = CHECK_COMPROMISED;
    switch (owner->kind) {
    case OWNER_KERNEL:
        if (guest_kernel_symbol_at(context->kernel, hook->target, name, &offset) && offset != 0) {
            *ret_severity = CHECK_DEGRADED;
            return "points into the middle of a function";
        }
        return NULL;
    case OWNER_MODULE:
        if (owner->hidden) {
            return "is code of a module that the list of modules does not show";
        }
        if (hook->sensitive) {
            return "is a module's, on a function that hiding needs";
        }
        *ret_severity = CHECK_DEGRADED;
        return "is code of a module";
    case OWNER_BPF_PROGRAM:
    case OWNER_BPF_TRAMPOLINE:
        return hook->may_be_bpf ? NULL : "is code that none such can be";
    case OWNER_NONE:
        if (owners_missing(context->owners)[0] != '\0') {
            check_reason(context, MONATT_REASON_UNSUPPORTED,
                         "%#lx is nobody's code, but not all code is known: %s",
                         (unsigned long)hook->target, owners_missing(context->owners));
            return NULL;
        }
        return "is nobody's code";
    default:
        return "is code that none such can be";
    }
}

static void put_row(CheckContext *context, const TracedHook *hook, const char *target,
                    const char *whose, const char *state, const char *note)
{
    table_text(context->table, hook->kind);
    table_text(context->table, hook->place);
    table_text(context->table, target);
    table_text(context->table, whose);
    table_text(context->table, state);
    table_hex(context->table, hook->address);
    table_text(context->table, note);
    table_end_row(context->table);
}

void traced_hook_row(CheckContext *context, const TracedHook *hook, const char *state,
                     const char *note)
{
    char name[CHECK_OBJECT_SIZE], whose[CHECK_OBJECT_SIZE];
    Owner owner;

    if (!context->table) {
        return;
    }
    owners_find(context->owners, hook->target, &owner);
    check_name_address(context, hook->target, name);
    check_owner_text(&owner, whose);
    put_row(context, hook, name, whose, state, note);
}

void traced_hook_judge(CheckContext *context, const TracedHook *hook)
{
    char name[CHECK_OBJECT_SIZE], whose[CHECK_OBJECT_SIZE], object[CHECK_OBJECT_SIZE];
    CheckSeverity severity;
    const char *why;
    Owner owner;

    owners_find(context->owners, hook->target, &owner);
    why = judge(context, hook, &owner, &severity);
    if (!why && !context->table) {
        return;
    }
    check_name_address(context, hook->target, name);
    check_owner_text(&owner, whose);
    if (why) {
        snprintf(object, sizeof(object), "%.12s %.50s", hook->kind, hook->place);
        check_found(context, severity, hook->address, object, "a tracer of the kernel itself", name,
                    whose, "the code of the %s at %s %s", hook->kind, hook->place, why);
    }
    put_row(context, hook, name, whose,
            !why                            ? "good"
            : severity == CHECK_COMPROMISED ? "bad"
                                            : "odd",
            why ? why : hook->note);
}
