/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-link.h - one connection to the host TPM: session keys and quotes, by ESYS
 *
 * Synchronous, one caller at a time (host-tpm.c sees to that), may block as long as the TPM does.
 * SK: child of a storage primary in the NULL hierarchy, made by TPM2_Create: restricted, sign,
 * fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, P-256, ECDSA-SHA256 (protocol,
 * section 2).  Its private half never leaves the TPM and dies with the TPM's next reset.
 */
#ifndef MONATT_HOST_COLLECTOR_TPM_LINK_H
#define MONATT_HOST_COLLECTOR_TPM_LINK_H

#include <glib.h>
#include <stdbool.h>
#include "libmonatt/base/error.h"
#include "libmonatt/evidence/evidence.h"

/* The host PCRs that a host quote covers: 0 to 14 (protocol, section 4). */
#define TPM_LINK_PCRS 15
#define TPM_LINK_SELECTION ((1u << TPM_LINK_PCRS) - 1)

typedef struct TpmLink TpmLink;

/* tcti: as tpm2-tools' -T, e.g. "swtpm:path=/run/x/tpm.sock", "device:/dev/tpmrm0". */
TpmLink *tpm_link_open(const char *tcti, MonattError *err) MONATT_MUST_CHECK;
void tpm_link_close(TpmLink *link);
/* False after an error that means the TPM or the connection is not what it was: every key made
 * over this link is lost, close it. */
bool tpm_link_alive(const TpmLink *link);
/* Asks the TPM whether it was reset since the link was opened; false: not alive any more.  A TPM
 * that came back gives the handles of lost keys to new ones: without this, letting go of a lost key
 * would flush another. */
bool tpm_link_check(TpmLink *link, MonattError *err) MONATT_MUST_CHECK;
/* ret_key: a handle for the calls below; ret_public: TPMT_PUBLIC, marshalled. */
bool tpm_link_create_key(TpmLink *link, uint32_t *ret_key, GBytes **ret_public,
                         MonattError *err) MONATT_MUST_CHECK;
void tpm_link_flush_key(TpmLink *link, uint32_t key);
/* Quote of the host PCRs with the values that give exactly the quoted digest. */
bool tpm_link_quote(TpmLink *link, uint32_t key, GBytes *qualifying, MonattQuote **ret_quote,
                    MonattError *err) MONATT_MUST_CHECK;

#endif
