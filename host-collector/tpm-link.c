/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tpm-link.c - ESYS calls of the collector, each checked, each failure sorted
 *
 * What must be known after a failure is whether the session key still exists.  Errors of the
 * transport, and TPM errors that say "this handle is not there" or "initialise me first", mean
 * that it does not: tpm_link_alive() is false from then on.
 */
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include "host-collector/tpm-link.h"
#include "libmonatt/base/text.h"

/* TPM 2.0 Part 3, 22.4: one TPM2_PCR_Read answers at most 8 digests, so 15 take two. */
#define PCR_READS_MAXIMUM TPM_LINK_PCRS
/* A PCR that moves between quote and read: read and quote again.  IMA extends in bursts at
 * program starts; five tries of about a millisecond outlast one. */
#define QUOTE_TRIES 5
/* Transient objects a dead collector left behind in a TPM without resource manager. */
/* TPM 2.0 Part 2, 7.4; tss2's own macro shifts a signed 0x80 into the sign, which is undefined. */
#define TRANSIENT_FIRST 0x80000000u
#define STALE_HANDLES_MAXIMUM 16

struct TpmLink {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    bool alive;
    uint32_t reset_count; /* of the TPM, when this link was opened */
    bool have_values;
    uint8_t values[TPM_LINK_PCRS][MONATT_SHA256_SIZE]; /* as read last */
};

static bool tpm_link_fail(TpmLink *link, TSS2_RC code, const char *what, MonattError *err)
{
    TSS2_RC layer = code & TSS2_RC_LAYER_MASK;
    TSS2_RC base = code & ~TSS2_RC_LAYER_MASK;

    /* Out of sequence: a command before this one broke off half way. */
    if (layer == TSS2_TCTI_RC_LAYER || base == TSS2_BASE_RC_IO_ERROR ||
        (layer == TSS2_ESAPI_RC_LAYER && base == TSS2_BASE_RC_BAD_SEQUENCE)) {
        link->alive = false;
        monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: %s: the connection broke", what);
        return monatt_error_hint(err, "is the host TPM running? then 'monatt ca enrol' again");
    }
    /* Format-one errors carry the handle's number above the code (Part 2, 6.6). */
    if (code == TPM2_RC_INITIALIZE ||
        (code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_H6) ||
        ((base & TPM2_RC_FMT1) && (base & 0xbf) == TPM2_RC_HANDLE)) {
        link->alive = false;
        monatt_error_set(err, MONATT_ERROR_TPM,
                         "host TPM: %s: the TPM was reset, the session key "
                         "is gone",
                         what);
        return monatt_error_hint(err, "the session is over: run 'monatt ca enrol' again");
    }
    return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: %s: %s", what, Tss2_RC_Decode(code));
}

static void tpm_link_flush_stale(TpmLink *link)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = TPM2_NO;

    if (Esys_GetCapability(link->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                           TRANSIENT_FIRST, STALE_HANDLES_MAXIMUM, &more,
                           &data) != TSS2_RC_SUCCESS) {
        return; /* then CreatePrimary says what is wrong */
    }
    for (uint32_t i = 0; i < data->data.handles.count && i < STALE_HANDLES_MAXIMUM; i++) {
        ESYS_TR object = ESYS_TR_NONE;

        if (Esys_TR_FromTPMPublic(link->esys, data->data.handles.handle[i], ESYS_TR_NONE,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &object) == TSS2_RC_SUCCESS) {
            if (Esys_FlushContext(link->esys, object) != TSS2_RC_SUCCESS) {
                Esys_TR_Close(link->esys, &object);
            }
        }
    }
    Esys_Free(data);
}

/* TPM 2.0 Part 3, 29.1 TPM2_ReadClock */
static bool tpm_link_read_resets(TpmLink *link, uint32_t *ret_count, MonattError *err)
{
    TPMS_TIME_INFO *now = NULL;
    TSS2_RC code = Esys_ReadClock(link->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now);

    if (code != TSS2_RC_SUCCESS) {
        return tpm_link_fail(link, code, "clock", err);
    }
    *ret_count = now->clockInfo.resetCount;
    Esys_Free(now);
    return true;
}

