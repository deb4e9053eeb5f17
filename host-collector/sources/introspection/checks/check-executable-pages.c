/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-executable-pages.c - every page that the kernel can execute has an owner, and none of them
 * can be written
 *
 * An owner is a record of the kernel's own that says why there is code (owner.h).  Where there is
 * none, a page may still hold nothing but traps or the thunks of ITS: those lead nowhere by
 * themselves.  A page is written through any of its mappings, so the direct map's is asked too, and
 * for the kernel's text and constants all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/module-list.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "host-collector/sources/introspection/checks/page-walk.h"

#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define TRAP 0xcc             /* int3 */
#define PAGES_MAXIMUM 262144u /* of code, 1 GiB */
#define FIRST_BYTES 8
#define STATE_SCHEDULING 1

typedef struct Pages {
    PageWalk walk;
} Pages;

typedef struct Look {
    CheckContext *context;
    PageWalk *walk;
    uint64_t direct; /* page_offset_base; 0: not known */
    bool fineibt;    /* the kernel may have chosen it */
    uint64_t pages;
    uint64_t orphans;
    uint64_t traps;
    uint64_t writable;
} Look;

/* int3, or jmp *register with a prefix or none: an ITS thunk (arch/x86/kernel/alternative.c). */
static bool is_harmless(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    if (bytes[0] == TRAP && memcmp(bytes, bytes + 1, size - 1) == 0) {
        return true; /* all traps, which nearly all of such memory is */
    }
    while (at < size) {
        size_t prefix = bytes[at] == 0x41;
        if (bytes[at] == TRAP) {
            at++;
        } else if (size - at >= prefix + 2 && bytes[at + prefix] == 0xff &&
                   (bytes[at + prefix + 1] & 0xf8) == 0xe0) {
            at += prefix + 2;
        } else {
            return false;
        }
    }
    return true;
}

static void first_bytes(const uint8_t *bytes, char *text, size_t capacity)
{
    size_t at = 0;
    for (size_t i = 0; i < FIRST_BYTES && at + 4 < capacity; i++) {
        at += (size_t)snprintf(text + at, capacity - at, "%s%02x", i ? " " : "", bytes[i]);
    }
}

/* A page of the module space may be of a module that is being freed, in no list any more. */
static uint64_t generation_of(Look *look, uint64_t page, uint64_t physical)
{
    if (page < OWNER_MODULES_START || page >= OWNER_MODULES_END) {
        return 0;
    }
    return module_list_generation(look->context, owners_modules(look->context->owners)) *
               0x9e3779b97f4a7c15ull + /* 2^64 by the golden ratio, odd */
           physical;
}

/* From address to end nobody has it: what is in there? */
static void judge_orphan(Look *look, const PageRun *run, uint64_t address, uint64_t end)
{
    CheckContext *context = look->context;
    uint8_t bytes[GUEST_PAGE_SIZE];
    char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE], begin[FIRST_BYTES * 3 + 2] = "";
    uint64_t found = 0, count = 0;
    const char *claim;

    for (uint64_t page = address; page != end; page += GUEST_PAGE_SIZE) {
        if (!check_step(context)) {
            break;
        }
        if (!guest_memory_copy(context->kernel->space.memory, run->physical + (page - run->start),
                               bytes, sizeof(bytes))) {
            continue; /* no RAM: nothing that a guest can fill */
        }
        if (is_harmless(bytes, sizeof(bytes))) {
            look->traps++;
            continue;
        }
        if (found == 0) {
            found = page;
            first_bytes(bytes, begin, sizeof(begin));
        }
        count++;
    }
    look->orphans += count;
    if (found == 0 || owners_missing(context->owners)[0] != '\0') {
        return;
    }
    claim = owners_claim(context->owners, found, end);
    snprintf(object, sizeof(object), "page %#lx", (unsigned long)found);
    snprintf(observed, sizeof(observed), "%lu KiB of code: %s",
             (unsigned long)(count * GUEST_PAGE_SIZE / 1024), begin);
    check_found(context, CHECK_COMPROMISED, found, object, "no code", observed, "", "%s",
                claim ? claim
                      : "executable memory of the kernel that no module, program or part of the "
                        "kernel has");
    check_generation(context, generation_of(look, found, run->physical + (found - run->start)));
}

