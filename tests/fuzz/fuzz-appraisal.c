/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-appraisal.c - an evidence file of any bytes through every step, and through 'show'
 *
 * The root below is of a CA that tests/lib/fake-host made and forgot; the corpus holds evidence
 * under it, judged at the time it was made.
 */
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include "verifier/appraisal/appraisal.h"
#include "verifier/json.h"
#include "verifier/report.h"
#include "verifier/result.h"
#include "verifier/show.h"

#define AT 1795613395 /* seconds, UNIX: a moment after the corpus was made */

static const char root_pem[] = "-----BEGIN CERTIFICATE-----\n"
                               "MIIBfjCCASWgAwIBAgIQfgvIdDHP4B6PZcOahHhisTAKBggqhkjOPQQDAjAeMRww\n"
                               "GgYDVQQDDBNNb25hdHQgcHJpdmFjeSByb290MB4XDTI2MTEyNTEzMjg0NVoXDTM2\n"
                               "MTEyMjEzMjg0NVowHjEcMBoGA1UEAwwTTW9uYXR0IHByaXZhY3kgcm9vdDBZMBMG\n"
                               "ByqGSM49AgEGCCqGSM49AwEHA0IABA0p5So5aV0R6SAG5xZq4GbkhhGKmJ8FL4LH\n"
                               "1G2JWt0twKZbBHB8B1GwvWdZytPAqnTPl9WKDGdwYbthUDvsJWyjRTBDMBIGA1Ud\n"
                               "EwEB/wQIMAYBAf8CAQEwDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBRSFCemVaJX\n"
                               "AwIlMdsBdfINL5AcezAKBggqhkjOPQQDAgNHADBEAiAv0qRXCp/Cch1DIV/9gfSL\n"
                               "dRo6tg1cJ8SiQFce/OciigIgAnYI731AX7mj8gimB1y6h6pMqnN3JIUzPZnVYxix\n"
                               "Y+s=\n"
                               "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *root(void)
{
    BIO *bio = BIO_new_mem_buf(root_pem, -1);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate != NULL ? certificate : (abort(), NULL);
}

static void write_reports(const MonattAppraisal *a, const MonattPolicy *policy,
                          const MonattReference *reference, const uint8_t *nonce)
{
    g_autoptr(MonattJson) claims = monatt_result_to_json(a, policy, reference, nonce, AT);
    g_autofree char *text = monatt_report_text(claims);
    g_autofree char *page = monatt_report_html(claims);
    for (const char *c = text; *c != 0; c++) {
        if (*c != '\n' && (*c < 0x20 || *c > 0x7e)) {
            abort(); /* it goes to a terminal */
        }
    }
    if (strstr(page, "<script") != NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X509 *anchor;
    uint8_t nonce[MONATT_NONCE_SIZE];
    GError *error = NULL;
    memset(nonce, 0x11, sizeof(nonce));
    anchor = anchor != NULL ? anchor : root();
    g_autoptr(MonattPolicy) policy = monatt_policy_new();
    g_autoptr(MonattReference) reference = monatt_reference_new("fuzz");
    MonattEnvironment *environment = monatt_reference_add_environment(reference);
    environment->any = TRUE;
    monatt_environment_add(environment, "host/id")->text = g_strdup("host-1");
    monatt_environment_add(environment, "boot/kernel")->has_sha256 = TRUE;
    MonattAppraisalInput input = {.evidence = data,
                                  .evidence_size = size,
                                  .nonce = nonce,
                                  .anchor = anchor,
                                  .reference = reference,
                                  .policy = policy,
                                  .at = AT};
    const char *step = NULL;
    MonattAppraisal *a = monatt_appraisal_run(&input, &step, &error);
    if (a == NULL ? step == NULL || error == NULL : error != NULL) {
        abort();
    }
    if (a != NULL) {
        /* The kernel of the reference is no file's hash. */
        if (a->overall == MONATT_VERDICT_HEALTHY) {
            abort();
        }
        write_reports(a, policy, reference, nonce);
    }
    g_clear_error(&error);
    monatt_appraisal_free(a);
    g_autoptr(MonattJson) shown = monatt_show_evidence(data, size, &error);
    g_free(shown != NULL ? monatt_show_text(shown) : NULL);
    g_clear_error(&error);
    return 0;
}
