/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-modules.c - hidden modules, executable pages and changed module text, over an invented
 * kernel whose owners of code are read as a real one's
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/page-walk.h"
#include "tests/lib/invented-modules.h"

#define FREE_PAGE (MODULES_SPACE + 0x20000) /* of the module space: nobody's */
#define COMING_STATE 1u
#define GOING_STATE 2u
#define UNFORMED_STATE 3u
#define MODULE_NAME 0x20u /* in struct module */

static InventedModules made;
static InventedPass pass;

static void begin(void)
{
    invented_modules_make(&made);
    memset(&pass, 0, sizeof(pass));
}

static void end(const Check *check)
{
    invented_pass_clear(&pass, check);
    invented_modules_clear(&made);
}

/* Runs; there is one finding, of this object. */
static void one(const Check *check, const char *object)
{
    invented_pass_run(&pass, check, &made);
    g_assert_cmpstr(pass.result.text, ==, "");
    g_assert_cmpuint(pass.sightings.count, ==, 1);
    g_assert_cmpstr(pass.sightings.items[0].object, ==, object);
    g_assert_cmpuint(pass.sightings.items[0].severity, ==, CHECK_COMPROMISED);
}

static void none(const Check *check)
{
    invented_pass_run(&pass, check, &made);
    g_assert_cmpstr(pass.result.text, ==, "");
    g_assert_cmpuint(pass.sightings.count, ==, 0);
}

static void test_clean(void)
{
    static const Check *const all[] = {&check_modules, &check_executable_pages, &check_module_text};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        begin();
        none(all[i]);
        none(all[i]);
        g_assert_cmpstr(pass.missing, ==, "");
        end(all[i]);
    }
}

static void test_hidden(void)
{
    begin();
    invented_modules_leave_list(&made);
    one(&check_modules, "module 'second'");
    g_assert_nonnull(strstr(pass.sightings.items[0].observed, "views KTAX"));
    invented_modules_leave_kset(&made);
    one(&check_modules, "module 'second'");
    g_assert_nonnull(strstr(pass.sightings.items[0].observed, "views TAX"));
    /* Only its memory is left, and the area that it lies in. */
    invented_modules_leave_tree(&made);
    one(&check_modules, "module 'second'");
    g_assert_nonnull(strstr(pass.sightings.items[0].observed, "views AXC"));
    none(&check_executable_pages);
    end(&check_executable_pages);
}

/* While somebody has the lock under which modules are freed, one that only memory knows may be in
 * the middle of that: no finding, and no whole look.  One that another place knows is not. */
static void test_ending(void)
{
    begin();
    invented_modules_leave_list(&made);
    invented_modules_leave_kset(&made);
    invented_modules_put(&made, made.lock, 0xffff888001234000ull | 1);
    one(&check_modules, "module 'second'"); /* in the tree still */
    invented_modules_leave_tree(&made);
    invented_pass_run(&pass, &check_modules, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 0);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_TORN);
    invented_modules_put(&made, made.lock, 7); /* flags, and nobody */
    one(&check_modules, "module 'second'");
    end(&check_modules);
}

/* Whatever it says of itself, a module outside of the list is hidden. */
static void test_hidden_state(void)
{
    begin();
    invented_modules_leave_list(&made);
    for (uint32_t state = 0; state < 5; state++) {
        memcpy(invented_modules_at(&made, MODULE_SECOND + MODULE_STRUCT + MODULE_STATE), &state,
               sizeof(state));
        one(&check_modules, "module 'second'");
    }
    end(&check_modules);
}

static void set_state(uint64_t module, uint32_t state)
{
    memcpy(invented_modules_at(&made, module + MODULE_STRUCT + MODULE_STATE), &state,
           sizeof(state));
}

