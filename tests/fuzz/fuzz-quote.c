/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-quote.c - the first byte says what the rest is: an attest, which is signed here so that the
 * steps behind the signature are reached, a signature, a key, or register values
 *
 * Only the quote that the values, the selection and the question fit may be taken.
 */
#include <string.h>
#include "libmonatt/evidence/quote.h"
#include "tests/lib/soft-tpm.h"
#include "tests/fuzz/fuzz.h"

#define SELECTION 0x3u
#define INPUT_MAXIMUM 4096

static void check_key(GBytes *public)
{
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    size_t size = 0;
    EVP_PKEY *key = NULL;
    if (monatt_public_check(public, "S256", &key, NULL)) {
        require(key != NULL && monatt_public_name(public, name, &size, NULL) && size == 34);
        EVP_PKEY_free(key);
    } else {
        require(key == NULL);
    }
    if (monatt_public_name(public, name, &size, NULL)) {
        require(size == 34 || size == 50);
    }
    g_free(monatt_public_to_pem(public, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SoftTpmKey key;
    static GBytes *public;
    static SoftTpmQuote options;
    static const uint8_t values[64] = {1};
    uint8_t question[32];
    GError *error = NULL;
    if (public == NULL) {
        soft_tpm_key_init(&key, "S256");
        public = soft_tpm_key_public(&key);
        soft_tpm_quote_init(&options, "S256", SELECTION);
    }
    if (size < 1 || size > INPUT_MAXIMUM) {
        return 0;
    }
    memset(question, 0x5a, sizeof(question));
    g_autoptr(MonattQuote) quote =
        soft_tpm_quote(&key, &options, question, sizeof(question), values, sizeof(values));
    g_autoptr(GBytes) input = g_bytes_new(data + 1, size - 1);
    g_autoptr(GBytes) used = g_bytes_ref(public);
    GBytes **part = data[0] == 1   ? &quote->signature
                    : data[0] == 2 ? &used
                    : data[0] == 3 ? &quote->values
                                   : &quote->attest;
    gboolean same = g_bytes_equal(*part, input);
    g_bytes_unref(*part);
    *part = g_bytes_ref(input);
    if (part == &quote->attest) {
        g_bytes_unref(quote->signature);
        quote->signature = soft_tpm_sign(&key, &options, input);
    }
    check_key(used);
    gboolean good =
        monatt_quote_check(quote, used, question, sizeof(question), SELECTION, NULL, &error);
    require(good == (error == NULL));
    require(!good || part == &quote->attest || same || part == &used);
    g_clear_error(&error);
    return 0;
}
