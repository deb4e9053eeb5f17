/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-resume.h - goes on with the swtpm of a device process that was killed
 */
#ifndef HW_ATTEST_TPM_RESUME_H
#define HW_ATTEST_TPM_RESUME_H

#include "hw-attest/tpm-backend.h"

/*
 * In the tpm thread, before anything else: finds the record at which swtpm stands (tpm->resume, at
 * the pipe's `synced`, is where it stood at least) and sets `synced` to it, so that the next extend
 * is the first one that it has not had.  Must be the same boot, the same keys, one record of the
 * pipe for both banks; what is not becomes the device's fault.  Frees tpm->resume.
 */
void tpm_resume(TpmBackend *tpm, Device *device);

#endif
