/* SPDX-License-Identifier: GPL-2.0 */
/*
 * chardev.c - /dev/monatt: slots by the thousand, all registers, process list, report
 *
 * monatt-ioctl.h says what each call means.  What user space hands in is copied once and checked in
 * the copy; user memory is never touched while a lock is held, as it can be slow without end.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "driver.h"

#define CHUNK 256 /* slots copied at a time, 282 KiB */

static int device_open(struct inode *inode, struct file *file)
{
    struct monatt *m = container_of(file->private_data, struct monatt, misc);

    /* misc_deregister() waits for us, so the bound driver's reference is still there. */
    kref_get(&m->references);
    file->private_data = m;
    return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
    monatt_put(file->private_data);
    return 0;
}

static ssize_t device_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
    struct monatt *m = file->private_data;
    u8 *page;
    int error;

    if (*at != 0 || size != MONATT_SHADOW_SIZE) {
        return -EINVAL;
    }
    page = (u8 *)__get_free_page(GFP_KERNEL);
    if (!page) {
        return -ENOMEM;
    }
    error = monatt_shadow_read(m, 0, page, MONATT_SHADOW_SIZE);
    if (!error && copy_to_user(to, page, MONATT_SHADOW_SIZE)) {
        error = -EFAULT;
    }
    free_page((unsigned long)page);
    return error ? error : (ssize_t)size;
}

static bool slot_is_good(const struct monatt_slot *slot)
{
    /* The device judges the rest, slot by slot. */
    return (slot->operation == MONATT_RING_EXTEND || slot->operation == MONATT_RING_RESET) &&
           slot->reserved == 0 && slot->content_size <= sizeof(slot->content);
}

/* At most CHUNK slots.  done: as monatt_submit() says. */
static int submit_chunk(struct monatt *m, struct monatt_slot *slots, u32 count, u32 *done)
{
    int error;

    *done = 0;
    for (u32 i = 0; i < count; i++) {
        if (!slot_is_good(&slots[i])) {
            return -EINVAL;
        }
    }
    error = monatt_lock(m);
    if (!error) {
        error = monatt_submit(m, slots, count, done);
        monatt_unlock(m);
    }
    return error;
}

/* Only what the device may have changed. */
static int put_results(struct monatt_slot __user *to, const struct monatt_slot *slots, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (put_user(slots[i].result, &to[i].result) || put_user(slots[i].record, &to[i].record)) {
            return -EFAULT;
        }
    }
    return 0;
}

/* The slots that nobody came to are busy as well: they were not done. */
static int put_busy(struct monatt_slot __user *to, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (put_user((u32)MONATT_ERR_BUSY, &to[i].result) || put_user((u64)0, &to[i].record)) {
            return -EFAULT;
        }
    }
    return 0;
}

static long do_submit(struct monatt *m, struct monatt_submit __user *argument)
{
    struct monatt_submit submit;
    struct monatt_slot __user *user;
    struct monatt_slot *slots;
    u32 total = 0;
    int error = 0;

    if (copy_from_user(&submit, argument, sizeof(submit))) {
        return -EFAULT;
    }
    if (submit.count == 0 || submit.count > MONATT_SUBMIT_MAXIMUM || submit.reserved != 0 ||
        submit.slot_size != sizeof(struct monatt_slot)) {
        return -EINVAL;
    }
    user = u64_to_user_ptr(submit.slots);
    slots = kvmalloc_array(min_t(u32, submit.count, CHUNK), sizeof(*slots), GFP_KERNEL);
    if (!slots) {
        return -ENOMEM;
    }
    while (total < submit.count && !error) {
        u32 count = min_t(u32, submit.count - total, CHUNK);
        u32 done = 0;

        if (copy_from_user(slots, user + total, count * sizeof(*slots))) {
            error = -EFAULT;
            break;
        }
        error = submit_chunk(m, slots, count, &done);
        if (put_results(user + total, slots, done)) {
            error = -EFAULT;
        }
        total += done;
        cond_resched();
    }
    kvfree(slots);
    if (error == -EBUSY) {
        error = put_busy(user + total, submit.count - total);
    }
    if (put_user(total, &argument->done)) {
        error = -EFAULT;
    }
    return error;
}

static ssize_t device_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
    struct monatt *m = file->private_data;
    struct monatt_slot *slots;
    u32 count = size / sizeof(*slots);
    u32 total = 0;
    int error = 0;

    if (size == 0 || size % sizeof(*slots) != 0 || size / sizeof(*slots) > MONATT_SUBMIT_MAXIMUM) {
        return -EINVAL;
    }
    slots = kvmalloc_array(min_t(u32, count, CHUNK), sizeof(*slots), GFP_KERNEL);
    if (!slots) {
        return -ENOMEM;
    }
    while (total < count && !error) {
        u32 part = min_t(u32, count - total, CHUNK);
        u32 done = 0;
        u32 good = 0;

        if (copy_from_user(slots, from + (size_t)total * sizeof(*slots), part * sizeof(*slots))) {
            error = -EFAULT;
            break;
        }
        error = submit_chunk(m, slots, part, &done);
        while (good < done && slots[good].result == MONATT_ERR_NONE) {
            good++;
        }
        if (good < done) {
            error = monatt_errno(slots[good].result);
        }
        total += good;
        cond_resched();
    }
    kvfree(slots);
    return total > 0 ? (ssize_t)total * (ssize_t)sizeof(*slots) : error;
}

