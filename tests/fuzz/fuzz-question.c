/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-question.c - any body of POST …/attest: a whole question, or a reason and nothing else
 */
#include "host-collector/attest.h"
#include "host-collector/question.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MonattError err = {0};
    uint32_t bits = UINT32_MAX;
    GBytes *nonce = question_parse(data, size, &bits, &err);
    if (nonce) {
        require(g_bytes_get_size(nonce) == MONATT_NONCE_SIZE);
        require((bits & ~(uint32_t)ATTEST_EVERYTHING) == 0);
        require(err.code == MONATT_ERROR_NONE);
        g_bytes_unref(nonce);
    } else {
        require(err.code == MONATT_ERROR_FORMAT || err.code == MONATT_ERROR_USAGE);
        require(err.message[0] != 0 && err.hint[0] != 0);
    }
    return 0;
}