bool tpm_link_check(TpmLink *link, MonattError *err)
{
    uint32_t count;

    if (!tpm_link_read_resets(link, &count, err)) {
        link->alive = false;
        return false;
    }
    if (count != link->reset_count) {
        link->alive = false;
        monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: was reset, its session keys are gone");
        return monatt_error_hint(err, "the session is over: run 'monatt ca enrol' again");
    }
    return true;
}

TpmLink *tpm_link_open(const char *tcti, MonattError *err)
{
    TpmLink *link = g_new0(TpmLink, 1);
    TSS2_RC code;

    link->alive = true;
    code = Tss2_TctiLdr_Initialize(tcti, &link->tcti);
    if (code != TSS2_RC_SUCCESS) {
        monatt_error_set(err, MONATT_ERROR_MISSING, "host TPM '%s': cannot be reached", tcti);
        monatt_error_hint(err, "start it, or name another with --host-tpm "
                               "(device:/dev/tpmrm0, swtpm:path=SOCKET)");
        tpm_link_close(link);
        return NULL;
    }
    code = Esys_Initialize(&link->esys, link->tcti, NULL);
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_Startup(link->esys, TPM2_SU_CLEAR);
        /* The kernel's or an earlier Startup counts: INITIALIZE here means "already done". */
        if (code == TPM2_RC_INITIALIZE) {
            code = TSS2_RC_SUCCESS;
        }
    }
    if (code != TSS2_RC_SUCCESS) {
        tpm_link_fail(link, code, "start", err);
        tpm_link_close(link);
        return NULL;
    }
    if (!tpm_link_read_resets(link, &link->reset_count, err)) {
        tpm_link_close(link);
        return NULL;
    }
    tpm_link_flush_stale(link);
    return link;
}

void tpm_link_close(TpmLink *link)
{
    if (!link) {
        return;
    }
    Esys_Finalize(&link->esys);
    Tss2_TctiLdr_Finalize(&link->tcti);
    g_free(link);
}

bool tpm_link_alive(const TpmLink *link)
{
    return link->alive;
}

static void tpm_link_public(TPM2B_PUBLIC *template, bool storage)
{
    TPMS_ECC_PARMS *parameters = &template->publicArea.parameters.eccDetail;

    memset(template, 0, sizeof(*template));
    template->publicArea.type = TPM2_ALG_ECC;
    template->publicArea.nameAlg = TPM2_ALG_SHA256;
    template->publicArea.objectAttributes =
        TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
        TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
        (storage ? TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA : TPMA_OBJECT_SIGN_ENCRYPT);
    parameters->curveID = TPM2_ECC_NIST_P256;
    parameters->kdf.scheme = TPM2_ALG_NULL;
    if (storage) {
        parameters->symmetric.algorithm = TPM2_ALG_AES;
        parameters->symmetric.keyBits.aes = 128;
        parameters->symmetric.mode.aes = TPM2_ALG_CFB;
        parameters->scheme.scheme = TPM2_ALG_NULL;
    } else {
        parameters->symmetric.algorithm = TPM2_ALG_NULL;
        parameters->scheme.scheme = TPM2_ALG_ECDSA;
        parameters->scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    }
}

/* Creates SK under the primary and loads it; the caller flushes the primary. */
static bool tpm_link_create_child(TpmLink *link, ESYS_TR primary, ESYS_TR *ret_key,
                                  GBytes **ret_public, MonattError *err)
{
    static const TPM2B_SENSITIVE_CREATE no_secret = {0};
    static const TPM2B_DATA no_data = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC template;
    TPM2B_PRIVATE *private = NULL;
    TPM2B_PUBLIC *public = NULL;
    ESYS_TR key = ESYS_TR_NONE;
    uint8_t bytes[sizeof(TPMT_PUBLIC)];
    size_t size = 0;
    bool done = false;
    TSS2_RC code;

    tpm_link_public(&template, false);
    code =
        Esys_Create(link->esys, primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_secret,
                    &template, &no_data, &no_pcrs, &private, &public, NULL, NULL, NULL);
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_Load(link->esys, primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, private,
                         public, &key);
    }
    if (code == TSS2_RC_SUCCESS) {
        code = Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, bytes, sizeof(bytes), &size);
    }
    if (code == TSS2_RC_SUCCESS) {
        *ret_key = key;
        *ret_public = g_bytes_new(bytes, size);
        done = true;
    } else {
        tpm_link_fail(link, code, "session key", err);
        if (key != ESYS_TR_NONE) {
            tpm_link_flush_key(link, key);
        }
    }
    Esys_Free(private);
    Esys_Free(public);
    return done;
}

