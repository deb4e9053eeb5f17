/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-maker.h - for tests only: an event log as a device writes it, and the registers it gives
 *
 * Extends by itself, so that a log that libmonatt/eventlog would refuse has its registers too.
 */
#ifndef MONATT_TESTS_LOG_MAKER_H
#define MONATT_TESTS_LOG_MAKER_H

#include <glib.h>
#include "libmonatt/eventlog/checkpoint.h"
#include "libmonatt/formats/check-records.h"

typedef struct LogMaker {
    GByteArray *bytes;
    uint64_t records;
    uint8_t vid[MONATT_UUID_SIZE];
    uint64_t boot_count;
    uint64_t now_ns; /* since the VM's start; a millisecond a record */
    uint32_t flags;  /* of the records to come */
    uint32_t coverage_ppm;
    uint64_t sequences[MONATT_REGISTER_COUNT];
    uint64_t first[MONATT_REGISTER_COUNT]; /* since log_maker_mark() */
    uint64_t last[MONATT_REGISTER_COUNT];
    gboolean some[MONATT_REGISTER_COUNT];
    MonattCelReplay values; /* the registers */
    gboolean wrong_digest;  /* the next record's digests are not its own */
    uint64_t segment;       /* of which bytes are the log */
    size_t start;           /* its first record's place in bytes, behind the checkpoint */
    MonattRetained *retained;
    GByteArray *before;   /* encoded entries of all earlier segments */
    GBytes *older;        /* checkpoint of the segment before */
    GBytes *first_report; /* encoded */
} LogMaker;

void log_maker_init(LogMaker *log, const uint8_t vid[MONATT_UUID_SIZE], uint64_t boot_count);
void log_maker_clear(LogMaker *log);
/* Ranges start anew: what comes is of the next report. */
void log_maker_mark(LogMaker *log);
void log_maker_boot_item(LogMaker *log, uint16_t kind, const char *name, const char *content);
void log_maker_tasks(LogMaker *log, const MonattTasksSummaryPayload *summary);
void log_maker_finding(LogMaker *log, const MonattFindingPayload *finding);
void log_maker_check(LogMaker *log, const MonattCheckSummaryPayload *summary);
void log_maker_check_finding(LogMaker *log, const MonattCheckFindingPayload *finding);
void log_maker_locks(LogMaker *log, const MonattLocksPayload *locks);
void log_maker_report(LogMaker *log, const MonattReportPayload *report);
/* A guest's extend; index 17 to 22 makes a log that must be refused. */
void log_maker_guest(LogMaker *log, uint32_t index, const char *content);
/* What a device says at this place; retained: MONATT_CHECKPOINT_RETAINED_BYTES of room. */
void log_maker_checkpoint(const LogMaker *log, const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE],
                          MonattCheckpoint *ret, uint8_t *retained);
/* The log goes on behind this checkpoint. */
void log_maker_begin_segment(LogMaker *log, const void *checkpoint, size_t size);
/* All 24 registers of a bank, one behind the other. */
GBytes *log_maker_values(const LogMaker *log, uint16_t bank);
/* H over the encoded entries of a register from record first to last. */
void log_maker_digest(const LogMaker *log, const char *suite, uint32_t index, uint64_t first,
                      uint64_t last, uint8_t *ret);

#endif
