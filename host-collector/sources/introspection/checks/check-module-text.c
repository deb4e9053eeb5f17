/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-module-text.c - code and constants of modules, against how they were when first seen
 *
 * Nothing in RAM says what a module's text must be, so the first look is the reference: what was
 * altered before that is not seen.  Sites that the kernel may patch at any time (module-sites.h)
 * may change, if what they lead to has an owner.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/module-sites.h"
#include "host-collector/sources/introspection/checks/page-walk.h"

#define TEXT_MAXIMUM (64u << 20) /* bytes of all modules that are kept */
#define PARTS 2
#define STATE_LIVE 0      /* enum module_state */
#define PLACES_MAXIMUM 32 /* findings of one module in a pass */

typedef struct Known {
    uint64_t address;  /* of struct module */
    uint64_t use;      /* the number of its kernfs node: another when it was loaded anew */
    uint32_t sequence; /* of mod_tree, when it was last the same module; 0: not known */
    char name[MODULE_NAME_SIZE];
    ModuleRange ranges[PARTS]; /* whole pages */
    uint8_t *bytes;            /* owned: of the ranges, one after the other */
    size_t size;
    bool seen; /* in this pass */
} Known;

typedef struct TextState {
    Known *known; /* owned */
    size_t count;
    size_t capacity;
    size_t total;
    uint8_t *now; /* owned: what is read, as large as the largest module */
    size_t now_size;
} TextState;

typedef struct Look {
    CheckContext *context;
    TextState *state;
    ModuleSites sites;
    uint64_t changed_sites;
    uint64_t reloaded;
    uint32_t sequence; /* of mod_tree, all through this pass up to now; 0: modules come or go */
} Look;

static void forget(TextState *state, size_t index)
{
    state->total -= state->known[index].size;
    free(state->known[index].bytes);
    state->known[index] = state->known[--state->count];
}

