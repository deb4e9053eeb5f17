/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attest.h - one question about one VM becomes one signed, stored evidence
 */
#ifndef MONATT_HOST_COLLECTOR_ATTEST_H
#define MONATT_HOST_COLLECTOR_ATTEST_H

#include "host-collector/session.h"
#include "host-collector/store.h"
#include "host-collector/vm.h"

typedef struct AttestHost {
    Session *session;
    HostTpm *tpm;
    Store *store;
} AttestHost;

/* What is measured for a property: MONATT_MEASURE_* bits; false: no such property. */
bool attest_measurements_of(const char *property, uint32_t *ret_bits);
#define ATTEST_EVERYTHING (MONATT_MEASURE_BOOT | MONATT_MEASURE_TASKS | MONATT_MEASURE_PLUGIN)

/*
 * Measures, reports, quotes, signs, stores; the steps are those of docs/architecture.md.  The
 * nonce must not have been used (store_nonce_used()).  When it returns evidence, that is on disk.
 */
GBytes *attest_run(const AttestHost *host, Vm *vm, const uint8_t nonce[MONATT_NONCE_SIZE],
                   uint32_t measurements, MonattError *err) MONATT_MUST_CHECK;

#endif
