/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checkpoint-quote.c - takes a checkpoint's quote out; believes nothing of it
 */
#include "libmonatt/evidence/checkpoint-quote.h"

MonattQuote *monatt_quote_of_checkpoint(const MonattCheckpoint *c, uint16_t bank)
{
    gboolean wide = bank == MONATT_ALG_SHA384;
    const MonattCheckpointQuote *from = wide ? &c->quote384 : &c->quote256;
    MonattQuote *quote = g_new0(MonattQuote, 1);
    quote->attest = g_bytes_new(from->attest, from->attest_size);
    quote->signature = g_bytes_new(from->signature, from->signature_size);
    quote->alg = bank;
    quote->selection = MONATT_DEVICE_SELECTION;
    quote->values = wide ? g_bytes_new(c->sha384, sizeof(c->sha384))
                         : g_bytes_new(c->sha256, sizeof(c->sha256));
    return quote;
}
