/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-report-codec.h - a check report and its tables as bytes: written in the worker, read by
 * its client
 *
 * Big-endian: "MCR1" | u64 t0 | u64 t1 | u8 snapshot | text kernel |
 * u32 n | n x { u16 check, u32 reason, u32 passes, u32 findings, u32 unsettled, u64 cpu us,
 * u8 digest size 0 or 32, digest, u8 k, k x { text name, u64 value }, text of the reason } |
 * u32 m | m x { u16 check, u8 severity, u32 sightings, u64 address, u32 pid, u64 start ns,
 * text object, text expected, text observed, text owner, text why } |
 * u8 t | t x { u8 number in table_forms, u32 rows, u8 cut, u32 size } | the tables' bytes
 * (table.h). A text is u16 length and printable ASCII.
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_CHECK_REPORT_CODEC_H
#define MONATT_HOST_COLLECTOR_WORKER_CHECK_REPORT_CODEC_H

#include "host-collector/sources/introspection/checks/check-report.h"
#include "host-collector/sources/introspection/checks/table.h"
#include "libmonatt/base/writer.h"

/* The head at its maximum: 64 results of 1,056 bytes, 128 findings of 619, the tables' rows. */
#define CHECK_REPORT_HEAD_MAXIMUM                                                                  \
    (CHECKS_MAXIMUM * 1056u + CHECK_FINDINGS * 619u + TABLE_FORMS_MAXIMUM * 10u + 256u)
#define CHECK_REPORT_MAXIMUM (CHECK_REPORT_HEAD_MAXIMUM + TABLE_FORMS_MAXIMUM * TABLE_BYTES)

/* One table of an answer; bytes belong to the answer.  Read with a TableReader. */
typedef struct MonattCheckTable {
    const TableForm *form;
    const uint8_t *bytes;
    size_t size;
    uint32_t rows;
    bool cut; /* there were more rows than fit */
} MonattCheckTable;

/* What the worker answered, parsed: every text printable, every row of every table sound. */
typedef struct MonattCheckReport {
    CheckReport report;
    bool snapshot; /* one look: report.findings were seen once and are no findings */
    size_t table_count;
    MonattCheckTable tables[TABLE_FORMS_MAXIMUM];
    uint8_t *bytes; /* owned, what tables point into */
} MonattCheckReport;
void monatt_check_report_free(MonattCheckReport *report);
/* NULL: it was not asked for, or the worker knows none. */
const MonattCheckTable *monatt_check_report_table(const MonattCheckReport *report,
                                                  const char *name);

/* All but the tables' bytes, which follow in ascending order.  tables: one for each of
 * table_forms; wanted: the bits of those to send.  LIMIT: does not fit. */
bool check_report_encode(const CheckReport *report, bool snapshot, const Table *tables,
                         uint32_t wanted, void *buffer, size_t capacity, size_t *ret_size,
                         MonattError *err) MONATT_MUST_CHECK;
/* Takes bytes (malloc) over on success.  FORMAT: not what check_report_encode() can have written;
 * snapshot and wanted are those of the request. */
bool check_report_decode(uint8_t *bytes, size_t size, bool snapshot, uint32_t wanted,
                         MonattCheckReport **ret_report, MonattError *err) MONATT_MUST_CHECK;

#endif
