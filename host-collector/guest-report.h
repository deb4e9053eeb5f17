/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-report.h - evidence that a VM's own guest asked for through its device
 */
#ifndef MONATT_HOST_COLLECTOR_GUEST_REPORT_H
#define MONATT_HOST_COLLECTOR_GUEST_REPORT_H

#include "host-collector/attest.h"

/* The VM's thread calls it (a VmReporter) when the device says that its guest asked; it takes as
 * long as an attestation does.  host: an AttestHost. */
void guest_report_answer(const void *host, Vm *vm);

#endif
