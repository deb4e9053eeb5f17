/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule-host.c - host-integrity, and the properties that nothing measures yet
 *
 * This version compares the host TPM's registers only: equal ones do not show which QEMU runs,
 * so the verdict stays unknown; other ones are a compromise.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"

void rule_host(const MonattAppraisal *a, MonattPropertyResult *result)
{
    gboolean is_s384 = strcmp(a->suite, "S384") == 0;
    char observed[2 * MONATT_SHA384_SIZE + 1];
    const MonattReferenceValue *value = NULL;
    g_autoptr(GPtrArray) values =
        monatt_reference_select(a->input->reference, a->claims->vid, "host/pcr");
    monatt_text_from_bytes(a->host_pcr, a->digest_size, observed);
    result->rule = "the host TPM's PCR 0 to 14 equal the reference";
    g_free(result->measured);
    result->measured = g_strdup_printf("host PCR digest %.16s...", observed);
    g_free(result->reference);
    result->reference = g_strdup(a->input->reference->id);
    switch (monatt_reference_match(values, is_s384 ? NULL : a->host_pcr,
                                   is_s384 ? a->host_pcr : NULL, a->input->at, &value)) {
    case MONATT_MATCH_CURRENT:
    case MONATT_MATCH_SUPERSEDED:
        monatt_property_result_raise(
            result, MONATT_VERDICT_UNKNOWN, "host-as-reference",
            "host PCRs are as in the reference; the programs that run the VM are not measured");
        break;
    case MONATT_MATCH_OVER:
    case MONATT_MATCH_DIFFERS:
        monatt_property_result_contradict(result, "host PCR 0 to 14", "as in the reference",
                                          observed);
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "host-differs",
                                     "host PCRs differ from the reference");
        break;
    case MONATT_MATCH_NONE:
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "no-reference",
                                     "the reference has no host/pcr for suite %s", a->suite);
        break;
    }
}

void rule_not_measured(const MonattAppraisal *a, MonattPropertyResult *result)
{
    result->rule = "none in this version";
    monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-measured",
                                 "this version measures nothing for it");
}
