/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger.h - where a boot's event log stands: next sequence numbers, what is recorded already
 *
 * Read from the log itself at each new boot and at each start of the collector, so that nothing
 * depends on what a collector that died knew.
 */
#ifndef MONATT_HOST_COLLECTOR_LEDGER_H
#define MONATT_HOST_COLLECTOR_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/formats/record.h"

/* Event-log record numbers, inclusive; none while first > last. */
typedef struct LedgerRange {
    uint64_t first;
    uint64_t last;
} LedgerRange;

typedef struct Ledger {
    uint64_t sequences[MONATT_REGISTER_COUNT]; /* of the register's next record */
    uint64_t boot_items;                       /* recorded in MR20 */
    LedgerRange boot;                          /* in MR20, whole boot */
    LedgerRange plugin;                        /* in MR17 since the last report */
    LedgerRange tasks;                         /* in MR19 since the last report */
    uint64_t plugin_end_ns; /* t1 of the last plugin record, from the VM's start */
    uint64_t findings;      /* that we recorded in this boot; a checkpoint may count more */
} Ledger;

void ledger_init(Ledger *ledger);
/* One record of ours that stands in the log under this number. */
void ledger_note(Ledger *ledger, uint8_t index, uint16_t type, uint64_t number, uint64_t t1_ns);
/* The present segment of a boot's log (docs/formats/event-log.md); what guests wrote is skipped. */
bool ledger_scan(Ledger *ledger, const void *log, size_t size, MonattError *err) MONATT_MUST_CHECK;
/* The log was cut: what was measured before this record is in no evidence any more. */
void ledger_forget_before(Ledger *ledger, uint64_t first);
/*
 * A log that evidence is to be made of: *ret_first is the first record that stands in it, 0 without
 * a checkpoint.  FAULT: checkpoint and log show fewer findings than were recorded.
 */
bool ledger_check_log(const Ledger *ledger, const void *log, size_t size, uint64_t *ret_first,
                      MonattError *err) MONATT_MUST_CHECK;

#endif
