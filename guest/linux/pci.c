/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pci.c - the attest device found, switched on, watched over and given back
 *
 * Must never leave the device able to write to memory that is not the driver's any more: ring and
 * shadow page go off, and bus mastering with them, when the driver goes, before a kexec, before
 * sleep and before a reset of the device.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "driver.h"

#define BARS (BIT(0) | BIT(2))
#define WATCH_MS 1000
#define WATCH_RETRY 60 /* turns until ring and shadow page get another chance */

static bool ring = true;
module_param(ring, bool, 0444);
MODULE_PARM_DESC(ring, "use the ring and the shadow page where the device has them");

/* There is one attest device in a VM; a second one would have no name. */
static atomic_t bound = ATOMIC_INIT(0);

static void release(struct kref *references)
{
    struct monatt *m = container_of(references, struct monatt, references);

    pci_dev_put(m->pdev);
    kvfree(m);
}

void monatt_put(struct monatt *m)
{
    kref_put(&m->references, release);
}

int monatt_interrupted(struct monatt *m)
{
    if (READ_ONCE(m->removed)) {
        return -ENODEV;
    }
    return fatal_signal_pending(current) ? -EINTR : 0;
}

int monatt_enter(struct monatt *m)
{
    if (down_read_killable(&m->presence)) {
        return -EINTR;
    }
    if (!m->removed && monatt_alive(m)) {
        return 0;
    }
    up_read(&m->presence);
    return -ENODEV;
}

void monatt_leave(struct monatt *m)
{
    up_read(&m->presence);
}

int monatt_lock(struct monatt *m)
{
    int error = monatt_enter(m);

    if (!error && mutex_lock_killable(&m->lock)) {
        monatt_leave(m);
        error = -EINTR;
    }
    return error;
}

void monatt_unlock(struct monatt *m)
{
    mutex_unlock(&m->lock);
    monatt_leave(m);
}

/* Under lock. */
static void switch_on(struct monatt *m)
{
    if (!m->ring.memory && !m->shadow.page) {
        return;
    }
    pci_set_master(m->pdev);
    m->ring.failures = 0;
    monatt_ring_start(m);
    monatt_shadow_start(m);
    if (m->irq) {
        monatt_write32(m, MONATT_REG_INTERRUPT_ENABLE, MONATT_INTERRUPT_RING);
    }
}

/* Under lock. */
static void switch_off(struct monatt *m)
{
    if (m->irq) {
        monatt_write32(m, MONATT_REG_INTERRUPT_ENABLE, 0);
    }
    monatt_ring_stop(m);
    monatt_shadow_stop(m);
    pci_clear_master(m->pdev);
}

static irqreturn_t interrupt(int irq, void *data)
{
    struct monatt *m = data;
    u32 status = monatt_read32(m, MONATT_REG_INTERRUPT_STATUS);

    if (status == 0 || status == U32_MAX) {
        return IRQ_NONE;
    }
    monatt_write32(m, MONATT_REG_INTERRUPT_STATUS, status);
    wake_up(&m->consumed);
    return IRQ_HANDLED;
}

static void interrupt_init(struct monatt *m)
{
    int irq;

    if (!(m->capabilities & MONATT_CAP_INTERRUPT) || !m->ring.memory ||
        pci_alloc_irq_vectors(m->pdev, 1, 1, PCI_IRQ_ALL_TYPES) != 1) {
        return;
    }
    irq = pci_irq_vector(m->pdev, 0);
    if (irq <= 0 || request_irq(irq, interrupt, IRQF_SHARED, MONATT_NAME, m)) {
        pci_free_irq_vectors(m->pdev);
        return;
    }
    m->irq = irq;
}

static void interrupt_free(struct monatt *m)
{
    if (m->irq) {
        free_irq(m->irq, m);
        pci_free_irq_vectors(m->pdev);
        m->irq = 0;
    }
}

/* Under lock; the device answers.  Whether ring or shadow page must be switched on. */
static bool lacks_something(struct monatt *m)
{
    bool missing = (m->ring.memory && !m->ring.on) || (m->shadow.page && !m->shadow.on);

    if (m->silent ||
        (m->shadow.on && monatt_read32(m, MONATT_REG_SHADOW_CONTROL) != MONATT_RING_ON)) {
        return true;
    }
    m->turns = missing ? m->turns + 1 : 0;
    return m->turns > 0 && m->turns % WATCH_RETRY == 0;
}

/*
 * Nobody tells the driver that the device is gone, or that a reset of it switched the shadow page
 * off; and who has that page mapped asks nobody.
 */
