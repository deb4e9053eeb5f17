/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-text-sites.c - static keys and static calls in the middle of a switch are no finding, and
 * hide none
 *
 * The image's symbols and tables are of the test's making: they take the place of kernel-image.c.
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define TEXT (INVENTED_KERNEL + INVENTED_TEXT)
#define FUNCTION(n) (TEXT + 0x100ull * (n))
#define SIZE 0x1000u
#define KEY_SITE (FUNCTION(1) + 0x10)
#define KEY_TARGET (FUNCTION(1) + 0x40)
#define CALL_SITE (FUNCTION(2) + 0x10)
#define TRAMPOLINE FUNCTION(8)
#define TABLES (INVENTED_KERNEL + 0x40000) /* of the image; the guest has nothing there */
#define NOBODY (INVENTED_KERNEL + 0x30000) /* in reach of a call */
#define OWNER (INVENTED_DIRECT + 0x1000)   /* a task that holds a lock */

static InventedKernel invented;
static OneCheck one;
static TextWork work;
static uint64_t key, call_key, key_lock, call_lock;
static uint8_t built[SIZE], copy[SIZE], jump_table[16], call_table[8];
static uint64_t functions[16];
static struct TextTrampoline trampolines[1];

bool kernel_image_symbol(const KernelImage *kernel, const char *name, uint64_t *ret_address)
{
    static const struct {
        const char *name;
        uint64_t address;
    } symbols[] = {
        {"__start___jump_table", TABLES},
        {"__stop___jump_table", TABLES + sizeof(jump_table)},
        {"__start_static_call_sites", TABLES + 0x100},
        {"__stop_static_call_sites", TABLES + 0x100 + sizeof(call_table)},
    };
    (void)kernel;
    for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++) {
        if (strcmp(symbols[i].name, name) == 0) {
            *ret_address = symbols[i].address;
            return true;
        }
    }
    return false;
}

const uint8_t *kernel_image_at(const KernelImage *kernel, uint64_t address, size_t size)
{
    (void)kernel;
    (void)size;
    return address == TABLES ? jump_table : address == TABLES + 0x100 ? call_table : NULL;
}

bool kernel_image_section(const KernelImage *kernel, const char *name, uint64_t *ret_address,
                          const uint8_t **ret_bytes, size_t *ret_size)
{
    (void)kernel;
    (void)name;
    (void)ret_address;
    (void)ret_bytes;
    (void)ret_size;
    return false;
}

static void put_branch(uint8_t *bytes, uint64_t address, uint8_t opcode, uint64_t target)
{
    int32_t distance = (int32_t)(target - address - 5);
    bytes[0] = opcode;
    memcpy(bytes + 1, &distance, sizeof(distance));
}

static void put_nop(uint8_t *bytes)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
    memcpy(bytes, nop, sizeof(nop));
}

static uint8_t *guest(uint64_t address)
{
    return invented_at(&invented, address);
}

static void put_32(uint8_t *bytes, uint64_t value)
{
    uint32_t low = (uint32_t)value;
    memcpy(bytes, &low, sizeof(low));
}

/* The key is off and its site a NOP; the call is the fourth function's, by its trampoline too. */
static void set_up(void)
{
    static const InventedRow rows[] = {{"mutex", NULL, 0x20, NULL}};
    uint64_t distance;

    invented_begin(&invented);
    one_check_disown("");
    key = invented_variable(&invented, "key", 8);
    call_key = invented_variable(&invented, "call_key", 8);
    key_lock = invented_variable(&invented, "jump_label_mutex", 8);
    call_lock = invented_variable(&invented, "static_call_mutex", 8);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
    invented_u64(&invented, call_key, FUNCTION(4));
    memset(built, 0x90, sizeof(built));
    put_nop(built + (KEY_SITE - TEXT));
    put_branch(built + (CALL_SITE - TEXT), CALL_SITE, 0xe8, TRAMPOLINE);
    put_branch(built + (TRAMPOLINE - TEXT), TRAMPOLINE, 0xe9, FUNCTION(3));
    memcpy(guest(TEXT), built, SIZE);
    put_branch(guest(CALL_SITE), CALL_SITE, 0xe8, FUNCTION(4));
    put_branch(guest(TRAMPOLINE), TRAMPOLINE, 0xe9, FUNCTION(4));
    put_32(jump_table, KEY_SITE - TABLES);
    put_32(jump_table + 4, KEY_TARGET - (TABLES + 4));
    distance = key - (TABLES + 8);
    memcpy(jump_table + 8, &distance, sizeof(distance));
    put_32(call_table, CALL_SITE - (TABLES + 0x100));
    put_32(call_table + 4, call_key - (TABLES + 0x104));
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        functions[i] = FUNCTION(i);
    }
    trampolines[0] = (struct TextTrampoline){.address = TRAMPOLINE, .key = call_key};
}

static void copy_text(void)
{
    memcpy(copy, guest(TEXT), SIZE);
}

