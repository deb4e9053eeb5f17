/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step-checkpoint.c - the start of a log that does not begin with its boot
 *
 * Registers at a checkpoint are believed because the same TPM that signs the evidence signed them,
 * in this boot; boot items and last report because the registers hold them; that no finding was
 * left out is the device's word (docs/formats/event-log.md).  Must pass before any replay.
 */
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/checkpoint-quote.h"
#include "verifier/appraisal/appraisal.h"

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "checkpoint: %s", why);
    return FALSE;
}

static gboolean check_identity(const MonattAppraisal *a, const MonattCheckpoint *c, GError **error)
{
    if (!monatt_bytes_equal(c->vid, a->claims->vid, sizeof(c->vid))) {
        return refuse(error, "is of another VM");
    }
    if (c->reset_count != a->claims->boot_count ||
        !monatt_bytes_equal(c->boot_seed, a->claims->boot_seed, sizeof(c->boot_seed))) {
        return refuse(error, "is of another boot");
    }
    return TRUE;
}

gboolean check_checkpoint(const MonattAppraisal *a, const void *log, size_t size, GError **error)
{
    MonattCheckpoint c;
    MonattError err = {0};
    MonattQuoteFacts facts;
    uint8_t qualifying[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
    size_t qualifying_size;
    uint16_t bank = monatt_suite_bank(a->suite);
    if (!monatt_checkpoint_parse(log, size, &c, &err) ||
        !monatt_checkpoint_qualifying(bank, c.body, c.body_size, qualifying, &qualifying_size,
                                      &err)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (!check_identity(a, &c, error)) {
        return FALSE;
    }
    /* By the key of the evidence's own quote: the claims' dak. */
    g_autoptr(MonattQuote) quote = monatt_quote_of_checkpoint(&c, bank);
    if (!monatt_quote_check(quote, a->claims->dak_pub, qualifying, qualifying_size,
                            MONATT_DEVICE_SELECTION, &facts, error)) {
        g_prefix_error(error, "checkpoint: ");
        return FALSE;
    }
    if (facts.reset_count != a->device_quote.reset_count) {
        return refuse(error, "its quote is of another boot");
    }
    if (facts.clock_ms > a->device_quote.clock_ms) {
        return refuse(error, "was made after the evidence");
    }
    return TRUE;
}
