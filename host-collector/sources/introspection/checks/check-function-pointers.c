/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-function-pointers.c - every function that the kernel reaches through a table in memory that
 * can be written
 *
 * The procfs tree, filesystems and their roots, protocols, notifiers, security modules, terminals,
 * input, timers, work, interrupts, open files and the kernel's platform operations.  What packets
 * meet is the check "netfilter"'s, what traces is "kprobes"' and "ftrace"'s, the text itself
 * "kernel-text"'s.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"

static PointersCheck *begin(CheckContext *context)
{
    PointersCheck *check = *context->state;

    if (!check) {
        check = calloc(1, sizeof(*check));
        if (check) {
            check->copies = malloc(POINTER_COPIES);
        }
        if (!check || !check->copies) {
            free(check);
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return NULL;
        }
        *context->state = check;
        if (!guest_kernel_symbol(context->kernel, "_text", &check->image_start)) {
            check->image_start = 0;
        }
        if (check->image_start == 0 ||
            !guest_kernel_symbol(context->kernel, "_end", &check->image_end)) {
            check->image_start = check->image_end = 0;
        }
        if (!guest_kernel_symbol(context->kernel, "_sinittext", &check->init_start) ||
            !guest_kernel_symbol(context->kernel, "_einittext", &check->init_end)) {
            check->init_start = check->init_end = 0;
        }
    }
    memset(&check->seen, 0, sizeof(check->seen));
    check->tables = check->functions = 0;
    check->unowned = false;
    return check;
}

static void run(CheckContext *context)
{
    PointersCheck *check = begin(context);

    if (!check) {
        return;
    }
    if (check->image_end == 0) {
        check_lacks(context, "symbols '_text' and '_end'");
        return;
    }
    net_namespaces_read(context, &check->namespaces);
    pointers_read_registries(context, check);
    pointers_read_chains(context, check);
    pointers_read_proc(context, check);
    pointers_read_super_blocks(context, check);
    pointers_read_security(context, check);
    pointers_read_timers(context, check);
    pointers_read_pending(context, check);
    pointers_read_interrupts(context, check);
    pointers_read_open(context, check);
    if (check->full) {
        check_reason(context, MONATT_REASON_BUDGET, "more than %u kinds of tables", POINTER_FORMS);
    }
    if (check->unowned) {
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "code outside of the kernel's image was met and not judged: %s",
                     owners_missing(context->owners));
    }
    check_count(context, "tables", check->tables);
    check_count(context, "functions", check->functions);
}

static void clear(void *state)
{
    PointersCheck *check = state;

    free(check->copies);
    free(check);
}

const Check check_function_pointers = {MONATT_SUBCHECK_FUNCTION_POINTERS, "function-pointers",
                                       "hooks", run, clear};
