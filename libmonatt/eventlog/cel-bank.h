/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel-bank.h - the hash of a bank, for this folder's own files
 */
#ifndef MONATT_EVENTLOG_CEL_BANK_H
#define MONATT_EVENTLOG_CEL_BANK_H

#include <openssl/evp.h>
#include "libmonatt/formats/limits.h"

/* NULL: no bank of ours. */
static inline const EVP_MD *cel_bank_md(uint16_t bank)
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

#endif