/* Two programs load one module: the second's waits until the first's is there, in memory only. */
static void test_waiting(void)
{
    uint64_t *text;

    begin();
    invented_modules_leave_list(&made);
    invented_modules_leave_kset(&made);
    invented_modules_leave_tree(&made);
    text = invented_modules_entry(&made, MODULE_SECOND);
    *text |= PAGE_NO_EXECUTE;
    set_state(MODULE_SECOND, UNFORMED_STATE);
    one(&check_modules, "module 'second'"); /* nobody of that name is being loaded */
    memcpy(invented_modules_at(&made, MODULE_SECOND + MODULE_STRUCT + MODULE_NAME), "first", 6);
    one(&check_modules, "module 'first'"); /* the one that has the name is loaded */
    set_state(MODULE_FIRST, GOING_STATE);
    none(&check_modules);
    set_state(MODULE_SECOND, COMING_STATE); /* past its wait */
    one(&check_modules, "module 'first'");
    set_state(MODULE_SECOND, UNFORMED_STATE);
    *text &= ~PAGE_NO_EXECUTE; /* its code runs */
    one(&check_modules, "module 'first'");
    end(&check_modules);
}

static void test_lies(void)
{
    static const uint32_t states[] = {1, 3, 77};
    uint32_t going = GOING_STATE;
    begin();
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        memcpy(invented_modules_at(&made, MODULE_FIRST + MODULE_STRUCT + MODULE_STATE), &states[i],
               sizeof(states[i]));
        one(&check_modules, "module 'first'");
    }
    /* A module's exit function may take as long as it likes. */
    memcpy(invented_modules_at(&made, MODULE_FIRST + MODULE_STRUCT + MODULE_STATE), &going,
           sizeof(going));
    none(&check_modules);
    end(&check_modules);
}

static void test_tree_only(void)
{
    begin();
    invented_modules_leave_tree(&made);
    one(&check_modules, "module 'second'");
    g_assert_cmpstr(pass.sightings.items[0].observed, ==, "not in the tree of addresses");
    end(&check_modules);
}

static void test_orphan(void)
{
    static const uint8_t thunk[] = {0xcc, 0x41, 0xff, 0xe3, 0xcc, 0xff, 0xe0};
    uint8_t *page;

    begin();
    page = invented_modules_at(&made, FREE_PAGE);
    invented_modules_map(&made, FREE_PAGE, made.space + 0x20000, 0);
    memset(page, 0xcc, GUEST_PAGE_SIZE);
    none(&check_executable_pages);
    memcpy(page, thunk, sizeof(thunk));
    none(&check_executable_pages);
    page[0x800] = 0x55;
    one(&check_executable_pages, "page 0xffffffffc0020000");
    g_assert_true(g_str_has_prefix(pass.sightings.items[0].observed, "4 KiB of code: cc 41 ff e3"));
    /* The same where the kernel's heap is: a page of the direct map made executable. */
    *invented_modules_entry(&made, FREE_PAGE) = 0;
    *invented_modules_entry(&made, INVENTED_DIRECT + made.space + 0x20000) &= ~PAGE_NO_EXECUTE;
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 1);
    g_assert_cmpuint(pass.sightings.items[0].address, ==, INVENTED_DIRECT + made.space + 0x20000);
    end(&check_executable_pages);
}

/* Another generation with each load and unload between two looks or during one, and with another
 * frame; the same while nothing changes. */
