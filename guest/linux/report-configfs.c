/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report-configfs.c - /sys/kernel/config/tsm/report for kernels that have no configfs-tsm (6.1)
 *
 * The same files with the same meaning as Documentation/ABI/testing/configfs-tsm-report of later
 * kernels: mkdir makes a report; inblob (1 to 64 bytes, written) is the question, outblob (read)
 * the evidence; generation counts the writes, so that a reader sees whether somebody else's
 * question came between; provider is "monatt".  A folder keeps the module loaded, not the device
 * bound.
 */
#include <linux/configfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include "driver.h"

#define OUTBLOB_MAXIMUM SZ_16M /* as the newest kernels have */

static DECLARE_RWSEM(provider_lock); /* of all that follows, and of every report's fields */
static struct monatt *provider;      /* NULL: no device is bound */

struct report {
    struct config_item item;
    u8 inblob[MONATT_INBLOB_MAXIMUM];
    size_t inblob_size;
    u8 *outblob; /* of generation "answered" */
    size_t outblob_size;
    u64 generation;
    u64 answered;
};

static struct report *to_report(struct config_item *item)
{
    return container_of(item, struct report, item);
}

static ssize_t report_generation_show(struct config_item *item, char *text)
{
    ssize_t size;

    down_read(&provider_lock);
    size = sysfs_emit(text, "%llu\n", to_report(item)->generation);
    up_read(&provider_lock);
    return size;
}
CONFIGFS_ATTR_RO(report_, generation);

static ssize_t report_provider_show(struct config_item *item, char *text)
{
    ssize_t size;

    down_read(&provider_lock);
    size = provider ? sysfs_emit(text, "%s\n", MONATT_NAME) : -ENXIO;
    up_read(&provider_lock);
    return size;
}
CONFIGFS_ATTR_RO(report_, provider);

/* configfs calls it once, when the file is closed, with all that was written. */
static ssize_t report_inblob_write(struct config_item *item, const void *data, size_t size)
{
    struct report *report = to_report(item);

    if (size == 0 || size > sizeof(report->inblob)) {
        return -EINVAL;
    }
    down_write(&provider_lock);
    memcpy(report->inblob, data, size);
    report->inblob_size = size;
    report->generation++;
    up_write(&provider_lock);
    return size;
}
CONFIGFS_BIN_ATTR_WO(report_, inblob, NULL, MONATT_INBLOB_MAXIMUM);

/* Under provider_lock.  Makes outblob the answer to the present inblob. */
static int answer(struct report *report)
{
    u8 *data;
    size_t size = 0;
    int error;

    if (!provider) {
        return -ENXIO;
    }
    if (report->inblob_size == 0) {
        return -EINVAL;
    }
    if (report->outblob && report->answered == report->generation) {
        return 0;
    }
    error = monatt_report_make(provider, report->inblob, report->inblob_size, OUTBLOB_MAXIMUM,
                               &data, &size);
    if (error == -EFBIG) {
        dev_warn_ratelimited(&provider->pdev->dev,
                             "a report of %zu bytes does not fit into outblob, which takes %u; "
                             "/dev/monatt gives it whole\n",
                             size, (unsigned)OUTBLOB_MAXIMUM);
    }
    if (error) {
        return error;
    }
    kvfree(report->outblob);
    report->outblob = data;
    report->outblob_size = size;
    report->answered = report->generation;
    return 0;
}

/* configfs asks with data NULL for the size, then with a buffer of that size for the bytes. */
static ssize_t report_outblob_read(struct config_item *item, void *data, size_t size)
{
    struct report *report = to_report(item);
    ssize_t result;

    down_write(&provider_lock);
    result = answer(report);
    if (result == 0) {
        result = report->outblob_size;
        if (data && size < report->outblob_size) {
            result = -EAGAIN; /* another question came between the two calls */
        } else if (data) {
            memcpy(data, report->outblob, report->outblob_size);
        }
    }
    up_write(&provider_lock);
    return result;
}
CONFIGFS_BIN_ATTR_RO(report_, outblob, NULL, OUTBLOB_MAXIMUM);

static struct configfs_attribute *report_attributes[] = {
    &report_attr_generation,
    &report_attr_provider,
    NULL,
};

static struct configfs_bin_attribute *report_blobs[] = {
    &report_attr_inblob,
    &report_attr_outblob,
    NULL,
};

static void report_release(struct config_item *item)
{
    struct report *report = to_report(item);

    kvfree(report->outblob);
    kfree(report);
}

static struct configfs_item_operations report_operations = {
    .release = report_release,
};

static const struct config_item_type report_type = {
    .ct_owner = THIS_MODULE,
    .ct_attrs = report_attributes,
    .ct_bin_attrs = report_blobs,
    .ct_item_ops = &report_operations,
};

static struct config_item *report_make(struct config_group *group, const char *name)
{
    struct report *report;
    bool there;

    down_read(&provider_lock);
    there = provider != NULL;
    up_read(&provider_lock);
    if (!there) {
        return ERR_PTR(-ENXIO);
    }
    report = kzalloc(sizeof(*report), GFP_KERNEL);
    if (!report) {
        return ERR_PTR(-ENOMEM);
    }
    config_item_init_type_name(&report->item, name, &report_type);
    return &report->item;
}

static struct configfs_group_operations reports_operations = {
    .make_item = report_make,
};

static const struct config_item_type reports_type = {
    .ct_owner = THIS_MODULE,
    .ct_group_ops = &reports_operations,
};

static const struct config_item_type root_type = {
    .ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
    .su_group = {.cg_item = {.ci_namebuf = "tsm", .ci_type = &root_type}},
    .su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};
static struct config_group *reports;

int monatt_configfs_init(void)
{
    int error;

    config_group_init(&subsystem.su_group);
    error = configfs_register_subsystem(&subsystem);
    if (error) {
        return error;
    }
    reports = configfs_register_default_group(&subsystem.su_group, "report", &reports_type);
    if (IS_ERR(reports)) {
        configfs_unregister_subsystem(&subsystem);
        return PTR_ERR(reports);
    }
    return 0;
}

void monatt_configfs_exit(void)
{
    configfs_unregister_default_group(reports);
    configfs_unregister_subsystem(&subsystem);
}

int monatt_provider_register(struct monatt *m)
{
    down_write(&provider_lock);
    provider = m;
    up_write(&provider_lock);
    return 0;
}

void monatt_provider_unregister(struct monatt *m)
{
    down_write(&provider_lock);
    provider = NULL;
    up_write(&provider_lock);
}
