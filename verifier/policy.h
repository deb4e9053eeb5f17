/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy.h - what a customer demands of evidence and verdicts
 *
 * JSON, docs/architecture.md "Policy"; every member but the profile may be left out and has the
 * default of monatt_policy_new().  A policy can make the verifier stricter or more patient, it
 * can never switch a check of the evidence off.
 */
#ifndef MONATT_VERIFIER_POLICY_H
#define MONATT_VERIFIER_POLICY_H

#include <glib.h>
#include <stdint.h>
#include "libmonatt/formats/check-records.h"

G_BEGIN_DECLS

#define MONATT_POLICY_PROFILE "tag:github.com,2026:monatt/policy#1"
#define MONATT_POLICY_SIZE_MAXIMUM (64u * 1024) /* a page of settings */
#define MONATT_POLICY_ID_MAXIMUM 128
#define MONATT_PROPERTIES_MAXIMUM 16

typedef struct MonattPolicy {
    char *id;
    uint8_t digest[32]; /* SHA-256 of the file; of nothing for the default */
    uint32_t required;  /* bit i: property i of the table must be healthy for exit 0 */
    int64_t expires_s;  /* life of a result */
    int64_t max_age_s;  /* of evidence, and of a measurement in it */
    gboolean accept_s256;
    gboolean accept_s384;
    uint32_t required_items; /* bit k: MonattBootItemKind k must be measured */
    uint32_t required_views; /* MONATT_VIEW_BIT()s that a hidden-task check must have read */
    /* Bit n: MonattSubCheck n must have seen all that it looks at. */
    uint32_t required_checks;
    gboolean checks_listed;   /* by the policy: also where a host made no check at all */
    GPtrArray *allowed_bpf;   /* SHA-256 in lower-case hex: programs that may alter what they do */
    GPtrArray *allowed_hooks; /* modules that may hook functions and packets */
} MonattPolicy;

/* The defaults: startup and runtime integrity required, 60 s, 300 s, both suites. */
MonattPolicy *monatt_policy_new(void);
/* FORMAT, LIMIT.  name is for messages. */
MonattPolicy *monatt_policy_parse(const char *name, const void *bytes, size_t size,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void monatt_policy_free(MonattPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattPolicy, monatt_policy_free)

G_END_DECLS

#endif
