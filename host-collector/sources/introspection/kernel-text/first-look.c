/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * first-look.c - keeps the guest's text and constants as they are found first
 *
 * Sites that are patched at any time were patched already when they are first seen: a probe's
 * instruction, the call of a tracer, the target of a static call.  They are put to what the kernel
 * was built with, as far as its tables tell, so that what stood there at first is not legal for
 * ever.  Must never keep a site that is being patched: then there is no first look yet.
 */
#include "host-collector/sources/introspection/kernel-text/first-look.h"

#include <stdio.h>
#include <stdlib.h>

#define SPAN_MAXIMUM (96u * 1024 * 1024) /* from _stext on; Debian's take 32 MiB */
#define JUMP_ENTRY 16
#define CALL_SITE 8
#define SITE 5
#define CALL 0xe8
#define JUMP 0xe9
#define INT3 0xcc
#define KEY_FLAGS 3ull
#define TAIL_FLAG 1ull /* STATIC_CALL_SITE_TAIL */

static const uint8_t nop[SITE] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

/* Code within the copy. */
static uint8_t *site(TextWork *work, uint64_t address, size_t size)
{
    return text_has(work, address, size) ? work->work + (address - work->low) : NULL;
}

static void put_branch(TextWork *work, uint64_t address, uint8_t opcode, uint64_t target)
{
    uint8_t *bytes = site(work, address, SITE);
    int32_t distance = (int32_t)(target - (address + SITE));

    bytes[0] = opcode;
    memcpy(bytes + 1, &distance, sizeof(distance));
}

/* False: one of them is being switched. */
static bool settle_keys(TextWork *work)
{
    TextTable table;

    if (!text_table_by_symbols(work, "__start___jump_table", "__stop___jump_table", &table)) {
        return true;
    }
    for (size_t at = 0; at < table.size && table.size - at >= JUMP_ENTRY; at += JUMP_ENTRY) {
        uint64_t address = table.address + at + (uint64_t)(int64_t)text_s32(table.bytes + at);
        const uint8_t *bytes = site(work, address, SITE);
        if (bytes && bytes[0] == INT3) {
            return false;
        }
    }
    return true;
}

static uint64_t trampoline_of(const TextPlan *plan, uint64_t key)
{
    for (size_t i = 0; i < plan->trampoline_count; i++) {
        if (plan->trampolines[i].key == key) {
            return plan->trampolines[i].address;
        }
    }
    return 0;
}

/* Built are calls and jumps to the trampoline of their key; a conditional jump stays as it is, as
 * what stands behind its opcode is compared with the key alone.  False: one is being switched. */
static bool settle_calls(TextWork *work)
{
    TextTable table;

    if (!text_table_by_symbols(work, "__start_static_call_sites", "__stop_static_call_sites",
                               &table)) {
        return true;
    }
    for (size_t at = 0; at < table.size && table.size - at >= CALL_SITE; at += CALL_SITE) {
        uint64_t entry = table.address + at;
        uint64_t address = entry + (uint64_t)(int64_t)text_s32(table.bytes + at);
        uint64_t key = entry + 4 + (uint64_t)(int64_t)text_s32(table.bytes + at + 4);
        uint64_t trampoline = trampoline_of(work->plan, key & ~KEY_FLAGS);
        const uint8_t *bytes = site(work, address, SITE + 1);

        if (!bytes) {
            continue;
        }
        if (bytes[0] == INT3) {
            return false;
        }
        if (bytes[0] != 0x0f || text_is_nop(bytes, SITE)) {
            put_branch(work, address, key & TAIL_FLAG ? JUMP : CALL,
                       trampoline ? trampoline : work->low);
        }
    }
    return true;
}

static void settle_traced(TextWork *work)
{
    for (size_t i = 0; i < work->plan->traced_count; i++) {
        uint8_t *bytes = site(work, work->plan->traced[i], SITE);
        if (bytes && (bytes[0] == CALL || bytes[0] == JUMP)) {
            memcpy(bytes, nop, sizeof(nop));
        }
    }
}

static bool settle(CheckContext *context, KernelImage *image, uint64_t low, size_t size)
{
    TextWork *work = calloc(1, sizeof(*work));
    TextPlan plan = {0};
    bool good = false;

    if (work && text_plan_make(&plan, image) && text_plan_read_traced(&plan, context)) {
        work->context = context;
        work->image = image;
        work->plan = &plan;
        work->low = low;
        work->size = size;
        work->built = work->work = image->bytes;
        text_explain_kprobes(work); /* what it saved goes back, in place */
        good = settle_keys(work) && settle_calls(work);
        settle_traced(work);
    }
    text_plan_clear(&plan);
    free(work);
    return good;
}

static bool span(GuestKernel *kernel, const char *from, const char *to, uint64_t *ret_from,
                 uint64_t *ret_to)
{
    return guest_kernel_symbol(kernel, from, ret_from) && guest_kernel_symbol(kernel, to, ret_to) &&
           *ret_to > *ret_from;
}

/* The constants but their last page: behind the last of them it is free for anything. */
static void name_constants(KernelImage *image, uint64_t from, uint64_t to)
{
    KernelSection *section = &image->sections[0];

    snprintf(section->name, sizeof(section->name), "%s", ".rodata");
    section->address = from;
    section->size = to - from;
    image->section_count = 1;
}

bool first_look_make(CheckContext *context, KernelImage *ret, char *why, size_t why_size)
{
    GuestKernel *kernel = context->kernel;
    uint64_t low, text_end, from, to;
    const char *lacks = NULL;

    memset(ret, 0, sizeof(*ret));
    if (!guest_kernel_is_running(kernel, false)) {
        lacks = "the kernel is still booting";
    } else if (!span(kernel, "_stext", "_etext", &low, &text_end) ||
               !span(kernel, "__start_rodata", "__end_rodata", &from, &to) || from < text_end ||
               to - low > SPAN_MAXIMUM) {
        lacks = "no measured kernel image, and its text and constants are not where they should be";
    }
    if (!lacks) {
        to = (to - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
        ret->linked = low;
        ret->size = to > low ? to - low : 0;
        ret->room = ret->bytes = calloc(1, ret->size + 1);
        if (!ret->room || to <= from || !kallsyms_copy(&ret->symbols, &kernel->table) ||
            !address_space_read(&kernel->space, low, ret->bytes, text_end - low) ||
            !address_space_read(&kernel->space, from, ret->bytes + (from - low), to - from)) {
            lacks = "no measured kernel image, and its text or constants cannot be read";
        } else if (name_constants(ret, from, to), !settle(context, ret, low, text_end - low)) {
            lacks = "no measured kernel image, and its text is being patched";
        }
    }
    if (lacks) {
        kernel_image_clear(ret);
        snprintf(why, why_size, "%s", lacks);
    }
    return lacks == NULL;
}
