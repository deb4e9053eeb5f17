/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shadow.c - the measurement registers, read from the shadow page or, without one, from BAR2
 *
 * The page is the device's to write; while it does not, the driver keeps its sequence odd, so that
 * nobody takes a stale value for a fresh one.  Must never return bytes of two states.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "driver.h"

#define READ_TRIES 1000 /* a register changes in microseconds */

/* Odd: not kept up to date. */
static void invalidate(struct monatt *m)
{
    if (m->shadow.page) {
        WRITE_ONCE(*(__le32 *)page_address(m->shadow.page), cpu_to_le32(U32_MAX));
    }
}

/*
 * A page of its own and not coherent memory: user space may have it mapped for longer than the
 * driver is bound.  It must be the page itself that the device writes, no bounce buffer.
 */
void monatt_shadow_allocate(struct monatt *m)
{
    struct monatt_shadow *shadow = &m->shadow;
    struct device *dev = &m->pdev->dev;
    struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

    if (!page) {
        return;
    }
    shadow->address = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
    if (!dma_mapping_error(dev, shadow->address)) {
        if (shadow->address == page_to_phys(page)) {
            shadow->page = page;
            invalidate(m);
            return;
        }
        dma_unmap_page(dev, shadow->address, PAGE_SIZE, DMA_FROM_DEVICE);
    }
    put_page(page);
}

void monatt_shadow_free(struct monatt *m)
{
    struct monatt_shadow *shadow = &m->shadow;

    if (shadow->page) {
        dma_unmap_page(&m->pdev->dev, shadow->address, PAGE_SIZE, DMA_FROM_DEVICE);
        put_page(shadow->page);
        shadow->page = NULL;
    }
}

bool monatt_shadow_start(struct monatt *m)
{
    u32 state;

    m->shadow.on = false;
    if (!m->shadow.page) {
        return false;
    }
    monatt_write64(m, MONATT_REG_SHADOW_ADDRESS, m->shadow.address);
    monatt_write32(m, MONATT_REG_SHADOW_CONTROL, 1);
    state = monatt_read32(m, MONATT_REG_SHADOW_CONTROL);
    if (state != MONATT_RING_ON) {
        invalidate(m);
        if (state != U32_MAX) {
            dev_warn(&m->pdev->dev, "the device takes no shadow page (state %u)\n", state);
        }
        return false;
    }
    WRITE_ONCE(m->shadow.on, true);
    return true;
}

void monatt_shadow_stop(struct monatt *m)
{
    WRITE_ONCE(m->shadow.on, false);
    if (m->shadow.page) {
        monatt_write32(m, MONATT_REG_SHADOW_CONTROL, 0);
        monatt_read32(m, MONATT_REG_SHADOW_CONTROL);
        invalidate(m);
    }
}

static bool copy_shadow(struct monatt *m, u32 offset, void *data, u32 size)
{
    const u8 *page = page_address(m->shadow.page);

    for (unsigned i = 0; i < READ_TRIES; i++) {
        u32 before = READ_ONCE(*(const u32 *)(page + MONATT_BAR2_SEQUENCE));

        virt_rmb();
        memcpy(data, page + offset, size);
        virt_rmb();
        if (before == READ_ONCE(*(const u32 *)(page + MONATT_BAR2_SEQUENCE)) && !(before & 1)) {
            return true;
        }
        cond_resched();
    }
    return false;
}

static int copy_bar2(struct monatt *m, u32 offset, void *data, u32 size)
{
    for (unsigned i = 0; i < READ_TRIES; i++) {
        u32 before = monatt_bar2_read32(m, MONATT_BAR2_SEQUENCE);
        u32 after;

        for (u32 at = 0; at < size; at += 8) {
            u64 value = monatt_bar2_read64(m, offset + at);

            memcpy((u8 *)data + at, &value, sizeof(value));
        }
        after = monatt_bar2_read32(m, MONATT_BAR2_SEQUENCE);
        if (before == after && !(before & 1)) {
            return 0;
        }
        if (before == U32_MAX && !monatt_alive(m)) {
            return -ENODEV;
        }
        cond_resched();
    }
    return -EBUSY;
}

int monatt_shadow_read(struct monatt *m, u32 offset, void *data, u32 size)
{
    int error = monatt_enter(m);

    if (error) {
        return error;
    }
    /* monatt_enter() has looked whether the device is there: a dead one's page looks fresh. */
    if (!READ_ONCE(m->shadow.on) || !copy_shadow(m, offset, data, size)) {
        error = copy_bar2(m, offset, data, size);
    }
    monatt_leave(m);
    return error;
}
