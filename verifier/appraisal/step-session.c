/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step-session.c - form, algorithm, session certificate, signature, nonce, time
 *
 * Before step_signature() has passed nothing but the certificate chain may be looked at; the
 * claims are parsed only after it.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define CLOCK_SLACK_S 5 /* protocol 5.5: iat within the exchange, 5 s either way */

gboolean step_format(MonattAppraisal *a, GError **error)
{
    a->evidence = monatt_evidence_parse(a->input->evidence, a->input->evidence_size, error);
    if (a->evidence == NULL) {
        return FALSE;
    }
    gsize size;
    const void *bytes = g_bytes_get_data(a->evidence->claims, &size);
    a->jws = monatt_jws_parse(bytes, size, "eat+jwt", TRUE, error);
    if (a->jws == NULL) {
        g_prefix_error(error, "claims: ");
        return FALSE;
    }
    if (a->jws->chain == NULL || sk_X509_num(a->jws->chain) == 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "claims: the JWS carries no certificate (x5c)");
        return FALSE;
    }
    return TRUE;
}

gboolean step_algorithm(MonattAppraisal *a, GError **error)
{
    const MonattPolicy *policy = a->input->policy;
    if (policy->accept_s256 && strcmp(a->jws->alg, monatt_suite_alg("S256")) == 0) {
        a->suite = "S256";
    } else if (policy->accept_s384 && strcmp(a->jws->alg, monatt_suite_alg("S384")) == 0) {
        a->suite = "S384";
    } else {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "algorithm %s is not one that the policy accepts", a->jws->alg);
        return FALSE;
    }
    a->digest_size = monatt_suite_digest_size(a->suite);
    return TRUE;
}

gboolean step_session(MonattAppraisal *a, GError **error)
{
    if (!monatt_session_certificate_check(a->jws->chain, a->input->anchor, a->input->at,
                                          &a->certificate, error)) {
        return FALSE;
    }
    const char *suite = monatt_suite_of_key(a->certificate.jws_key);
    if (suite == NULL || strcmp(suite, a->suite) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "session certificate: its key is not one of suite %s", a->suite);
        return FALSE;
    }
    return TRUE;
}

gboolean step_signature(MonattAppraisal *a, GError **error)
{
    if (!monatt_jws_verify(a->jws, a->certificate.jws_key, error)) {
        g_prefix_error(error, "claims: ");
        return FALSE;
    }
    gsize size;
    const void *payload = g_bytes_get_data(a->jws->payload, &size);
    a->claims = monatt_claims_parse(payload, size, error);
    if (a->claims == NULL) {
        return FALSE;
    }
    if (strcmp(a->claims->suite, a->suite) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "claims: suite %s, but signed with %s", a->claims->suite, a->jws->alg);
        return FALSE;
    }
    if (!monatt_suite_hash(a->suite, payload, size, a->q3)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "claims: libcrypto cannot hash");
        return FALSE;
    }
    return TRUE;
}

gboolean step_nonce(MonattAppraisal *a, GError **error)
{
    if (!monatt_bytes_equal(a->claims->nonce, a->input->nonce, MONATT_NONCE_SIZE)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "nonce is not the one asked for (replayed or mixed-up report)\n"
                    "hint: ask again with 'monatt vm attest'; if it repeats, the host answers "
                    "with old reports");
        return FALSE;
    }
    if (a->claims->ask_size != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "claims: answer another verifier's question, not this nonce alone");
        return FALSE;
    }
    return TRUE;
}

static char *show_time(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
    return time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S UTC")
                        : g_strdup_printf("%" G_GINT64_FORMAT " s", seconds);
}

gboolean step_time(MonattAppraisal *a, GError **error)
{
    int64_t iat = a->claims->iat;
    int64_t at = a->input->at;
    g_autofree char *made = show_time(iat);
    g_autofree char *now = show_time(at);
    /* Both are within the years 0 to 9999, so a difference cannot overflow. */
    if (iat < 0 || iat - at > CLOCK_SLACK_S) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "made at %s, which is not yet: it is %s here\n"
                    "hint: one of the two clocks may be wrong",
                    made, now);
        return FALSE;
    }
    if (at - iat > a->input->policy->max_age_s) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "expired: made at %s, it is %s here, and the policy allows %" G_GINT64_FORMAT
                    " s\nhint: attest again; for an archived file give --at TIME",
                    made, now, a->input->policy->max_age_s);
        return FALSE;
    }
    return TRUE;
}
