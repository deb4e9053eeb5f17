/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ring.c - many extends at a time through the submission ring in this guest's memory
 *
 * The ring's memory is the device's to write, so nothing is read back from it that was not meant to
 * come from the device, and counts are checked before they are used.  A slot that was handed over
 * can be taken back in one way only: by switching the ring off, after which the device's count says
 * for good what was done.  Must never report a slot as done, or as not done, on anything else.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include "driver.h"

#define SLOTS_WANTED 256
#define SPINS 2000        /* before the first sleep: a busy device is done in microseconds */
#define SLEEP_US_FIRST 20 /* doubled up to */
#define SLEEP_US_LAST 1000
#define CHECK_MS 50        /* without progress: is the ring still on, the device still there? */
#define FAILURES_MAXIMUM 3 /* then trapped registers it is, for a minute */

static u32 header_read(struct monatt *m, u32 offset)
{
    return le32_to_cpu(READ_ONCE(*(__le32 *)(m->ring.memory + offset)));
}

static void header_write(struct monatt *m, u32 offset, u32 value)
{
    WRITE_ONCE(*(__le32 *)(m->ring.memory + offset), cpu_to_le32(value));
}

static u8 *slot_at(struct monatt *m, u32 count)
{
    return m->ring.memory + MONATT_RING_HEADER_SIZE +
           (size_t)(count & (m->ring.slots - 1)) * MONATT_RING_SLOT_SIZE;
}

void monatt_ring_allocate(struct monatt *m)
{
    struct monatt_ring *ring = &m->ring;

    /* One piece of physical memory; a small one is better than none. */
    for (u32 slots = SLOTS_WANTED; slots >= MONATT_RING_SLOTS_MINIMUM; slots /= 2) {
        size_t size = MONATT_RING_HEADER_SIZE + (size_t)slots * MONATT_RING_SLOT_SIZE;

        ring->memory =
            dma_alloc_coherent(&m->pdev->dev, size, &ring->address, GFP_KERNEL | __GFP_NOWARN);
        if (ring->memory) {
            ring->slots = slots;
            ring->size = size;
            return;
        }
    }
    dev_warn(&m->pdev->dev, "no memory for a ring, extends will be slow\n");
}

void monatt_ring_free(struct monatt *m)
{
    struct monatt_ring *ring = &m->ring;

    if (ring->memory) {
        dma_free_coherent(&m->pdev->dev, ring->size, ring->memory, ring->address);
        ring->memory = NULL;
    }
}

void monatt_ring_stop(struct monatt *m)
{
    if (m->ring.memory) {
        monatt_write32(m, MONATT_REG_RING_CONTROL, 0);
        /* The device's answer to this read comes after it left the memory alone. */
        monatt_read32(m, MONATT_REG_RING_CONTROL);
    }
    m->ring.on = false;
}

bool monatt_ring_start(struct monatt *m)
{
    struct monatt_ring *ring = &m->ring;
    u32 state;

    if (!ring->memory) {
        return false;
    }
    /* Off first: the device must not see a header that is half of the old ring's. */
    monatt_ring_stop(m);
    memset(ring->memory, 0, MONATT_RING_HEADER_SIZE);
    ring->produced = 0;
    monatt_write64(m, MONATT_REG_RING_ADDRESS, ring->address);
    monatt_write32(m, MONATT_REG_RING_SLOTS, ring->slots);
    monatt_write32(m, MONATT_REG_RING_CONTROL, 1);
    state = monatt_read32(m, MONATT_REG_RING_CONTROL);
    ring->on = state == MONATT_RING_ON;
    if (!ring->on && state != U32_MAX) {
        dev_warn(&m->pdev->dev, "the device takes no ring (state %u, error %u)\n", state,
                 monatt_read32(m, MONATT_REG_RING_ERROR));
    }
    return ring->on;
}

void monatt_ring_records(struct monatt *m, u64 *records, u64 *synced)
{
    *records = 0;
    *synced = 0;
    if (m->ring.on) {
        *records = le64_to_cpu(READ_ONCE(*(__le64 *)(m->ring.memory + MONATT_RING_RECORDS)));
        *synced = le64_to_cpu(READ_ONCE(*(__le64 *)(m->ring.memory + MONATT_RING_RECORDS_SYNCED)));
    }
}

