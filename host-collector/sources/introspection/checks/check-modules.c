/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-modules.c - modules that are not in the list that lsmod shows, and ones that lie
 *
 * A module is hidden when any other place of the kernel knows it: that it is listed is its own
 * doing, so nothing that it says of itself (its state above all) excuses it.  One that is loaded or
 * unloaded is in some places and not in others for microseconds: the runner's three looks tell.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/module-list.h"
#include "host-collector/sources/introspection/checks/page-walk.h"
#include "host-collector/sources/introspection/checks/vmap-areas.h"
#include "libmonatt/base/macros.h"

#define SPACE_START 0xffffffff80000000ull /* of modules, with core text before it */
#define STATE_LIVE 0
#define MODULES_A_STEP 16 /* that are looked through for one step of the budget */
#define STATE_GOING 2
#define STATE_UNFORMED 3
/* What still knows a module that free_module() is at; any other place makes it no such one. */
#define AT_ITS_END (MODULE_VIEW_CARVED | MODULE_VIEW_AREA | MODULE_VIEW_PAGES)
#define ENDING_SECONDS 60 /* that an unload may take */
#define VERSION_SIZE 33   /* of srcversion: 24 characters */

typedef struct TraceLayout {
    uint32_t next, records, count, address;
} TraceLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(TraceLayout, field, structure, path)
static const LayoutRow trace_rows[] = {
    MEMBER(next, "ftrace_page", "next"),
    MEMBER(records, "ftrace_page", "records"),
    MEMBER(count, "ftrace_page", "index"),
    MEMBER(address, "dyn_ftrace", "ip"),
};

typedef struct ModuleViews {
    CheckContext *context;
    const ModuleList *list;
    uint32_t views[MODULES_MAXIMUM]; /* with what only this check looks at */
    uint64_t hidden;
} ModuleViews;

/* Kept between passes: since when one task has module_mutex while no module came or went. */
typedef struct Ending {
    uint64_t owner, generation;
    time_t since;
} Ending;

/* The module that has this code; SIZE_MAX: none. */
static size_t module_of(const ModuleList *list, uint64_t address)
{
    static const ModuleMemory code[] = {MODULE_TEXT, MODULE_INIT_TEXT};
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < MONATT_ARRAY_SIZE(code); k++) {
            const ModuleRange *range = &list->items[i].ranges[code[k]];
            if (address >= range->start && address - range->start < range->size) {
                return i;
            }
        }
    }
    return SIZE_MAX;
}

static bool in_core(CheckContext *context, uint64_t address)
{
    uint64_t start, end;
    return guest_kernel_symbol(context->kernel, "_text", &start) &&
           guest_kernel_symbol(context->kernel, "_end", &end) && address >= start && address < end;
}

/* Places that the function tracer may patch, a piece of memory at a time: all of one piece are in
 * one module or in the core. */
static void read_trace(ModuleViews *views)
{
    CheckContext *context = views->context;
    AddressSpace *space = &context->kernel->space;
    uint64_t variable, page;
    TraceLayout layout;
    char text[96];

    layout_read(context->kernel, trace_rows, MONATT_ARRAY_SIZE(trace_rows), &layout);
    if (!guest_kernel_symbol(context->kernel, "ftrace_pages_start", &variable)) {
        return; /* a kernel that cannot trace functions */
    }
    if (layout_lacks(trace_rows, MONATT_ARRAY_SIZE(trace_rows), &layout, sizeof(layout), text,
                     sizeof(text)) ||
        !address_space_u64(space, variable, &page)) {
        check_lacks(context, "ftrace_page and dyn_ftrace in its BTF");
        return;
    }
    while (page != 0 && check_step(context)) {
        uint64_t records, address;
        uint32_t count;
        if (address_space_u64(space, page + layout.records, &records) &&
            address_space_u32(space, page + layout.count, &count) && count > 0 &&
            address_space_u64(space, records + layout.address, &address) &&
            address >= SPACE_START && !in_core(context, address)) {
            size_t index;
            if (!walk_budget_take(&context->budget, views->list->count / MODULES_A_STEP)) {
                return; /* run_check() says so */
            }
            index = module_of(views->list, address);
            if (index != SIZE_MAX) {
                views->views[index] |= MODULE_VIEW_FTRACE;
            } else {
                char object[CHECK_OBJECT_SIZE];
                snprintf(object, sizeof(object), "functions at %#lx", (unsigned long)address);
                views->hidden++;
                check_found(context, CHECK_COMPROMISED, address, object, "code of a module",
                            "code of nobody", "",
                            "the function tracer knows functions in the space of modules that "
                            "belong to no module");
            }
        }
        if (!address_space_u64(space, page + layout.next, &page)) {
            check_reason(context, MONATT_REASON_TORN,
                         "the function tracer's records are not readable whole");
            return;
        }
    }
}

