/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-boot.c - text that is patched once, while the kernel boots: locks, paravirt, call depth,
 * ENDBR seals, runtime constants
 *
 * arch/x86/kernel/alternative.c, callthunks.c, include/asm/runtime-const.h.
 */
#include <stdio.h>
#include "host-collector/sources/introspection/kernel-text/text-work.h"

#define CALL 0xe8
#define LOCK 0xf0
#define SEGMENT_DS 0x3e /* takes the place of LOCK where one CPU runs */
#define PARAVIRT_SITE 16
#define PARAVIRT_USED 10 /* the last one ends without padding */
#define RUNTIME_PREFIX "runtime_"
#define CACHE_NAME 32

enum { CHOICE_BUILT, CHOICE_CHANGED, CHOICE_DIRECT, CHOICE_NOP, CHOICE_INLINE };

static void explain_locks(TextWork *work)
{
    TextTable table;

    if (!text_table_by_section(work, ".smp_locks", &table)) {
        return;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t address = text_table_place(&table, i);
        if (!text_has(work, address, 1)) {
            continue;
        }
        uint8_t now = *text_now(work, address);
        work->sites[TEXT_LOCKS]++;
        if (*text_built(work, address) == LOCK && (now == SEGMENT_DS || now == LOCK)) {
            text_explain(work, TEXT_LOCKS, address, 1, now == LOCK ? CHOICE_BUILT : CHOICE_CHANGED);
        }
    }
}

/* What old kernels write in place of a call to one of these (paravirt_patch.c, to 5.11). */
static bool is_inline(const TextWork *work, uint64_t function, const uint8_t *now, size_t size)
{
    static const struct {
        const char *function;
        uint8_t size;
        uint8_t code[8];
    } forms[] = {
        {"native_save_fl", 2, {0x9c, 0x58}},
        {"native_restore_fl", 2, {0x57, 0x9d}},
        {"native_irq_disable", 1, {0xfa}},
        {"native_irq_enable", 1, {0xfb}},
        {"native_wbinvd", 2, {0x0f, 0x09}},
        {"native_read_cr2", 3, {0x0f, 0x20, 0xd0}},
        {"__native_read_cr3", 3, {0x0f, 0x20, 0xd8}},
        {"native_write_cr3", 3, {0x0f, 0x22, 0xdf}},
        {"native_usergs_sysret64", 6, {0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07}},
        {"native_swapgs", 3, {0x0f, 0x01, 0xf8}},
        {"_paravirt_ident_64", 3, {0x48, 0x89, 0xf8}},
        {"__native_queued_spin_unlock", 3, {0xc6, 0x07, 0x00}},
        {"__raw_callee_save___native_queued_spin_unlock", 3, {0xc6, 0x07, 0x00}},
        {"__native_vcpu_is_preempted", 2, {0x31, 0xc0}},
        {"__raw_callee_save___native_vcpu_is_preempted", 2, {0x31, 0xc0}},
    };
    const KallsymsEntry *entry = kallsyms_at(&work->image->symbols, function);
    uint64_t address;

    if (!kernel_image_symbol(work->image, "native_patch", &address) || !entry ||
        entry->address != function) {
        return false; /* newer kernels leave these to the alternatives */
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(forms); i++) {
        /* By name: a static function may stand in the kernel several times. */
        if (forms[i].size <= size && memcmp(now, forms[i].code, forms[i].size) == 0 &&
            text_is_filler(now + forms[i].size, size - forms[i].size) &&
            strcmp(work->image->symbols.text + entry->text, forms[i].function) == 0) {
            return true;
        }
    }
    return false;
}

static void explain_paravirt_site(TextWork *work, uint64_t address, uint8_t type, size_t size)
{
    const uint8_t *now, *built;
    uint64_t function;
    uint64_t nothing = 0;

    if (size < 2 || !text_has(work, address, size) || !work->inputs.paravirt_operations ||
        !address_space_u64(&work->context->kernel->space,
                           work->inputs.paravirt_operations + 8ull * type, &function)) {
        return;
    }
    now = text_now(work, address);
    built = text_built(work, address);
    work->sites[TEXT_PARAVIRT]++;
    if (!kernel_image_symbol(work->image, "_paravirt_nop", &nothing)) {
        nothing = 0;
    }
    if (size >= 5 && (now[0] == CALL || now[0] == 0xe9) &&
        text_is_entry(work, text_target(address, now, 1), function) &&
        text_has(work, function, 1) && text_is_filler(now + 5, size - 5)) {
        text_explain(work, TEXT_PARAVIRT, address, size, CHOICE_DIRECT);
    } else if (nothing && function == nothing && text_is_filler(now, size)) {
        text_explain(work, TEXT_PARAVIRT, address, size, CHOICE_NOP);
    } else if (memcmp(now, built, size) == 0) {
        text_explain(work, TEXT_PARAVIRT, address, size, CHOICE_BUILT);
    } else if (is_inline(work, function, now, size)) {
        text_explain(work, TEXT_PARAVIRT, address, size, CHOICE_INLINE);
    }
}

static void explain_paravirt(TextWork *work)
{
    TextTable table;

    if (!text_table_by_section(work, ".parainstructions", &table)) {
        return;
    }
    for (size_t at = 0; at < table.size && table.size - at >= PARAVIRT_USED; at += PARAVIRT_SITE) {
        explain_paravirt_site(work, text_u64(table.bytes + at), table.bytes[at + 8],
                              table.bytes[at + 9]);
    }
}

