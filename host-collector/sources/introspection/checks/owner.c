/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.c - the map of kernel code: core text so far
 */
#include "host-collector/sources/introspection/checks/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/macros.h"

struct Owners {
    uint64_t text_start;
    uint64_t text_end;
    char missing[96];
};

Owners *owners_read(GuestKernel *kernel, WalkBudget *budget)
{
    Owners *owners = calloc(1, sizeof(*owners));
    (void)budget;
    if (!owners) {
        return NULL;
    }
    if (!guest_kernel_symbol(kernel, "_stext", &owners->text_start) ||
        !guest_kernel_symbol(kernel, "_etext", &owners->text_end)) {
        owners->text_start = owners->text_end = 0;
        snprintf(owners->missing, sizeof(owners->missing), "%s",
                 "no symbols '_stext' and '_etext'");
    }
    return owners;
}

void owners_free(Owners *owners)
{
    free(owners);
}

void owners_find(const Owners *owners, uint64_t address, Owner *ret_owner)
{
    memset(ret_owner, 0, sizeof(*ret_owner));
    if (address >= owners->text_start && address < owners->text_end) {
        ret_owner->kind = OWNER_KERNEL;
    }
}

const char *owners_missing(const Owners *owners)
{
    return owners->missing;
}

const char *owner_kind_name(OwnerKind kind)
{
    static const char *const names[] = {
        [OWNER_NONE] = "nobody",
        [OWNER_KERNEL] = "kernel",
        [OWNER_INIT] = "init text",
        [OWNER_MODULE] = "module",
        [OWNER_BPF_PROGRAM] = "BPF program",
        [OWNER_BPF_TRAMPOLINE] = "BPF trampoline",
        [OWNER_FTRACE_TRAMPOLINE] = "ftrace trampoline",
        [OWNER_KPROBE] = "kprobe slot",
        [OWNER_ITS] = "ITS thunk",
        [OWNER_EXECMEM] = "executable-memory cache",
        [OWNER_ENTRY] = "CPU entry area",
        [OWNER_EFI] = "EFI",
        [OWNER_REALMODE] = "real-mode code",
        [OWNER_OTHER] = "other",
    };
    return (size_t)kind < MONATT_ARRAY_SIZE(names) && names[kind] ? names[kind] : "unknown";
}