static void watch(struct work_struct *work)
{
    struct monatt *m = container_of(to_delayed_work(work), struct monatt, watch);
    bool alive = monatt_alive(m);

    if (mutex_trylock(&m->lock)) {
        if (!alive) {
            m->ring.on = false;
            monatt_shadow_stop(m);
        } else if (lacks_something(m)) {
            switch_on(m);
        }
        mutex_unlock(&m->lock);
        if (alive == m->silent) {
            m->silent = !alive;
            dev_notice(&m->pdev->dev,
                       alive ? "the device answers again\n" : "the device does not answer\n");
        }
    }
    queue_delayed_work(system_freezable_wq, &m->watch, msecs_to_jiffies(WATCH_MS));
}

static int check_device(struct monatt *m)
{
    u32 magic = monatt_read32(m, MONATT_REG_MAGIC);
    u32 version = monatt_read32(m, MONATT_REG_VERSION);
    u32 count = monatt_bar2_read32(m, MONATT_BAR2_COUNT);

    if (magic != MONATT_MAGIC) {
        dev_err(&m->pdev->dev, "magic is %08x, must be %08x\n", magic, MONATT_MAGIC);
        return -ENODEV;
    }
    if (version != MONATT_MAP_VERSION || count != MONATT_REGISTERS) {
        dev_err(&m->pdev->dev, "register map %u with %u registers, this driver knows %u with %u\n",
                version, count, MONATT_MAP_VERSION, MONATT_REGISTERS);
        return -ENODEV;
    }
    m->capabilities = monatt_read32(m, MONATT_REG_CAPABILITIES);
    return 0;
}

/* The device writes to guest-physical addresses: behind an IOMMU of the guest ours would be others.
 */
static void dma_init(struct monatt *m)
{
    struct device *dev = &m->pdev->dev;

    if (!ring || !(m->capabilities & (MONATT_CAP_RING | MONATT_CAP_SHADOW))) {
        return;
    }
    if (device_iommu_mapped(dev)) {
        dev_info(dev, "behind an IOMMU: no ring, extends will be slow\n");
        return;
    }
    if (dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64))) {
        return;
    }
    if (m->capabilities & MONATT_CAP_RING) {
        monatt_ring_allocate(m);
    }
    if (m->capabilities & MONATT_CAP_SHADOW) {
        monatt_shadow_allocate(m);
    }
}

static int map_bars(struct monatt *m)
{
    if (pci_resource_len(m->pdev, 0) < MONATT_BAR0_SIZE ||
        pci_resource_len(m->pdev, 2) < MONATT_BAR2_SIZE) {
        dev_err(&m->pdev->dev, "its memory is too small\n");
        return -ENODEV;
    }
    m->bar0 = pci_iomap(m->pdev, 0, MONATT_BAR0_SIZE);
    m->bar2 = pci_iomap(m->pdev, 2, MONATT_BAR2_SIZE);
    return m->bar0 && m->bar2 ? 0 : -ENOMEM;
}

static void unmap_bars(struct monatt *m)
{
    if (m->bar0) {
        pci_iounmap(m->pdev, m->bar0);
    }
    if (m->bar2) {
        pci_iounmap(m->pdev, m->bar2);
    }
    m->bar0 = NULL;
    m->bar2 = NULL;
}

static void give_back(struct monatt *m)
{
    monatt_ring_free(m);
    monatt_shadow_free(m);
    unmap_bars(m);
    pci_release_selected_regions(m->pdev, BARS);
    pci_disable_device(m->pdev);
    atomic_set(&bound, 0);
    monatt_put(m);
}

static int register_files(struct monatt *m)
{
    monatt_measurements_init(m);
    m->misc.minor = MISC_DYNAMIC_MINOR;
    m->misc.name = MONATT_NAME;
    m->misc.fops = &monatt_fops;
    m->misc.mode = 0600;
    return misc_register(&m->misc);
}

static void register_provider(struct monatt *m)
{
    int error;

    if (!(m->capabilities & MONATT_CAP_REPORT)) {
        return;
    }
    error = monatt_provider_register(m);
    if (error) {
        /* Not ours to unregister, then. */
        m->provider_registered = false;
        dev_notice(&m->pdev->dev, "no reports by configfs (%d); /dev/monatt gives them\n", error);
        return;
    }
    m->provider_registered = true;
}

static struct monatt *create(struct pci_dev *pdev)
{
    struct monatt *m = kvzalloc(sizeof(*m), GFP_KERNEL);

    if (m) {
        kref_init(&m->references);
        m->pdev = pci_dev_get(pdev);
        mutex_init(&m->lock);
        spin_lock_init(&m->access);
        mutex_init(&m->report_lock);
        init_rwsem(&m->presence);
        init_waitqueue_head(&m->consumed);
        INIT_DEFERRABLE_WORK(&m->watch, watch);
    }
    return m;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
    struct monatt *m;
    int error;