static void test_generations(void)
{
    uint64_t first, sequence;

    begin();
    sequence = made.tree - 8;
    invented_modules_leave_list(&made);
    invented_modules_leave_kset(&made);
    one(&check_modules, "module 'second'");
    /* In the tree: at no time of its end it is there and not in the list. */
    g_assert_cmpuint(pass.sightings.generations[0], ==, 0);
    invented_modules_put(&made, sequence, 6);
    one(&check_modules, "module 'second'");
    g_assert_cmpuint(pass.sightings.generations[0], ==, 0);
    invented_modules_leave_tree(&made);
    one(&check_modules, "module 'second'");
    first = pass.sightings.generations[0];
    one(&check_modules, "module 'second'");
    g_assert_cmpuint(pass.sightings.generations[0], ==, first);
    invented_modules_put(&made, sequence, 8);
    one(&check_modules, "module 'second'");
    g_assert_cmpuint(pass.sightings.generations[0], !=, first);
    end(&check_modules);

    begin();
    memset(invented_modules_at(&made, FREE_PAGE), 0x55, 2 * GUEST_PAGE_SIZE);
    invented_modules_map(&made, FREE_PAGE, made.space + 0x20000, 0);
    one(&check_executable_pages, "page 0xffffffffc0020000");
    first = pass.sightings.generations[0];
    /* What it holds may change: code that counts its calls is one and the same. */
    invented_modules_at(&made, FREE_PAGE)[0] = 0x56;
    one(&check_executable_pages, "page 0xffffffffc0020000");
    g_assert_cmpuint(pass.sightings.generations[0], ==, first);
    invented_modules_put(&made, sequence, 10);
    one(&check_executable_pages, "page 0xffffffffc0020000");
    g_assert_cmpuint(pass.sightings.generations[0], !=, first);
    first = pass.sightings.generations[0];
    invented_modules_map(&made, FREE_PAGE, made.space + 0x21000, 0);
    one(&check_executable_pages, "page 0xffffffffc0020000");
    g_assert_cmpuint(pass.sightings.generations[0], !=, first);
    end(&check_executable_pages);
}

static void test_writable(void)
{
    begin();
    *invented_modules_entry(&made, MODULE_FIRST) |= PAGE_WRITE;
    one(&check_executable_pages, "[first] 0xffffffffc0000000");
    *invented_modules_entry(&made, MODULE_FIRST) &= ~PAGE_WRITE;
    /* Through the map of all memory. */
    *invented_modules_entry(&made, INVENTED_DIRECT + made.space) |= PAGE_WRITE;
    one(&check_executable_pages, "[first] 0xffffffffc0000000");
    *invented_modules_entry(&made, INVENTED_DIRECT + made.space) &= ~PAGE_WRITE;
    /* The kernel's constants, by a mapping of somebody's own. */
    invented_modules_map(&made, 0xffffc90000000000ull, 0x21000, PAGE_WRITE | PAGE_NO_EXECUTE);
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 1);
    g_assert_cmpuint(pass.sightings.items[0].address, ==, 0xffffc90000000000ull);
    end(&check_executable_pages);
}

/* Code in a pack of BPF programs, where no program is and where one is. */
static void test_pack(void)
{
    uint64_t bitmap;

    begin();
    bitmap = invented_modules_pack(&made);
    none(&check_executable_pages);
    invented_modules_at(&made, MODULES_PACK)[0x1050] = 0x55; /* chunk 65 */
    one(&check_executable_pages, "chunk 0xffffffffc0031040");
    invented_modules_at(&made, bitmap)[8] = 2;
    none(&check_executable_pages);
    invented_modules_at(&made, MODULES_PACK)[0x1080] = 0x55;
    one(&check_executable_pages, "chunk 0xffffffffc0031080");
    end(&check_executable_pages);
}

static uint64_t word(uint64_t address)
{
    uint64_t value;
    memcpy(&value, invented_modules_at(&made, address), sizeof(value));
    return value;
}

/* The area of a pack says where it ends, and may say anything: no byte behind the bits is read. */
static void test_pack_of_odd_size(void)
{
    static const uint64_t sizes[] = {0, 1, 100, 0x1001, 0x1200, 0x2001, 0x3001, 0x30ff};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint64_t node;

        begin();
        invented_modules_pack(&made);
        node = word(word(word(made.areas) + 8) + 8);
        g_assert_cmpuint(word(node - 16), ==, MODULES_PACK);
        invented_modules_put(&made, node - 8, MODULES_PACK + sizes[i]);
        none(&check_executable_pages);
        end(&check_executable_pages);
    }
}

