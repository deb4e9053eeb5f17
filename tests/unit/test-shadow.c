/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-shadow.c - which guest memory ring and shadow page use, and when not; the page's content
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/wire.h"
#include "tests/lib/ring-guest.h"

static void test_refuses_areas(void)
{
    const uint64_t size = MONATT_RING_HEADER_SIZE + (uint64_t)SLOTS * MONATT_RING_SLOT_SIZE;
    const uint64_t last = RAM_GUEST + RAM_SIZE - ((size + 4095) & ~UINT64_C(4095));
    const struct {
        uint64_t address;
        uint32_t slots, error;
    } wrong[] = {
        {RAM_GUEST + RING_AT, 0, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT, 8, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT, 17, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT, 2048, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT, UINT32_MAX, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT, 0x80000000u, MONATT_ERR_SIZE},
        {RAM_GUEST + RING_AT + 8, SLOTS, MONATT_ERR_ADDRESS},
        {RAM_GUEST + RING_AT + 2048, SLOTS, MONATT_ERR_ADDRESS},
        {RAM_GUEST - 4096, SLOTS, MONATT_ERR_ADDRESS},
        {RAM_GUEST + RAM_SIZE, SLOTS, MONATT_ERR_ADDRESS},
        {last + 4096, SLOTS, MONATT_ERR_ADDRESS}, /* ends one page behind the RAM */
        {0, SLOTS, MONATT_ERR_ADDRESS},
        {UINT64_C(1) << 40, SLOTS, MONATT_ERR_ADDRESS},
        {UINT64_MAX - 4095, SLOTS, MONATT_ERR_ADDRESS}, /* wraps */
        {UINT64_MAX - size, SLOTS, MONATT_ERR_ADDRESS},
    };
    RingGuest guest = ring_guest_new();
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_cmpuint(ring_guest_ring_on(&guest, wrong[i].address, wrong[i].slots), ==,
                         MONATT_RING_FAULT);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, wrong[i].error);
        if (wrong[i].error == MONATT_ERR_ADDRESS && wrong[i].address != last + 4096) {
            g_assert_cmpuint(ring_guest_shadow_on(&guest, wrong[i].address), ==, MONATT_RING_FAULT);
        }
        g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_OFF);
    }
    g_assert_cmpuint(ring_guest_ring_on(&guest, last, SLOTS), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + RAM_SIZE - 4096), ==, MONATT_RING_ON);
    /* Halves of 4 bytes are the same address; other values of the control do nothing. */
    ring_guest_write(&guest, MONATT_REG_RING_ADDRESS, RAM_GUEST + RING_AT, 4);
    ring_guest_write(&guest, MONATT_REG_RING_ADDRESS + 4, 0, 4);
    ring_guest_write(&guest, MONATT_REG_RING_CONTROL, 2, 4);
    g_assert_cmphex(guest.device->ring.kept.base, ==, last);
    ring_guest_write(&guest, MONATT_REG_RING_CONTROL, 1, 4);
    g_assert_cmphex(guest.device->ring.kept.base, ==, RAM_GUEST + RING_AT);
    ring_guest_end(&guest);
}

/* Two regions that follow each other are two files: an area may not lie in both. */
static void test_refuses_two_regions(void)
{
    RingGuest guest = ring_guest_new();
    const MonattRamRegion regions[2] = {{RAM_GUEST, RING_AT + 0x2000, 0},
                                        {RAM_GUEST + RING_AT + 0x2000, 0x100000, 0}};
    const int fds[2] = {fcntl(guest.fd, F_DUPFD_CLOEXEC, 0), fcntl(guest.fd, F_DUPFD_CLOEXEC, 0)};
    guest_ram_replace(&guest.device->ram, regions, fds, 2);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_ADDRESS);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT + 0x2000, SLOTS), ==,
                     MONATT_RING_ON);
    ring_guest_end(&guest);
}

