/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-wire-vfio-user-dma.c - ranges of guest memory as they come and go, and what is made of them
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/wire-vfio-user-dma.h"
#include "tests/lib/wire-peer.h"

typedef struct Memory {
    WireDma dma;
    GuestRam ram;
} Memory;

static void memory_begin(Memory *memory)
{
    wire_dma_init(&memory->dma);
    guest_ram_init(&memory->ram);
}

static void memory_end(Memory *memory)
{
    wire_dma_clear(&memory->dma);
    guest_ram_clear(&memory->ram);
}

static uint32_t map(Memory *memory, uint64_t address, uint64_t size, uint64_t offset, int fd)
{
    const MonattRamRegion region = {address, size, offset};
    return wire_dma_map(&memory->dma, &memory->ram, &region, dup(fd));
}

static uint32_t unmap(Memory *memory, uint64_t address, uint64_t size)
{
    return wire_dma_unmap(&memory->dma, &memory->ram, address, size);
}

static void is_region(const Memory *memory, size_t at, uint64_t address, uint64_t size,
                      uint64_t offset)
{
    const GuestRam *ram = &memory->ram;
    g_assert_cmpuint(at, <, ram->count);
    g_assert_cmphex(ram->regions[at].guest_physical, ==, address);
    g_assert_cmphex(ram->regions[at].size, ==, size);
    g_assert_cmphex(ram->regions[at].offset, ==, offset);
    g_assert_cmpint(fcntl(ram->fds[at], F_GETFD), >=, 0);
}