static long do_info(struct monatt *m, struct monatt_info __user *argument)
{
    struct monatt_info info = {.driver_version = MONATT_DRIVER_VERSION};
    int error = monatt_enter(m);

    if (error) {
        return error;
    }
    info.map_version = monatt_read32(m, MONATT_REG_VERSION);
    info.capabilities = m->capabilities;
    info.status = monatt_read32(m, MONATT_REG_STATUS);
    info.features = (READ_ONCE(m->ring.on) ? MONATT_FEATURE_RING : 0) |
                    (READ_ONCE(m->shadow.on) ? MONATT_FEATURE_SHADOW : 0) |
                    (m->irq ? MONATT_FEATURE_INTERRUPT : 0) |
                    (m->capabilities & MONATT_CAP_REPORT ? MONATT_FEATURE_REPORT : 0);
    info.ring_slots = READ_ONCE(m->ring.on) ? m->ring.slots : 0;
    info.pending = monatt_read32(m, MONATT_REG_PENDING);
    info.boot_count = monatt_read32(m, MONATT_REG_BOOT_COUNT);
    monatt_ring_records(m, &info.records, &info.records_synced);
    monatt_read_nonce(m, info.nonce);
    strscpy(info.pci_name, pci_name(m->pdev), sizeof(info.pci_name));
    monatt_leave(m);
    return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static long do_list(struct monatt *m, const struct monatt_list __user *argument)
{
    struct monatt_list list;
    u8 *data;
    int error;

    if (copy_from_user(&list, argument, sizeof(list))) {
        return -EFAULT;
    }
    if (list.size == 0 || list.size > MONATT_LIST_MAXIMUM || list.reserved != 0) {
        return -EINVAL;
    }
    data = vmemdup_user(u64_to_user_ptr(list.data), list.size);
    if (IS_ERR(data)) {
        return PTR_ERR(data);
    }
    error = monatt_lock(m);
    if (!error) {
        error = monatt_list(m, data, list.size);
        monatt_unlock(m);
    }
    kvfree(data);
    return error;
}

static long do_report(struct monatt *m, struct monatt_report __user *argument)
{
    struct monatt_report report;
    u8 *data = NULL;
    size_t size = 0;
    int error;

    if (copy_from_user(&report, argument, sizeof(report))) {
        return -EFAULT;
    }
    if (report.inblob_size == 0 || report.inblob_size > MONATT_INBLOB_MAXIMUM ||
        report.reserved != 0) {
        return -EINVAL;
    }
    error =
        monatt_report_make(m, report.inblob, report.inblob_size, report.buffer_size, &data, &size);
    if (error == -EFBIG) {
        error = -ENOSPC;
    }
    if (!error && copy_to_user(u64_to_user_ptr(report.buffer), data, size)) {
        error = -EFAULT;
    }
    kvfree(data);
    if ((!error || error == -ENOSPC) && put_user((u32)size, &argument->size)) {
        error = -EFAULT;
    }
    return error;
}

static long device_ioctl(struct file *file, unsigned command, unsigned long argument)
{
    struct monatt *m = file->private_data;
    void __user *pointer = (void __user *)argument;

    switch (command) {
    case MONATT_IOC_INFO:
        return do_info(m, pointer);
    case MONATT_IOC_SUBMIT:
        return do_submit(m, pointer);
    case MONATT_IOC_LIST:
        return do_list(m, pointer);
    case MONATT_IOC_REPORT:
        return do_report(m, pointer);
    default:
        return -ENOTTY;
    }
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
    struct monatt *m = file->private_data;
    int error;

    if (vma->vm_pgoff != 0 || vma->vm_end - vma->vm_start != PAGE_SIZE) {
        return -EINVAL;
    }
    if (vma->vm_flags & VM_WRITE) {
        return -EACCES;
    }
    error = monatt_enter(m);
    if (error) {
        return error;
    }
    /* The page is counted: it stays when the driver goes, with a sequence that says so. */
    error = -EOPNOTSUPP;
    if (READ_ONCE(m->shadow.on)) {
#ifdef MONATT_HAVE_VM_FLAGS_CLEAR
        vm_flags_clear(vma, VM_MAYWRITE);
#else
        vma->vm_flags &= ~VM_MAYWRITE;
#endif
        error = vm_insert_page(vma, vma->vm_start, m->shadow.page);
    }
    monatt_leave(m);
    return error;
}

const struct file_operations monatt_fops = {
    .owner = THIS_MODULE,
    .open = device_open,
    .release = device_release,
    .read = device_read,
    .write = device_write,
    .unlocked_ioctl = device_ioctl,
    .compat_ioctl = compat_ptr_ioctl,
    .mmap = device_mmap,
};