/* A region that promises more than its file has: nothing behind the file's end is mapped. */
static void test_refuses_behind_the_file(void)
{
    RingGuest guest = ring_guest_new();
    int pipes[2];
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE * 2, 0, guest.fd);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RAM_SIZE, SLOTS), ==,
                     MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RAM_SIZE - 4096, SLOTS), ==,
                     MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + RAM_SIZE), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + RAM_SIZE - 4096), ==, MONATT_RING_ON);
    /* Not a file at all. */
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE, 0, pipes[0]);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_SHADOW_CONTROL), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_FAULT);
    close(pipes[0]);
    close(pipes[1]);
    ring_guest_end(&guest);
}

/* Memory that nobody has written yet is not allocated by the device: what a file holds stays. */
static void test_refuses_holes(void)
{
    RingGuest guest = ring_guest_new();
    struct stat before;
    struct stat after;
    const off_t last_page = RING_AT + MONATT_RING_HEADER_SIZE + SLOTS * MONATT_RING_SLOT_SIZE - 1;
    g_assert_cmpint(
        fallocate(guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SHADOW_AT, 4096), ==, 0);
    g_assert_cmpint(
        fallocate(guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, last_page & ~4095, 4096),
        ==, 0);
    g_assert_cmpint(fstat(guest.fd, &before), ==, 0);
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_ADDRESS);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_FAULT);
    g_assert_cmpint(fstat(guest.fd, &after), ==, 0);
    g_assert_cmpint(after.st_blocks, ==, before.st_blocks);
    guest.ram[SHADOW_AT] = guest.ram[last_page] = 1;
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_ON);
    ring_guest_end(&guest);
}

static void off_by_control(RingGuest *guest)
{
    ring_guest_write(guest, MONATT_REG_RING_CONTROL, 0, 4);
    ring_guest_write(guest, MONATT_REG_SHADOW_CONTROL, 0, 4);
}

static void off_by_bus_master(RingGuest *guest)
{
    command_config_write(guest->device, 4, 2, 2);
    g_assert_cmpuint(ring_guest_ring_on(guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_read(guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_ADDRESS);
    g_assert_cmpuint(ring_guest_shadow_on(guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_FAULT);
    ring_guest_write(guest, MONATT_REG_RING_CONTROL, 0, 4);
    ring_guest_write(guest, MONATT_REG_SHADOW_CONTROL, 0, 4);
}

static void off_by_bus_master_byte(RingGuest *guest)
{
    command_config_write(guest->device, 4, 0, 1);
}

static void off_by_wire_reset(RingGuest *guest)
{
    wire_reset(guest->device);
}

static void off_by_closed_wire(RingGuest *guest)
{
    wire_closed(guest->device);
}

/* However they are switched off: not one byte of the guest's memory changes after it. */
static void test_off_is_off(void)
{
    static void (*const ways[])(RingGuest *) = {off_by_control, off_by_bus_master,
                                                off_by_bus_master_byte, off_by_wire_reset,
                                                off_by_closed_wire};
    uint8_t *copy = g_malloc(RAM_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        RingGuest guest = ring_guest_new();
        MonattError err = {0};
        uint64_t number;
        const uint8_t digest[48] = {1};
        g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==,
                         MONATT_RING_ON);
        g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_ON);
        ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
        ring_guest_run(&guest);
        for (uint32_t k = 0; k < SLOTS; k++) {
            ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
        }
        ways[i](&guest);
        memcpy(copy, guest.ram, RAM_SIZE);
        g_assert_null(guest.device->ring.window.bytes);
        g_assert_null(guest.device->shadow.window.bytes);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_OFF);
        g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_SHADOW_CONTROL), ==, MONATT_RING_OFF);
        ring_guest_write(&guest, MONATT_REG_DOORBELL, 1, 4);
        ring_guest_run(&guest);
        g_assert_true(ring_fall_asleep(guest.device));
        guest.device->reset = (Reset){0};
        g_assert_true(device_extend(guest.device, REGISTERS_HOST, 20, digest, digest, 1, "x", 1,
                                    &number, &err));
        command_memory_changed(guest.device);
        device_finish_reset(guest.device, 2, digest);
        g_assert_cmpmem(guest.ram, RAM_SIZE, copy, RAM_SIZE);
        ring_guest_end(&guest);
    }
    g_free(copy);
}

