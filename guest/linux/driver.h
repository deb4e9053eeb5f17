/* SPDX-License-Identifier: GPL-2.0 */
/*
 * driver.h - the Linux driver of the attest device, as its files see each other
 *
 * pci.c finds the device and gives it back; registers.c speaks with its trapped registers, ring.c
 * with the ring; shadow.c reads the measurement registers; measurements.c, chardev.c and report.c
 * offer all that to user space.  The device belongs to the host, which the guest need not trust:
 * every wait is bounded, every size that comes from it is checked, all ones mean that it is gone.
 */
#ifndef MONATT_DRIVER_H
#define MONATT_DRIVER_H

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "hw-attest/register-map.h"
#include "monatt-ioctl.h"

#define MONATT_NAME "monatt"
#define MONATT_REGISTERS 24
#define MONATT_BANKS 2
#define MONATT_REGISTER_NAME_SIZE 16 /* "mr23:sha384" */
#define MONATT_PATIENCE_MS 10000 /* the device takes nothing: a reset, a full disk, a dead TPM */

struct monatt_ring {
    u8 *memory; /* header page and slots; NULL: no ring */
    dma_addr_t address;
    size_t size;
    u32 slots;
    u32 produced;
    unsigned failures; /* since it last worked */
    bool on;
};

struct monatt_shadow {
    struct page *page; /* NULL: no shadow */
    dma_addr_t address;
    bool on;
};

struct monatt_measurements {
    struct bin_attribute files[MONATT_REGISTERS * MONATT_BANKS];
    char names[MONATT_REGISTERS * MONATT_BANKS][MONATT_REGISTER_NAME_SIZE];
    struct bin_attribute *list[MONATT_REGISTERS * MONATT_BANKS + 1];
    struct attribute_group group;
    const struct attribute_group *groups[2];
};

struct monatt {
    struct kref references; /* the bound driver and each open file */
    struct pci_dev *pdev;   /* referenced */
    struct miscdevice misc;
    u8 __iomem *bar0; /* under presence */
    u8 __iomem *bar2;
    u32 capabilities;
    bool removed;   /* set for good, before presence is taken for the last time */
    bool silent;    /* said that the device does not answer */
    unsigned turns; /* of the watch, since ring or shadow page are missing */
    bool provider_registered;
    int irq; /* 0: none */
    wait_queue_head_t consumed;
    /* Outermost first: one report at a time; the BARs are mapped (for reading); commands and ring,
     * held while the device takes nothing.  A read of registers needs presence alone. */
    struct mutex report_lock;
    struct rw_semaphore presence;
    struct mutex lock;
    spinlock_t access; /* innermost: see registers.c */
    struct monatt_ring ring;
    struct monatt_shadow shadow;
    struct monatt_measurements measurements;
    struct delayed_work watch;
};

/* pci.c */
void monatt_put(struct monatt *m);
/* presence, when the device answers: 0, ENODEV, EINTR. */
int monatt_enter(struct monatt *m);
void monatt_leave(struct monatt *m);
/* presence and lock. */
int monatt_lock(struct monatt *m);
void monatt_unlock(struct monatt *m);
/* Why the ring's or a register's wait must end: 0, ENODEV, EINTR. */
int monatt_interrupted(struct monatt *m);

/* registers.c; all under lock but for single reads */
u32 monatt_read32(struct monatt *m, u32 offset);
void monatt_write32(struct monatt *m, u32 offset, u32 value);
u64 monatt_read64(struct monatt *m, u32 offset);
void monatt_write64(struct monatt *m, u32 offset, u64 value);
/* The same in BAR2. */
u32 monatt_bar2_read32(struct monatt *m, u32 offset);
u64 monatt_bar2_read64(struct monatt *m, u32 offset);
bool monatt_alive(struct monatt *m);
void monatt_window_write(struct monatt *m, u32 offset, const void *data, size_t size);
void monatt_window_read(struct monatt *m, void *data, size_t size);
void monatt_read_nonce(struct monatt *m, u8 nonce[32]);
/* Asks again while the device is busy.  A MONATT_ERR_ value, or a negative errno. */
int monatt_command(struct monatt *m, u32 command);
/* One slot without a ring; its result is set.  0 or a negative errno. */
int monatt_slot_trapped(struct monatt *m, struct monatt_slot *slot);
int monatt_list(struct monatt *m, const u8 *list, u32 size);
/* What a MONATT_ERR_ value is as errno, 0 or negative. */
int monatt_errno(u32 error);

/*
 * ring.c; all under lock.  A slot of MONATT_RING_REPORT_READ, for the driver alone, has the
 * report's offset in its field "reserved"; content_size and content come back.
 */
void monatt_ring_allocate(struct monatt *m);
void monatt_ring_free(struct monatt *m);
bool monatt_ring_start(struct monatt *m);
void monatt_ring_stop(struct monatt *m);
/*
 * Does count slots through the ring, or through trapped registers when there is none.  done: how
 * many have a result of the device; the others got MONATT_ERR_BUSY.  0, EBUSY, EINTR, ENODEV.
 */
int monatt_submit(struct monatt *m, struct monatt_slot *slots, u32 count, u32 *done);
void monatt_ring_records(struct monatt *m, u64 *records, u64 *synced);

/* shadow.c; start and stop under lock */
void monatt_shadow_allocate(struct monatt *m);
void monatt_shadow_free(struct monatt *m);
bool monatt_shadow_start(struct monatt *m);
void monatt_shadow_stop(struct monatt *m);
/* size bytes of BAR2 at offset, consistent; both multiples of 8.  takes presence: 0 or errno. */
int monatt_shadow_read(struct monatt *m, u32 offset, void *data, u32 size);

/* measurements.c: fills misc.groups */
void monatt_measurements_init(struct monatt *m);

/* chardev.c */
extern const struct file_operations monatt_fops;

/*
 * report.c: evidence about this VM, kvfree() it.  limit: more bytes are EFBIG.  Waits a minute at
 * most; errors as in monatt-ioctl.h.
 */
int monatt_report_make(struct monatt *m, const u8 *inblob, size_t inblob_size, size_t limit,
                       u8 **ret_report, size_t *ret_size);

/* report-tsm.c or report-configfs.c: the configfs provider; one of the two, or neither */
#if defined(MONATT_TSM_REPORT) || defined(MONATT_OWN_CONFIGFS)
int monatt_provider_register(struct monatt *m);
void monatt_provider_unregister(struct monatt *m);
#else
static inline int monatt_provider_register(struct monatt *m)
{
    return -EOPNOTSUPP;
}
static inline void monatt_provider_unregister(struct monatt *m)
{
}
#endif
#ifdef MONATT_OWN_CONFIGFS
int monatt_configfs_init(void);
void monatt_configfs_exit(void);
#else
static inline int monatt_configfs_init(void)
{
    return 0;
}
static inline void monatt_configfs_exit(void)
{
}
#endif

#endif