bool tpm_link_create_key(TpmLink *link, uint32_t *ret_key, GBytes **ret_public, MonattError *err)
{
    static const TPM2B_SENSITIVE_CREATE no_secret = {0};
    static const TPM2B_DATA no_data = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    TPM2B_PUBLIC template;
    ESYS_TR primary = ESYS_TR_NONE;
    TSS2_RC code;
    bool done;

    tpm_link_public(&template, true);
    code = Esys_CreatePrimary(link->esys, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, &no_secret, &template, &no_data, &no_pcrs, &primary,
                              NULL, NULL, NULL, NULL);
    if (code != TSS2_RC_SUCCESS) {
        return tpm_link_fail(link, code, "storage key", err);
    }
    done = tpm_link_create_child(link, primary, ret_key, ret_public, err);
    tpm_link_flush_key(link, primary);
    return done;
}

void tpm_link_flush_key(TpmLink *link, uint32_t key)
{
    ESYS_TR object = key;
    MonattError err = {0};
    TSS2_RC code = Esys_FlushContext(link->esys, object);

    if (code != TSS2_RC_SUCCESS) {
        tpm_link_fail(link, code, "flush", &err); /* only whether the link still lives */
        Esys_TR_Close(link->esys, &object);
    }
}

static void tpm_link_select(TPML_PCR_SELECTION *selection, uint32_t bits)
{
    memset(selection, 0, sizeof(*selection));
    selection->count = 1;
    selection->pcrSelections[0].hash = TPM2_ALG_SHA256;
    selection->pcrSelections[0].sizeofSelect = 3;
    for (size_t i = 0; i < 3; i++) {
        selection->pcrSelections[0].pcrSelect[i] = (BYTE)(bits >> (8 * i));
    }
}

/* Takes over what one TPM2_PCR_Read gave; false when it gave nothing that was asked for. */
static bool tpm_link_take_values(TpmLink *link, const TPML_PCR_SELECTION *selection,
                                 const TPML_DIGEST *digests, uint32_t *wanted, MonattError *err)
{
    uint32_t at = 0;

    if (selection->count != 1 || selection->pcrSelections[0].hash != TPM2_ALG_SHA256) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: PCRs: it has no SHA-256 bank");
    }
    for (uint32_t i = 0; i < TPM_LINK_PCRS && at < digests->count; i++) {
        if (i / 8 >= selection->pcrSelections[0].sizeofSelect ||
            !(selection->pcrSelections[0].pcrSelect[i / 8] & (1u << (i % 8)))) {
            continue;
        }
        if (digests->digests[at].size != MONATT_SHA256_SIZE) {
            return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: PCR %u: %u bytes", i,
                                    digests->digests[at].size);
        }
        memcpy(link->values[i], digests->digests[at].buffer, MONATT_SHA256_SIZE);
        *wanted &= ~(1u << i);
        at++;
    }
    if (at == 0) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: PCRs: the SHA-256 bank is empty");
    }
    return true;
}

static bool tpm_link_read_values(TpmLink *link, MonattError *err)
{
    uint32_t wanted = TPM_LINK_SELECTION;

    for (int i = 0; wanted != 0; i++) {
        TPML_PCR_SELECTION selection;
        TPML_PCR_SELECTION *answered = NULL;
        TPML_DIGEST *digests = NULL;
        bool taken;
        TSS2_RC code;

        if (i >= PCR_READS_MAXIMUM) {
            return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: PCRs: not all were given");
        }
        tpm_link_select(&selection, wanted);
        code = Esys_PCR_Read(link->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection, NULL,
                             &answered, &digests);
        if (code != TSS2_RC_SUCCESS) {
            return tpm_link_fail(link, code, "PCRs", err);
        }
        taken = tpm_link_take_values(link, answered, digests, &wanted, err);
        Esys_Free(answered);
        Esys_Free(digests);
        if (!taken) {
            return false;
        }
    }
    link->have_values = true;
    return true;
}

