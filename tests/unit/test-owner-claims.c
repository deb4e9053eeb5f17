/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-owner-claims.c - records of code that anybody could have written: believed only with a
 * second one, over an invented kernel whose owners are read as a real one's
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "tests/lib/invented-modules.h"

#define FREE_PAGE (MODULES_SPACE + 0x20000)
#define SYMBOL_SIZE 0x60u
#define SYMBOL_END 0x8u
#define SYMBOL_NAME 0x10u
#define SYMBOL_NODE 0x40u
#define SYMBOL_PROGRAM 0x50u
#define AUX_SYMBOL 0x20u
#define IMAGE_SYMBOL 0x10u
#define TRAMPOLINE_LOCK 0x20u
#define TRAMPOLINE_IMAGE 0x18u

static InventedModules made;
static InventedPass pass;

/* An executable page of nobody's: in the space of modules, or in the map of all memory. */
static uint64_t begin(bool in_modules)
{
    uint64_t page = MODULES_PACK;

    invented_modules_make(&made);
    memset(&pass, 0, sizeof(pass));
    if (in_modules) {
        (void)invented_modules_pack(&made); /* an area, and no chunk of it is in use */
        invented_modules_put(&made, made.packs, made.packs);
        invented_modules_put(&made, made.packs + 8, made.packs);
    } else {
        page = INVENTED_DIRECT + made.space + 0x20000;
        *invented_modules_entry(&made, page) &= ~PAGE_NO_EXECUTE;
    }
    memset(invented_modules_at(&made, page), 0x55, 64);
    return page;
}

static void end(void)
{
    invented_pass_clear(&pass, &check_executable_pages);
    invented_modules_clear(&made);
}

static void believed(bool is)
{
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpstr(pass.result.text, ==, "");
    g_assert_cmpuint(pass.sightings.count, ==, is ? 0 : 1);
}

static void doubted(const char *why)
{
    believed(false);
    g_assert_nonnull(strstr(pass.sightings.items[0].text, why));
}

static void put_name(uint64_t symbol, const char *name)
{
    memcpy(invented_modules_at(&made, symbol + SYMBOL_NAME), name, strlen(name) + 1);
}

/* Hangs a symbol at this place into bpf_kallsyms. */
static void hang(uint64_t symbol, uint64_t start, uint64_t stop, const char *name, bool program)
{
    uint64_t node = symbol + SYMBOL_NODE;

    invented_modules_put(&made, symbol, start);
    invented_modules_put(&made, symbol + SYMBOL_END, stop);
    put_name(symbol, name);
    *invented_modules_at(&made, symbol + SYMBOL_PROGRAM) = program;
    invented_modules_put(&made, node, made.symbols);
    invented_modules_put(&made, node + 8, made.symbols);
    invented_modules_put(&made, made.symbols, node);
    invented_modules_put(&made, made.symbols + 8, node);
}

static void test_outside(void)
{
    uint64_t page = begin(false);
    believed(false);
    hang(invented_allocate(&made.invented, SYMBOL_SIZE), page, page + GUEST_PAGE_SIZE,
         "bpf_trampoline_1", false);
    doubted("outside of the space of modules");
    end();
}

static void test_no_area(void)
{
    uint64_t symbol;

    (void)begin(true);
    memset(invented_modules_at(&made, MODULES_PACK), 0xcc, 64);
    invented_modules_map(&made, FREE_PAGE, made.space + 0x20000, 0);
    memset(invented_modules_at(&made, FREE_PAGE), 0x55, 64);
    symbol = invented_allocate(&made.invented, SYMBOL_SIZE);
    hang(symbol, FREE_PAGE, FREE_PAGE + GUEST_PAGE_SIZE, "bpf__ops", false);
    doubted("no vmalloc area holds it");
    end();
}

static void test_kinds(void)
{
    uint64_t page = begin(true), symbol = invented_allocate(&made.invented, SYMBOL_SIZE);

    hang(symbol, page, page + GUEST_PAGE_SIZE, "bpf__ops", false);
    believed(true);
    put_name(symbol, "anything");
    doubted("no such kind of code");
    put_name(symbol, "bpf__ops");
    invented_modules_put(&made, symbol + SYMBOL_END, page + 2 * GUEST_PAGE_SIZE);
    doubted("larger than a page");
    end();
}

static void test_trampoline(void)
{
    uint64_t page = begin(true), image = invented_allocate(&made.invented, 0x100);
    uint64_t trampoline = invented_allocate(&made.invented, 0x40);

    hang(image + IMAGE_SYMBOL, page, page + GUEST_PAGE_SIZE, "bpf_trampoline_1", false);
    doubted("in no image of a trampoline");
    invented_modules_put(&made, image, page);
    doubted("no trampoline in the kernel's table");
    invented_modules_put(&made, made.trampolines + 8 * 77, trampoline);
    doubted("no trampoline in the kernel's table");
    invented_modules_put(&made, trampoline + TRAMPOLINE_LOCK, 0xffff888001234000ull);
    believed(true); /* it may be the one that is being put in */
    invented_modules_put(&made, trampoline + TRAMPOLINE_LOCK, 3); /* flags, and nobody */
    doubted("no trampoline in the kernel's table");
    invented_modules_put(&made, trampoline + TRAMPOLINE_IMAGE, image);
    believed(true);
    end();
}

static void test_program(void)
{
    uint64_t page = begin(true), aux = invented_allocate(&made.invented, 0x100);
    uint64_t program = invented_allocate(&made.invented, 0x40);

    hang(aux + AUX_SYMBOL, page, page + 0x80, "bpf_prog_0123456789abcdef_x", true);
    doubted("no struct bpf_prog");
    invented_modules_put(&made, aux, program);
    invented_modules_put(&made, program, aux);
    doubted("has other code");
    invented_modules_put(&made, program + 8, page);
    believed(true);
    end();
}

static void test_real_mode(void)
{
    uint64_t page = begin(false), header = INVENTED_DIRECT + 0x8000;
    uint32_t bounds[2] = {0x9000, INVENTED_SIZE};

    invented_modules_put(&made, made.real_mode, header);
    memcpy(invented_modules_at(&made, header), bounds, sizeof(bounds));
    doubted("no such real-mode code");
    /* Its own code, of a size that it has. */
    *invented_modules_entry(&made, page) |= PAGE_NO_EXECUTE;
    *invented_modules_entry(&made, INVENTED_DIRECT + 0x9000) =
        0x9000 | 1; /* present, executable, not writable */
    memset(invented_modules_at(&made, INVENTED_DIRECT + 0x9000), 0x55, 64);
    bounds[1] = 0xa000;
    memcpy(invented_modules_at(&made, header), bounds, sizeof(bounds));
    invented_pass_run(&pass, &check_executable_pages, &made);
    g_assert_cmpuint(pass.sightings.count, ==, 0);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/owner-claims/outside", test_outside);
    g_test_add_func("/owner-claims/no-area", test_no_area);
    g_test_add_func("/owner-claims/kinds", test_kinds);
    g_test_add_func("/owner-claims/trampoline", test_trampoline);
    g_test_add_func("/owner-claims/program", test_program);
    g_test_add_func("/owner-claims/real-mode", test_real_mode);
    return g_test_run();
}
