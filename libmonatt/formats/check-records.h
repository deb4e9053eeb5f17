/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-records.h - what a check of the guest's kernel says, in records 0x1908 and 0x1909
 *
 * As record-payloads.h: collector writes, device and verifier read, all through these functions.
 * Text is printable ASCII and still only the guest's word.
 */
#ifndef MONATT_FORMATS_CHECK_RECORDS_H
#define MONATT_FORMATS_CHECK_RECORDS_H

#include "libmonatt/formats/record-payloads.h"

#define MONATT_CHECK_COUNTERS 16
#define MONATT_CHECK_COUNTER_TEXT 24 /* bytes, without the terminator; as the next two */
#define MONATT_CHECK_OBJECT_TEXT 64
#define MONATT_CHECK_VALUE_TEXT 96

typedef enum MonattSeverity {
    MONATT_SEVERITY_COMPROMISED = 1,
    MONATT_SEVERITY_DEGRADED = 2, /* an attack is possible and unproven, or a bound is broken */
} MonattSeverity;

/* 0x1908: u16 check | u32 reason | u32 passes | u32 findings | u32 of these degraded |
 * u32 unsettled | u8 n | n x { text name, u64 value } | u8 has digest | digest 32 if it has |
 * text reason.  No name twice. */
typedef struct MonattCheckSummaryPayload {
    uint16_t check;  /* MonattSubCheck */
    uint32_t reason; /* MonattReason */
    uint32_t passes;
    uint32_t findings;  /* those that no record describes too */
    uint32_t degraded;  /* of the findings; the others say compromised */
    uint32_t unsettled; /* candidates that neither vanished nor met the rule in time */
    uint8_t counter_count;
    struct {
        char name[MONATT_CHECK_COUNTER_TEXT + 1];
        uint64_t value;
    } counters[MONATT_CHECK_COUNTERS];
    bool has_digest;
    uint8_t digest[MONATT_SHA256_SIZE]; /* of what must be equal between two looks */
    char text[MONATT_TEXT_MAXIMUM + 1]; /* of the reason */
} MonattCheckSummaryPayload;

/* 0x1909: u16 check | u8 severity | u32 sightings | u64 address | u32 pid | u64 start ns |
 * text object | text expected | text observed | text owner | text why */
typedef struct MonattCheckFindingPayload {
    uint16_t check;
    uint8_t severity; /* MonattSeverity */
    uint32_t sightings;
    uint64_t address; /* guest-virtual; 0: it has none */
    uint32_t pid;     /* 0: no process's */
    uint64_t start_ns;
    char object[MONATT_CHECK_OBJECT_TEXT + 1];  /* what: "module 'x'", "x64_sys_call+0x1c" */
    char expected[MONATT_CHECK_VALUE_TEXT + 1]; /* by the reference or the other views */
    char observed[MONATT_CHECK_VALUE_TEXT + 1];
    char owner[MONATT_CHECK_OBJECT_TEXT + 1]; /* by whom: a module, a program; "": not known */
    char text[MONATT_TEXT_MAXIMUM + 1];       /* why it is a finding, in a sentence */
} MonattCheckFindingPayload;

void monatt_check_summary_encode(MonattWriter *w, const MonattCheckSummaryPayload *payload);
bool monatt_check_summary_decode(const MonattRecord *record, MonattCheckSummaryPayload *ret,
                                 MonattError *err) MONATT_MUST_CHECK;
void monatt_check_finding_encode(MonattWriter *w, const MonattCheckFindingPayload *payload);
bool monatt_check_finding_decode(const MonattRecord *record, MonattCheckFindingPayload *ret,
                                 MonattError *err) MONATT_MUST_CHECK;
/* The same thing, found by two measurements: collector, device and verifier must agree on it. */
bool monatt_check_finding_is_same(const MonattCheckFindingPayload *a,
                                  const MonattCheckFindingPayload *b);

/* "kernel-text": as policy and command line call it; "unknown-check": not of this version. */
const char *monatt_check_name(uint16_t check);
/* 0: no check has that name. */
uint16_t monatt_check_by_name(const char *name);

#endif
