/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report.c - evidence about this VM from its host, by the device
 *
 * The host makes one report at a time; so does this file.  Extends go on while it waits.  Must
 * never hand out a report that was asked for with another inblob, nor one put together of two.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "driver.h"

#define PATIENCE_MS 70000 /* the device refuses what the host did not answer in a minute */
#define PAUSE_MS_FIRST 5  /* doubled up to */
#define PAUSE_MS_LAST 100
#define CHUNK 64 /* slots read at a time through the ring */

static int begin(struct monatt *m, const u8 *inblob, size_t size)
{
    int error = monatt_lock(m);

    if (error) {
        return error;
    }
    monatt_window_write(m, 0, inblob, size);
    monatt_write32(m, MONATT_REG_DATA_SIZE, size);
    error = monatt_command(m, MONATT_CMD_REPORT_BEGIN);
    monatt_unlock(m);
    return error < 0 ? error : monatt_errno(error);
}

static int state_of(struct monatt *m, u32 *state, u32 *size)
{
    int error = monatt_enter(m);

    if (!error) {
        *state = monatt_read32(m, MONATT_REG_REPORT_STATE);
        *size = monatt_read32(m, MONATT_REG_REPORT_SIZE);
        monatt_leave(m);
    }
    return error;
}

static int await_report(struct monatt *m, u32 *size)
{
    unsigned long until = jiffies + msecs_to_jiffies(PATIENCE_MS);
    unsigned ms = PAUSE_MS_FIRST;

    for (;;) {
        u32 state;
        int error = state_of(m, &state, size);

        if (error) {
            return error;
        }
        switch (state) {
        case MONATT_REPORT_READY:
            return *size > 0 && *size <= MONATT_REPORT_MAXIMUM ? 0 : -EIO;
        case MONATT_REPORT_WAITING:
            break;
        case MONATT_REPORT_REFUSED:
            dev_notice_ratelimited(&m->pdev->dev, "the host refused a report (reason %u)\n", *size);
            return -EACCES;
        default:
            return -EIO; /* dropped: a reset of the device */
        }
        if (time_after(jiffies, until)) {
            return -ETIMEDOUT;
        }
        error = monatt_interrupted(m);
        if (error) {
            return error;
        }
        msleep(ms);
        ms = min(2 * ms, (unsigned)PAUSE_MS_LAST);
    }
}

/* Under lock.  One part of the report: 0, or a negative errno. */
static int read_trapped(struct monatt *m, u32 at, u8 *part, u32 wanted)
{
    int error;

    monatt_write32(m, MONATT_REG_REPORT_OFFSET, at);
    error = monatt_command(m, MONATT_CMD_REPORT_READ);
    if (error) {
        return error < 0 ? error : monatt_errno(error);
    }
    if (monatt_read32(m, MONATT_REG_DATA_SIZE) != wanted) {
        return -EIO;
    }
    monatt_window_read(m, part, wanted);
    return 0;
}

/* Up to CHUNK parts through the ring; as monatt_submit() says they are put together here. */
static int read_ring(struct monatt *m, u32 at, u8 *data, u32 size, struct monatt_slot *slots)
{
    u32 count = 0;
    u32 done;
    int error;

    for (u32 here = 0; here < size; here += MONATT_DATA_SIZE) {
        slots[count].operation = MONATT_RING_REPORT_READ;
        slots[count].reserved = at + here;
        slots[count].content_size = 0;
        count++;
    }
    error = monatt_submit(m, slots, count, &done);
    for (u32 i = 0; i < count && !error; i++) {
        u32 here = i * MONATT_DATA_SIZE;
        u32 wanted = min_t(u32, size - here, MONATT_DATA_SIZE);

        error = monatt_errno(slots[i].result);
        if (!error && slots[i].content_size != wanted) {
            error = -EIO;
        }
        if (!error) {
            memcpy(data + here, slots[i].content, wanted);
        }
    }
    return error;
}

static int read_all(struct monatt *m, u8 *data, u32 size, struct monatt_slot *slots)
{
    u32 state;
    u32 now;
    int error = 0;

    for (u32 at = 0; at < size && !error;) {
        bool ring;
        u32 part;

        error = monatt_lock(m);
        if (error) {
            return error;
        }
        ring = m->ring.on && slots;
        part = min_t(u32, size - at, ring ? CHUNK * MONATT_DATA_SIZE : MONATT_DATA_SIZE);
        error =
            ring ? read_ring(m, at, data + at, part, slots) : read_trapped(m, at, data + at, part);
        if (error == -EBUSY && ring && !m->ring.on) {
            /* It went off in the middle: this part again, and the rest, without it. */
            slots = NULL;
            part = 0;
            error = 0;
        }
        monatt_unlock(m);
        at += part;
        cond_resched();
    }
    /* Still the one that was ready when the first part was read. */
    if (!error) {
        error = state_of(m, &state, &now);
    }
    if (!error && (state != MONATT_REPORT_READY || now != size)) {
        error = -EIO;
    }
    return error;
}

int monatt_report_make(struct monatt *m, const u8 *inblob, size_t inblob_size, size_t limit,
                       u8 **ret_report, size_t *ret_size)
{
    struct monatt_slot *slots;
    u8 *data = NULL;
    u32 size = 0;
    int error;

    if (!(m->capabilities & MONATT_CAP_REPORT)) {
        return -EOPNOTSUPP;
    }
    if (inblob_size == 0 || inblob_size > MONATT_INBLOB_MAXIMUM) {
        return -EINVAL;
    }
    slots = kvcalloc(CHUNK, sizeof(*slots), GFP_KERNEL); /* NULL: trapped reads */
    error = mutex_lock_killable(&m->report_lock);
    if (error) {
        kvfree(slots);
        return error;
    }
    error = begin(m, inblob, inblob_size);
    if (!error) {
        error = await_report(m, &size);
    }
    *ret_size = size;
    if (!error && size > limit) {
        error = -EFBIG;
    }
    if (!error) {
        data = kvmalloc(size, GFP_KERNEL | __GFP_NOWARN);
        error = data ? read_all(m, data, size, slots) : -ENOMEM;
    }
    mutex_unlock(&m->report_lock);
    kvfree(slots);
    if (error) {
        kvfree(data);
        data = NULL;
    }
    *ret_report = data;
    return error;
}