/* With call depth tracking, calls enter a function in the padding in front of it. */
static void explain_call_sites(TextWork *work)
{
    TextTable table;

    if (!text_table_by_section(work, ".call_sites", &table)) {
        return;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t address = text_table_place(&table, i);
        const uint8_t *now, *built;

        if (!text_has(work, address, 5)) {
            continue;
        }
        now = text_now(work, address);
        built = text_built(work, address);
        work->sites[TEXT_CALLS]++;
        if (memcmp(now, built, 5) != 0 && now[0] == built[0] && now[0] == CALL &&
            text_is_entry(work, text_target(address, now, 1), text_target(address, built, 1))) {
            text_explain(work, TEXT_CALLS, address, 5, CHOICE_CHANGED);
        }
    }
}

/* The accounting code is a template with one relative displacement: its bytes are forced. */
static void explain_padding(TextWork *work)
{
    size_t size = work->inputs.call_template_size;
    const uint8_t *template = kernel_image_at(work->image, work->inputs.call_template, size);
    uint8_t expected[TEXT_SITE_MAXIMUM];

    if (size < 9 || !template) {
        return;
    }
    for (size_t i = 0; i < work->plan->function_count; i++) {
        uint64_t address = work->plan->functions[i] - size;
        int32_t moved = text_s32(template + 4) + (int32_t)(work->inputs.call_template - address);

        if (!text_has(work, address, size) ||
            memcmp(text_now(work, address), text_built(work, address), size) == 0) {
            continue;
        }
        memcpy(expected, template, size);
        memcpy(expected + 4, &moved, sizeof(moved));
        work->sites[TEXT_PADDING]++;
        if (memcmp(text_now(work, address), expected, size) == 0) {
            text_explain(work, TEXT_PADDING, address, size, CHOICE_CHANGED);
        }
    }
}

static void explain_seals(TextWork *work)
{
    static const uint8_t poisons[][4] = {{0x66, 0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0xd6}};
    TextTable table;

    if (!text_table_by_section(work, ".ibt_endbr_seal", &table)) {
        return;
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t address = text_table_place(&table, i);
        const uint8_t *now;

        if (!text_has(work, address, 4)) {
            continue;
        }
        now = text_now(work, address);
        work->sites[TEXT_ENDBR]++;
        if (memcmp(now, text_built(work, address), 4) == 0) {
            text_explain(work, TEXT_ENDBR, address, 4, CHOICE_BUILT);
        } else if (memcmp(now, poisons[0], 4) == 0 || memcmp(now, poisons[1], 4) == 0) {
            text_explain(work, TEXT_ENDBR, address, 4, CHOICE_CHANGED);
        }
    }
}

/* A variable that the compiler has taken away: the cache is told by its name, which is the guest's
 * word, so all sites of a section must also hold the same value. */
static bool is_cache(const TextWork *work, const char *variable, uint64_t value)
{
    static const struct {
        const char *variable;
        const char *name;
    } caches[] = {{"__dentry_cache", "dentry"},
                  {"__names_cache", "names_cache"},
                  {"__filp_cache", "filp"},
                  {"__bfilp_cache", "bfilp"}};
    GuestKernel *kernel = work->context->kernel;
    char name[CACHE_NAME];
    uint32_t offset;
    uint64_t at;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(caches); i++) {
        if (strcmp(variable, caches[i].variable) == 0) {
            return guest_kernel_member(kernel, "kmem_cache", "name", &offset) &&
                   address_space_u64(&kernel->space, value + offset, &at) &&
                   guest_kernel_string(kernel, at, name, sizeof(name)) &&
                   strcmp(name, caches[i].name) == 0;
        }
    }
    return false;
}

static void explain_constants(TextWork *work, const char *section)
{
    bool pointer = strncmp(section, RUNTIME_PREFIX "ptr_", sizeof(RUNTIME_PREFIX "ptr_") - 1) == 0;
    const char *variable = strchr(section + sizeof(RUNTIME_PREFIX) - 1, '_');
    size_t size = pointer ? 8 : 1;
    uint8_t expected[8] = {0};
    bool known = false;
    uint64_t address;
    TextTable table;

    if (!variable || !text_table_by_section(work, section, &table)) {
        return;
    }
    variable++;
    if (kernel_image_symbol(work->image, variable, &address)) {
        known = address_space_read(&work->context->kernel->space, address, expected, size);
    }
    for (size_t i = 0; i < table.size / 4; i++) {
        uint64_t place = text_table_place(&table, i);

        if (!text_has(work, place, size)) {
            continue;
        }
        work->sites[TEXT_RUNTIME]++;
        if (!known && pointer && is_cache(work, variable, text_u64(text_now(work, place)))) {
            memcpy(expected, text_now(work, place), size);
            known = true;
        }
        if (known && memcmp(text_now(work, place), expected, size) == 0) {
            text_explain(work, TEXT_RUNTIME, place, size, CHOICE_CHANGED);
        }
    }
}

void text_explain_boot(TextWork *work)
{
    explain_padding(work);
    explain_locks(work);
    explain_paravirt(work);
    text_explain_retpolines(work);
    text_explain_returns(work);
    explain_call_sites(work);
    explain_seals(work);
    for (size_t i = 0; i < work->image->section_count; i++) {
        const char *name = work->image->sections[i].name;
        if (strncmp(name, RUNTIME_PREFIX, sizeof(RUNTIME_PREFIX) - 1) == 0) {
            explain_constants(work, name);
        }
    }
    text_explain_alternatives(work);
}