static void judge_owners(Look *look, const PageRun *run)
{
    uint64_t address = run->start;
    while (address != run->end) {
        Owner owner;
        uint64_t end;
        if (!check_step(look->context)) {
            return;
        }
        owners_find_page(look->context->owners, address, &owner, &end);
        /* The last run may end with the address space: compare lengths. */
        if (end - address > run->end - address) {
            end = run->end;
        }
        /* Thunks have a list, which anybody can write: what they may be is told by their bytes,
         * but where they are calls with a check (FineIBT). */
        if (owner.kind == OWNER_NONE || (owner.kind == OWNER_ITS && !look->fineibt)) {
            judge_orphan(look, run, address, end);
        }
        address = end;
    }
}

static void say_writable(Look *look, uint64_t address, uint64_t size, const char *how)
{
    CheckContext *context = look->context;
    char name[CHECK_OBJECT_SIZE], object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];

    look->writable += size / GUEST_PAGE_SIZE;
    check_name_address(context, address, name);
    snprintf(object, sizeof(object), "%.63s", name);
    snprintf(observed, sizeof(observed), "%lu KiB that can be written",
             (unsigned long)(size / 1024));
    check_found(context, CHECK_COMPROMISED, address, object, "read-only", observed, "", "%s", how);
}

/* Whether the direct map lets the code of a run be written. */
static void judge_aliases(Look *look, const PageRun *run)
{
    uint64_t done = 0, size = run->end - run->start;

    while (look->direct != 0 && done < size) {
        uint64_t address = look->direct + run->physical + done;
        uint64_t step = GUEST_PAGE_SIZE;
        PageLeaf leaf;
        if (!check_step(look->context)) {
            return;
        }
        /* Not mapped at all: set_direct_map_invalid_noflush() does that, and it is as safe. */
        if (page_walk_leaf(&look->context->kernel->space, address, &leaf)) {
            step = leaf.size - (address & (leaf.size - 1));
            if (leaf.writable && leaf.physical == run->physical + done) {
                say_writable(look, run->start + done, step < size - done ? step : size - done,
                             "code that can be written through the map of all memory");
                return; /* once a run */
            }
        }
        done += step;
    }
}

/* Traps in the free space of packs: code there would have an owner by its page. */
static void judge_packs(Look *look)
{
    static const uint8_t none[GUEST_PAGE_SIZE / OWNER_PACK_CHUNK / 8];
    CheckContext *context = look->context;
    uint64_t start, end;
    const uint8_t *chunks;

    for (size_t pack = 0; owners_pack(context->owners, pack, &start, &end, &chunks); pack++) {
        for (uint64_t page = start; page < end; page += GUEST_PAGE_SIZE) {
            const uint8_t *used = chunks + (page - start) / OWNER_PACK_CHUNK / 8;
            uint8_t bytes[GUEST_PAGE_SIZE];
            if (!check_step(context)) {
                return;
            }
            if (!address_space_read(&context->kernel->space, page, bytes, sizeof(bytes))) {
                continue;
            }
            for (size_t i = 0; i < GUEST_PAGE_SIZE / OWNER_PACK_CHUNK; i++) {
                const uint8_t *chunk = bytes + i * OWNER_PACK_CHUNK;
                if (used[i / 8] & 1u << i % 8 || is_harmless(chunk, OWNER_PACK_CHUNK)) {
                    /* One look at a page that is free as a whole. */
                    if (i == 0 && memcmp(used, none, sizeof(none)) == 0 &&
                        is_harmless(bytes, sizeof(bytes))) {
                        break;
                    }
                    continue;
                }
                char object[CHECK_OBJECT_SIZE], begin[FIRST_BYTES * 3 + 2];
                snprintf(object, sizeof(object), "chunk %#lx",
                         (unsigned long)(page + i * OWNER_PACK_CHUNK));
                first_bytes(chunk, begin, sizeof(begin));
                look->orphans++;
                check_found(context, CHECK_COMPROMISED, page + i * OWNER_PACK_CHUNK, object,
                            "traps", begin, "",
                            "code in the space for BPF programs that no program has");
                break; /* once a page */
            }
        }
    }
}