/* Tables that are a ring, or lie where no RAM is. */
static void test_hostile_tables(void)
{
    uint64_t *root;
    PageWalk walk = {0};
    PageLeaf leaf;

    begin();
    root = (uint64_t *)(void *)(made.invented.bytes + made.invented.kernel.space.root);
    /* A table that is its own table at all levels, in every entry. */
    for (size_t i = 0; i < 512; i++) {
        uint64_t entry = (made.space + 0x21000) | 3;
        memcpy(invented_modules_at(&made, FREE_PAGE + 0x1000 + 8 * i), &entry, sizeof(entry));
    }
    root[300] = (made.space + 0x21000) | 3;
    root[301] = 0x123456789000ull | 3;
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_BUDGET);
    page_walk_read(&made.invented.kernel.space, &walk);
    g_assert_true(walk.cut);
    g_assert_cmpuint(walk.tables, <=, PAGE_WALK_TABLES);
    g_assert_cmpuint(walk.count, <=, PAGE_WALK_RUNS);
    page_walk_clear(&walk);
    g_assert_false(page_walk_leaf(&made.invented.kernel.space, 301ull << 39, &leaf));
    end(&check_executable_pages);
}

/* Without all owners an orphan is none, and the check says why. */
static void test_owners_missing(void)
{
    begin();
    invented_modules_map(&made, FREE_PAGE, made.space + 0x20000, 0);
    memset(invented_modules_at(&made, FREE_PAGE), 0x55, 64);
    invented_modules_put(&made, made.list, MODULE_SECOND); /* no node */
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 0);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(pass.result.text, "list of modules"));
    invented_pass_clear(&pass, &check_executable_pages);
    invented_pass_run(&pass, &check_modules, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 0);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_TORN);
    end(&check_modules);
}

/* Code that was changed, and a module that says it is another one, so that it be learnt anew. */
static void test_relabelled(void)
{
    uint64_t sizes = MODULE_SECOND + MODULE_STRUCT + MODULE_CORE + 0x8, before;

    begin();
    invented_modules_put(&made, made.tree - 8, 6);
    none(&check_module_text);
    memcpy(&before, invented_modules_at(&made, sizes), sizeof(before));
    invented_modules_put(&made, sizes, 0x3000 | 0x2000ull << 32); /* all of it is text */
    one(&check_module_text, "module 'second' text");
    invented_modules_at(&made, MODULE_SECOND)[0x200] = 0xe9;
    invented_pass_run(&pass, &check_module_text, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 2);
    invented_modules_put(&made, sizes, before);
    one(&check_module_text, "module 'second' text+0x200");
    /* The tree has changed: it was loaded anew, and what it has is taken as it is. */
    invented_modules_put(&made, made.tree - 8, 8);
    invented_modules_put(&made, sizes, 0x3000 | 0x2000ull << 32);
    none(&check_module_text);
    end(&check_module_text);
}

static void test_text(void)
{
    uint8_t *site;

    begin();
    none(&check_module_text);
    invented_modules_at(&made, MODULE_SECOND)[0x200] = 0xe9;
    one(&check_module_text, "module 'second' text+0x200");
    invented_modules_at(&made, MODULE_SECOND)[0x200] = 0x90;
    none(&check_module_text);
    invented_modules_at(&made, MODULE_FIRST)[0x1010] = 1;
    one(&check_module_text, "module 'first' rodata+0x10");
    invented_modules_at(&made, MODULE_FIRST)[0x1010] = 0;
    /* A traced function: a call to core text; then one to nobody. */
    site = invented_modules_at(&made, MODULE_FIRST + MODULE_SITE);
    int32_t offset = (int32_t)(INVENTED_KERNEL + INVENTED_TEXT - (MODULE_FIRST + MODULE_SITE + 5));
    site[0] = 0xe8;
    memcpy(site + 1, &offset, sizeof(offset));
    none(&check_module_text);
    offset = 0x30000;
    memcpy(site + 1, &offset, sizeof(offset));
    one(&check_module_text, "module 'first' text+0x100");
    g_assert_cmpstr(pass.sightings.items[0].observed, ==, "leads to 0xffffffffc0030105");
    end(&check_module_text);
}