    if (atomic_cmpxchg(&bound, 0, 1) != 0) {
        dev_err(&pdev->dev, "a second attest device: only the first one is used\n");
        return -EBUSY;
    }
    m = create(pdev);
    error = m ? pci_enable_device_mem(pdev) : -ENOMEM;
    if (error) {
        goto unbind;
    }
    /* Exclusive: what user space maps through sysfs would fight with us over index and window. */
    error = pci_request_selected_regions_exclusive(pdev, BARS, MONATT_NAME);
    if (error) {
        pci_disable_device(pdev);
        goto unbind;
    }
    error = map_bars(m);
    if (!error) {
        error = check_device(m);
    }
    if (error) {
        give_back(m);
        return error;
    }
    dma_init(m);
    interrupt_init(m);
    mutex_lock(&m->lock);
    switch_on(m);
    mutex_unlock(&m->lock);
    pci_set_drvdata(pdev, m);
    error = register_files(m);
    if (error) {
        switch_off(m);
        interrupt_free(m);
        give_back(m);
        return error;
    }
    register_provider(m);
    queue_delayed_work(system_freezable_wq, &m->watch, msecs_to_jiffies(WATCH_MS));
    dev_info(&pdev->dev, "attest device: ring %s (%u slots), shadow page %s, interrupt %s, %s\n",
             m->ring.on ? "on" : "off", m->ring.slots, m->shadow.on ? "on" : "off",
             m->irq ? "on" : "off",
             m->capabilities & MONATT_CAP_REPORT ? "gives reports" : "gives no reports");
    return 0;

unbind:
    atomic_set(&bound, 0);
    if (m) {
        monatt_put(m);
    }
    return error;
}

static void remove(struct pci_dev *pdev)
{
    struct monatt *m = pci_get_drvdata(pdev);

    /* Who waits for the device sees it and ends. */
    WRITE_ONCE(m->removed, true);
    cancel_delayed_work_sync(&m->watch);
    if (m->provider_registered) {
        monatt_provider_unregister(m);
    }
    misc_deregister(&m->misc);
    down_write(&m->presence);
    switch_off(m);
    interrupt_free(m);
    unmap_bars(m);
    up_write(&m->presence);
    give_back(m);
}

/* Reboot and kexec: other CPUs and programs are still running. */
static void shutdown(struct pci_dev *pdev)
{
    struct monatt *m = pci_get_drvdata(pdev);

    WRITE_ONCE(m->removed, true);
    cancel_delayed_work_sync(&m->watch);
    down_write(&m->presence);
    switch_off(m);
    up_write(&m->presence);
}

static void pause_device(struct monatt *m)
{
    mutex_lock(&m->lock);
    switch_off(m);
    mutex_unlock(&m->lock);
}

static void go_on(struct monatt *m)
{
    mutex_lock(&m->lock);
    if (monatt_alive(m)) {
        switch_on(m);
    }
    mutex_unlock(&m->lock);
}

static int suspend(struct device *dev)
{
    pause_device(dev_get_drvdata(dev));
    return 0;
}

static int resume(struct device *dev)
{
    go_on(dev_get_drvdata(dev));
    return 0;
}
static DEFINE_SIMPLE_DEV_PM_OPS(pm_operations, suspend, resume);

/* A reset through sysfs, by root: nobody may use the device in between. */
static void reset_prepare(struct pci_dev *pdev)
{
    struct monatt *m = pci_get_drvdata(pdev);

    mutex_lock(&m->lock);
    switch_off(m);
}

static void reset_done(struct pci_dev *pdev)
{
    struct monatt *m = pci_get_drvdata(pdev);

    if (monatt_alive(m)) {
        switch_on(m);
    }
    mutex_unlock(&m->lock);
}

static const struct pci_error_handlers reset_handlers = {
    .reset_prepare = reset_prepare,
    .reset_done = reset_done,
};

static const struct pci_device_id ids[] = {
    {
        PCI_DEVICE(MONATT_PCI_VENDOR, MONATT_PCI_DEVICE),
        .class = MONATT_PCI_CLASS,
        .class_mask = 0xffffff,
    },
    {},
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
    .name = MONATT_NAME,
    .id_table = ids,
    .probe = probe,
    .remove = remove,
    .shutdown = shutdown,
    .err_handler = &reset_handlers,
    .driver.pm = pm_sleep_ptr(&pm_operations),
};

static int __init monatt_init(void)
{
    int error = monatt_configfs_init();

    if (error) {
        return error;
    }
    error = pci_register_driver(&driver);
    if (error) {
        monatt_configfs_exit();
    }
    return error;
}
module_init(monatt_init);

static void __exit monatt_exit(void)
{
    pci_unregister_driver(&driver);
    monatt_configfs_exit();
}
module_exit(monatt_exit);

MODULE_DESCRIPTION("Monatt attest device: measurement registers and evidence about this VM");
MODULE_AUTHOR("Monatt");
MODULE_LICENSE("GPL");
MODULE_VERSION("1");
