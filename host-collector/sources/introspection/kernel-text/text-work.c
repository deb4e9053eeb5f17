/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-work.c - what all mechanisms of text patching share
 */
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "libmonatt/base/text.h"

#include <stdio.h>

#define INT3 0xcc
#define JMP8 0xeb
#define JMP32 0xe9

const char *text_mechanism_name(TextMechanism mechanism)
{
    static const char *const names[] = {
        [TEXT_JUMP_LABELS] = "static key",
        [TEXT_STATIC_CALLS] = "static call",
        [TEXT_TRAMPOLINES] = "static-call trampoline",
        [TEXT_FTRACE] = "ftrace",
        [TEXT_FTRACE_CALLS] = "ftrace caller",
        [TEXT_KPROBES] = "kprobe",
        [TEXT_LOCKS] = "LOCK prefix",
        [TEXT_PARAVIRT] = "paravirt",
        [TEXT_RETPOLINES] = "retpoline",
        [TEXT_RETURNS] = "return",
        [TEXT_CALLS] = "call depth",
        [TEXT_PADDING] = "call-depth padding",
        [TEXT_ENDBR] = "ENDBR seal",
        [TEXT_RUNTIME] = "runtime constant",
        [TEXT_ALTERNATIVES] = "alternative",
    };
    return (size_t)mechanism < MONATT_ARRAY_SIZE(names) && names[mechanism] ? names[mechanism]
                                                                            : "unknown";
}

void text_explain(TextWork *work, TextMechanism mechanism, uint64_t address, size_t size,
                  uint8_t variant)
{
    size_t offset = address - work->low;

    if (memcmp(work->work + offset, work->built + offset, size) != 0) {
        work->changed[mechanism]++;
        memcpy(work->work + offset, work->built + offset, size);
    }
    if (mechanism >= TEXT_LOCKS) {
        uint8_t choice[6] = {(uint8_t)(offset >> 24), (uint8_t)(offset >> 16),
                             (uint8_t)(offset >> 8),  (uint8_t)offset,
                             (uint8_t)mechanism,      variant};
        sha256_update(&work->choices, sizeof(choice), choice);
    } else if (work->done) {
        memset(work->done + offset, 1, size);
    }
}

void text_moves(TextWork *work, uint64_t address)
{
    if (work->moving < TEXT_TORN) {
        work->torn[work->moving] = address;
    }
    work->moving++;
}

void text_disagree(TextWork *work, TextMechanism mechanism, CheckSeverity severity,
                   uint64_t address, size_t size, const char *expected, const char *why)
{
    char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];

    work->disagreements++;
    check_name_address(work->context, address, object);
    size = size < (sizeof(observed) - 1) / 2 ? size : (sizeof(observed) - 1) / 2;
    monatt_text_from_bytes(text_now(work, address), size, observed);
    check_found(work->context, severity, address, object, expected, observed, "", "%s: %s",
                text_mechanism_name(mechanism), why);
}

bool text_is_all(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

/*
 * The NOPs that kernels write (arch/x86/include/asm/nops.h): any number of 0x66, at most one 0x2e,
 * then 90 or 0f 1f with a register, an 8-bit or a 32-bit displacement of zero.
 */
bool text_is_nop(const uint8_t *bytes, size_t size)
{
    static const uint8_t tails[][8] = {
        {1, 0x90},
        {3, 0x0f, 0x1f, 0x00},
        {4, 0x0f, 0x1f, 0x40, 0x00},
        {5, 0x0f, 0x1f, 0x44, 0x00, 0x00},
        {7, 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
    };
    static const uint8_t longest[] = {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00};
    size_t at = 0;

    while (at < size && bytes[at] == 0x66) {
        at++;
    }
    if (at < size && bytes[at] == 0x2e) {
        at++;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(tails); i++) {
        if (size - at == tails[i][0] && memcmp(bytes + at, tails[i] + 1, tails[i][0]) == 0) {
            return true;
        }
    }
    return size - at == sizeof(longest) && memcmp(bytes + at, longest, sizeof(longest)) == 0;
}

#define NOP_MAXIMUM 15

/* A jump whose way to its target is all INT3: how long it is with them; 0: it is none. */
static size_t jump_over_traps(const uint8_t *bytes, size_t size)
{
    size_t head = bytes[0] == JMP8 ? 2 : 5;
    int64_t distance;

    if ((bytes[0] != JMP8 && bytes[0] != JMP32) || size < head) {
        return 0;
    }
    distance = head == 2 ? (int8_t)bytes[1] : text_s32(bytes + 1);
    if (distance < 0 || (uint64_t)distance > size - head ||
        !text_is_all(bytes + head, (size_t)distance, INT3)) {
        return 0;
    }
    return head + (size_t)distance;
}

bool text_is_filler(const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t length = jump_over_traps(bytes, size);

        for (size_t try = size < NOP_MAXIMUM ? size : NOP_MAXIMUM; length == 0 && try > 0; try--) {
            if (text_is_nop(bytes, try)) {
                length = try;
            }
        }
        if (length == 0) {
            return text_is_all(bytes, size, INT3);
        }
        bytes += length;
        size -= length;
    }
    return true;
}

bool text_table_by_symbols(const TextWork *work, const char *start, const char *stop,
                           TextTable *ret_table)
{
    uint64_t end;

    if (!kernel_image_symbol(work->image, start, &ret_table->address) ||
        !kernel_image_symbol(work->image, stop, &end) || end < ret_table->address) {
        return false;
    }
    ret_table->size = end - ret_table->address;
    ret_table->bytes = kernel_image_at(work->image, ret_table->address, ret_table->size);
    return ret_table->bytes != NULL;
}

bool text_table_by_section(const TextWork *work, const char *name, TextTable *ret_table)
{
    return kernel_image_section(work->image, name, &ret_table->address, &ret_table->bytes,
                                &ret_table->size);
}
