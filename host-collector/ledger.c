/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger.c - one pass over a log; must never take a guest's record for one of ours
 */
#include "host-collector/ledger.h"

#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"

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
    case MONATT_RECORD_FINDING:
        ledger->findings++;
        grow(&ledger->tasks, number);
        break;
    case MONATT_RECORD_TASKS_SUMMARY:
    case MONATT_RECORD_CHECK_SUMMARY:
    case MONATT_RECORD_CHECK_FINDING:
        grow(&ledger->tasks, number);
        break;
    case MONATT_RECORD_REPORT:
        ledger->plugin = ledger->tasks = none;
        break;
    default:
        break;
    }
}

/* What the checkpoint says beyond its retained records, which were noted as any other. */
static void take_checkpoint(Ledger *ledger, const MonattCheckpoint *checkpoint)
{
    for (size_t i = MONATT_EVIDENCE_FIRST; i <= MONATT_EVIDENCE_LAST; i++) {
        ledger->sequences[i] = checkpoint->extends[i];
    }
    ledger->findings = checkpoint->findings;
    /* Measured in a segment that is sealed: no evidence can show it any more. */
    ledger->plugin = ledger->tasks = none;
}

static bool note_entry(Ledger *ledger, const MonattCelEntry *entry, MonattError *err)
{
    MonattRecord record;
    if (entry->content_type != MONATT_CEL_RECORD) {
        return true;
    }
    /* The device lets nobody but us write such an entry, and only there. */
    if (entry->index < MONATT_EVIDENCE_FIRST || entry->index > MONATT_EVIDENCE_LAST) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "event log: a host's record in MR%u",
                                entry->index);
    }
    if (!monatt_record_parse(entry->content, entry->content_size, &record, err)) {
        return monatt_error_prefix(err,
                                   "event log: record %llu: ", (unsigned long long)entry->number);
    }
    ledger_note(ledger, (uint8_t)entry->index, record.type, entry->number, record.t1_ns);
    /* Its type alone does not say whether it is one of those that the device counts. */
    ledger->findings += record.type == MONATT_RECORD_CHECK_FINDING &&
                        monatt_retained_says(entry) == MONATT_SAYS_COMPROMISED;
    return true;
}

bool ledger_scan(Ledger *ledger, const void *log, size_t size, MonattError *err)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    bool failed = false;
    ledger_init(ledger);
    if (!monatt_log_walk_begin(&walk, log, size, err)) {
        return false;
    }
    bool taken = !walk.has_checkpoint;
    while (monatt_log_walk_next(&walk, &entry, NULL, NULL, &failed)) {
        if (!walk.is_retained && !taken) {
            take_checkpoint(ledger, &walk.checkpoint);
            taken = true;
        }
        if (!note_entry(ledger, &entry, err)) {
            return false;
        }
    }
    if (!taken) {
        take_checkpoint(ledger, &walk.checkpoint);
    }
    return !failed;
}

static void cut(LedgerRange *range, uint64_t first)
{
    if (range->first <= range->last && range->first < first) {
        range->first = first;
        if (range->last < first) {
            *range = none;
        }
    }
}

void ledger_forget_before(Ledger *ledger, uint64_t first)
{
    cut(&ledger->plugin, first);
    cut(&ledger->tasks, first);
}

bool ledger_check_log(const Ledger *ledger, const void *log, size_t size, uint64_t *ret_first,
                      MonattError *err)
{
    MonattCheckpoint checkpoint;
    Ledger seen;
    *ret_first = 0;
    if (!monatt_checkpoint_is_there(log, size)) {
        return true;
    }
    if (!monatt_checkpoint_parse(log, size, &checkpoint, err) ||
        !ledger_scan(&seen, log, size, err)) {
        return false;
    }
    if (seen.findings < ledger->findings) {
        return monatt_error_set(err, MONATT_ERROR_FAULT,
                                "event log: shows %llu findings of this boot, %llu were recorded: "
                                "its device left some out",
                                (unsigned long long)seen.findings,
                                (unsigned long long)ledger->findings);
    }
    *ret_first = checkpoint.records;
    return true;
}
