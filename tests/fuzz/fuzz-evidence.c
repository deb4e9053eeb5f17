/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-evidence.c - the input is an evidence file; one that is taken has no second text
 */
#include "libmonatt/evidence/evidence.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    gsize again_size;
    g_autoptr(MonattEvidence) evidence = monatt_evidence_parse(data, size, &error);
    if (evidence == NULL) {
        require(error != NULL && error->domain == MONATT_GERROR);
        g_error_free(error);
        return 0;
    }
    require(error == NULL);
    g_autoptr(GBytes) again = monatt_evidence_serialize(evidence, &error);
    require(again != NULL);
    const void *bytes = g_bytes_get_data(again, &again_size);
    require(again_size == size && monatt_bytes_equal(bytes, data, size));
    return 0;
}
