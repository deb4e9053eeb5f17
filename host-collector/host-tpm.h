/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-tpm.h - the host TPM for many askers: one thread, one command at a time, deadlines
 *
 * A TPM does one thing at a time and may stop answering; askers wait for their job with a
 * deadline of their own and never hold up each other's locks.
 */
#ifndef MONATT_HOST_COLLECTOR_HOST_TPM_H
#define MONATT_HOST_COLLECTOR_HOST_TPM_H

#include <glib.h>
#include <stdbool.h>
#include "libmonatt/base/error.h"
#include "libmonatt/evidence/evidence.h"

typedef struct HostTpm HostTpm;
typedef struct HostTpmJob HostTpmJob;

/* Connects at the first use, and again after the TPM was lost. */
HostTpm *host_tpm_new(const char *tcti);
/* Waits for the job at hand, at most as long as a caller would; a TPM that hangs longer is left
 * to the end of the process. */
void host_tpm_free(HostTpm *tpm);

/* A session key; ret_id names it in this process, ret_public is a marshalled TPMT_PUBLIC. */
bool host_tpm_create_key(HostTpm *tpm, uint64_t *ret_id, GBytes **ret_public,
                         MonattError *err) MONATT_MUST_CHECK;
/* Does not wait. */
void host_tpm_drop_key(HostTpm *tpm, uint64_t id);
/* False when the TPM was reset or reconnected since: the key is gone for ever. */
bool host_tpm_has_key(HostTpm *tpm, uint64_t id);

/* Begins a quote by key id over qualifying (at most 64 bytes); never fails, finish says. */
HostTpmJob *host_tpm_quote_start(HostTpm *tpm, uint64_t id, const void *qualifying, size_t size);
/* Waits; consumes the job.  BUSY: the TPM does not answer, or the key is gone. */
bool host_tpm_quote_finish(HostTpmJob *job, MonattQuote **ret_quote,
                           MonattError *err) MONATT_MUST_CHECK;

#endif
