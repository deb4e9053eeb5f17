/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-records.c - the input is one "MTE1" record with any payload
 *
 * Promise: what is accepted encodes to the very same bytes again, header and payload, so that a
 * record has one meaning and one hash.  The length field is put right first, or nothing but its
 * check would be met.
 */
#include <stdint.h>
#include <string.h>
#include "libmonatt/formats/check-records.h"
#include "libmonatt/formats/ima-records.h"
#include "tests/fuzz/fuzz.h"

typedef union Payload {
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
    MonattTasksSummaryPayload summary;
    MonattFindingPayload finding;
    MonattCheckSummaryPayload check;
    MonattCheckFindingPayload check_finding;
    MonattBootItemPayload item;
    MonattReportPayload report;
    MonattImaEntryPayload ima_entry;
    MonattImaAnewPayload ima_anew;
} Payload;

/* False when the payload was refused or its type is not known. */
static bool decode_and_encode(const MonattRecord *record, MonattWriter *w)
{
    static Payload payload;
    switch (record->type) {
    case MONATT_RECORD_LOCKS:
        if (monatt_locks_decode(record, &payload.locks, NULL)) {
            monatt_locks_encode(w, &payload.locks);
            return true;
        }
        return false;
    case MONATT_RECORD_SYSCALLS:
        if (monatt_syscalls_decode(record, &payload.syscalls, NULL)) {
            monatt_syscalls_encode(w, &payload.syscalls);
            return true;
        }
        return false;
    case MONATT_RECORD_TASKS_SUMMARY:
        if (monatt_tasks_summary_decode(record, &payload.summary, NULL)) {
            for (size_t i = 0; i < payload.summary.view_count; i++) {
                require(monatt_task_view_name(payload.summary.views[i].view) != NULL);
            }
            monatt_tasks_summary_encode(w, &payload.summary);
            return true;
        }
        return false;
    case MONATT_RECORD_FINDING:
        if (monatt_finding_decode(record, &payload.finding, NULL)) {
            monatt_finding_encode(w, &payload.finding);
            return true;
        }
        return false;
    case MONATT_RECORD_CHECK_SUMMARY:
        if (monatt_check_summary_decode(record, &payload.check, NULL)) {
            require(monatt_check_name(payload.check.check) != NULL);
            monatt_check_summary_encode(w, &payload.check);
            return true;
        }
        return false;
    case MONATT_RECORD_CHECK_FINDING:
        if (monatt_check_finding_decode(record, &payload.check_finding, NULL)) {
            monatt_check_finding_encode(w, &payload.check_finding);
            return true;
        }
        return false;
    case MONATT_RECORD_BOOT_ITEM:
    case MONATT_RECORD_MACHINE:
        if (monatt_boot_item_decode(record, &payload.item, NULL)) {
            require(monatt_boot_item_kind_name(payload.item.kind) != NULL);
            monatt_boot_item_encode(w, &payload.item);
            return true;
        }
        return false;
    case MONATT_RECORD_REPORT:
        if (monatt_report_decode(record, &payload.report, NULL)) {
            monatt_report_encode(w, &payload.report);
            return true;
        }
        return false;
    case MONATT_RECORD_IMA_ENTRY:
        if (monatt_ima_entry_decode(record, &payload.ima_entry, NULL)) {
            monatt_ima_entry_encode(w, &payload.ima_entry);
            return true;
        }
        return false;
    case MONATT_RECORD_IMA_ANEW:
        if (monatt_ima_anew_decode(record, &payload.ima_anew, NULL)) {
            monatt_ima_anew_encode(w, &payload.ima_anew);
            return true;
        }
        return false;
    default:
        return false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[MONATT_CONTENT_MAXIMUM + 1];
    uint8_t again[MONATT_CONTENT_MAXIMUM];
    MonattRecord record;
    MonattWriter w;
    size_t length = 0;
    if (size > sizeof(bytes)) {
        return 0;
    }
    memcpy(bytes, data, size);
    if (size >= 12) {
        MonattWriter head;
        monatt_writer_init(&head, bytes + 8, 4);
        monatt_writer_u32_be(&head, (uint32_t)size);
    }
    if (!monatt_record_parse(bytes, size, &record, NULL)) {
        return 0;
    }
    require(record.payload_size == size - MONATT_RECORD_HEADER_SIZE);
    monatt_writer_init(&w, again, sizeof(again));
    monatt_record_begin(&w, &record);
    if (decode_and_encode(&record, &w)) {
        require(monatt_record_end(&w, &length, NULL));
        require(length == size && memcmp(bytes, again, size) == 0);
    }
    return 0;
}
