/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-quote.c - quotes written by tss2-mu are taken; each wrong field is refused by its own step
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/quote.h"
#include "tests/lib/soft-tpm.h"

#define SELECTION 0xffffffu

typedef struct Fixture {
    const char *suite;
    SoftTpmKey key;
    GBytes *public;
    SoftTpmQuote options;
    uint8_t qualifying[48];
    size_t size; /* of a digest */
    uint8_t values[24 * 48];
} Fixture;

static void set_up(Fixture *f, const char *suite)
{
    memset(f, 0, sizeof(*f));
    f->suite = suite;
    soft_tpm_key_init(&f->key, suite);
    f->public = soft_tpm_key_public(&f->key);
    f->size = monatt_suite_digest_size(suite);
    soft_tpm_quote_init(&f->options, suite, SELECTION);
    memset(f->qualifying, 0x5a, sizeof(f->qualifying));
    for (size_t i = 0; i < sizeof(f->values); i++) {
        f->values[i] = (uint8_t)i;
    }
}

static void tear_down(Fixture *f)
{
    soft_tpm_key_clear(&f->key);
    g_clear_pointer(&f->public, g_bytes_unref);
}

static MonattQuote *make(const Fixture *f)
{
    size_t count = (size_t)__builtin_popcount(f->options.selection);
    return soft_tpm_quote(&f->key, &f->options, f->qualifying, f->size, f->values, count * f->size);
}

static void accept_as(const Fixture *f, const MonattQuote *quote, uint32_t wanted)
{
    GError *error = NULL;
    MonattQuoteFacts facts;
    gboolean good =
        monatt_quote_check(quote, f->public, f->qualifying, f->size, wanted, &facts, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_assert_cmpuint(facts.clock_ms, ==, f->options.clock_ms);
    g_assert_cmpuint(facts.reset_count, ==, f->options.reset_count);
    g_assert_cmpuint(facts.restart_count, ==, f->options.restart_count);
    g_assert_cmpint(facts.safe, ==, f->options.safe);
    g_assert_cmpuint(facts.firmware_version, ==, 0x20191023);
}

/* words: of the step that must have refused it, so that no other one does its work by chance. */
static void refuse_as(const Fixture *f, const MonattQuote *quote, uint32_t wanted,
                      MonattErrorCode code, const char *words)
{
    GError *error = NULL;
    MonattQuoteFacts facts = {.clock_ms = 42};
    g_assert_false(
        monatt_quote_check(quote, f->public, f->qualifying, f->size, wanted, &facts, &error));
    g_assert_error(error, MONATT_GERROR, (int)code);
    if (strstr(error->message, words) == NULL) {
        g_test_message("'%s' where '%s' was expected", error->message, words);
        g_test_fail();
    }
    g_assert_cmpuint(facts.clock_ms, ==, 42); /* written only on success */
    g_error_free(error);
}

static void refuse(const Fixture *f, const char *words)
{
    g_autoptr(MonattQuote) quote = make(f);
    refuse_as(f, quote, SELECTION, MONATT_ERROR_REFUSED, words);
}

static void test_accepts(gconstpointer suite)
{
    Fixture f;
    set_up(&f, suite);
    g_autoptr(MonattQuote) quote = make(&f);
    accept_as(&f, quote, SELECTION);
    f.options.safe = FALSE;
    f.options.restart_count = 0xffffffff;
    f.options.clock_ms = UINT64_MAX;
    g_autoptr(MonattQuote) other = make(&f);
    accept_as(&f, other, SELECTION);
    g_assert_true(monatt_quote_check(other, f.public, f.qualifying, f.size, SELECTION, NULL, NULL));
    tear_down(&f);
}

/* Case E01: digest lists are split in eights. */
static void test_selections(gconstpointer suite)
{
    static const unsigned counts[] = {1, 7, 8, 9, 15, 16, 17, 23, 24};
    Fixture f;
    set_up(&f, suite);
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        uint32_t selection = (1u << counts[i]) - 1;
        f.options.selection = selection;
        g_autoptr(MonattQuote) quote = make(&f);
        accept_as(&f, quote, selection);
        refuse_as(&f, quote, selection ^ 1, MONATT_ERROR_REFUSED, "other registers");
        refuse_as(&f, quote, selection << 1, MONATT_ERROR_REFUSED, "other registers");
    }
    tear_down(&f);
}

