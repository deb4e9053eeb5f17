/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger.c - one pass over a log; must never take a guest's record for one of ours
 */
#include "host-collector/ledger.h"

#include <string.h>
#include "libmonatt/eventlog/cel.h"

static const LedgerRange none = {.first = 1, .last = 0};

void ledger_init(Ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
    ledger->boot = ledger->plugin = ledger->tasks = none;
}

static void grow(LedgerRange *range, uint64_t number)
{
    if (range->first > range->last) {
        range->first = number;
    }
    range->last = number;
}

void ledger_note(Ledger *ledger, uint8_t index, uint16_t type, uint64_t number, uint64_t t1_ns)
{
    ledger->sequences[index]++;
    switch (type) {
    case MONATT_RECORD_BOOT_ITEM:
    case MONATT_RECORD_MACHINE:
        ledger->boot_items++;
        grow(&ledger->boot, number);
        break;
    case MONATT_RECORD_LOCKS:
    case MONATT_RECORD_SYSCALLS:
        grow(&ledger->plugin, number);
        ledger->plugin_end_ns = t1_ns;
        break;
    case MONATT_RECORD_TASKS_SUMMARY:
    case MONATT_RECORD_FINDING:
        grow(&ledger->tasks, number);
        break;
    case MONATT_RECORD_REPORT:
        ledger->plugin = ledger->tasks = none;
        break;
    default:
        break;
    }
}

bool ledger_scan(Ledger *ledger, const void *log, size_t size, MonattError *err)
{
    MonattReader r;
    ledger_init(ledger);
    monatt_reader_init(&r, "event log", log, size, err);
    /* Ends: each round consumes at least one byte of the log. */
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        MonattRecord record;
        if (!monatt_cel_next(&r, &entry)) {
            return false;
        }
        if (entry.content_type != MONATT_CEL_RECORD) {
            continue;
        }
        /* The device lets nobody but us write such an entry, and only there. */
        if (entry.index < MONATT_EVIDENCE_FIRST || entry.index > MONATT_EVIDENCE_LAST) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "event log: a host's record in MR%u",
                                    entry.index);
        }
        if (!monatt_record_parse(entry.content, entry.content_size, &record, err)) {
            return monatt_error_prefix(
                err, "event log: record %llu: ", (unsigned long long)entry.number);
        }
        ledger_note(ledger, (uint8_t)entry.index, record.type, entry.number, record.t1_ns);
    }
    return true;
}