static void fill(u8 *to, const struct monatt_slot *slot)
{
    memset(to, 0, MONATT_SLOT_CONTENT);
    *(__le16 *)(to + MONATT_SLOT_OPERATION) = cpu_to_le16(slot->operation);
    *(__le16 *)(to + MONATT_SLOT_REGISTER) = cpu_to_le16(slot->index);
    if (slot->operation == MONATT_RING_REPORT_READ) {
        *(__le32 *)(to + MONATT_SLOT_OFFSET) = cpu_to_le32(slot->reserved);
        return;
    }
    *(__le16 *)(to + MONATT_SLOT_BANKS) = cpu_to_le16(slot->banks);
    *(__le16 *)(to + MONATT_SLOT_SIZE) = cpu_to_le16(slot->content_size);
    memcpy(to + MONATT_SLOT_SHA256, slot->sha256, sizeof(slot->sha256));
    memcpy(to + MONATT_SLOT_SHA384, slot->sha384, sizeof(slot->sha384));
    memcpy(to + MONATT_SLOT_CONTENT, slot->content, slot->content_size);
}

static void collect(const u8 *from, struct monatt_slot *slot)
{
    slot->result = le32_to_cpu(READ_ONCE(*(const __le32 *)(from + MONATT_SLOT_RESULT)));
    slot->record = le64_to_cpu(READ_ONCE(*(const __le64 *)(from + MONATT_SLOT_RECORD)));
    if (slot->operation == MONATT_RING_REPORT_READ) {
        u16 size = le16_to_cpu(READ_ONCE(*(const __le16 *)(from + MONATT_SLOT_SIZE)));

        slot->content_size = min_t(u16, size, sizeof(slot->content));
        memcpy(slot->content, from + MONATT_SLOT_CONTENT, slot->content_size);
    }
}

static void doorbell(struct monatt *m)
{
    if (header_read(m, MONATT_RING_DEVICE_FLAGS) & MONATT_RING_WANT_DOORBELL) {
        monatt_write32(m, MONATT_REG_DOORBELL, 1);
    }
}

/* One walk through the ring. */
struct walk {
    struct monatt_slot *slots;
    u32 count;
    u32 base;     /* RING_PRODUCED before the first of them */
    u32 given;    /* handed over */
    u32 finished; /* of those, results collected */
};

/* Takes in what the device did.  False: it counts slots that it never got, or counts backwards. */
static bool harvest(struct monatt *m, struct walk *walk)
{
    u32 ready = header_read(m, MONATT_RING_CONSUMED) - walk->base;

    virt_rmb(); /* the count before what it counts */
    if (ready > walk->given || ready < walk->finished) {
        return false;
    }
    for (; walk->finished < ready; walk->finished++) {
        collect(slot_at(m, walk->base + walk->finished), &walk->slots[walk->finished]);
    }
    return true;
}

static void hand_over(struct monatt *m, struct walk *walk)
{
    u32 before = walk->given;

    while (walk->given < walk->count && walk->given - walk->finished < m->ring.slots) {
        fill(slot_at(m, walk->base + walk->given), &walk->slots[walk->given]);
        walk->given++;
    }
    if (walk->given != before) {
        virt_wmb(); /* slots before their count */
        m->ring.produced = walk->base + walk->given;
        header_write(m, MONATT_RING_PRODUCED, m->ring.produced);
        virt_mb(); /* the count before the look at whether the device sleeps */
        doorbell(m);
    }
}

static bool any_consumed(struct monatt *m, const struct walk *walk)
{
    return header_read(m, MONATT_RING_CONSUMED) - walk->base != walk->finished;
}

