/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report-tsm.c - provider "monatt" of the kernel's configfs-tsm: inblob is asked, evidence answers
 *
 * See Documentation/ABI/testing/configfs-tsm-report.  The kernel has one provider at a time: in a
 * guest that is a confidential VM as well its own one stays, and /dev/monatt gives our reports.
 */
#include <linux/tsm.h>
#include "driver.h"

#ifdef MONATT_TSM_OLD_NAMES /* up to Linux 6.15 */
#define tsm_report_ops tsm_ops
#define tsm_report_unregister tsm_unregister
#ifdef MONATT_TSM_ITEM_TYPES /* the first kernels that had it */
#define tsm_report_register(ops, data) tsm_register(ops, data, &tsm_report_default_type)
#else
#define tsm_report_register tsm_register
#endif
#endif
#ifndef TSM_REPORT_OUTBLOB_MAX
#define TSM_REPORT_OUTBLOB_MAX TSM_OUTBLOB_MAX
#endif

static int report_new(struct tsm_report *report, void *data)
{
    struct monatt *m = data;
    size_t size = 0;
    int error = monatt_report_make(m, report->desc.inblob, report->desc.inblob_len,
                                   TSM_REPORT_OUTBLOB_MAX, &report->outblob, &size);

    if (error == -EFBIG) {
        dev_warn_ratelimited(&m->pdev->dev,
                             "a report of %zu bytes does not fit into outblob, which takes %u in "
                             "this kernel; /dev/monatt gives it whole\n",
                             size, (unsigned)TSM_REPORT_OUTBLOB_MAX);
    }
    report->outblob_len = error ? 0 : size;
    return error;
}

#ifndef MONATT_TSM_ITEM_TYPES
static bool attribute_visible(int number)
{
    return number == TSM_REPORT_GENERATION || number == TSM_REPORT_PROVIDER;
}

static bool blob_visible(int number)
{
    return number == TSM_REPORT_INBLOB || number == TSM_REPORT_OUTBLOB;
}
#endif

static const struct tsm_report_ops provider = {
    .name = MONATT_NAME,
    .report_new = report_new,
#ifndef MONATT_TSM_ITEM_TYPES
    .report_attr_visible = attribute_visible,
    .report_bin_attr_visible = blob_visible,
#endif
};

int monatt_provider_register(struct monatt *m)
{
    return tsm_report_register(&provider, m);
}

void monatt_provider_unregister(struct monatt *m)
{
    tsm_report_unregister(&provider);
}