static ModuleRange whole_pages(const ModuleRange *range)
{
    uint64_t size = (range->size + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    return (ModuleRange){.start = range->start, .size = size};
}

static bool read_now(Look *look, const ModuleRange ranges[PARTS], size_t size)
{
    TextState *state = look->state;
    uint8_t *at;

    if (state->now_size < size) {
        uint8_t *now = realloc(state->now, size);
        if (!now) {
            return false;
        }
        state->now = now;
        state->now_size = size;
    }
    at = state->now;
    for (int i = 0; i < PARTS; at += ranges[i].size, i++) {
        if (ranges[i].size > 0 && !address_space_read(&look->context->kernel->space,
                                                      ranges[i].start, at, ranges[i].size)) {
            return false;
        }
    }
    return true;
}

static void learn(Look *look, const Module *module, uint64_t use, const ModuleRange ranges[PARTS],
                  size_t size)
{
    TextState *state = look->state;
    uint8_t *bytes;
    Known *known;

    if (state->count == state->capacity) {
        size_t capacity = state->capacity ? 2 * state->capacity : 64;
        Known *more = realloc(state->known, capacity * sizeof(*more));
        if (!more) {
            check_reason(look->context, MONATT_REASON_BUDGET, "out of memory");
            return;
        }
        state->known = more;
        state->capacity = capacity;
    }
    bytes = malloc(size);
    if (!bytes) {
        check_reason(look->context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    memcpy(bytes, state->now, size);
    known = &state->known[state->count++];
    *known = (Known){.address = module->address,
                     .use = use,
                     .sequence = look->sequence,
                     .bytes = bytes,
                     .size = size};
    known->seen = true;
    memcpy(known->name, module->name, sizeof(known->name));
    memcpy(known->ranges, ranges, sizeof(known->ranges));
    state->total += size;
}

static uint64_t address_of(const Known *known, size_t at, int *ret_part)
{
    *ret_part = at < known->ranges[0].size ? 0 : 1;
    return *ret_part == 0 ? known->ranges[0].start + at
                          : known->ranges[1].start + (at - known->ranges[0].size);
}

static void say_changed(Look *look, const Known *known, size_t at, uint64_t address, bool text)
{
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];
    uint64_t base = text ? known->ranges[0].start : known->ranges[1].start;

    snprintf(object, sizeof(object), "module '%.30s' %s+%#lx", known->name,
             text ? "text" : "rodata", (unsigned long)(address - base));
    snprintf(expected, sizeof(expected), "%02x as first seen", known->bytes[at]);
    snprintf(observed, sizeof(observed), "%02x", look->state->now[at]);
    check_found(look->context, CHECK_COMPROMISED, address, object, expected, observed, known->name,
                "%s",
                text ? "a module's code changed, and not at a place that the kernel patches"
                     : "a module's constants changed");
}

static void say_target(Look *look, const Known *known, uint64_t address, uint64_t target)
{
    char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];

    snprintf(object, sizeof(object), "module '%.30s' text+%#lx", known->name,
             (unsigned long)(address - known->ranges[0].start));
    snprintf(observed, sizeof(observed), "leads to %#lx", (unsigned long)target);
    check_found(look->context, CHECK_COMPROMISED, address, object, "leads to code with an owner",
                observed, known->name,
                "a place that the kernel patches leads to code that nobody listed has");
}

/* Where the two copies differ: places that may be patched are passed over as a whole. */
static void compare(Look *look, const Known *known)
{
    const uint8_t *now = look->state->now;
    unsigned places = 0;
    size_t at = 0;

    while (at < known->size && places < PLACES_MAXIMUM) {
        uint64_t address, target = 0;
        size_t length, limit;
        int part;
        if (at % GUEST_PAGE_SIZE == 0 && known->size - at >= GUEST_PAGE_SIZE &&
            memcmp(known->bytes + at, now + at, GUEST_PAGE_SIZE) == 0) {
            at += GUEST_PAGE_SIZE;
            continue;
        }
        if (known->bytes[at] == now[at]) {
            at++;
            continue;
        }
        address = address_of(known, at, &part);
        limit = part == 0 ? known->ranges[0].size : known->size;
        length = part == 0 ? module_sites_allow(&look->sites, address, known->bytes, now, at, limit,
                                                &target)
                           : 0;
        if (length == 0) {
            say_changed(look, known, at, address, part == 0);
            places++;
            /* One finding for what was written in one go. */
            while (at < limit && known->bytes[at] != now[at]) {
                at++;
            }
            continue;
        }
        look->changed_sites++;
        if (target != 0) {
            Owner owner;
            owners_find(look->context->owners, target, &owner);
            if ((owner.kind == OWNER_NONE && owners_missing(look->context->owners)[0] == '\0') ||
                owner.hidden) {
                say_target(look, known, address, target);
                places++;
            }
        }
        at += length;
    }
}

/* Its place among the known; state->count: it is none. */
static size_t find_known(const TextState *state, const Module *module)
{
    size_t i = 0;
    while (i < state->count && (state->known[i].address != module->address ||
                                strcmp(state->known[i].name, module->name) != 0)) {
        i++;
    }
    return i;
}

/* Its code was there and is not, or may be written again: that is no news of a module that is being
 * unloaded, whose state is read now and lies in the memory that goes.  What is known of it stays,
 * it may come back. */
static void say_away(Look *look, const Module *module)
{
    CheckContext *context = look->context;
    uint64_t at = module->address + owners_modules(context->owners)->layout.state;
    size_t i = find_known(look->state, module);
    uint32_t state;

    if (i == look->state->count) {
        return;
    }
    look->state->known[i].seen = true;
    if (module->state == STATE_LIVE && address_space_u32(&context->kernel->space, at, &state) &&
        state == STATE_LIVE) {
        check_reason(context, MONATT_REASON_TORN, "code of module '%.56s' is not there as it was",
                     module->name);
    }
}

/* Another load of a module, or other code of it, is news only when the kernel's tree of modules
 * changed; else its words were written over, to have the code that is there now learnt. */
static bool is_relabelled(Look *look, const Known *known)
{
    CheckContext *context = look->context;
    char object[CHECK_OBJECT_SIZE];

    look->sequence = look->sequence == module_sequence(context) ? look->sequence : 0;
    if (look->sequence == 0 || known->sequence != look->sequence) {
        return false;
    }
    snprintf(object, sizeof(object), "module '%.30s' text", known->name);
    check_found(context, CHECK_COMPROMISED, known->ranges[0].start, object,
                "the load and the code that it had", "others, and no module was loaded since",
                known->name, "a module says that it was loaded anew, and none was");
    return true;
}

static void look_at(Look *look, const Module *module)
{
    TextState *state = look->state;
    ModuleRange ranges[PARTS] = {whole_pages(&module->ranges[MODULE_TEXT]),
                                 whole_pages(&module->ranges[MODULE_RODATA])};
    size_t size = (size_t)(ranges[0].size + ranges[1].size);
    uint64_t use = module_sites_use(&look->sites, look->context, module->address);
    size_t i = find_known(state, module);

    if (i < state->count && (state->known[i].use != use ||
                             memcmp(state->known[i].ranges, ranges, sizeof(ranges)) != 0)) {
        if (is_relabelled(look, &state->known[i])) {
            use = state->known[i].use;
            size = state->known[i].size;
            memcpy(ranges, state->known[i].ranges, sizeof(ranges));
        } else {
            forget(state, i);
            look->reloaded++;
            i = state->count;
        }
    }
    if (i == state->count && size > TEXT_MAXIMUM - state->total) {
        check_reason(look->context, MONATT_REASON_BUDGET, "modules have more than %u MiB of text",
                     TEXT_MAXIMUM >> 20);
        return;
    }
    if (!read_now(look, ranges, size)) {
        say_away(look, module);
        return;
    }
    if (i == state->count) {
        learn(look, module, use, ranges, size);
        return;
    }
    state->known[i].seen = true;
    state->known[i].sequence = look->sequence;
    if (memcmp(state->known[i].bytes, state->now, size) != 0) {
        module_sites_begin(&look->sites, look->context, module);
        compare(look, &state->known[i]);
    }
}

static void run(CheckContext *context)
{
    const ModuleList *modules = owners_modules(context->owners);
    Look look = {.context = context};
    size_t count = 0;

    if (!*context->state) {
        *context->state = calloc(1, sizeof(TextState));
    }
    look.state = *context->state;
    if (!look.state) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    if (modules->missing[0] != '\0') {
        check_reason(context, MONATT_REASON_TORN, "%s", modules->missing);
    }
    look.sequence = modules->sequence;
    module_sites_layout(&look.sites, context);
    for (size_t i = 0; i < look.state->count; i++) {
        look.state->known[i].seen = false;
    }
    for (size_t i = 0; i < modules->count; i++) {
        const Module *module = &modules->items[i];
        PageLeaf leaf;
        if (module->ranges[MODULE_TEXT].size == 0 || !check_step(context)) {
            continue;
        }
        /* Its text is written until it may run, whatever its state says. */
        if (page_walk_leaf(&context->kernel->space, module->ranges[MODULE_TEXT].start, &leaf) &&
            leaf.executable && !leaf.writable) {
            look_at(&look, module);
            count++;
        } else {
            say_away(&look, module);
        }
    }
    for (size_t i = look.state->count; i-- > 0 && modules->missing[0] == '\0';) {
        if (!look.state->known[i].seen) {
            forget(look.state, i);
        }
    }
    check_count(context, "modules", count);
    check_count(context, "bytes", look.state->total);
    check_count(context, "patched sites", look.changed_sites);
    check_count(context, "loaded anew", look.reloaded);
    module_sites_clear(&look.sites);
}

static void clear(void *pointer)
{
    TextState *state = pointer;
    while (state->count > 0) {
        forget(state, state->count - 1);
    }
    free(state->known);
    free(state->now);
    free(state);
}

const Check check_module_text = {MONATT_SUBCHECK_MODULE_TEXT, "module-text", NULL, run, clear};
