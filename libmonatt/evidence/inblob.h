/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inblob.h - the nonce of evidence that a guest asked for about itself
 *
 * N3 = SHA-256("monatt guest report 1" | inblob).  A nonce that a customer draws is never of this
 * form, so a guest can neither use one up nor have evidence made that answers one.
 */
#ifndef MONATT_EVIDENCE_INBLOB_H
#define MONATT_EVIDENCE_INBLOB_H

#include <glib.h>
#include <stdint.h>
#include "libmonatt/formats/limits.h"

G_BEGIN_DECLS

/* inblob: 1 to MONATT_INBLOB_MAXIMUM bytes; FALSE with any other size or when libcrypto fails. */
gboolean monatt_inblob_nonce(const void *inblob, size_t size,
                             uint8_t ret_nonce[MONATT_NONCE_SIZE]) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