static void letters(uint32_t views, char text[16])
{
    static const struct {
        uint32_t view;
        char letter;
    } all[] = {
        {MODULE_VIEW_LIST, 'L'}, {MODULE_VIEW_KSET, 'K'},   {MODULE_VIEW_TREE, 'T'},
        {MODULE_VIEW_AREA, 'A'}, {MODULE_VIEW_FTRACE, 'F'}, {MODULE_VIEW_BTF, 'B'},
        {MODULE_VIEW_BUGS, 'W'}, {MODULE_VIEW_PAGES, 'X'},  {MODULE_VIEW_CARVED, 'C'},
    };
    size_t at = 0;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(all); i++) {
        if (views & all[i].view) {
            text[at++] = all[i].letter;
        }
    }
    text[at] = '\0';
}

/* As /proc/modules shows it: the letters of kernel/panic.c in their order. */
static void taint_letters(uint64_t taints, char text[24])
{
    static const char all[] = "PFSRMBUDAWCIOELKXTN";
    size_t at = 0;
    for (size_t i = 0; i + 1 < sizeof(all); i++) {
        if (taints & 1ull << i) {
            text[at++] = all[i];
        }
    }
    text[at] = '\0';
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {"live", "loading", "unloading", "unformed"};
    return state < MONATT_ARRAY_SIZE(names) ? names[state] : "unknown";
}

static void row(ModuleViews *views, size_t index)
{
    CheckContext *context = views->context;
    const Module *module = &views->list->items[index];
    char text[24], version[VERSION_SIZE] = "", note[TABLE_CELL] = "";

    if (!context->table) {
        return;
    }
    table_text(context->table, module->name);
    table_number(context->table, module_size(module));
    table_number(context->table, module->used);
    table_text(context->table, state_name(module->state));
    table_hex(context->table, module->address);
    letters(views->views[index], text);
    table_text(context->table, text);
    taint_letters(module->taints, text);
    table_text(context->table, text);
    if (module->srcversion != 0 &&
        guest_kernel_string(context->kernel, module->srcversion, version, sizeof(version))) {
        snprintf(note, sizeof(note), "srcversion %s", version);
    }
    if (!(views->views[index] & MODULE_VIEW_LIST)) {
        snprintf(note, sizeof(note), "hidden");
    }
    table_text(context->table, note);
    table_end_row(context->table);
}

static bool is_executable(ModuleViews *views, const ModuleRange *range)
{
    for (uint64_t at = 0; at < range->size; at += GUEST_PAGE_SIZE) {
        PageLeaf leaf;
        if (!check_step(views->context)) {
            return true; /* not known: it is named rather than left out */
        }
        if (page_walk_leaf(&views->context->kernel->space, range->start + at, &leaf) &&
            leaf.executable) {
            return true;
        }
    }
    return false;
}

/*
 * Whether it is laid out and waits for another of its name to be loaded or unloaded, which takes
 * as long as that one's init function does; then it gets its place or is freed
 * (finished_loading() in kernel/module/main.c).  None of its code can run meanwhile.
 */
