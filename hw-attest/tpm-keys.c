/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-keys.c - templates of the device's keys, and their making
 */
#include "hw-attest/tpm-keys.h"

#include <string.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include "hw-attest/tpm-backend.h"

/* TCG EK Credential Profile 2.5, B.3.4, template L-2 (ECC NIST P-256), policy A. */
static const TPM2B_PUBLIC ek_template = {
    .publicArea = {
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                            TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
        .authPolicy = {.size = 32,
                       .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                  0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                  0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa}},
        .parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                               .keyBits.aes = 128,
                                               .mode.aes = TPM2_ALG_CFB},
                                 .scheme.scheme = TPM2_ALG_NULL,
                                 .curveID = TPM2_ECC_NIST_P256,
                                 .kdf.scheme = TPM2_ALG_NULL},
        .unique.ecc = {.x.size = 32, .y.size = 32},
    }};

/* A restricted key signs only what the TPM made itself (case E05). */
static TPM2B_PUBLIC ak_template(uint16_t alg)
{
    bool wide = alg == MONATT_ALG_SHA384;
    TPM2B_PUBLIC template = {
        .publicArea = {
            .type = TPM2_ALG_ECC,
            .nameAlg = alg,
            /* noDA: an unclean end of the VM must not count as a guessed password. */
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                                TPMA_OBJECT_SIGN_ENCRYPT,
            .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                     .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                .details.ecdsa.hashAlg = alg},
                                     .curveID = wide ? TPM2_ECC_NIST_P384 : TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        }};
    return template;
}

static bool create(TpmBackend *tpm, const TPM2B_PUBLIC *template, const char *what,
                   TpmPublic *public, ESYS_TR *ret_handle, MonattError *err)
{
    const TPM2B_SENSITIVE_CREATE sensitive = {0};
    const TPM2B_DATA outside = {0};
    const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC *made = NULL;
    ESYS_TR handle = ESYS_TR_NONE;
    TSS2_RC rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                    ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, template, &outside,
                                    &no_pcrs, &handle, &made, NULL, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: %s: %s (%#x)", what,
                                Tss2_RC_Decode(rc), rc);
    }
    TpmPublic now = {0};
    rc = Tss2_MU_TPM2B_PUBLIC_Marshal(made, now.bytes, sizeof(now.bytes), &now.size);
    Esys_Free(made);
    if (rc != TSS2_RC_SUCCESS) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: %s: public area does not fit", what);
    }
    if (public->size != 0 &&
        (public->size != now.size || !monatt_bytes_equal(public->bytes, now.bytes, now.size))) {
        return monatt_error_set(err, MONATT_ERROR_FAULT,
                                "swtpm: %s: not the key of the boot before: state exchanged", what);
    }
    *public = now;
    *ret_handle = handle;
    return true;
}

bool tpm_keys_create(TpmBackend *tpm, MonattError *err)
{
    const TPM2B_PUBLIC ak256 = ak_template(MONATT_ALG_SHA256);
    const TPM2B_PUBLIC ak384 = ak_template(MONATT_ALG_SHA384);
    ESYS_TR ek;
    if (!create(tpm, &ek_template, "dEK", &tpm->ek, &ek, err)) {
        return false;
    }
    TSS2_RC rc = Esys_FlushContext(tpm->esys, ek);
    if (rc != TSS2_RC_SUCCESS) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "swtpm: FlushContext: %#x", rc);
    }
    return create(tpm, &ak256, "dAK P-256", &tpm->ak_public256, &tpm->ak256, err) &&
           create(tpm, &ak384, "dAK P-384", &tpm->ak_public384, &tpm->ak384, err);
}
