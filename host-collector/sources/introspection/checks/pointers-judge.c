/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-judge.c - whether a function may stand where it stands in the kernel's tables
 *
 * Code of the kernel itself may, at the beginning of a function.  A module that lsmod shows may in
 * what it made or registered itself, never in a table of the kernel's own; a module in no list and
 * code of nobody may nowhere.
 *
 * Must never call a table good by what it was: the copy that saves time is compared whole.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include <string.h>

bool pointers_in_image(const PointersCheck *check, uint64_t address)
{
    return address >= check->image_start && address < check->image_end;
}

const PointerForm *pointers_form(CheckContext *context, PointersCheck *check, const char *structure)
{
    PointerForm *form = NULL;

    for (uint32_t i = 0; i < check->form_count; i++) {
        if (strcmp(check->forms[i].structure, structure) == 0) {
            form = &check->forms[i];
            return form->size != 0 ? form : NULL;
        }
    }
    if (check->form_count == POINTER_FORMS) {
        check->full = true;
        return NULL;
    }
    form = &check->forms[check->form_count++];
    snprintf(form->structure, sizeof(form->structure), "%s", structure);
    form->count = (uint32_t)btf_find_functions(&context->kernel->types, structure, form->functions,
                                               POINTER_FUNCTIONS);
    for (uint32_t i = 0; i < form->count; i++) {
        uint32_t offset = form->functions[i].offset;
        if (offset > POINTER_FORM_SIZE - sizeof(uint64_t)) {
            form->count = i; /* in no kernel: such a struct is not read further */
            break;
        }
        if (offset + sizeof(uint64_t) > form->size) {
            form->size = offset + (uint32_t)sizeof(uint64_t);
        }
    }
    return form->size != 0 ? form : NULL;
}

/* Its slot, or a free one; POINTER_TABLES: there is none. */
static uint32_t slot_of(const PointerPlaces *places, uint64_t address)
{
    uint32_t slot = (uint32_t)(address >> 3 ^ address >> 17) & (POINTER_TABLES - 1);

    for (uint32_t i = 0; i < POINTER_TABLES; i++) {
        if (places->addresses[slot] == address || places->addresses[slot] == 0) {
            return slot;
        }
        slot = (slot + 1) & (POINTER_TABLES - 1);
    }
    return POINTER_TABLES;
}

bool pointers_first(CheckContext *context, PointersCheck *check, uint64_t address)
{
    uint32_t slot = slot_of(&check->seen, address);

    if (slot == POINTER_TABLES || check->seen.count > POINTER_TABLES - POINTER_TABLES / 8) {
        check_reason(context, MONATT_REASON_BUDGET, "more than %u tables of functions",
                     check->seen.count);
        return false;
    }
    if (check->seen.addresses[slot] == address) {
        return false;
    }
    check->seen.addresses[slot] = address;
    check->seen.count++;
    return true;
}

static void add_row(CheckContext *context, const char *kind, const char *place, uint64_t target,
                    uint64_t slot, const Owner *owner, const char *state)
{
    char text[CHECK_OBJECT_SIZE], who[CHECK_OBJECT_SIZE];

    check_name_address(context, target, text);
    snprintf(who, sizeof(who), owner->kind == OWNER_MODULE ? "[%.60s]" : "%.60s",
             owner->name[0] ? owner->name : owner_kind_name(owner->kind));
    table_text(context->table, kind);
    table_text(context->table, place);
    table_text(context->table, text);
    table_text(context->table, who);
    table_text(context->table, state);
    table_hex(context->table, slot);
    table_end_row(context->table);
}

static void find(CheckContext *context, CheckSeverity severity, const char *kind, const char *place,
                 uint64_t slot, uint64_t target, const Owner *owner, const char *why)
{
    char object[CHECK_OBJECT_SIZE], observed[CHECK_OBJECT_SIZE];

    snprintf(object, sizeof(object), "%.20s %.43s", kind, place);
    check_name_address(context, target, observed);
    check_found(context, severity, slot, object, "a function of the kernel", observed, owner->name,
                "%s: %s", object, why);
    add_row(context, kind, place, target, slot, owner,
            severity == CHECK_COMPROMISED ? "compromised" : "degraded");
}

static bool is_beginning(CheckContext *context, uint64_t target)
{
    const KallsymsEntry *entry = kallsyms_at(&context->kernel->table, target);
    return entry && entry->address == target;
}

