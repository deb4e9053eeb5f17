/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-runner.h - runs the checks, and makes findings of what persists
 *
 * A live guest is never a snapshot (properties 2): what a check sees once is a candidate.  It is a
 * finding when it was seen in CHECK_RUNNER_SCANS runs at least CHECK_RUNNER_GAP_MS apart, with
 * progress of the guest's vCPUs between them, each time of the same generation (check.h).  Must
 * never forget a candidate because a later run could not read all it wanted.
 */
#ifndef MONATT_INTROSPECTION_CHECK_RUNNER_H
#define MONATT_INTROSPECTION_CHECK_RUNNER_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/guest-clocks.h"

#define CHECK_RUNNER_GAP_MS 100

typedef struct CheckRunner CheckRunner;

/* NULL: out of memory. */
CheckRunner *check_runner_new(void);
void check_runner_free(CheckRunner *runner);
/* After a reboot, or another kernel: what the checks kept of the last one goes. */
void check_runner_forget(CheckRunner *runner);
/*
 * Runs the checks whose bit (1 << index in check_table) is in wanted, again while candidates are
 * open, and ends within deadline_ms, apart from one run.  clocks as hidden_tasks_measure() has
 * them.  tables: NULL, or an array with one Table for each of table_forms, begun by this call.
 * Fills report, all of it.
 */
void check_runner_measure(CheckRunner *runner, GuestKernel *kernel, GuestClocks *clocks,
                          const CheckInputs *inputs, uint64_t wanted, unsigned deadline_ms,
                          Table *tables, CheckReport *report);
/*
 * One pass over memory that stands still, where nothing can be seen to last: what it saw is listed
 * in report's findings with one sighting each and counted as unsettled, and is no finding.
 */
void check_runner_look(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                       uint64_t wanted, Table *tables, CheckReport *report);
/* No kernel was found in the guest: every wanted check says so (UNSUPPORTED, why). */
void check_runner_without_kernel(uint64_t wanted, const char *why, CheckReport *report);
/* The checks, as bits for wanted, whose number is in sub_checks (1 << MONATT_SUBCHECK_) or that
 * add rows to one of tables (1 << index in table_forms). */
uint64_t check_runner_wanted(uint64_t sub_checks, uint32_t tables);
/* One pass without a wait, for benchmarks, fuzzing and campaigns: the report's findings are what
 * was seen once, judged by nobody. */
void check_runner_pass(CheckRunner *runner, GuestKernel *kernel, const CheckInputs *inputs,
                       uint64_t wanted, CheckReport *report, uint32_t *ret_sightings);

#endif