static bool waits_for_its_name(ModuleViews *views, size_t index)
{
    const Module *module = &views->list->items[index];

    if (views->views[index] & ~(uint32_t)(MODULE_VIEW_CARVED | MODULE_VIEW_AREA) ||
        module->state != STATE_UNFORMED || is_executable(views, &module->ranges[MODULE_TEXT]) ||
        is_executable(views, &module->ranges[MODULE_INIT_TEXT])) {
        return false;
    }
    for (size_t i = 0; i < views->list->count; i++) {
        const Module *other = &views->list->items[i];
        if (i != index && (views->views[i] & MODULE_VIEW_LIST) && other->state != STATE_LIVE &&
            strcmp(other->name, module->name) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Whether it may be what free_module() is at: that one has it out of list, kobjects and tree, and
 * keeps module_mutex while it waits for readers, which takes seconds when the guest is short of
 * time.  Who holds the lock longer than that does not unload.
 */
static bool may_be_ending(ModuleViews *views, size_t index)
{
    CheckContext *context = views->context;
    Ending *ending = *context->state;
    uint64_t owner, generation;
    uint64_t lock =
        guest_kernel_lock(context->kernel, layout_symbol(context->kernel, "module_mutex"));
    struct timespec now;

    if (views->views[index] & ~(uint32_t)AT_ITS_END ||
        !(owner = guest_kernel_lock_owner(context->kernel, lock))) {
        return false;
    }
    if (!ending && !(*context->state = ending = calloc(1, sizeof(*ending)))) {
        return false;
    }
    generation = module_list_generation(context, views->list);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (ending->owner != owner || ending->generation != generation) {
        *ending = (Ending){.owner = owner, .generation = generation, .since = now.tv_sec};
    }
    return now.tv_sec - ending->since <= ENDING_SECONDS;
}

static void find_hidden(ModuleViews *views, size_t index)
{
    const Module *module = &views->list->items[index];
    char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE], text[16];

    letters(views->views[index], text);
    snprintf(object, sizeof(object), "module '%.48s'", module->name);
    snprintf(observed, sizeof(observed), "%lu bytes, code at %#lx, views %s",
             (unsigned long)module_size(module), (unsigned long)module->ranges[MODULE_TEXT].start,
             text);
    views->hidden++;
    check_found(views->context, CHECK_COMPROMISED, module->address, object,
                "in the list of modules", observed, module->name,
                "hidden module: it is loaded, and not in the list that lsmod shows");
    /* free_module() has it out of list, kobjects and tree while it waits for readers. */
    if (!(views->views[index] & ~(uint32_t)AT_ITS_END)) {
        check_generation(views->context, module_list_generation(views->context, views->list));
    }
}

/* A listed module whose word about itself does not fit what is there. */
static void find_lies(ModuleViews *views, size_t index, bool areas_known)
{
    const Module *module = &views->list->items[index];
    const ModuleRange *text = &module->ranges[MODULE_TEXT];
    uint32_t seen = views->views[index];
    bool loaded = module->ranges[MODULE_INIT_TEXT].size == 0 && (seen & MODULE_VIEW_PAGES);
    char object[CHECK_OBJECT_SIZE];
    const char *observed = NULL;
    CheckSeverity severity = CHECK_COMPROMISED;

    if (loaded && module->state != STATE_LIVE && module->state != STATE_GOING) {
        /* Its code runs and its init code has been freed: it is past what it says. */
        observed = state_name(module->state);
    } else if (areas_known && text->size > 0 && !(seen & MODULE_VIEW_AREA)) {
        observed = "its code lies in no vmalloc area";
    } else if (loaded && module->state == STATE_LIVE && !(seen & MODULE_VIEW_TREE)) {
        observed = "not in the tree of addresses";
    } else if (loaded && module->state == STATE_LIVE && !(seen & MODULE_VIEW_KSET)) {
        observed = "no kobject";
        severity = CHECK_DEGRADED;
    }
    if (observed) {
        snprintf(object, sizeof(object), "module '%.48s'", module->name);
        check_found(views->context, severity, module->address, object, "loaded and known as such",
                    observed, module->name,
                    "this module is not everywhere where a loaded one is, or says what is not so");
    }
}

static void add_own_views(ModuleViews *views, const VmapAreas *areas)
{
    for (size_t i = 0; i < views->list->count; i++) {
        const ModuleRange *text = &views->list->items[i].ranges[MODULE_TEXT];
        const VmapArea *area;
        PageLeaf leaf;

        views->views[i] = views->list->items[i].views;
        if (text->size == 0) {
            continue;
        }
        area = vmap_areas_find(areas, text->start);
        if (area && text->start + text->size <= area->end) {
            views->views[i] |= MODULE_VIEW_AREA;
        }
        if (page_walk_leaf(&views->context->kernel->space, text->start, &leaf) && leaf.executable) {
            views->views[i] |= MODULE_VIEW_PAGES;
        }
    }
}

static void run(CheckContext *context)
{
    const VmapAreas *areas = owners_areas(context->owners);
    ModuleViews views = {.context = context, .list = owners_modules(context->owners)};
    bool list_known = views.list->missing[0] == '\0';
    uint64_t waiting = 0;

    if (!list_known) {
        check_reason(context, MONATT_REASON_TORN, "%s", views.list->missing);
    }
    if (areas->missing[0] != '\0') {
        check_reason(context, MONATT_REASON_TORN, "%s", areas->missing);
    }
    add_own_views(&views, areas);
    if (list_known) {
        read_trace(&views);
    }
    for (size_t i = 0; i < views.list->count; i++) {
        row(&views, i);
        /* Of a list that was cut nothing can be said to be missing. */
        if (list_known && !(views.views[i] & MODULE_VIEW_LIST)) {
            if (waits_for_its_name(&views, i)) {
                waiting++;
            } else if (may_be_ending(&views, i)) {
                check_reason(context, MONATT_REASON_TORN,
                             "a module that no list has may be one that is being unloaded");
            } else {
                find_hidden(&views, i);
            }
        } else if (list_known) {
            find_lies(&views, i, areas->missing[0] == '\0');
        }
    }
    check_count(context, "modules", views.list->count);
    check_count(context, "hidden modules", views.hidden);
    check_count(context, "waiting modules", waiting);
    check_count(context, "areas", areas->count);
}

static void clear(void *state)
{
    free(state);
}

const Check check_modules = {MONATT_SUBCHECK_MODULES, "modules", "modules", run, clear};
