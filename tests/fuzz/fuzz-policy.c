/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-policy.c - a policy file of any bytes: monatt_policy_parse()
 */
#include <stdlib.h>
#include "verifier/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    MonattPolicy *policy = monatt_policy_parse("policy", data, size, &error);
    /* Either a policy that requires something or one error; never both, never neither. */
    if ((policy == NULL) == (error == NULL) || (policy != NULL && policy->required == 0)) {
        abort();
    }
    g_clear_error(&error);
    monatt_policy_free(policy);
    return 0;
}
