/* SPDX-License-Identifier: GPL-2.0 */
/*
 * registers.c - commands and extends through the device's trapped registers
 *
 * Must never repeat an extend whose outcome it does not know: only "busy" says that nothing was
 * done.  Each access costs an exit, so they are few and wide.
 */
#include <linux/delay.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/string.h>
#include "driver.h"

#define BUSY_PAUSE_US 2000
#define ERROR_KNOWN_MAXIMUM 0xff /* far above what the map names: anything else is no answer */

/*
 * One access at a time, of all CPUs: while QEMU's x-pci-proxy-dev waits for the device's answer it
 * lets other vCPUs run, and then refuses their accesses to the same device as re-entrant: a write
 * is lost, a read gives 0.
 */
static u64 access_read(struct monatt *m, const u8 __iomem *from, bool wide)
{
    unsigned long flags;
    u64 value;

    spin_lock_irqsave(&m->access, flags);
    value = wide ? readq(from) : readl(from);
    spin_unlock_irqrestore(&m->access, flags);
    return value;
}

u32 monatt_read32(struct monatt *m, u32 offset)
{
    return access_read(m, m->bar0 + offset, false);
}

u64 monatt_read64(struct monatt *m, u32 offset)
{
    return access_read(m, m->bar0 + offset, true);
}

u32 monatt_bar2_read32(struct monatt *m, u32 offset)
{
    return access_read(m, m->bar2 + offset, false);
}

u64 monatt_bar2_read64(struct monatt *m, u32 offset)
{
    return access_read(m, m->bar2 + offset, true);
}

void monatt_write32(struct monatt *m, u32 offset, u32 value)
{
    unsigned long flags;

    spin_lock_irqsave(&m->access, flags);
    writel(value, m->bar0 + offset);
    spin_unlock_irqrestore(&m->access, flags);
}

void monatt_write64(struct monatt *m, u32 offset, u64 value)
{
    unsigned long flags;

    spin_lock_irqsave(&m->access, flags);
    writeq(value, m->bar0 + offset);
    spin_unlock_irqrestore(&m->access, flags);
}

bool monatt_alive(struct monatt *m)
{
    return monatt_read32(m, MONATT_REG_MAGIC) == MONATT_MAGIC;
}

/* offset is a multiple of 8; the last eight bytes written are padded with zeros. */
void monatt_window_write(struct monatt *m, u32 offset, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        u64 value = 0;

        memcpy(&value, (const u8 *)data + i, min_t(size_t, size - i, 8));
        monatt_write64(m, MONATT_REG_DATA + offset + i, value);
    }
}

void monatt_window_read(struct monatt *m, void *data, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        u64 value = monatt_read64(m, MONATT_REG_DATA + i);

        memcpy((u8 *)data + i, &value, min_t(size_t, size - i, 8));
    }
}

void monatt_read_nonce(struct monatt *m, u8 nonce[32])
{
    for (unsigned i = 0; i < 32; i += 8) {
        u64 value = monatt_read64(m, MONATT_REG_NONCE + i);

        memcpy(nonce + i, &value, sizeof(value));
    }
}

int monatt_command(struct monatt *m, u32 command)
{
    unsigned long until = jiffies + msecs_to_jiffies(MONATT_PATIENCE_MS);
    u32 error;
    int stop;

    for (;;) {
        monatt_write32(m, MONATT_REG_COMMAND, command);
        error = monatt_read32(m, MONATT_REG_ERROR);
        if (error != MONATT_ERR_BUSY || time_after(jiffies, until)) {
            break;
        }
        stop = monatt_interrupted(m);
        if (stop) {
            return stop;
        }
        usleep_range(BUSY_PAUSE_US, 2 * BUSY_PAUSE_US);
    }
    if (error == U32_MAX && !monatt_alive(m)) {
        return -ENODEV;
    }
    return error <= ERROR_KNOWN_MAXIMUM ? (int)error : -EIO;
}

/* Digests and content one after the other, as the commands want them; 0 when they do not fit. */
static u32 write_window(struct monatt *m, const struct monatt_slot *slot)
{
    u32 size = 0;

    /* The digests' sizes are multiples of 8, so each part begins at one. */
    if (slot->banks & MONATT_SLOT_BANK_SHA256) {
        monatt_window_write(m, size, slot->sha256, sizeof(slot->sha256));
        size += sizeof(slot->sha256);
    }
    if (slot->banks & MONATT_SLOT_BANK_SHA384) {
        monatt_window_write(m, size, slot->sha384, sizeof(slot->sha384));
        size += sizeof(slot->sha384);
    }
    if (slot->content_size > MONATT_DATA_SIZE - size) {
        return 0;
    }
    monatt_window_write(m, size, slot->content, slot->content_size);
    return size + slot->content_size;
}

int monatt_slot_trapped(struct monatt *m, struct monatt_slot *slot)
{
    u32 command = MONATT_CMD_RESET_REGISTER;
    u32 size = 0;
    int error;

    slot->record = 0;
    if (slot->operation == MONATT_RING_EXTEND) {
        /* The numbers of the commands are those of the banks. */
        command = slot->banks;
        if (command < MONATT_CMD_EXTEND_SHA256 || command > MONATT_CMD_EXTEND_BOTH) {
            slot->result = MONATT_ERR_COMMAND;
            return 0;
        }
        size = write_window(m, slot);
        if (size == 0) {
            slot->result = MONATT_ERR_SIZE;
            return 0;
        }
    }
    monatt_write32(m, MONATT_REG_INDEX, slot->index);
    monatt_write32(m, MONATT_REG_DATA_SIZE, size);
    error = monatt_command(m, command);
    slot->result = error >= 0 ? error : MONATT_ERR_BUSY;
    return error < 0 ? error : error == MONATT_ERR_BUSY ? -EBUSY : 0;
}

int monatt_list(struct monatt *m, const u8 *list, u32 size)
{
    int error = monatt_command(m, MONATT_CMD_LIST_BEGIN);

    for (u32 at = 0; at < size && error == MONATT_ERR_NONE;) {
        u32 part = min_t(u32, size - at, MONATT_DATA_SIZE);

        monatt_window_write(m, 0, list + at, part);
        monatt_write32(m, MONATT_REG_DATA_SIZE, part);
        error = monatt_command(m, MONATT_CMD_LIST_APPEND);
        at += part;
    }
    if (error == MONATT_ERR_NONE) {
        error = monatt_command(m, MONATT_CMD_LIST_END);
    }
    return error < 0 ? error : monatt_errno(error);
}

int monatt_errno(u32 error)
{
    switch (error) {
    case MONATT_ERR_NONE:
        return 0;
    case MONATT_ERR_COMMAND:
        return -EOPNOTSUPP;
    case MONATT_ERR_INDEX:
        return -ENXIO;
    case MONATT_ERR_LOCALITY:
        return -EACCES;
    case MONATT_ERR_SIZE:
        return -EINVAL;
    case MONATT_ERR_BUSY:
        return -EBUSY;
    case MONATT_ERR_FULL:
        return -ENOSPC;
    default:
        return -EIO;
    }
}
