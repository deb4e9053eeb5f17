/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-address-space.c - page tables of all page sizes, and tables that mean harm
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/address-space.h"
#include "tests/lib/guest-image.h"

static uint8_t image[IMAGE_SIZE];
static GuestMemory memory;
static AddressSpace space;

static void set_up(void)
{
    guest_image_fill(image, sizeof(image));
    guest_memory_init_bytes(&memory, 0, image, sizeof(image));
    address_space_init(&space, &memory, IMAGE_ROOT, 4);
}

static void assert_maps(uint64_t address, uint64_t physical)
{
    uint64_t seen = 0;
    g_assert_true(address_space_translate(&space, address, &seen));
    g_assert_cmphex(seen, ==, physical);
    /* Once more, from the cache. */
    g_assert_true(address_space_translate(&space, address, &seen));
    g_assert_cmphex(seen, ==, physical);
}

static void assert_unmapped(uint64_t address)
{
    uint64_t seen;
    g_assert_false(address_space_translate(&space, address, &seen));
}

static void test_page_sizes(void)
{
    set_up();
    assert_maps(IMAGE_KERNEL + 0x12345, 0x12345);   /* 2 MiB */
    assert_maps(IMAGE_DIRECT + 0x123456, 0x123456); /* 1 GiB, PAT set */
    assert_maps(IMAGE_MEMMAP + 0x1040, 0x61040);    /* 4 KiB */
    assert_unmapped(IMAGE_KERNEL + IMAGE_SIZE);     /* the next 2 MiB */
    assert_unmapped(IMAGE_MEMMAP + 0x8000);
    assert_unmapped(0x1000);
    /* Not canonical: bit 47 and those above differ. */
    assert_unmapped(IMAGE_KERNEL & 0x7fffffffffffffffull);
    assert_unmapped(0x0000888000000000ull);
}

static void test_five_levels(void)
{
    uint64_t seen;

    set_up();
    /* PML5[511] -> the old root; addresses stay the same, as bits 48 to 56 are all set. */
    guest_image_put_u64(image, 0x1f0000 + 511 * 8, IMAGE_ROOT | 3);
    address_space_init(&space, &memory, 0x1f0000, 5);
    assert_maps(IMAGE_KERNEL + 0x12345, 0x12345);
    assert_maps(IMAGE_DIRECT + 0x123456, 0x123456);
    g_assert_false(address_space_translate(&space, 0xff11000000000000ull, &seen));
    /* Canonical with 57 bits, not with 48. */
    guest_image_put_u64(image, 0x1f0000 + 256 * 8, IMAGE_ROOT | 3);
    g_assert_true(address_space_translate(&space, 0xff00ffff80000000ull, &seen));
    address_space_init(&space, &memory, IMAGE_ROOT, 4);
    g_assert_false(address_space_translate(&space, 0xff00ffff80000000ull, &seen));
}

static void test_root_masks(void)
{
    set_up();
    /* CR3 as the CPU has it: PCID in bits 0 to 11, no-flush in bit 63. */
    address_space_init(&space, &memory, IMAGE_ROOT | 0x803 | 1ull << 63, 4);
    assert_maps(IMAGE_KERNEL + 0x12345, 0x12345);
}

/* A table that is its own entry, at every level: a walk ends after four steps all the same. */
static void test_loop(void)
{
    uint64_t seen;

    set_up();
    for (uint64_t i = 0; i < 512; i++) {
        guest_image_put_u64(image, 0x1f0000 + i * 8, 0x1f0000 | 3);
    }
    address_space_init(&space, &memory, 0x1f0000, 4);
    g_assert_true(address_space_translate(&space, IMAGE_KERNEL + 0x12345, &seen));
    g_assert_cmphex(seen, ==, 0x1f0345);
    address_space_init(&space, &memory, 0x1f0000, 5);
    g_assert_true(address_space_translate(&space, IMAGE_KERNEL + 0x12345, &seen));
    g_assert_cmphex(seen, ==, 0x1f0345);
}

static void test_refuses_tables(void)
{
    set_up();
    guest_image_put_u64(image, 0x2000 + 510 * 8, 0x3002); /* not present */
    assert_unmapped(IMAGE_KERNEL);
    guest_image_put_u64(image, 0x2000 + 510 * 8, (uint64_t)IMAGE_SIZE | 3); /* outside RAM */
    assert_unmapped(IMAGE_KERNEL);
    guest_image_put_u64(image, 0x2000 + 510 * 8, 0x000ffffffffff000ull | 3);
    assert_unmapped(IMAGE_KERNEL);
    guest_image_put_u64(image, 0x2000 + 510 * 8, 0x3003);
    assert_maps(IMAGE_KERNEL, 0);
    guest_image_put_u64(image, IMAGE_ROOT + 511 * 8, 0x2083); /* a 512 GiB page is none */
    address_space_forget(&space);
    assert_unmapped(IMAGE_KERNEL);
}

static void test_read_crosses_pages(void)
{
    uint8_t seen[64];
    uint64_t value;

    set_up();
    /* Two virtual pages in a row whose frames are not. */
    guest_image_put_u64(image, 0x7000, 0x1e0003);
    guest_image_put_u64(image, 0x7008, 0x1d0003);
    memset(image + 0x1e0fe0, 'a', 32);
    memset(image + 0x1d0000, 'b', 32);
    g_assert_true(address_space_read(&space, IMAGE_MEMMAP + 0xfe0, seen, sizeof(seen)));
    g_assert_cmpmem(seen, 32, image + 0x1e0fe0, 32);
    g_assert_cmpmem(seen + 32, 32, image + 0x1d0000, 32);
    /* The second page is gone: nothing of it is read. */
    guest_image_put_u64(image, 0x7008, 0);
    address_space_forget(&space);
    g_assert_false(address_space_read(&space, IMAGE_MEMMAP + 0xfe0, seen, sizeof(seen)));
    g_assert_false(address_space_u64(&space, IMAGE_MEMMAP + 0xffc, &value));
    /* At the end of the addresses. */
    g_assert_false(address_space_read(&space, UINT64_MAX - 3, seen, sizeof(seen)));
    /* A frame outside RAM that a present page names. */
    g_assert_false(address_space_u64(&space, IMAGE_DIRECT + IMAGE_SIZE, &value));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address-space/page-sizes", test_page_sizes);
    g_test_add_func("/address-space/five-levels", test_five_levels);
    g_test_add_func("/address-space/root-masks", test_root_masks);
    g_test_add_func("/address-space/ends-in-a-loop", test_loop);
    g_test_add_func("/address-space/refuses-tables", test_refuses_tables);
    g_test_add_func("/address-space/read-crosses-pages", test_read_crosses_pages);
    return g_test_run();
}