/* Case E02: a bank without a register is no other selection; one with a register is. */
static void test_empty_bank(void)
{
    Fixture f;
    set_up(&f, "S256");
    f.options.empty_bank = TRUE;
    g_autoptr(MonattQuote) quote = make(&f);
    accept_as(&f, quote, SELECTION);
    f.options.foreign = 1;
    refuse(&f, "other registers");
    tear_down(&f);
}

/* Case E06: in 1,200 signatures about nine have a short r or s. */
static void test_short_numbers(gconstpointer suite)
{
    Fixture f;
    size_t shorter = 0;
    set_up(&f, suite);
    for (int i = 0; i < 1200; i++) {
        f.options.short_numbers = i % 2 == 0;
        g_autoptr(MonattQuote) quote = make(&f);
        shorter += g_bytes_get_size(quote->signature) < 8 + 2 * f.size;
        g_assert_true(
            monatt_quote_check(quote, f.public, f.qualifying, f.size, SELECTION, NULL, NULL));
    }
    g_test_message("%zu signatures with a short number", shorter);
    tear_down(&f);
}

/* The same signature with zeros cut from one number: forced, so that no run is without it. */
static void test_short_number_found(void)
{
    Fixture f;
    gboolean found = FALSE;
    set_up(&f, "S256");
    f.options.short_numbers = TRUE;
    for (int i = 0; i < 100000 && !found; i++) {
        g_autoptr(MonattQuote) quote = make(&f);
        found = g_bytes_get_size(quote->signature) < 8 + 2 * f.size;
        if (found) {
            accept_as(&f, quote, SELECTION);
        }
    }
    g_assert_true(found);
    tear_down(&f);
}

static void test_refuses_signature(gconstpointer suite)
{
    Fixture f;
    set_up(&f, suite);
    f.options.signature_alg = TPM2_ALG_ECSCHNORR;
    refuse(&f, "not ECDSA");
    f.options.signature_alg = 0;
    f.options.signature_hash = TPM2_ALG_SHA1;
    refuse(&f, "another hash");
    f.options.signature_hash = 0;
    f.options.bank = TPM2_ALG_SHA1;
    refuse(&f, "no suite");
    f.options.bank = monatt_suite_bank(suite);
    SoftTpmKey other;
    soft_tpm_key_init(&other, suite);
    g_autoptr(MonattQuote) quote = make(&f);
    g_autoptr(GBytes) other_public = soft_tpm_key_public(&other);
    GBytes *kept = f.public;
    f.public = other_public;
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "not by this key");
    f.public = kept;
    soft_tpm_key_clear(&other);
    /* a key and a bank of two suites */
    const char *wrong = strcmp(suite, "S256") == 0 ? "S384" : "S256";
    quote->alg = monatt_suite_bank(wrong);
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "another hash");
    tear_down(&f);
}

/* Case E05. */
static void test_refuses_attest(gconstpointer suite)
{
    Fixture f;
    set_up(&f, suite);
    f.options.magic = 0;
    refuse(&f, "TPM_GENERATED");
    f.options.magic = TPM2_GENERATED_VALUE ^ 0x80000000;
    refuse(&f, "TPM_GENERATED");
    f.options.magic = TPM2_GENERATED_VALUE;
    f.options.type = TPM2_ST_ATTEST_CERTIFY;
    refuse(&f, "something else");
    f.options.type = TPM2_ST_ATTEST_QUOTE;
    g_autoptr(MonattQuote) quote = make(&f);
    f.qualifying[f.size - 1] ^= 1;
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "another question");
    f.qualifying[f.size - 1] ^= 1;
    GError *error = NULL;
    g_assert_false(
        monatt_quote_check(quote, f.public, f.qualifying, f.size - 1, SELECTION, NULL, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_clear_error(&error);
    /* a quote for no question is no answer to one */
    g_autoptr(MonattQuote) empty =
        soft_tpm_quote(&f.key, &f.options, NULL, 0, f.values, 24 * f.size);
    g_assert_false(monatt_quote_check(empty, f.public, "", 0, SELECTION, NULL, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_error_free(error);
    tear_down(&f);
}

static void set_values(MonattQuote *quote, const void *values, size_t size)
{
    g_bytes_unref(quote->values);
    quote->values = g_bytes_new(values, size);
}

static void test_refuses_values(gconstpointer suite)
{
    Fixture f;
    set_up(&f, suite);
    g_autoptr(MonattQuote) quote = make(&f);
    size_t size = 24 * f.size;
    uint8_t changed[25 * 48] = {0};
    for (size_t i = 0; i < 24; i++) {
        memcpy(changed, f.values, size);
        changed[i * f.size] ^= 1;
        set_values(quote, changed, size);
        refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "not those that the TPM signed");
    }
    memcpy(changed, f.values, size);
    set_values(quote, changed, size + f.size); /* a value outside the selection */
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "number of values");
    set_values(quote, changed, size - 1);
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "number of values");
    set_values(quote, changed, 0);
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "number of values");
    set_values(quote, changed, size);
    quote->selection = 0x7fffff; /* as the sender says it, not as the TPM did */
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "other registers");
    refuse_as(&f, quote, 0x7fffff, MONATT_ERROR_REFUSED, "other registers");
    quote->selection = SELECTION;
    accept_as(&f, quote, SELECTION);
    tear_down(&f);
}