static void run_pass(CheckContext *context)
{
    static const KernelImage image;
    const TextPlan plan = {.functions = functions,
                           .function_count = G_N_ELEMENTS(functions),
                           .trampolines = trampolines,
                           .trampoline_count = 1};
    memset(&work, 0, sizeof(work));
    work.context = context;
    work.image = &image;
    work.plan = &plan;
    work.low = TEXT;
    work.size = SIZE;
    work.built = built;
    work.work = copy;
    work.inputs.key_lock = key_lock;
    work.inputs.call_lock = call_lock;
    text_explain_any_time(&work);
}
static const Check pass = {MONATT_SUBCHECK_KERNEL_TEXT, "kernel-text", NULL, run_pass, NULL, NULL};

/* Explains the text that was copied; how much of it differs after that. */
static size_t explain(void)
{
    size_t left = 0;
    one_check_run(&one, &pass, &invented.kernel);
    for (size_t i = 0; i < SIZE; i++) {
        left += copy[i] != built[i];
    }
    return left;
}

static size_t look(void)
{
    copy_text();
    return explain();
}

static void test_settled(void)
{
    set_up();
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    put_branch(guest(KEY_SITE), KEY_SITE, 0xe9, KEY_TARGET);
    invented_u32(&invented, key, 1);
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(work.moving, ==, 0);
    invented_clear(&invented);
}

/* A site that its key does not agree with is a finding unless the kernel is at its keys. */
static void test_key(void)
{
    set_up();
    put_branch(guest(KEY_SITE), KEY_SITE, 0xe9, KEY_TARGET);
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmphex(one.sightings.items[0].address, ==, KEY_SITE);
    g_assert_cmpuint(work.moving, ==, 0);
    invented_u64(&invented, key_lock, OWNER | 1);
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(work.moving, ==, 1); /* which makes the look torn: never good */
    /* Waiters alone do not hold it, nor does who holds the other. */
    invented_u64(&invented, key_lock, 1);
    invented_u64(&invented, call_lock, OWNER);
    (void)look();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    /* Not known on this kernel. */
    invented_u64(&invented, key_lock, OWNER);
    key_lock = 0;
    (void)look();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    /* It was copied before the switch. */
    copy_text();
    put_nop(guest(KEY_SITE));
    g_assert_cmpuint(explain(), ==, 0);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(work.moving, ==, 0);
    invented_clear(&invented);
}

/* Site and trampoline lead to what the key had before: as far as the kernel is at its calls. */
static void test_call(void)
{
    set_up();
    invented_u64(&invented, call_key, FUNCTION(5));
    g_assert_cmpuint(look(), >, 0);
    g_assert_cmpuint(work.moving, ==, 0);
    invented_u64(&invented, call_lock, OWNER);
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(work.moving, ==, 2);
    guest(CALL_SITE)[0] = 0xcc;
    guest(TRAMPOLINE)[0] = 0xcc;
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(work.moving, ==, 2);
    put_nop(guest(CALL_SITE));
    guest(CALL_SITE)[0] = 0xcc;
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(work.moving, ==, 2);
    invented_clear(&invented);
}

static void test_call_copied_before(void)
{
    set_up();
    copy_text();
    invented_u64(&invented, call_key, FUNCTION(5));
    put_branch(guest(CALL_SITE), CALL_SITE, 0xe8, FUNCTION(5));
    put_branch(guest(TRAMPOLINE), TRAMPOLINE, 0xe9, FUNCTION(5));
    g_assert_cmpuint(explain(), ==, 0);
    g_assert_cmpuint(work.moving, ==, 0);
    invented_clear(&invented);
}

/* Who holds the lock hides no call of other code behind it. */
static void test_call_elsewhere(void)
{
    static const uint64_t places[] = {FUNCTION(5) + 8, NOBODY, TEXT - 0x1000};

    set_up();
    invented_u64(&invented, call_lock, OWNER);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        put_branch(guest(CALL_SITE), CALL_SITE, 0xe8, places[i]);
        g_assert_cmpuint(look(), >, 0);
        g_assert_cmpuint(work.moving, ==, 0);
    }
    /* A probe of a listed module's is a function that it may be switched from; a hidden one's not.
     */
    put_branch(guest(CALL_SITE), CALL_SITE, 0xe8, NOBODY);
    one_check_own(NOBODY, NOBODY + 0x1000, OWNER_MODULE, "listed", false);
    g_assert_cmpuint(look(), ==, 0);
    g_assert_cmpuint(work.moving, ==, 1);
    one_check_own(NOBODY, NOBODY + 0x1000, OWNER_MODULE, "rootkit", true);
    g_assert_cmpuint(look(), >, 0);
    /* A tail call or a return in place of a call leaves out what the caller does behind it. */
    put_branch(guest(CALL_SITE), CALL_SITE, 0xe9, FUNCTION(5));
    g_assert_cmpuint(look(), >, 0);
    memset(guest(CALL_SITE), 0xcc, 5);
    guest(CALL_SITE)[0] = 0xc3;
    g_assert_cmpuint(look(), >, 0);
    guest(CALL_SITE)[0] = 0x55;
    g_assert_cmpuint(look(), >, 0);
    invented_clear(&invented);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text-sites/settled", test_settled);
    g_test_add_func("/text-sites/key", test_key);
    g_test_add_func("/text-sites/call", test_call);
    g_test_add_func("/text-sites/call-copied-before", test_call_copied_before);
    g_test_add_func("/text-sites/call-elsewhere", test_call_elsewhere);
    return g_test_run();
}
