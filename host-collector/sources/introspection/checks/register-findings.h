/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * register-findings.h - findings that come from the vCPUs' registers, and when they hold
 *
 * The registers are of an instant before the checks run, and all runs of one measurement see that
 * one reading.  A page root among them may be of a process that ended a moment later and whose page
 * was given to somebody else; a guard may have been off for the microseconds in which the kernel
 * itself takes it off.  So what a finding says of a register must be there again in measurements
 * with other readings.  Must never let a finding go that a later reading could not look at.
 */
#ifndef MONATT_INTROSPECTION_REGISTER_FINDINGS_H
#define MONATT_INTROSPECTION_REGISTER_FINDINGS_H

#include "host-collector/sources/introspection/checks/check-report.h"

/* Readings that such a finding takes: as many as a check's runs (CHECK_RUNNER_SCANS). */
#define REGISTER_READINGS CHECK_RUNNER_SCANS

/* The checks (1 << MONATT_SUBCHECK_) that found something in registers; 0: none did. */
uint64_t register_findings(const CheckReport *report);
/*
 * again: a measurement by those checks with registers that were read since.  What it has not, was a
 * moment and leaves report; what it could not look at is unsettled, and its check's reason is the
 * later one's.
 */
void register_findings_confirm(CheckReport *report, const CheckReport *again);

#endif
