/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-vdso.c - the code that every process shares, over an invented kernel
 *
 * The comparison with a measured kernel is the guest test's: it takes a real one.
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define TASK_SIZE 0x100
#define LIST 0x10
#define MEMORY 0x30
#define PLACE 0x7ffff7fc1000ull
#define PRESENT_USER 5u

static const InventedRow rows[] = {
    {"task_struct", NULL, TASK_SIZE, NULL},
    {NULL, "tasks", LIST, NULL},
    {NULL, "pid", 0x20, "u32"},
    {NULL, "tgid", 0x24, "u32"},
    {NULL, "mm", MEMORY, NULL},
    {NULL, "comm", 0x38, "u8[16]"},
    {NULL, "cred", 0x58, NULL},
    {NULL, "__state", 0x60, "u32"},
    {NULL, "exit_state", 0x64, "u32"},
    {NULL, "stack", 0x68, NULL},
    {NULL, "start_time", 0x70, NULL},
    {"cred", NULL, 0x60, NULL},
    {NULL, "uid", 0x8, "u32"},
    {"context", NULL, 0x20, NULL},
    {NULL, "vdso", 0x8, NULL},
    {NULL, "vdso_image", 0x10, NULL},
    {"mm_struct", NULL, 0x80, NULL},
    {NULL, "pgd", 0x10, NULL},
    {NULL, "owner", 0x18, NULL},
    {NULL, "context", 0x40, "context"},
    {"vdso_image", NULL, 0x40, NULL},
    {NULL, "data", 0x0, NULL},
    {NULL, "size", 0x8, NULL},
    {NULL, "alt", 0x10, NULL},
    {NULL, "alt_len", 0x18, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t image, data, memory, leaf;

static uint64_t page(void)
{
    return (invented_allocate(&invented, 2 * GUEST_PAGE_SIZE) + GUEST_PAGE_SIZE - 1) &
           ~(uint64_t)(GUEST_PAGE_SIZE - 1);
}

/* Links a table into the one above it; gives its address. */
static uint64_t table(uint64_t above, unsigned shift)
{
    uint64_t at = page();
    invented_u64(&invented, above + 8 * (PLACE >> shift & 511),
                 (at - INVENTED_DIRECT) | PRESENT_USER);
    return at;
}

static void set_up(void)
{
    uint64_t init_task, task, root;

    one_check_disown("");
    invented_begin(&invented);
    init_task = invented_variable(&invented, "init_task", TASK_SIZE);
    image = invented_variable(&invented, "vdso_image_64", 0x40);
    data = page();
    memset(invented_at(&invented, data), 0x90, GUEST_PAGE_SIZE);
    invented_u64(&invented, image, data);
    invented_u64(&invented, image + 0x8, GUEST_PAGE_SIZE);
    memory = invented_allocate(&invented, 0x80);
    root = page();
    leaf = table(table(table(root, 39), 30), 21) + 8 * (PLACE >> 12 & 511);
    invented_u64(&invented, leaf, (data - INVENTED_DIRECT) | PRESENT_USER);
    invented_u64(&invented, memory + 0x10, root);
    invented_u64(&invented, memory + 0x48, PLACE);
    invented_u64(&invented, memory + 0x50, image);
    invented_ring(&invented, init_task + LIST);
    memcpy(invented_at(&invented, init_task + 0x38), "swapper", 7);
    task = invented_allocate(&invented, TASK_SIZE);
    invented_u32(&invented, task + 0x20, 9);
    invented_u32(&invented, task + 0x24, 9);
    invented_u64(&invented, task + MEMORY, memory);
    memcpy(invented_at(&invented, task + 0x38), "sshd", 4);
    invented_u64(&invented, task + 0x58, invented_allocate(&invented, 0x60));
    invented_u64(&invented, task + 0x68, INVENTED_DIRECT + 0x100000);
    invented_u64(&invented, task + 0x70, 77);
    invented_ring_add(&invented, init_task + LIST, task + LIST);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void assert_clean(void)
{
    one_check_run(&one, &check_vdso, &invented.kernel);
    if (one.sightings.count) {
        g_error("%s", one.sightings.items[0].text);
    }
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one_check_counter(&one, "images"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "processes"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "compared"), ==, UINT64_MAX);
}

static void assert_found(uint32_t pid, const char *object)
{
    one_check_run(&one, &check_vdso, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    g_assert_cmpuint(one.sightings.items[0].pid, ==, pid);
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_vdso);
    invented_clear(&invented);
}

static void test_image(void)
{
    set_up();
    assert_clean();
    *invented_at(&invented, data + 0x123) = 0xcc;
    assert_found(0, "vdso_image_64+0x123");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "0x90");
    g_assert_cmpstr(one.sightings.items[0].observed, ==, "0xcc");
    *invented_at(&invented, data + 0x123) = 0x90;
    assert_clean();
    tear_down();
}

static void test_process(void)
{
    uint64_t other;

    set_up();
    assert_clean();
    other = page();
    memcpy(invented_at(&invented, other), invented_at(&invented, data), GUEST_PAGE_SIZE);
    invented_u64(&invented, leaf, (other - INVENTED_DIRECT) | PRESENT_USER);
    assert_clean(); /* a copy of the same */
    *invented_at(&invented, other + 0x500) = 0xe9;
    assert_found(9, "vDSO of process 9 (sshd)");
    invented_u64(&invented, leaf, 0); /* not touched yet */
    assert_clean();
    invented_u64(&invented, memory + 0x50, image + 8);
    assert_found(9, "vDSO of process 9 (sshd)");
    tear_down();
}

static void test_hostile(void)
{
    static const uint64_t sizes[] = {0, 17, 0x100000, UINT64_MAX};

    set_up();
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        invented_u64(&invented, image + 0x8, sizes[i]);
        one_check_run(&one, &check_vdso, &invented.kernel);
        g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
        g_assert_cmpuint(one.sightings.count, ==, 0);
    }
    invented_u64(&invented, image + 0x8, GUEST_PAGE_SIZE);
    invented_u64(&invented, memory + 0x10, 0x4141414141414141ull);
    one_check_run(&one, &check_vdso, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vdso/image", test_image);
    g_test_add_func("/vdso/process", test_process);
    g_test_add_func("/vdso/hostile", test_hostile);
    return g_test_run();
}