void pointers_judge(CheckContext *context, PointersCheck *check, const char *kind,
                    const char *place, uint64_t slot, uint64_t target, PointerPolicy policy)
{
    Owner owner;

    if (target == 0) {
        return;
    }
    check->functions++;
    owners_find(context->owners, target, &owner);
    switch (owner.kind) {
    case OWNER_KERNEL:
        if (!is_beginning(context, target)) {
            find(context, CHECK_DEGRADED, kind, place, slot, target, &owner,
                 "leads into the middle of a function");
        }
        return;
    case OWNER_MODULE:
        if (owner.hidden) {
            find(context, CHECK_COMPROMISED, kind, place, slot, target, &owner,
                 "leads to a module that is in no list");
        } else if (policy == POINTER_CORE ||
                   (policy != POINTER_ANYONE && pointers_in_image(check, slot))) {
            find(context, CHECK_COMPROMISED, kind, place, slot, target, &owner,
                 "a table of the kernel's own leads to a module");
        } else {
            add_row(context, kind, place, target, slot, &owner, "good");
        }
        return;
    case OWNER_BPF_PROGRAM:
    case OWNER_BPF_TRAMPOLINE:
        if (policy == POINTER_PROGRAMS) {
            add_row(context, kind, place, target, slot, &owner, "good");
            return;
        }
        break;
    case OWNER_INIT:
        return; /* only a kernel that is still booting has it */
    default:
        break;
    }
    if (owner.kind == OWNER_NONE && pointers_in_image(check, slot) && target >= check->init_start &&
        target < check->init_end && is_beginning(context, target)) {
        return; /* what was called at boot and never again (smp_ops.smp_cpus_done) */
    }
    if (owner.kind == OWNER_NONE && *owners_missing(context->owners) &&
        !pointers_in_image(check, target)) {
        check->unowned = true;
        return;
    }
    find(context, CHECK_COMPROMISED, kind, place, slot, target, &owner,
         owner.kind == OWNER_NONE ? "leads to code of nobody"
                                  : "leads to code that is no function");
}

/* Whether these bytes are those that were good before. */
static bool is_known(PointersCheck *check, uint64_t address, const uint8_t *bytes, uint32_t size)
{
    uint32_t slot = slot_of(&check->known, address);

    return slot != POINTER_TABLES && check->known.addresses[slot] == address &&
           check->known.sizes[slot] == size &&
           memcmp(check->copies + check->known.copies[slot], bytes, size) == 0;
}

static void remember(PointersCheck *check, uint64_t address, const uint8_t *bytes, uint32_t size)
{
    uint32_t slot = slot_of(&check->known, address);

    if (slot == POINTER_TABLES || check->known.count > POINTER_TABLES - POINTER_TABLES / 8) {
        return;
    }
    if (check->known.addresses[slot] != address) {
        if (size > POINTER_COPIES - check->copies_used) {
            return; /* it is judged anew each time: slower, no less right */
        }
        check->known.addresses[slot] = address;
        check->known.copies[slot] = check->copies_used;
        check->known.sizes[slot] = size;
        check->known.count++;
        check->copies_used += size; /* a multiple of 8 */
    }
    if (check->known.sizes[slot] == size) { /* else it is two tables in one place */
        memcpy(check->copies + check->known.copies[slot], bytes, size);
    }
}

void pointers_judge_bytes(CheckContext *context, PointersCheck *check, const char *kind,
                          const char *place, uint64_t address, const uint8_t *bytes,
                          const PointerForm *form, PointerPolicy policy)
{
    uint8_t words[POINTER_FUNCTIONS * sizeof(uint64_t)];
    const uint32_t size = form->count * (uint32_t)sizeof(uint64_t);
    uint32_t sightings = context->sightings->count + context->sightings->beyond;
    uint32_t core = 0;

    check->tables++;
    /* Only the functions: the rest of an object may change all the time. */
    for (uint32_t i = 0; i < form->count; i++) {
        memcpy(words + 8 * i, bytes + form->functions[i].offset, 8);
    }
    if (is_known(check, address, words, size)) {
        check->functions += form->count;
        return;
    }
    for (uint32_t i = 0; i < form->count; i++) {
        uint64_t target = pointers_word(words, 8 * i);
        char function[POINTER_PLACE_SIZE];
        Owner owner;

        snprintf(function, sizeof(function), "%.36s.%.26s", place, form->functions[i].name);
        pointers_judge(context, check, kind, function, address + form->functions[i].offset, target,
                       policy);
        if (target != 0) {
            owners_find(context->owners, target, &owner);
        }
        core += target == 0 || owner.kind == OWNER_KERNEL;
    }
    /* What leads to a module is judged each time: the module may go. */
    if (core == form->count &&
        sightings == context->sightings->count + context->sightings->beyond) {
        remember(check, address, words, size);
    }
}

void pointers_judge_table(CheckContext *context, PointersCheck *check, const char *kind,
                          const char *place, uint64_t address, const PointerForm *form,
                          PointerPolicy policy)
{
    uint8_t bytes[POINTER_FORM_SIZE];

    if (address == 0 || !form || !pointers_first(context, check, address) || !check_step(context)) {
        return;
    }
    if (!address_space_read(&context->kernel->space, address, bytes, form->size)) {
        check_reason(context, MONATT_REASON_TORN, "the functions of %s %s are not readable", kind,
                     place);
        return;
    }
    pointers_judge_bytes(context, check, kind, place, address, bytes, form, policy);
}

void pointers_judge_operations(CheckContext *context, PointersCheck *check, const char *kind,
                               const char *place, uint64_t slot, uint64_t table,
                               const char *structure, bool object_of_kernel)
{
    const PointerForm *form = pointers_form(context, check, structure);

    if (table == 0) {
        return;
    }
    if (object_of_kernel && !pointers_in_image(check, table) &&
        pointers_first(context, check, slot ^ 1)) {
        char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];
        snprintf(object, sizeof(object), "%.20s %.43s", kind, place);
        snprintf(observed, sizeof(observed), "%#lx", (unsigned long)table);
        check_found(context, CHECK_COMPROMISED, slot, object, "a table of the kernel's own",
                    observed, "",
                    "%s: the kernel's own object uses a table that is not the kernel's", object);
    }
    if (form) {
        pointers_judge_table(context, check, kind, place, table, form, POINTER_OWN);
    }
}