/* Core text and constants; in between lies memory that was given back. */
static void set_guards(Look *look)
{
    static const char *const bounds[][2] = {{"_stext", "_etext"},
                                            {"__start_rodata", "__end_rodata"}};
    GuestKernel *kernel = look->context->kernel;

    look->walk->guard_count = 0;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        uint64_t start, end, physical;
        if (!guest_kernel_symbol(kernel, bounds[i][0], &start) ||
            !guest_kernel_symbol(kernel, bounds[i][1], &end) || end <= start) {
            check_lacks(look->context, bounds[i][0]);
        } else if (address_space_translate(&kernel->space, start, &physical)) {
            /* The image is one piece in physical memory. */
            look->walk->guards[look->walk->guard_count++] =
                (PageGuard){.start = physical, .end = physical + (end - start)};
        }
    }
}

static bool is_booting(CheckContext *context)
{
    uint64_t variable;
    uint32_t state;
    return guest_kernel_symbol(context->kernel, "system_state", &variable) &&
           address_space_u32(&context->kernel->space, variable, &state) &&
           state <= STATE_SCHEDULING;
}

static void judge(Look *look)
{
    CheckContext *context = look->context;
    PageWalk *walk = look->walk;

    set_guards(look);
    page_walk_read(&context->kernel->space, walk);
    if (walk->outside > 0) {
        check_reason(context, MONATT_REASON_TORN,
                     "%lu page tables lie where the guest has no memory",
                     (unsigned long)walk->outside);
    }
    if (walk->failed || walk->cut) {
        check_reason(context, MONATT_REASON_BUDGET,
                     "the page tables have more tables or executable pages than are read");
    }
    if (owners_missing(context->owners)[0] != '\0') {
        check_reason(context, MONATT_REASON_UNSUPPORTED, "owners of code are not all known: %s",
                     owners_missing(context->owners));
    }
    for (size_t i = 0; i < walk->count; i++) {
        const PageRun *run = &walk->runs[i];
        uint64_t pages = (run->end - run->start) / GUEST_PAGE_SIZE;
        if (look->pages + pages > PAGES_MAXIMUM) {
            check_reason(context, MONATT_REASON_BUDGET, "more than %u executable pages",
                         PAGES_MAXIMUM);
            break;
        }
        look->pages += pages;
        judge_owners(look, run);
        if (run->writable) {
            say_writable(look, run->start, run->end - run->start,
                         "code that can be written where it runs");
        } else {
            judge_aliases(look, run);
        }
    }
    for (size_t i = 0; i < walk->alias_count && i < PAGE_WALK_ALIASES; i++) {
        say_writable(look, walk->aliases[i].address, walk->aliases[i].size,
                     "the kernel's text or constants can be written through this mapping");
    }
    judge_packs(look);
}

static void run(CheckContext *context)
{
    Look look = {.context = context};
    GuestKernel *kernel = context->kernel;

    if (!*context->state) {
        *context->state = calloc(1, sizeof(Pages));
    }
    if (!*context->state) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return;
    }
    if (is_booting(context)) {
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "the kernel still boots: its pages get their rights at the end of that");
        return;
    }
    look.fineibt = layout_symbol(kernel, "cfi_mode") != 0;
    look.walk = &((Pages *)*context->state)->walk;
    if (kernel->symbols.page_offset_base == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.page_offset_base, &look.direct)) {
        look.direct = 0;
        check_lacks(context, "symbol 'page_offset_base'");
    }
    judge(&look);
    check_count(context, "tables", look.walk->tables);
    check_count(context, "executable pages", look.pages);
    check_count(context, "trap-filled pages", look.traps);
    check_count(context, "pages without owner", look.orphans);
    check_count(context, "writable code pages", look.writable);
}

static void clear(void *state)
{
    page_walk_clear(&((Pages *)state)->walk);
    free(state);
}

const Check check_executable_pages = {MONATT_SUBCHECK_EXECUTABLE_PAGES, "executable-pages", NULL,
                                      run, clear};