static void test_refuses_keys(gconstpointer suite)
{
    static const TPMA_OBJECT cleared[] = {TPMA_OBJECT_RESTRICTED, TPMA_OBJECT_SIGN_ENCRYPT,
                                          TPMA_OBJECT_FIXEDTPM, TPMA_OBJECT_FIXEDPARENT,
                                          TPMA_OBJECT_SENSITIVEDATAORIGIN};
    static const TPMA_OBJECT added[] = {TPMA_OBJECT_DECRYPT, TPMA_OBJECT_ENCRYPTEDDUPLICATION,
                                        0x80000000};
    Fixture f;
    set_up(&f, suite);
    g_autoptr(MonattQuote) quote = make(&f);
    TPMT_PUBLIC good = f.key.public;
    for (size_t i = 0; i < G_N_ELEMENTS(cleared) + G_N_ELEMENTS(added); i++) {
        f.key.public = good;
        if (i < G_N_ELEMENTS(cleared)) {
            f.key.public.objectAttributes &= ~cleared[i];
        } else {
            f.key.public.objectAttributes |= added[i - G_N_ELEMENTS(cleared)];
        }
        g_bytes_unref(f.public);
        f.public = soft_tpm_key_public(&f.key);
        refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "TPM key:");
    }
    f.key.public = good;
    f.key.public.nameAlg = TPM2_ALG_SHA1;
    g_bytes_unref(f.public);
    f.public = soft_tpm_key_public(&f.key);
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_REFUSED, "not of suite");
    f.key.public = good;
    f.key.public.unique.ecc.x.buffer[0] ^= 1;
    g_bytes_unref(f.public);
    f.public = soft_tpm_key_public(&f.key);
    refuse_as(&f, quote, SELECTION, MONATT_ERROR_FORMAT, "not a point");
    f.key.public = good;
    tear_down(&f);
}

static void test_refuses_other_forms_of_key(void)
{
    Fixture f;
    set_up(&f, "S256");
    g_autoptr(MonattQuote) quote = make(&f);
    TPMT_PUBLIC *p = &f.key.public;
    TPMT_PUBLIC good = *p;
    for (int i = 0; i < 5; i++) {
        *p = good;
        switch (i) {
        case 0:
            p->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
            break;
        case 1:
            p->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECSCHNORR;
            break;
        case 2:
            p->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
            p->parameters.eccDetail.symmetric.keyBits.aes = 128;
            p->parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
            break;
        case 3:
            p->type = TPM2_ALG_RSA;
            p->parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSASSA;
            break;
        default:
            p->type = TPM2_ALG_KEYEDHASH;
            p->parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
            break;
        }
        g_bytes_unref(f.public);
        f.public = soft_tpm_key_public(&f.key);
        refuse_as(&f, quote, SELECTION, MONATT_ERROR_FORMAT, "TPM key: offset");
    }
    *p = good;
    tear_down(&f);
}

/* Every prefix and one byte more, of each of the three structures. */
static void test_refuses_sizes(void)
{
    Fixture f;
    set_up(&f, "S256");
    g_autoptr(MonattQuote) quote = make(&f);
    GBytes **const parts[] = {&quote->attest, &quote->signature, &f.public};
    for (size_t part = 0; part < G_N_ELEMENTS(parts); part++) {
        gsize size;
        g_autoptr(GBytes) whole = g_bytes_ref(*parts[part]);
        const uint8_t *bytes = g_bytes_get_data(whole, &size);
        g_autofree uint8_t *longer = g_malloc0(size + 1);
        memcpy(longer, bytes, size);
        for (gsize cut = 0; cut <= size + 1; cut++) {
            g_bytes_unref(*parts[part]);
            *parts[part] = g_bytes_new(longer, cut);
            gboolean good =
                monatt_quote_check(quote, f.public, f.qualifying, f.size, SELECTION, NULL, NULL);
            g_assert_cmpint(good, ==, cut == size);
        }
        g_bytes_unref(*parts[part]);
        *parts[part] = g_bytes_ref(whole);
    }
    tear_down(&f);
}