static void test_memory(void)
{
    unsigned before = wire_peer_descriptors();
    int ram = memfd_create("ram", MFD_CLOEXEC);
    int other = memfd_create("other", MFD_CLOEXEC);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    Memory memory;
    memory_begin(&memory);
    /* Neighbours of one file become one region, in any order. */
    g_assert_cmpuint(map(&memory, 0xc0000, 0x40000, 0xc0000, ram), ==, 0);
    g_assert_cmpuint(map(&memory, 0, 0xa0000, 0, ram), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 2);
    is_region(&memory, 0, 0, 0xa0000, 0);
    g_assert_cmpuint(map(&memory, 0xa0000, 0x20000, 0xa0000, ram), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 1);
    is_region(&memory, 0, 0, 0x100000, 0);
    /* Not of one file, or not at the next offset: no neighbours. */
    g_assert_cmpuint(map(&memory, 0x100000, 0x1000, 0x100000, other), ==, 0);
    g_assert_cmpuint(map(&memory, 0x101000, 0x1000, 0x200000, other), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 3);
    /* Cut again where firmware changes the map. */
    g_assert_cmpuint(unmap(&memory, 0xa0000, 0x20000), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 4);
    is_region(&memory, 1, 0xc0000, 0x40000, 0xc0000);
    /* Over another one: EEXIST, and nothing changed. */
    static const uint64_t over[][2] = {
        {0, 0xa0000}, {0x9f000, 0x2000}, {0xa0000, 0x21000}, {0, 1u << 30}, {0x1000, 0x1000}};
    for (size_t i = 0; i < G_N_ELEMENTS(over); i++) {
        g_assert_cmpuint(map(&memory, over[i][0], over[i][1], 0, ram), ==, EEXIST);
        g_assert_cmpuint(memory.ram.count, ==, 4);
    }
    /* Cutting a range: EINVAL, and nothing changed. */
    g_assert_cmpuint(unmap(&memory, 0, 0x50000), ==, EINVAL);
    g_assert_cmpuint(unmap(&memory, 0x50000, 0x100000), ==, EINVAL);
    g_assert_cmpuint(unmap(&memory, 0x1000, 0x1000), ==, EINVAL);
    g_assert_cmpuint(memory.ram.count, ==, 4);
    /* Unknown ranges are those without descriptors: nothing happens. */
    g_assert_cmpuint(unmap(&memory, 0x40000000, 0x1000), ==, 0);
    g_assert_cmpuint(unmap(&memory, 0xa0000, 0x20000), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 4);
    /* Several at once. */
    g_assert_cmpuint(unmap(&memory, 0, 0x100000), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 2);
    is_region(&memory, 0, 0x100000, 0x1000, 0x100000);
    wire_dma_unmap_all(&memory.dma, &memory.ram);
    g_assert_cmpuint(memory.ram.count, ==, 0);
    /* What is no memory is none. */
    g_assert_cmpuint(map(&memory, 0xfffc0000, 0x40000, 0, null), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 0);
    g_assert_cmpuint(unmap(&memory, 0xfffc0000, 0x40000), ==, 0);
    memory_end(&memory);
    close(ram);
    close(other);
    close(null);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

static void test_refuses_memory(void)
{
    unsigned before = wire_peer_descriptors();
    int ram = memfd_create("ram", MFD_CLOEXEC);
    Memory memory;
    memory_begin(&memory);
    static const uint64_t bad[][3] = {{0, 0, 0},
                                      {0x1000, UINT64_MAX - 0xfff, 0},
                                      {UINT64_MAX - 0xfff, 0x1000, 0},
                                      {0, 0x1000, (uint64_t)INT64_MAX + 1},
                                      {0, 0x2000, INT64_MAX - 0xfff},
                                      {0x800, 0x1000, 0},
                                      {0, 0x1001, 0},
                                      {0, 0x1000, 0x10}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpuint(map(&memory, bad[i][0], bad[i][1], bad[i][2], ram), ==, EINVAL);
    }
    /* The last whole page below the end of 64 bits, and of a file's 63. */
    g_assert_cmpuint(map(&memory, UINT64_MAX - 0x1fff, 0x1000, 0, ram), ==, 0);
    g_assert_cmpuint(map(&memory, 0, 0x1000, INT64_MAX - 0x1fff, ram), ==, 0);
    g_assert_cmpuint(memory.ram.count, ==, 2);
    static const uint64_t bad_unmaps[][2] = {
        {0, 0}, {0x1000, UINT64_MAX}, {UINT64_MAX, 1}, {UINT64_MAX - 0xfff, 0x1000}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad_unmaps); i++) {
        g_assert_cmpuint(unmap(&memory, bad_unmaps[i][0], bad_unmaps[i][1]), ==, EINVAL);
    }
    g_assert_cmpuint(memory.ram.count, ==, 2);
    memory_end(&memory);
    close(ram);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

/* More than can be handed out, then more than can be kept: the big ones stay. */
static void test_many_ranges(void)
{
    unsigned before = wire_peer_descriptors();
    int ram = memfd_create("ram", MFD_CLOEXEC);
    Memory memory;
    memory_begin(&memory);
    for (uint64_t i = 0; i < 12; i++) {
        g_assert_cmpuint(map(&memory, i << 32, (i % 4 + 1) << 20, 0, ram), ==, 0);
    }
    g_assert_cmpuint(memory.ram.count, ==, MONATT_RAM_REGIONS_MAXIMUM);
    g_assert_cmpuint(memory.ram.hidden, ==, 4);
    unsigned big = 0;
    for (size_t i = 0; i < MONATT_RAM_REGIONS_MAXIMUM; i++) {
        const MonattRamRegion *region = &memory.ram.regions[i];
        big += region->size >= 3u << 20;
        g_assert_true(i == 0 || region->guest_physical > region[-1].guest_physical);
    }
    g_assert_cmpuint(big, ==, 6);
    /* A hidden one is seen again when there is room. */
    for (uint64_t i = 0; i < 12; i += 4) {
        g_assert_cmpuint(unmap(&memory, (i + 3) << 32, 4u << 20), ==, 0);
    }
    g_assert_cmpuint(memory.ram.count, ==, 8);
    g_assert_cmpuint(memory.ram.hidden, ==, 1);
    wire_dma_unmap_all(&memory.dma, &memory.ram);
    for (uint64_t i = 0; i < WIRE_DMA_MAXIMUM; i++) {
        g_assert_cmpuint(map(&memory, i << 32, 2u << 20, 0, ram), ==, 0);
    }
    g_assert_cmpuint(memory.ram.hidden, ==, WIRE_DMA_MAXIMUM - 8);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before + 1 + WIRE_DMA_MAXIMUM + 8);
    g_assert_cmpuint(map(&memory, UINT64_C(1) << 40, 1u << 20, 0, ram), ==, 0);
    g_assert_cmpuint(map(&memory, UINT64_C(2) << 40, 64u << 20, 0, ram), ==, 0);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before + 1 + WIRE_DMA_MAXIMUM + 8);
    g_assert_cmpuint(memory.ram.hidden, ==, WIRE_DMA_MAXIMUM - 8 + 2);
    is_region(&memory, 7, UINT64_C(2) << 40, 64u << 20, 0);
    memory_end(&memory);
    close(ram);
    g_assert_cmpuint(wire_peer_descriptors(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire-vfio-user-dma/memory", test_memory);
    g_test_add_func("/wire-vfio-user-dma/refuses-memory", test_refuses_memory);
    g_test_add_func("/wire-vfio-user-dma/many-ranges", test_many_ranges);
    return g_test_run();
}
