/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-kernel-origin.c - page roots that vCPUs had a moment ago, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define HALF 2048u
#define PAGING (1ull << 31)
#define OTHER_PAGES 0x7000ull

static InventedKernel invented;
static OneCheck one;
static CheckVcpu vcpu;
static uint64_t root;

static uint64_t new_page(void)
{
    uint64_t address = invented_allocate(&invented, 2 * GUEST_PAGE_SIZE);
    return (address + GUEST_PAGE_SIZE - 1) & ~(GUEST_PAGE_SIZE - 1ull);
}

static void set_up(void)
{
    uint64_t kernel;

    invented_begin(&invented);
    kernel = new_page();
    root = new_page();
    invented_end(&invented, NULL, 0);
    one_check_disown("");
    for (uint64_t i = 0; i < GUEST_PAGE_SIZE; i += 8) {
        invented_u64(&invented, kernel + i, (i + 1) << 12 | 1);
        invented_u64(&invented, root + i, (i + (i < HALF ? 9 : 1)) << 12 | 1);
    }
    invented.kernel.space.root = kernel - INVENTED_DIRECT;
    vcpu = (CheckVcpu){.cr0 = PAGING, .cr3 = root - INVENTED_DIRECT};
    one.inputs = (CheckInputs){.vcpus = &vcpu, .vcpu_count = 1, .reading = 1};
}

static void judge(unsigned findings)
{
    one_check_run(&one, &check_kernel_origin, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, findings);
    g_assert_cmpuint(one_check_counter(&one, "roots"), ==, 1);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_kernel_origin);
    memset(&one, 0, sizeof(one));
    invented_clear(&invented);
}

/* Its process ends between two looks of one reading, and the page is something else's. */
static void test_ended(void)
{
    set_up();
    judge(0);
    invented_u64(&invented, root + HALF, OTHER_PAGES | 1);
    judge(0);
    one.inputs.reading = 2; /* it really runs on that */
    judge(1);
    judge(1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    one.inputs.reading = 0; /* readings are not told apart: judged each time */
    judge(1);
    tear_down();
}

static void test_other_kernel(void)
{
    set_up();
    invented_u64(&invented, root + HALF, OTHER_PAGES | 1);
    judge(1);
    judge(1);
    invented_u64(&invented, root + HALF, (uint64_t)(HALF + 1) << 12 | 1);
    judge(0); /* a first look in the middle of something else */
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-kernel-origin/ended", test_ended);
    g_test_add_func("/check-kernel-origin/other-kernel", test_other_kernel);
    return g_test_run();
}
