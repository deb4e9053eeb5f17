/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure-checks.h - the checks of a guest's kernel: what they compare with, and their records
 */
#ifndef MONATT_HOST_COLLECTOR_MEASURE_CHECKS_H
#define MONATT_HOST_COLLECTOR_MEASURE_CHECKS_H

#include "host-collector/vm.h"

/* Into MR19: a summary of each check and what they found.  unable: why no worker can be asked, or
 * NULL; then each check's summary says that. */
bool measure_checks(Vm *vm, const MonattError *unable, MonattError *err) MONATT_MUST_CHECK;

#endif
