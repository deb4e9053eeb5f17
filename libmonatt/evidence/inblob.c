/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inblob.c - the nonce of evidence that a guest asked for about itself
 */
#include "libmonatt/evidence/inblob.h"

#include <string.h>
#include "libmonatt/evidence/suite.h"

static const char purpose[] = "monatt guest report 1"; /* hashed without its terminator */

gboolean monatt_inblob_nonce(const void *inblob, size_t size, uint8_t ret_nonce[MONATT_NONCE_SIZE])
{
    uint8_t bytes[sizeof(purpose) - 1 + MONATT_INBLOB_MAXIMUM];
    if (size < 1 || size > MONATT_INBLOB_MAXIMUM) {
        return FALSE;
    }
    memcpy(bytes, purpose, sizeof(purpose) - 1);
    memcpy(bytes + sizeof(purpose) - 1, inblob, size);
    return monatt_suite_hash("S256", bytes, sizeof(purpose) - 1 + size, ret_nonce);
}