/* About 200 memory maps come in a boot; a ring outlives all that leave its memory where it is. */
static void test_memory_map(void)
{
    RingGuest guest = ring_guest_new();
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_ON);
    const uint8_t *before = guest.device->ring.window.bytes;
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE, 0, guest.fd);
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE / 2, 0, guest.fd);
    ring_guest_map(&guest, RAM_GUEST + SHADOW_AT, RAM_SIZE / 2, SHADOW_AT, guest.fd);
    g_assert_true(guest.device->ring.window.bytes == before);
    ring_guest_produce(&guest, MONATT_RING_EXTEND, 2, 3, 0);
    ring_guest_run(&guest);
    g_assert_cmpuint(ring_guest_result(&guest, 0), ==, MONATT_ERR_NONE);
    /* The same guest-physical address, another place in the file: the ring moves with it. */
    const uint32_t moved = 0x200000;
    memcpy(guest.ram + moved, guest.ram, moved);
    memset(guest.ram + moved + RING_AT + MONATT_RING_DEVICE_FLAGS, 0xff, 4); /* of an older state */
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE / 2, moved, guest.fd);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_ON);
    uint32_t *there = (void *)(guest.ram + moved + RING_AT);
    g_assert_cmphex(there[MONATT_RING_DEVICE_FLAGS / 4], ==, 0);
    uint32_t here = *ring_guest_word(&guest, MONATT_RING_CONSUMED);
    there[MONATT_RING_PRODUCED / 4] += 1;
    ring_guest_run(&guest);
    g_assert_cmpuint(there[MONATT_RING_CONSUMED / 4], ==, here + 1);
    g_assert_cmpuint(*ring_guest_word(&guest, MONATT_RING_CONSUMED), ==, here);
    g_assert_cmpmem(guest.ram + moved + SHADOW_AT + MONATT_BAR2_ENTRY_SIZE * 2 + MONATT_BAR2_ENTRY,
                    32, guest.device->registers.mr[2].sha256, 32);
    /* Gone: both are, with the reason. */
    ring_guest_map(&guest, RAM_GUEST + RAM_SIZE, RAM_SIZE, 0, guest.fd);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_ERROR), ==, MONATT_ERR_ADDRESS);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_SHADOW_CONTROL), ==, MONATT_RING_FAULT);
    g_assert_cmpuint(ring_step(guest.device), ==, RING_STEP_OFF);
    /* Coming back does not switch them on by itself. */
    ring_guest_map(&guest, RAM_GUEST, RAM_SIZE, 0, guest.fd);
    g_assert_cmpuint(ring_guest_read(&guest, MONATT_REG_RING_CONTROL), ==, MONATT_RING_FAULT);
    ring_guest_end(&guest);
}

/* A file of huge pages: the window is a part of one. */
static void test_huge_pages(void)
{
    const size_t huge = 2u << 20;
    int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
    if (fd < 0 || ftruncate(fd, (off_t)huge) != 0 ||
        mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) == MAP_FAILED) {
        g_test_skip("this machine has no huge page free");
    } else {
        RingGuest guest = ring_guest_new();
        ring_guest_map(&guest, RAM_GUEST, huge, 0, fd);
        g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==,
                         MONATT_RING_ON);
        g_assert_cmpuint(guest.device->ring.window.mapping_size, ==, huge);
        g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_ON);
        ring_guest_end(&guest);
    }
    if (fd >= 0) {
        close(fd);
    }
}

typedef struct Reader {
    const uint8_t *page;
    Registers *chain; /* chain[n].mr[7]: after n extends */
    uint32_t start;   /* the sequence before the first one */
    atomic_bool stop;
    unsigned reads;
} Reader;

