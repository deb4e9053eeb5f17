/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-loop.c - the peer of attest-latency and ring-extend: one TPM command by ESYS, again and
 * again, nothing else
 *
 * usage: tpm-loop quote|extend TCTI COUNT; prints the microseconds of each, one a line.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#define COUNT_MAXIMUM 100000
#define PCRS 0x7fffu /* as the host quote's */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int fail(const char *what, TSS2_RC code)
{
    fprintf(stderr, "tpm-loop: %s: %s\n", what, Tss2_RC_Decode(code));
    return 1;
}

/* The same kind of key as a session's: P-256, ECDSA-SHA256, restricted, NULL hierarchy. */
static TSS2_RC create_key(ESYS_CONTEXT *esys, ESYS_TR *ret_key)
{
    static const TPM2B_SENSITIVE_CREATE no_secret = {0};
    static const TPM2B_DATA no_data = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    static const TPM2B_PUBLIC form = {
        .publicArea = {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
            .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                     .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                     .curveID = TPM2_ECC_NIST_P256,
                                     .kdf.scheme = TPM2_ALG_NULL},
        }};
    return Esys_CreatePrimary(esys, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                              &no_secret, &form, &no_data, &no_pcrs, ret_key, NULL, NULL, NULL,
                              NULL);
}

static TSS2_RC quote(ESYS_CONTEXT *esys, ESYS_TR key)
{
    static const TPMT_SIG_SCHEME by_key = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION selection = {.count = 1,
                                    .pcrSelections[0] = {.hash = TPM2_ALG_SHA256,
                                                         .sizeofSelect = 3,
                                                         .pcrSelect = {PCRS & 0xff, PCRS >> 8, 0}}};
    TPM2B_DATA qualifying = {.size = 32};
    TPM2B_ATTEST *attest = NULL;
    TPMT_SIGNATURE *signature = NULL;
    TSS2_RC code = Esys_Quote(esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &qualifying,
                              &by_key, &selection, &attest, &signature);
    Esys_Free(attest);
    Esys_Free(signature);
    return code;
}

/* Both banks, as the device's. */
static TSS2_RC extend(ESYS_CONTEXT *esys)
{
    static const TPML_DIGEST_VALUES digests = {
        .count = 2,
        .digests = {{.hashAlg = TPM2_ALG_SHA256, .digest.sha256 = {1}},
                    {.hashAlg = TPM2_ALG_SHA384, .digest.sha384 = {1}}}};
    return Esys_PCR_Extend(esys, ESYS_TR_PCR10, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                           &digests);
}

int main(int argc, char **argv)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    ESYS_CONTEXT *esys = NULL;
    ESYS_TR key = ESYS_TR_NONE;
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    bool quotes = argc == 4 && strcmp(argv[1], "quote") == 0;
    if (count < 1 || count > COUNT_MAXIMUM || (!quotes && strcmp(argv[1], "extend") != 0)) {
        fprintf(stderr, "usage: tpm-loop quote|extend TCTI COUNT\n");
        return 2;
    }
    TSS2_RC code = Tss2_TctiLdr_Initialize(argv[2], &tcti);
    code = code == TSS2_RC_SUCCESS ? Esys_Initialize(&esys, tcti, NULL) : code;
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_Startup(esys, TPM2_SU_CLEAR);
        code = code == TPM2_RC_INITIALIZE ? TSS2_RC_SUCCESS : code; /* somebody started it */
    }
    code = code == TSS2_RC_SUCCESS && quotes ? create_key(esys, &key) : code;
    if (code != TSS2_RC_SUCCESS) {
        return fail(argv[2], code);
    }
    for (long i = 0; i < count; i++) {
        double begin = now_us();
        code = quotes ? quote(esys, key) : extend(esys);
        if (code != TSS2_RC_SUCCESS) {
            return fail(argv[1], code);
        }
        printf("%.1f\n", now_us() - begin);
    }
    if (quotes) {
        Esys_FlushContext(esys, key);
    }
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&tcti);
    return 0;
}
