/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-guest-memory.c - regions of guest RAM: which are taken, and what lies between them
 */
#include <glib.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host-collector/sources/introspection/guest-memory.h"

#define PAGES 16u
#define FILE_SIZE (PAGES * GUEST_PAGE_SIZE)

static int make_file(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, FILE_SIZE), ==, 0);
    return fd;
}

/* As QEMU lays it out: RAM below and above a hole, both in one file. */
static void test_hole(void)
{
    int fd = make_file(), fds[2] = {fd, dup(fd)};
    const MonattRamRegion regions[] = {{0, 4 * GUEST_PAGE_SIZE, 0},
                                       {0x100000000, 12 * GUEST_PAGE_SIZE, 4 * GUEST_PAGE_SIZE}};
    GuestMemory memory;
    MonattError err = {0};
    char text[8] = "";

    g_assert_cmpint(pwrite(fd, "below", 6, 0x10), ==, 6);
    g_assert_cmpint(pwrite(fd, "above", 6, 4 * GUEST_PAGE_SIZE), ==, 6);
    g_assert_true(guest_memory_map(&memory, regions, fds, 2, &err));
    g_assert_cmpuint(guest_memory_size(&memory), ==, FILE_SIZE);
    g_assert_cmpuint(guest_memory_end(&memory), ==, 0x100000000 + 12 * GUEST_PAGE_SIZE);
    g_assert_true(guest_memory_copy(&memory, 0x10, text, 6));
    g_assert_cmpstr(text, ==, "below");
    g_assert_true(guest_memory_copy(&memory, 0x100000000, text, 6));
    g_assert_cmpstr(text, ==, "above");
    /* The last bytes of a region, one more, the hole, and wrapping around. */
    g_assert_true(guest_memory_copy(&memory, 4 * GUEST_PAGE_SIZE - 8, text, 8));
    g_assert_false(guest_memory_copy(&memory, 4 * GUEST_PAGE_SIZE - 7, text, 8));
    g_assert_false(guest_memory_copy(&memory, 4 * GUEST_PAGE_SIZE, text, 1));
    g_assert_false(guest_memory_copy(&memory, UINT64_MAX - 3, text, 8));
    guest_memory_clear(&memory);
}

static void test_next_data(void)
{
    int fd = make_file();
    const MonattRamRegion region = {0x4000, FILE_SIZE, 0};
    GuestMemory memory;
    MonattError err = {0};
    uint64_t address = 0, end = 0;

    /* Pages 2 and 9 hold something; the others are holes and must stay ones. */
    g_assert_cmpint(pwrite(fd, "x", 1, 2 * GUEST_PAGE_SIZE + 5), ==, 1);
    g_assert_cmpint(pwrite(fd, "x", 1, 9 * GUEST_PAGE_SIZE), ==, 1);
    g_assert_true(guest_memory_map(&memory, &region, &fd, 1, &err));
    g_assert_true(guest_memory_next_data(&memory, &address, &end));
    g_assert_cmphex(address, ==, 0x4000 + 2 * GUEST_PAGE_SIZE);
    g_assert_cmphex(end, ==, 0x4000 + 3 * GUEST_PAGE_SIZE);
    address++;
    g_assert_true(guest_memory_next_data(&memory, &address, &end));
    g_assert_cmphex(address, ==, 0x4000 + 9 * GUEST_PAGE_SIZE);
    address = end;
    g_assert_false(guest_memory_next_data(&memory, &address, &end));
    guest_memory_clear(&memory);
}

static MonattErrorCode map_code(const MonattRamRegion *regions, size_t count)
{
    int fds[MONATT_RAM_REGIONS_MAXIMUM + 1], fd = make_file();
    GuestMemory memory;
    MonattError err = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = fd;
    }
    if (guest_memory_map(&memory, regions, fds, count, &err)) {
        guest_memory_clear(&memory);
        return MONATT_ERROR_NONE;
    }
    close(fd);
    return err.code;
}

static void test_refuses_regions(void)
{
    const MonattRamRegion whole = {0, FILE_SIZE, 0};
    const MonattRamRegion empty = {0, 0, 0};
    const MonattRamRegion odd = {0, FILE_SIZE - 1, 0};
    const MonattRamRegion odd_place = {12, GUEST_PAGE_SIZE, 0};
    const MonattRamRegion odd_offset = {0, GUEST_PAGE_SIZE, 12};
    const MonattRamRegion beyond = {0, FILE_SIZE, GUEST_PAGE_SIZE};
    const MonattRamRegion wraps = {UINT64_MAX - 4095, 2 * GUEST_PAGE_SIZE, 0};
    const MonattRamRegion offset_wraps = {0, FILE_SIZE, UINT64_MAX - 4095};
    const MonattRamRegion overlap[] = {{0, 2 * GUEST_PAGE_SIZE, 0},
                                       {GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, 0}};
    MonattRamRegion many[MONATT_RAM_REGIONS_MAXIMUM + 1] = {{0}};

    g_assert_cmpint(map_code(&whole, 1), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(map_code(&empty, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&odd, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&odd_place, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&odd_offset, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&beyond, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&wraps, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(&offset_wraps, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(overlap, 2), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(map_code(many, 0), ==, MONATT_ERROR_LIMIT);
    g_assert_cmpint(map_code(many, G_N_ELEMENTS(many)), ==, MONATT_ERROR_LIMIT);
}

/* RAM on huge pages, split below 1 MiB as QEMU splits it: no region is of whole huge pages. */
static void test_huge_pages(void)
{
    const uint64_t huge = 2u << 20;
    int fd = memfd_create("guest", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB), fds[2];
    const MonattRamRegion regions[] = {{0, 0xa0000, 0}, {0xc0000, huge - 0xc0000, 0xc0000}};
    GuestMemory memory;
    MonattError err = {0};
    uint8_t *bytes = MAP_FAILED;
    char text[8] = "";

    if (fd >= 0 && ftruncate(fd, (off_t)huge) == 0) {
        bytes = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (bytes == MAP_FAILED) {
        g_test_skip("this host has no huge page that is free (sysctl vm.nr_hugepages=1)");
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    memcpy(bytes + 0x9fff0, "below", 6);
    memcpy(bytes + 0xc0000, "above", 6);
    fds[0] = fd;
    fds[1] = dup(fd);
    g_assert_true(guest_memory_map(&memory, regions, fds, 2, &err));
    g_assert_true(guest_memory_copy(&memory, 0x9fff0, text, 6));
    g_assert_cmpstr(text, ==, "below");
    g_assert_true(guest_memory_copy(&memory, 0xc0000, text, 6));
    g_assert_cmpstr(text, ==, "above");
    g_assert_false(guest_memory_copy(&memory, 0xa0000, text, 6));
    guest_memory_clear(&memory);
    munmap(bytes, huge);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-memory/hole", test_hole);
    g_test_add_func("/guest-memory/next-data", test_next_data);
    g_test_add_func("/guest-memory/huge-pages", test_huge_pages);
    g_test_add_func("/guest-memory/refuses-regions", test_refuses_regions);
    return g_test_run();
}