/* The digest a quote must carry if the PCRs are as read last. */
static bool tpm_link_values_match(const TpmLink *link, const TPM2B_ATTEST *attest, bool *ret_match,
                                  MonattError *err)
{
    TPMS_ATTEST parsed;
    uint8_t digest[MONATT_SHA256_SIZE];
    size_t offset = 0;
    const TPM2B_DIGEST *quoted = &parsed.attested.quote.pcrDigest;

    memset(&parsed, 0, sizeof(parsed));
    if (Tss2_MU_TPMS_ATTEST_Unmarshal(attest->attestationData, attest->size, &offset, &parsed) !=
            TSS2_RC_SUCCESS ||
        parsed.type != TPM2_ST_ATTEST_QUOTE) {
        return monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: quote: not a quote");
    }
    if (EVP_Digest(link->values, sizeof(link->values), digest, NULL, EVP_sha256(), NULL) != 1) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "host TPM: quote: no SHA-256");
    }
    *ret_match = quoted->size == sizeof(digest) &&
                 monatt_bytes_equal(quoted->buffer, digest, sizeof(digest));
    return true;
}

static MonattQuote *tpm_link_wrap(const TpmLink *link, const TPM2B_ATTEST *attest,
                                  const TPMT_SIGNATURE *signature, MonattError *err)
{
    uint8_t bytes[sizeof(TPMT_SIGNATURE)];
    size_t size = 0;
    MonattQuote *quote;

    if (Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof(bytes), &size) != TSS2_RC_SUCCESS) {
        monatt_error_set(err, MONATT_ERROR_TPM, "host TPM: quote: odd signature");
        return NULL;
    }
    quote = g_new0(MonattQuote, 1);
    quote->attest = g_bytes_new(attest->attestationData, attest->size);
    quote->signature = g_bytes_new(bytes, size);
    quote->alg = MONATT_ALG_SHA256;
    quote->selection = TPM_LINK_SELECTION;
    quote->values = g_bytes_new(link->values, sizeof(link->values));
    return quote;
}

bool tpm_link_quote(TpmLink *link, uint32_t key, GBytes *qualifying, MonattQuote **ret_quote,
                    MonattError *err)
{
    static const TPMT_SIG_SCHEME by_key = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION selection;
    TPM2B_DATA data = {0};
    gsize size = 0;
    const void *bytes = g_bytes_get_data(qualifying, &size);

    if (size > sizeof(data.buffer)) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "host TPM: quote: %zu bytes to qualify",
                                size);
    }
    data.size = (UINT16)size;
    memcpy(data.buffer, bytes, size);
    tpm_link_select(&selection, TPM_LINK_SELECTION);
    for (int i = 0; i < QUOTE_TRIES; i++) {
        TPM2B_ATTEST *attest = NULL;
        TPMT_SIGNATURE *signature = NULL;
        MonattQuote *quote = NULL;
        bool match = false;
        bool done = true;
        TSS2_RC code;

        /* TPM 2.0 Part 3, 18.4 TPM2_Quote */
        code = Esys_Quote(link->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                          &by_key, &selection, &attest, &signature);
        if (code != TSS2_RC_SUCCESS) {
            return tpm_link_fail(link, code, "quote", err);
        }
        /* The values of the last time nearly always still hold: then no PCR is read at all. */
        if (link->have_values) {
            done = tpm_link_values_match(link, attest, &match, err);
        }
        if (done && !match) {
            done =
                tpm_link_read_values(link, err) && tpm_link_values_match(link, attest, &match, err);
        }
        if (done && match) {
            quote = tpm_link_wrap(link, attest, signature, err);
            done = quote != NULL;
        }
        Esys_Free(attest);
        Esys_Free(signature);
        if (!done) {
            return false;
        }
        if (quote) {
            *ret_quote = quote;
            return true;
        }
    }
    monatt_error_set(err, MONATT_ERROR_BUSY, "host TPM: quote: PCRs moved during %d tries",
                     QUOTE_TRIES);
    return monatt_error_hint(err, "ask again when fewer programs start on the host");
}
