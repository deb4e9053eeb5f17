/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-report.h - what one pass of the checks says
 *
 * Made in the worker, parsed by its client.  What in it came from the guest is bounded and
 * printable, and still only the guest's word.
 */
#ifndef MONATT_INTROSPECTION_CHECK_REPORT_H
#define MONATT_INTROSPECTION_CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/formats/check-records.h"

#define CHECKS_MAXIMUM 64 /* bits of a set of checks */
#define CHECK_COUNTERS MONATT_CHECK_COUNTERS
#define CHECK_COUNTER_NAME (MONATT_CHECK_COUNTER_TEXT + 1)
#define CHECK_OBJECT_SIZE (MONATT_CHECK_OBJECT_TEXT + 1)
#define CHECK_VALUE_SIZE (MONATT_CHECK_VALUE_TEXT + 1)
#define CHECK_TEXT_SIZE (MONATT_TEXT_MAXIMUM + 1)
#define CHECK_FINDINGS 128   /* of a report; more are counted */
#define CHECK_RUNNER_SCANS 3 /* looks that a finding takes: check-runner.h */
#define CHECK_SIGHTINGS 1024 /* of one pass of one check; more are counted */

typedef enum CheckSeverity {
    CHECK_COMPROMISED = MONATT_SEVERITY_COMPROMISED,
    CHECK_DEGRADED = MONATT_SEVERITY_DEGRADED,
} CheckSeverity;

/* As it goes into its record.  Identity is check, address, pid, start_ns and object: they must be
 * the same at each look (monatt_check_finding_is_same()). */
typedef MonattCheckFindingPayload CheckFinding;

typedef struct CheckResult {
    uint16_t check;
    uint32_t reason; /* MonattReason */
    uint32_t passes;
    uint32_t findings;  /* all of them, the ones not listed too */
    uint32_t unsettled; /* candidates that neither vanished nor met the rule in time */
    uint64_t cpu_us;    /* of the last run */
    bool has_digest;
    uint8_t digest[MONATT_SHA256_SIZE];
    uint8_t counter_count;
    struct {
        char name[CHECK_COUNTER_NAME];
        uint64_t value;
    } counters[CHECK_COUNTERS];
    char text[CHECK_TEXT_SIZE]; /* of the reason */
} CheckResult;

/* What one run of one check saw. */
typedef struct CheckSightings {
    uint32_t count;
    uint32_t beyond; /* did not fit */
    CheckFinding items[CHECK_SIGHTINGS];
    uint64_t generations[CHECK_SIGHTINGS]; /* check_generation() */
} CheckSightings;

typedef struct CheckReport {
    uint64_t t0_ns; /* CLOCK_BOOTTIME of the host */
    uint64_t t1_ns;
    char kernel[65]; /* the release; "": no kernel was found, and every result says so */
    size_t result_count;
    CheckResult results[CHECKS_MAXIMUM]; /* ascending by check */
    size_t finding_count;
    CheckFinding findings[CHECK_FINDINGS];
} CheckReport;

#endif
