/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-keys.h - dEK and dAK of a VM's swtpm, the same in each boot of the VM
 *
 * Primaries are derived from the endorsement seed and the template, so nothing is stored.
 */
#ifndef HW_ATTEST_TPM_KEYS_H
#define HW_ATTEST_TPM_KEYS_H

#include "libmonatt/base/error.h"

struct TpmBackend;
/* Makes all three; dEK's public area only, both dAKs stay loaded.  FAULT: another key than at the
 * first start of this device, so the TPM's state was exchanged. */
bool tpm_keys_create(struct TpmBackend *tpm, MonattError *err) MONATT_MUST_CHECK;

#endif
