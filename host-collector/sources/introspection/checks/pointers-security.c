/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-security.c - the hooks of the security modules
 *
 * Lists of hooks up to Linux 6.11 (security_hook_heads), a table of static calls since 6.12
 * (static_calls_table).  No security module can be a loadable one, so all code is the kernel's.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS_BYTES (256u * 1024) /* 6.12 has 95 KiB: 12 slots each of 250 hooks */
#define HEADS 1024u
#define HOOKS 64u /* of one list */

static void judge_hook(CheckContext *context, PointersCheck *check, uint64_t hook,
                       uint32_t function, const char *place, uint64_t *ret_target)
{
    *ret_target = 0;
    if (!address_space_u64(&context->kernel->space, hook + function, ret_target)) {
        check_reason(context, MONATT_REASON_TORN, "a security hook is not readable");
        return;
    }
    pointers_judge(context, check, "security", place, hook + function, *ret_target, POINTER_CORE);
}

static void read_lists(CheckContext *context, PointersCheck *check, uint64_t heads)
{
    uint32_t size = guest_kernel_sizeof(context->kernel, "security_hook_heads");
    uint32_t list, function;
    uint64_t count = 0, target;

    if (!guest_kernel_member(context->kernel, "security_hook_list", "list", &list) ||
        !guest_kernel_member(context->kernel, "security_hook_list", "hook", &function) ||
        size / 8 > HEADS || size == 0) {
        check_lacks(context, "security_hook_list and security_hook_heads in its BTF");
        return;
    }
    for (uint32_t i = 0; i < size / 8; i++) {
        GuestListWalk walk;
        uint64_t node;
        char place[POINTER_PLACE_SIZE];

        snprintf(place, sizeof(place), "list %u", i);
        guest_list_begin(&walk, context, GUEST_LIST_CHAIN, heads + 8ull * i);
        uint32_t k = 0;
        for (; k < HOOKS && guest_list_next(&walk, &node); k++) {
            judge_hook(context, check, node - list, function, place, &target);
            count++;
        }
        if (k == HOOKS) {
            check_reason(context, MONATT_REASON_BUDGET, "more than %u security hooks in list %u",
                         HOOKS, i);
        }
        if (walk.reason != MONATT_REASON_NONE) {
            check_reason(context, walk.reason, "security hooks %u are not readable whole", i);
        }
    }
    check_count(context, "security hooks", count);
}

typedef struct CallLayout {
    uint32_t size, key, hook, function, key_function;
} CallLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(CallLayout, field, structure, path)
static const LayoutRow call_rows[] = {
    LAYOUT_SIZE(CallLayout, size, "lsm_static_call"),
    MEMBER(key, "lsm_static_call", "key"),
    MEMBER(hook, "lsm_static_call", "hl"),
    MEMBER(function, "security_hook_list", "hook"),
    MEMBER(key_function, "static_call_key", "func"),
};

static void judge_call(CheckContext *context, PointersCheck *check, const CallLayout *layout,
                       uint64_t key, uint64_t hook)
{
    char object[CHECK_OBJECT_SIZE], is[CHECK_OBJECT_SIZE], was[CHECK_OBJECT_SIZE];
    char name[KALLSYMS_NAME_MAXIMUM] = "?";
    uint64_t target, called, offset;

    if (guest_kernel_symbol_at(context->kernel, key, name, &offset) && offset != 0) {
        snprintf(name, sizeof(name), "%#lx", (unsigned long)key);
    }
    snprintf(object, sizeof(object), "security %.50s", name);
    judge_hook(context, check, hook, layout->function, object + 9, &target);
    if (!address_space_u64(&context->kernel->space, key + layout->key_function, &called)) {
        check_reason(context, MONATT_REASON_TORN, "the key of a security hook is not readable");
        return;
    }
    if (called != target) {
        check_name_address(context, called, is);
        check_name_address(context, target, was);
        check_found(context, CHECK_COMPROMISED, key, object, was, is, "",
                    "%s calls another function than its security module registered", object);
    }
}

static void read_calls(CheckContext *context, PointersCheck *check, uint64_t table)
{
    uint32_t size = guest_kernel_sizeof(context->kernel, "lsm_static_calls_table");
    uint64_t count = 0;
    CallLayout layout;
    uint8_t *bytes;
    char lacks[96];

    layout_read(context->kernel, call_rows, sizeof(call_rows) / sizeof(call_rows[0]), &layout);
    if (layout_lacks(call_rows, sizeof(call_rows) / sizeof(call_rows[0]), &layout, sizeof(layout),
                     lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (size == 0 || size > CALLS_BYTES || layout.size < 16 || layout.key > layout.size - 8 ||
        layout.hook > layout.size - 8) {
        check_lacks(context, "lsm_static_calls_table of a sane size");
        return;
    }
    bytes = malloc(CALLS_BYTES);
    if (!bytes || !address_space_read(&context->kernel->space, table, bytes, size)) {
        check_reason(context, MONATT_REASON_TORN, "the table of security hooks is not readable");
        free(bytes);
        return;
    }
    for (uint32_t at = 0; at + layout.size <= size && check_step(context); at += layout.size) {
        uint64_t hook = pointers_word(bytes, at + layout.hook);
        if (hook != 0) {
            judge_call(context, check, &layout, pointers_word(bytes, at + layout.key), hook);
            count++;
        }
    }
    free(bytes);
    check_count(context, "security hooks", count);
}

void pointers_read_security(CheckContext *context, PointersCheck *check)
{
    uint64_t address;

    if (guest_kernel_symbol(context->kernel, "static_calls_table", &address)) {
        read_calls(context, check, address);
    } else if (guest_kernel_symbol(context->kernel, "security_hook_heads", &address)) {
        read_lists(context, check, address);
    } else {
        check_lacks(context, "symbol 'static_calls_table' or 'security_hook_heads'");
    }
}