/* As a driver reads: sequence, barrier, entry, barrier, sequence. */
static gpointer read_shadow(gpointer argument)
{
    Reader *reader = argument;
    const uint32_t *sequence = (const void *)reader->page;
    const uint8_t *place = reader->page + MONATT_BAR2_ENTRY + 7 * MONATT_BAR2_ENTRY_SIZE;
    while (!atomic_load(&reader->stop)) {
        uint8_t entry[MONATT_BAR2_ENTRY_SIZE];
        uint8_t wanted[MONATT_BAR2_ENTRY_SIZE];
        uint64_t extends;
        uint32_t before = __atomic_load_n(sequence, __ATOMIC_ACQUIRE);
        memcpy(entry, place, sizeof(entry));
        atomic_thread_fence(memory_order_seq_cst);
        if (before % 2 != 0 || __atomic_load_n(sequence, __ATOMIC_RELAXED) != before) {
            continue;
        }
        memcpy(&extends, entry + MONATT_ENTRY_EXTENDS, sizeof(extends));
        /* A boot is 1000 extends and a reset, so the sequence says which state this must be. */
        g_assert_cmpuint(extends, ==, (before - reader->start) / 2 % 1001);
        shadow_entry(&reader->chain[extends].mr[7], wanted);
        g_assert_cmpmem(entry, MONATT_ENTRY_SYNCED, wanted, MONATT_ENTRY_SYNCED);
        reader->reads++;
    }
    return NULL;
}

/* The shadow page under a concurrent reader is never half of one state and half of another. */
static void test_shadow_is_never_torn(void)
{
    RingGuest guest = ring_guest_new();
    MonattError err = {0};
    Reader reader = {.page = guest.ram + SHADOW_AT, .chain = g_new(Registers, 1001)};
    uint8_t digest[48];
    memset(digest, 0xee, sizeof(digest));
    registers_init(&reader.chain[0]);
    for (size_t i = 1; i <= 1000; i++) {
        reader.chain[i] = reader.chain[i - 1];
        g_assert_true(registers_extend(&reader.chain[i], 7, REGISTERS_GUEST, digest, digest, &err));
    }
    g_assert_cmpuint(ring_guest_ring_on(&guest, RAM_GUEST + RING_AT, SLOTS), ==, MONATT_RING_ON);
    g_assert_cmpuint(ring_guest_shadow_on(&guest, RAM_GUEST + SHADOW_AT), ==, MONATT_RING_ON);
    reader.start = guest.device->command.sequence;
    GThread *thread = g_thread_new("reader", read_shadow, &reader);
    for (unsigned boot = 0; boot < 60 || reader.reads < 100; boot++) {
        for (unsigned i = 0; i < 1000; i += 8) {
            for (unsigned k = 0; k < 8; k++) {
                ring_guest_produce(&guest, MONATT_RING_EXTEND, 7, 3, 0);
            }
            ring_guest_run(&guest);
            ring_guest_synced(&guest);
        }
        g_assert_cmpuint(guest.device->registers.mr[7].extends, ==, 1000);
        device_finish_reset(guest.device, boot, digest);
    }
    atomic_store(&reader.stop, true);
    g_thread_join(thread);
    g_assert_cmpuint(reader.reads, >=, 100);
    /* The whole page is BAR2. */
    for (uint32_t offset = 0; offset < MONATT_SHADOW_SIZE; offset += 8) {
        uint64_t bytes;
        memcpy(&bytes, guest.ram + SHADOW_AT + offset, sizeof(bytes));
        g_assert_cmphex(bytes, ==, command_read(guest.device, 2, offset, 8));
    }
    g_free(reader.chain);
    ring_guest_end(&guest);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shadow/refuses-areas", test_refuses_areas);
    g_test_add_func("/shadow/refuses-two-regions", test_refuses_two_regions);
    g_test_add_func("/shadow/refuses-behind-the-file", test_refuses_behind_the_file);
    g_test_add_func("/shadow/refuses-holes", test_refuses_holes);
    g_test_add_func("/shadow/off-is-off", test_off_is_off);
    g_test_add_func("/shadow/memory-map", test_memory_map);
    g_test_add_func("/shadow/huge-pages", test_huge_pages);
    g_test_add_func("/shadow/is-never-torn", test_shadow_is_never_torn);
    return g_test_run();
}