/* Sleeps for at most us microseconds, or until the device says by interrupt that it went on. */
static void pause_for(struct monatt *m, const struct walk *walk, unsigned us)
{
    if (!m->irq) {
        usleep_range(us, 2 * us);
        return;
    }
    header_write(m, MONATT_RING_GUEST_FLAGS, MONATT_RING_WANT_INTERRUPT);
    virt_mb();
    wait_event_timeout(m->consumed, any_consumed(m, walk), usecs_to_jiffies(us) + 1);
    header_write(m, MONATT_RING_GUEST_FLAGS, 0);
}

/* Why the ring cannot go on: 0 when it can, EAGAIN when it must be started again. */
static int check(struct monatt *m, unsigned long until)
{
    u32 state = monatt_read32(m, MONATT_REG_RING_CONTROL);

    if (state == U32_MAX && !monatt_alive(m)) {
        return -ENODEV;
    }
    if (state != MONATT_RING_ON) {
        return -EAGAIN;
    }
    doorbell(m);
    return time_after(jiffies, until) ? -EBUSY : 0;
}

/* Waits until the device has gone on.  0, or why it did not. */
static int await(struct monatt *m, const struct walk *walk, unsigned long until)
{
    unsigned long next = jiffies + msecs_to_jiffies(CHECK_MS);
    unsigned us = SLEEP_US_FIRST;

    for (unsigned i = 0; i < SPINS; i++) {
        if (any_consumed(m, walk)) {
            return 0;
        }
        cpu_relax();
    }
    while (!any_consumed(m, walk)) {
        int error = monatt_interrupted(m);

        if (!error && time_after(jiffies, next)) {
            error = check(m, until);
            next = jiffies + msecs_to_jiffies(CHECK_MS);
        }
        if (error) {
            return error;
        }
        pause_for(m, walk, us);
        us = min(2 * us, (unsigned)SLEEP_US_LAST);
    }
    return 0;
}

static int ring_submit(struct monatt *m, struct monatt_slot *slots, u32 count, u32 *done)
{
    struct walk walk = {.slots = slots, .count = count, .base = m->ring.produced};
    unsigned long until = jiffies + msecs_to_jiffies(MONATT_PATIENCE_MS);
    int error = 0;

    hand_over(m, &walk);
    while (walk.finished < count) {
        u32 before = walk.finished;

        error = await(m, &walk, until);
        if (error) {
            break;
        }
        if (!harvest(m, &walk)) {
            dev_err(&m->pdev->dev, "the device counts slots wrongly\n");
            error = -EAGAIN;
            break;
        }
        if (walk.finished != before) {
            until = jiffies + msecs_to_jiffies(MONATT_PATIENCE_MS);
        }
        hand_over(m, &walk);
    }
    if (error) {
        /* From here on nothing more is done; what was done in the meantime counts. */
        monatt_ring_stop(m);
        if (!harvest(m, &walk)) {
            error = -EIO;
        }
    }
    *done = walk.finished;
    return error;
}

static bool ring_ready(struct monatt *m)
{
    if (m->ring.on) {
        return true;
    }
    if (m->ring.failures >= FAILURES_MAXIMUM || !m->ring.memory) {
        return false;
    }
    if (monatt_ring_start(m)) {
        return true;
    }
    if (++m->ring.failures == FAILURES_MAXIMUM) {
        dev_warn(&m->pdev->dev, "no ring for a minute, extends will be slow\n");
    }
    return false;
}

int monatt_submit(struct monatt *m, struct monatt_slot *slots, u32 count, u32 *done)
{
    int error = 0;

    *done = 0;
    while (*done < count && !error) {
        u32 part = 0;

        if (ring_ready(m)) {
            error = ring_submit(m, slots + *done, count - *done, &part);
            m->ring.failures = part > 0 ? 0 : m->ring.failures + (error == -EAGAIN);
        } else if (slots[*done].operation == MONATT_RING_REPORT_READ) {
            error = -EBUSY; /* it has no other form; report.c reads on without ring */
        } else {
            error = monatt_slot_trapped(m, &slots[*done]);
            part = error ? 0 : 1;
        }
        *done += part;
        error = error == -EAGAIN ? 0 : error;
    }
    for (u32 i = *done; i < count; i++) {
        slots[i].result = MONATT_ERR_BUSY;
        slots[i].record = 0;
    }
    return error;
}