/* Names of functions are asked by page and by byte. */
static void test_owners(void)
{
    WalkBudget budget = {.steps = CHECK_STEPS};
    uint64_t until;
    Owners *owners;
    Owner owner;

    begin();
    invented_modules_leave_list(&made);
    owners = owners_read(&made.invented.kernel, &budget);
    g_assert_nonnull(owners);
    owners_find(owners, INVENTED_KERNEL + INVENTED_TEXT, &owner);
    g_assert_cmpint(owner.kind, ==, OWNER_KERNEL);
    owners_find(owners, INVENTED_KERNEL + INVENTED_TEXT_END, &owner);
    g_assert_cmpint(owner.kind, ==, OWNER_NONE);
    owners_find(owners, MODULE_FIRST + 0xfff, &owner);
    g_assert_cmpint(owner.kind, ==, OWNER_MODULE);
    g_assert_cmpstr(owner.name, ==, "first");
    g_assert_false(owner.hidden);
    owners_find(owners, MODULE_FIRST + 0x1000, &owner); /* constants are no code */
    g_assert_cmpint(owner.kind, ==, OWNER_NONE);
    owners_find(owners, MODULE_SECOND, &owner);
    g_assert_cmpstr(owner.name, ==, "second");
    g_assert_true(owner.hidden);
    owners_find_page(owners, MODULE_FIRST + 0x1000, &owner, &until);
    g_assert_cmpint(owner.kind, ==, OWNER_NONE);
    g_assert_cmpuint(until, ==, MODULE_SECOND);
    owners_find_page(owners, MODULE_FIRST, &owner, &until);
    g_assert_cmpuint(until, ==, MODULE_FIRST + 0x1000);
    owners_free(owners);
    end(&check_modules);
}

/* A live module whose code is not where it was: what was there stays known, and is compared when it
 * comes back. */
static void test_text_away(void)
{
    uint64_t *entry, was;

    begin();
    none(&check_module_text);
    entry = invented_modules_entry(&made, MODULE_SECOND + 0x1000); /* its constants */
    was = *entry;
    *entry = 0;
    invented_pass_run(&pass, &check_module_text, &made);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_TORN);
    g_assert_nonnull(strstr(pass.result.text, "second"));
    *entry = was;
    invented_modules_at(&made, MODULE_SECOND)[0x200] ^= 0xff;
    one(&check_module_text, "module 'second' text+0x200");
    *invented_modules_entry(&made, MODULE_SECOND) |= PAGE_WRITE;
    invented_pass_run(&pass, &check_module_text, &made);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_TORN);
    *invented_modules_entry(&made, MODULE_SECOND) &= ~PAGE_WRITE;
    one(&check_module_text, "module 'second' text+0x200");
    *invented_modules_entry(&made, MODULE_SECOND) |= PAGE_NO_EXECUTE;
    invented_pass_run(&pass, &check_module_text, &made);
    g_assert_cmpuint(pass.result.reason, ==, MONATT_REASON_TORN);
    invented_modules_put(&made, MODULE_SECOND + MODULE_STRUCT + MODULE_STATE, GOING_STATE);
    none(&check_module_text);
    end(&check_module_text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/modules/clean", test_clean);
    g_test_add_func("/modules/owners", test_owners);
    g_test_add_func("/modules/hidden", test_hidden);
    g_test_add_func("/modules/ending", test_ending);
    g_test_add_func("/modules/hidden-state", test_hidden_state);
    g_test_add_func("/modules/waiting", test_waiting);
    g_test_add_func("/modules/lies", test_lies);
    g_test_add_func("/modules/tree-only", test_tree_only);
    g_test_add_func("/modules/text", test_text);
    g_test_add_func("/modules/text-away", test_text_away);
    g_test_add_func("/modules/owners-missing", test_owners_missing);
    g_test_add_func("/modules/generations", test_generations);
    g_test_add_func("/executable-pages/orphan", test_orphan);
    g_test_add_func("/executable-pages/writable", test_writable);
    g_test_add_func("/module-text/relabelled", test_relabelled);
    g_test_add_func("/executable-pages/pack", test_pack);
    g_test_add_func("/executable-pages/pack-of-odd-size", test_pack_of_odd_size);
    g_test_add_func("/executable-pages/hostile-tables", test_hostile_tables);
    return g_test_run();
}
