/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step-quotes.c - the host TPM's and the device TPM's signatures over the same claims
 *
 * Q3 = H(claims octets) must be the qualifying data of both: that ties registers, host and claims
 * together.  The device's key is named in the claims, the host's in the session certificate.
 */
#include "verifier/appraisal/appraisal.h"

#include "libmonatt/base/text.h"
#include "libmonatt/evidence/checkpoint-quote.h"

#define HOST_SELECTION 0x7fffu /* PCR 0 to 14: firmware, boot loader, kernel of the host */

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "%s", why);
    return FALSE;
}

/* "quote: ..." becomes "device quote: ..."; another subject gets both. */
static gboolean name_quote(GError **error, const char *whose)
{
    gboolean named =
        error != NULL && *error != NULL && g_str_has_prefix((*error)->message, "quote");
    g_prefix_error(error, named ? "%s " : "%s quote: ", whose);
    return FALSE;
}

static gboolean check_name(GBytes *public, const uint8_t *name, size_t size, const char *why,
                           GError **error)
{
    uint8_t computed[MONATT_NAME_SIZE_TPM + 16];
    size_t computed_size;
    if (!monatt_public_name(public, computed, &computed_size, error)) {
        return FALSE;
    }
    return (computed_size == size && monatt_bytes_equal(computed, name, size)) ||
           refuse(error, why);
}

static gboolean check_values(const MonattAppraisal *a, const MonattQuote *quote, unsigned registers,
                             GError **error)
{
    if (quote->alg != monatt_suite_bank(a->suite)) {
        return refuse(error, "the values are of another bank than the suite's");
    }
    if (g_bytes_get_size(quote->values) != registers * a->digest_size) {
        return refuse(error, "the number of register values is not the selection's");
    }
    return TRUE;
}

gboolean step_host_quote(MonattAppraisal *a, GError **error)
{
    const MonattClaims *claims = a->claims;
    const MonattQuote *quote = a->evidence->host_quote;
    gsize size;
    if (!check_name(claims->sk_pub, a->certificate.sk_name, a->certificate.sk_name_size,
                    "session key is not the one that the certificate names", error) ||
        !check_name(claims->sk_pub, claims->sk_name, claims->sk_name_size,
                    "session key is not the one that the claims name", error) ||
        !check_values(a, quote, 15, error) ||
        !monatt_quote_check(quote, claims->sk_pub, a->q3, a->digest_size, HOST_SELECTION,
                            &a->host_quote, error)) {
        return name_quote(error, "host");
    }
    const void *values = g_bytes_get_data(quote->values, &size);
    if (!monatt_suite_hash(a->suite, values, size, a->host_pcr)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL,
                    "host quote: libcrypto cannot hash");
        return FALSE;
    }
    return TRUE;
}

gboolean step_device_quote(MonattAppraisal *a, GError **error)
{
    const MonattClaims *claims = a->claims;
    const MonattQuote *quote = a->evidence->device_quote;
    if (!check_name(claims->dak_pub, claims->dak_name, claims->dak_name_size,
                    "the key is not the one that the claims name", error) ||
        !check_values(a, quote, MONATT_REGISTER_COUNT, error) ||
        !monatt_quote_check(quote, claims->dak_pub, a->q3, a->digest_size, MONATT_DEVICE_SELECTION,
                            &a->device_quote, error)) {
        return name_quote(error, "device");
    }
    if (a->device_quote.reset_count != claims->boot_count) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "device quote: of boot %u, the claims are of boot %" G_GUINT64_FORMAT,
                    a->device_quote.reset_count, claims->boot_count);
        return FALSE;
    }
    return TRUE;
}
