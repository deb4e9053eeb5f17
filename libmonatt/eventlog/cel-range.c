/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel-range.c - the hash of one register's records within a range, as claims name a measurement
 *
 * The collector writes it and the verifier checks it, both here, so that the two cannot differ.
 */
#include "libmonatt/eventlog/cel-bank.h"
#include "libmonatt/eventlog/checkpoint.h"

bool monatt_cel_range_digest(const void *log, size_t size, uint32_t index, uint64_t first,
                             uint64_t last, uint16_t bank, uint8_t *ret_digest, MonattError *err)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    const uint8_t *bytes;
    size_t length;
    bool failed = false;
    const EVP_MD *md = cel_bank_md(bank);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = md != NULL && context != NULL && EVP_DigestInit_ex(context, md, NULL) == 1;
    if (!monatt_log_walk_begin(&walk, log, size, err)) {
        EVP_MD_CTX_free(context);
        return false;
    }
    while (good && monatt_log_walk_next(&walk, &entry, &bytes, &length, &failed)) {
        if (entry.index == index && entry.number >= first && entry.number <= last) {
            good = EVP_DigestUpdate(context, bytes, length) == 1;
        }
    }
    if (failed) {
        EVP_MD_CTX_free(context);
        return false;
    }
    good = good && EVP_DigestFinal_ex(context, ret_digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good || monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: libcrypto cannot hash");
}
