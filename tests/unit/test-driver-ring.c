/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-driver-ring.c - the Linux driver's ring against a device that counts as it likes
 *
 * No device of ours counts wrongly, so ring.c is compiled here, with as much of a kernel as it
 * needs, and the "device" is these stubs.  A wait that does not end is ended by a signal.
 */
#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "guest/linux/monatt-ioctl.h"
#include "hw-attest/register-map.h"

#define MONATT_DRIVER_H /* in its stead: */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint64_t dma_addr_t;
#define U32_MAX UINT32_MAX
#define MONATT_PATIENCE_MS 10000
#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define le16_to_cpu(x) (x)
#define le32_to_cpu(x) (x)
#define le64_to_cpu(x) (x)
#define cpu_to_le16(x) (x)
#define cpu_to_le32(x) (x)
#define min(a, b) MIN(a, b)
#define min_t(type, a, b) MIN((type)(a), (type)(b))
#define virt_rmb() __sync_synchronize()
#define virt_wmb() __sync_synchronize()
#define virt_mb() __sync_synchronize()
#define GFP_KERNEL 0
#define __GFP_NOWARN 0
#define dev_warn(...) ((void)0)
#define dev_err(...) ((void)0)
#define msecs_to_jiffies(ms) ((unsigned long)(ms))
#define usecs_to_jiffies(us) ((unsigned long)(us) / 1000)
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define wait_event_timeout(queue, condition, timeout) ((void)(condition), (void)(timeout))

struct monatt_ring {
    u8 *memory;
    dma_addr_t address;
    size_t size;
    u32 slots;
    u32 produced;
    unsigned failures;
    bool on;
};
struct pci_dev {
    int dev;
};
struct monatt {
    struct pci_dev *pdev;
    struct monatt_ring ring;
    int irq;
};

void monatt_ring_allocate(struct monatt *m);
void monatt_ring_free(struct monatt *m);
bool monatt_ring_start(struct monatt *m);
void monatt_ring_stop(struct monatt *m);
int monatt_submit(struct monatt *m, struct monatt_slot *slots, u32 count, u32 *done);
void monatt_ring_records(struct monatt *m, u64 *records, u64 *synced);

/* The device. */
static u32 control;
static bool gone_for_good;  /* once its counts are used up it has no ring any more */
static unsigned trapped;    /* slots that came by trapped registers */
static unsigned stops;      /* since the test began */
static const u32 *consumed; /* what it says, one at each doorbell; NULL: what it was given */
static size_t consumed_left;
static unsigned long jiffies; /* a millisecond each time that somebody waits */
static u8 memory[MONATT_RING_HEADER_SIZE + 256 * MONATT_RING_SLOT_SIZE]
    __attribute__((aligned(4096)));

static void *dma_alloc_coherent(int *dev, size_t size, dma_addr_t *address, int flags)
{
    (void)dev;
    (void)flags;
    *address = 4096;
    return size <= sizeof(memory) ? memory : NULL;
}

static void dma_free_coherent(int *dev, size_t size, void *bytes, dma_addr_t address)
{
    (void)dev;
    (void)size;
    (void)bytes;
    (void)address;
}

static u32 *header(u32 offset)
{
    return (u32 *)(memory + offset);
}

static void go_on(void)
{
    if (!consumed) {
        *header(MONATT_RING_CONSUMED) = *header(MONATT_RING_PRODUCED);
    } else if (consumed_left > 0) {
        *header(MONATT_RING_CONSUMED) = *consumed++;
        consumed_left--;
    } else if (gone_for_good) {
        control = MONATT_RING_FAULT;
    }
}

static u32 monatt_read32(struct monatt *m, u32 offset)
{
    (void)m;
    return offset == MONATT_REG_RING_CONTROL ? control : 0;
}

static void monatt_write32(struct monatt *m, u32 offset, u32 value)
{
    (void)m;
    if (offset == MONATT_REG_RING_CONTROL) {
        control = gone_for_good && control == MONATT_RING_FAULT ? control : value;
        stops += value == 0;
    } else if (offset == MONATT_REG_DOORBELL) {
        go_on();
    }
}

static void monatt_write64(struct monatt *m, u32 offset, u64 value)
{
    (void)m;
    (void)offset;
    (void)value;
}

static bool monatt_alive(struct monatt *m)
{
    (void)m;
    return true;
}

