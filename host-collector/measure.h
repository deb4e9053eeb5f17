/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure.h - from the host's sources into the trust evidence registers of a taken VM
 *
 * Each function appends canonical records (docs/formats/records.md) through the device.  A source
 * that cannot say is recorded as one that could not say, with the reason: a verdict is then
 * unknown, never healthy.
 */
#ifndef MONATT_HOST_COLLECTOR_MEASURE_H
#define MONATT_HOST_COLLECTOR_MEASURE_H

#include "host-collector/vm.h"

/* MR20: the launcher's items that are not in the log of this boot yet. */
bool measure_boot(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* After the log was read: windows that are in it, or from before a reset that this process saw,
 * are not counted again. */
void measure_plugin_begin(Vm *vm, bool reset_seen);
/* Adds up the ring; with flush, or once a minute, the sums go into MR17.  No plugin: nothing. */
bool measure_plugin_drain(Vm *vm, bool flush, MonattError *err) MONATT_MUST_CHECK;
/* MR19: the guest's tasks and the checks of its kernel by a worker, summaries and findings. */
bool measure_tasks(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* The same measurement for a person, recorded nowhere; the caller frees the report. */
bool measure_look_at_tasks(Vm *vm, MonattTaskReport **ret_report,
                           MonattError *err) MONATT_MUST_CHECK;
/* What the checks see, for a person and recorded nowhere; monatt_check_report_free(). */
bool measure_look_at_checks(Vm *vm, const MonattCheckRequest *request,
                            MonattCheckReport **ret_report, MonattError *err) MONATT_MUST_CHECK;
/* A worker for the guest's RAM as it is now: vm->worker.  MISSING: QEMU has shared none. */
bool measure_need_worker(Vm *vm, MonattError *err) MONATT_MUST_CHECK;
/* Shows the guest the nonce that its next process list must bear. */
void measure_show_nonce(Vm *vm);

#endif
