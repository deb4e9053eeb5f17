/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel-range.c - the hash of one register's records within a range, as claims name a measurement
 *
 * The collector writes it and the verifier checks it, both here, so that the two cannot differ.
 */
#include <openssl/evp.h>
#include "libmonatt/eventlog/cel.h"

static const EVP_MD *md_of(uint16_t bank)
{
    switch (bank) {
    case MONATT_ALG_SHA256:
        return EVP_sha256();
    case MONATT_ALG_SHA384:
        return EVP_sha384();
    default:
        return NULL;
    }
}

bool monatt_cel_range_digest(const void *log, size_t size, uint32_t index, uint64_t first,
                             uint64_t last, uint16_t bank, uint8_t *ret_digest, MonattError *err)
{
    MonattReader r;
    const EVP_MD *md = md_of(bank);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = md != NULL && context != NULL && EVP_DigestInit_ex(context, md, NULL) == 1;
    monatt_reader_init(&r, "event log", log, size, err);
    /* Ends: each round consumes at least one byte of the log. */
    while (good && monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        if (!monatt_cel_next(&r, &entry)) {
            EVP_MD_CTX_free(context);
            return false;
        }
        if (entry.index == index && entry.number >= first && entry.number <= last) {
            good = EVP_DigestUpdate(context, r.bytes + start, r.position - start) == 1;
        }
    }
    good = good && EVP_DigestFinal_ex(context, ret_digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good || monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: libcrypto cannot hash");
}
