/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appraisal.h - from an evidence file to verdicts, in one fixed order
 *
 * Each step is one function with one name and refuses for one kind of reason; the first that
 * fails decides what the user reads, and nothing of a later step is looked at.  Only what a
 * checked signature covers reaches a property's rule.  Pure: no file, no network, no clock of its
 * own, so the same evidence always gives the same verdicts.
 */
#ifndef MONATT_VERIFIER_APPRAISAL_H
#define MONATT_VERIFIER_APPRAISAL_H

#include <glib.h>
#include <openssl/x509.h>
#include "libmonatt/eventlog/cel.h"
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"
#include "verifier/appraisal/log-facts.h"
#include "verifier/policy.h"
#include "verifier/property.h"
#include "verifier/reference.h"

G_BEGIN_DECLS

typedef struct MonattAppraisalInput {
    const void *evidence; /* the file's bytes */
    size_t evidence_size;
    const uint8_t *nonce;             /* MONATT_NONCE_SIZE bytes: the question */
    X509 *anchor;                     /* root of the privacy CA */
    const MonattReference *reference; /* NULL: believe, but judge nothing (reference learn) */
    const MonattPolicy *policy;
    const char *host_id; /* the host that must have answered; NULL: as the reference says */
    int64_t at;          /* seconds, UNIX: certificates and ages are judged at this time */
} MonattAppraisalInput;

typedef struct MonattAppraisal {
    const MonattAppraisalInput *input; /* only while the steps run */
    MonattEvidence *evidence;
    MonattJws *jws;
    MonattClaims *claims;
    MonattSessionCertificate certificate;
    const char *suite; /* "S256", "S384" */
    uint8_t q3[MONATT_SUITE_DIGEST_MAXIMUM];
    size_t digest_size; /* of q3 and of every hash of the suite */
    MonattQuoteFacts host_quote;
    MonattQuoteFacts device_quote;
    uint8_t host_pcr[MONATT_SUITE_DIGEST_MAXIMUM]; /* H of the quoted host PCR values */
    MonattCelReplay replay;
    MonattLogFacts facts;
    char *host_id;  /* that the opening fits; NULL when the evidence has no opening */
    unsigned steps; /* that passed */
    gboolean judged;
    MonattPropertyResult results[MONATT_PROPERTY_COUNT];
    MonattVerdict overall; /* over what the policy requires; a compromise counts always */
} MonattAppraisal;
void monatt_appraisal_free(MonattAppraisal *appraisal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattAppraisal, monatt_appraisal_free)

/* NULL with REFUSED (or INTERNAL, a fault of ours) when a step fails; *ret_step, when wanted, is
 * then that step's name, a static string. */
MonattAppraisal *monatt_appraisal_run(const MonattAppraisalInput *input, const char **ret_step,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Names of the steps in their order, NULL-terminated. */
const char *const *monatt_appraisal_step_names(void);

/* Internal to appraisal/: one step each, FALSE refuses. */
gboolean step_format(MonattAppraisal *a, GError **error);
gboolean step_algorithm(MonattAppraisal *a, GError **error);
gboolean step_session(MonattAppraisal *a, GError **error);
gboolean step_signature(MonattAppraisal *a, GError **error);
gboolean step_nonce(MonattAppraisal *a, GError **error);
gboolean step_time(MonattAppraisal *a, GError **error);
gboolean step_host_quote(MonattAppraisal *a, GError **error);
gboolean step_device_quote(MonattAppraisal *a, GError **error);
gboolean step_log(MonattAppraisal *a, GError **error);
gboolean step_records(MonattAppraisal *a, GError **error);
gboolean step_measurements(MonattAppraisal *a, GError **error);
gboolean step_host(MonattAppraisal *a, GError **error);

/* A part of step_log(): is the checkpoint that the log begins with this device's, of this VM and
 * boot, and did its TPM sign it? */
gboolean check_checkpoint(const MonattAppraisal *a, const void *log, size_t size, GError **error);

/* One rule a property: writes a verdict, cannot fail. */
void rule_startup(const MonattAppraisal *a, MonattPropertyResult *result);
void rule_runtime(const MonattAppraisal *a, MonattPropertyResult *result);
/* A part of rule_runtime(): the checks of the kernel, in records from first to last.  Returns how
 * many were looked at whole; appends to text what was and what was not. */
unsigned rule_checks(const MonattAppraisal *a, uint64_t first, uint64_t last, GString *text,
                     MonattPropertyResult *result);
/* Another part: what checks found, now and earlier in this boot. */
void rule_check_findings(const MonattAppraisal *a, MonattPropertyResult *result);
/* Measured longer before the report than the policy allows? */
void rule_age(const MonattAppraisal *a, uint64_t t1_ns, MonattPropertyResult *result);
void rule_host(const MonattAppraisal *a, MonattPropertyResult *result);
void rule_not_measured(const MonattAppraisal *a, MonattPropertyResult *result);

G_END_DECLS

#endif