static int monatt_interrupted(struct monatt *m)
{
    (void)m;
    return 0;
}

static int monatt_slot_trapped(struct monatt *m, struct monatt_slot *slot)
{
    (void)m;
    slot->result = MONATT_ERR_NONE;
    trapped++;
    return 0;
}

static void usleep_range(unsigned long least, unsigned long most)
{
    (void)least;
    (void)most;
    jiffies++;
    go_on();
}

static void cpu_relax(void)
{
}

#include "guest/linux/ring.c"

#define COUNT 4

/* One batch of COUNT slots, while the device counts as said. */
static int batch_of(u16 operation, const u32 *counts, size_t left, u32 *ret_done)
{
    static struct monatt_slot slots[COUNT];
    struct pci_dev pdev = {0};
    struct monatt m = {.pdev = &pdev};
    memset(slots, 0, sizeof(slots));
    for (size_t i = 0; i < COUNT; i++) {
        slots[i].operation = operation;
        slots[i].banks = MONATT_SLOT_BANK_SHA256;
    }
    consumed = counts;
    consumed_left = left;
    monatt_ring_allocate(&m);
    g_assert_true(monatt_ring_start(&m));
    *header(MONATT_RING_DEVICE_FLAGS) = MONATT_RING_WANT_DOORBELL;
    stops = 0;
    int error = monatt_submit(&m, slots, COUNT, ret_done);
    monatt_ring_free(&m);
    for (u32 i = *ret_done; i < COUNT; i++) {
        g_assert_cmpuint(slots[i].result, ==, MONATT_ERR_BUSY);
    }
    return error;
}

static int batch(const u32 *counts, size_t left, u32 *ret_done)
{
    return batch_of(MONATT_RING_EXTEND, counts, left, ret_done);
}

static void test_honest(void)
{
    static const u32 in_steps[] = {1, 3, 4};
    u32 done;
    g_assert_cmpint(batch(NULL, 0, &done), ==, 0);
    g_assert_cmpuint(done, ==, COUNT);
    g_assert_cmpint(batch(in_steps, G_N_ELEMENTS(in_steps), &done), ==, 0);
    g_assert_cmpuint(done, ==, COUNT);
    g_assert_cmpuint(stops, ==, 0);
}

/* Nothing is known of the slots that were not counted rightly: EIO, with the ring off. */
static void test_too_many(void)
{
    static const u32 counts[] = {COUNT + 1};
    u32 done;
    g_assert_cmpint(batch(counts, 1, &done), ==, -EIO);
    g_assert_cmpuint(done, ==, 0);
    g_assert_cmpuint(stops, ==, 1);
}

static void test_backwards(void)
{
    static const u32 counts[] = {3, 1};
    u32 done;
    g_assert_cmpint(batch(counts, G_N_ELEMENTS(counts), &done), ==, -EIO);
    g_assert_cmpuint(done, ==, 3);
    g_assert_cmpuint(stops, ==, 1);
}

static void test_silent(void)
{
    static const u32 counts[] = {2};
    u32 done;
    g_assert_cmpint(batch(counts, 1, &done), ==, -EBUSY);
    g_assert_cmpuint(done, ==, 2);
    g_assert_cmpuint(stops, ==, 1);
}

/* The rest of the extends goes by trapped registers.  A part of a report has no such form: it would
 * be taken for a reset of MR0. */
static void test_gone_for_good(void)
{
    static const u32 counts[] = {2};
    u32 done;
    gone_for_good = true;
    g_assert_cmpint(batch(counts, 1, &done), ==, 0);
    g_assert_cmpuint(done, ==, COUNT);
    g_assert_cmpuint(trapped, ==, COUNT - 2);
    trapped = 0;
    control = MONATT_RING_OFF;
    g_assert_cmpint(batch_of(MONATT_RING_REPORT_READ, counts, 1, &done), ==, -EBUSY);
    g_assert_cmpuint(done, ==, 2);
    g_assert_cmpuint(trapped, ==, 0);
    gone_for_good = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(60);
    g_test_add_func("/driver-ring/honest", test_honest);
    g_test_add_func("/driver-ring/too-many", test_too_many);
    g_test_add_func("/driver-ring/backwards", test_backwards);
    g_test_add_func("/driver-ring/silent", test_silent);
    g_test_add_func("/driver-ring/gone-for-good", test_gone_for_good);
    return g_test_run();
}