static void test_refuses_every_bit(void)
{
    Fixture f;
    set_up(&f, "S256");
    g_autoptr(MonattQuote) quote = make(&f);
    GBytes **const parts[] = {&quote->attest, &quote->signature, &f.public, &quote->values};
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    uint8_t other[MONATT_NAME_SIZE_TPM + 16];
    size_t name_size;
    size_t other_size;
    g_assert_true(monatt_public_name(f.public, name, &name_size, NULL));
    for (size_t part = 0; part < G_N_ELEMENTS(parts); part++) {
        gsize size;
        g_autoptr(GBytes) whole = g_bytes_ref(*parts[part]);
        const void *data = g_bytes_get_data(whole, &size);
        g_autofree uint8_t *bytes = g_memdup2(data, size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            g_bytes_unref(*parts[part]);
            *parts[part] = g_bytes_new(bytes, size);
            gboolean good =
                monatt_quote_check(quote, f.public, f.qualifying, f.size, SELECTION, NULL, NULL);
            /* userWithAuth, noDA …: how a key may be used is its owner's affair, its Name tells */
            if (good && parts[part] == &f.public) {
                good = monatt_public_name(f.public, other, &other_size, NULL) &&
                       other_size == name_size && monatt_bytes_equal(name, other, name_size);
            }
            g_assert_false(good);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        g_bytes_unref(*parts[part]);
        *parts[part] = g_bytes_ref(whole);
    }
    accept_as(&f, quote, SELECTION);
    tear_down(&f);
}

/* The Name is over the octets as sent (TPM 2.0 Part 1, 16), PEM is what openssl reads. */
static void test_name_and_pem(gconstpointer suite)
{
    Fixture f;
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    uint8_t digest[48];
    size_t size;
    gsize public_size;
    set_up(&f, suite);
    const void *public = g_bytes_get_data(f.public, &public_size);
    g_assert_true(monatt_public_name(f.public, name, &size, NULL));
    g_assert_cmpuint(size, ==, 2 + f.size);
    g_assert_cmpuint(name[0] << 8 | name[1], ==, monatt_suite_bank(suite));
    g_assert_true(monatt_suite_hash(suite, public, public_size, digest));
    g_assert_cmpmem(name + 2, f.size, digest, f.size);
    g_autofree char *pem = monatt_public_to_pem(f.public, NULL);
    g_assert_true(g_str_has_prefix(pem, "-----BEGIN PUBLIC KEY-----\n"));
    g_autoptr(GBytes) junk = g_bytes_new("junk", 4);
    GError *error = NULL;
    g_assert_null(monatt_public_to_pem(junk, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    g_assert_false(monatt_public_name(junk, name, &size, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    f.key.public.nameAlg = TPM2_ALG_SHA1;
    g_autoptr(GBytes) sha1 = soft_tpm_key_public(&f.key);
    g_assert_false(monatt_public_name(sha1, name, &size, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_error_free(error);
    tear_down(&f);
}

static void add_both(const char *path, GTestDataFunc function)
{
    g_autofree char *narrow = g_strconcat(path, "/s256", NULL);
    g_autofree char *wide = g_strconcat(path, "/s384", NULL);
    g_test_add_data_func(narrow, "S256", function);
    g_test_add_data_func(wide, "S384", function);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_both("/quote/accepts", test_accepts);
    add_both("/quote/selections", test_selections);
    g_test_add_func("/quote/empty-bank", test_empty_bank);
    add_both("/quote/short-numbers", test_short_numbers);
    g_test_add_func("/quote/short-number-found", test_short_number_found);
    add_both("/quote/refuses-signature", test_refuses_signature);
    add_both("/quote/refuses-attest", test_refuses_attest);
    add_both("/quote/refuses-values", test_refuses_values);
    add_both("/quote/refuses-keys", test_refuses_keys);
    g_test_add_func("/quote/refuses-other-forms-of-key", test_refuses_other_forms_of_key);
    g_test_add_func("/quote/refuses-sizes", test_refuses_sizes);
    g_test_add_func("/quote/refuses-every-changed-bit", test_refuses_every_bit);
    add_both("/quote/name-and-pem", test_name_and_pem);
    return g_test_run();
}
