/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-evidence.c - whole evidence files: taken back as made, every other text and bit refused
 */
#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"
#include "tests/lib/evidence-maker.h"

/* Bits from one tried to the next: sanitizers take minutes for each, and 7 meets every place. */
#ifdef __SANITIZE_ADDRESS__
#define BIT_STEP 7
#else
#define BIT_STEP 1
#endif

typedef struct Fixture {
    char *directory;
    EvidenceMaker maker;
    MonattEvidence *evidence;
    GBytes *file;
    X509 *anchor;
} Fixture;

static X509 *read_anchor(const Fixture *f)
{
    g_autofree char *path = g_strdup_printf("%s/ca-%s/root.pem", f->directory, f->maker.suite);
    FILE *file = fopen(path, "re");
    g_assert_nonnull(file);
    X509 *anchor = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    return anchor;
}

static void set_up(Fixture *f, const char *suite, const char *bad)
{
    GError *error = NULL;
    f->directory = g_dir_make_tmp("evidence-XXXXXX", NULL);
    evidence_maker_init(&f->maker, f->directory, suite);
    f->maker.bad = bad;
    f->evidence = evidence_maker_make(&f->maker);
    f->file = monatt_evidence_serialize(f->evidence, &error);
    g_assert_no_error(error);
    f->anchor = read_anchor(f);
}

static void remove_folder(const char *path)
{
    GDir *folder = g_dir_open(path, 0, NULL);
    const char *name;
    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        if (g_unlink(inner) != 0) {
            remove_folder(inner);
        }
    }
    if (folder != NULL) {
        g_dir_close(folder);
    }
    g_rmdir(path);
}

static void tear_down(Fixture *f)
{
    remove_folder(f->directory);
    g_free(f->directory);
    evidence_maker_clear(&f->maker);
    monatt_evidence_free(f->evidence);
    g_bytes_unref(f->file);
    X509_free(f->anchor);
}

static gboolean same_quote(const MonattQuote *a, const MonattQuote *b)
{
    return a->alg == b->alg && a->selection == b->selection &&
           g_bytes_equal(a->attest, b->attest) && g_bytes_equal(a->signature, b->signature) &&
           g_bytes_equal(a->values, b->values);
}

static gboolean check_quote(const MonattQuote *quote, GBytes *public, const uint8_t *name,
                            size_t name_size, uint32_t selection, const uint8_t *q3, size_t q3_size)
{
    uint8_t computed[MONATT_NAME_SIZE_TPM + 16];
    size_t size;
    return monatt_public_name(public, computed, &size, NULL) && size == name_size &&
           monatt_bytes_equal(computed, name, size) &&
           monatt_quote_check(quote, public, q3, q3_size, selection, NULL, NULL);
}

static gboolean check_digest(const char *suite, GBytes *bytes, const uint8_t *wanted)
{
    uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    return monatt_suite_hash(suite, data, size, digest) &&
           monatt_bytes_equal(digest, wanted, monatt_suite_digest_size(suite));
}

/* What the library offers for checking evidence, in the verifier's order (protocol 5). */
static gboolean believe(const Fixture *f, const MonattEvidence *e)
{
    gsize size;
    const void *jws_bytes = g_bytes_get_data(e->claims, &size);
    g_autoptr(MonattJws) jws = monatt_jws_parse(jws_bytes, size, "eat+jwt", TRUE, NULL);
    MonattSessionCertificate certificate = {0};
    uint8_t q3[MONATT_SUITE_DIGEST_MAXIMUM];
    uint8_t commitment[MONATT_SUITE_DIGEST_MAXIMUM];
    size_t commitment_size;
    gboolean good = FALSE;
    if (jws == NULL || jws->chain == NULL ||
        !monatt_session_certificate_check(jws->chain, f->anchor, g_get_real_time() / G_USEC_PER_SEC,
                                          &certificate, NULL)) {
        return FALSE;
    }
    const void *octets = g_bytes_get_data(jws->payload, &size);
    g_autoptr(MonattClaims) c = monatt_jws_verify(jws, certificate.jws_key, NULL)
                                    ? monatt_claims_parse(octets, size, NULL)
                                    : NULL;
    size_t q3_size = c != NULL ? monatt_suite_digest_size(c->suite) : 0;
    if (c != NULL && monatt_suite_hash(c->suite, octets, size, q3)) {
        good = check_quote(e->device_quote, c->dak_pub, c->dak_name, c->dak_name_size, 0xffffff, q3,
                           q3_size) &&
               check_quote(e->host_quote, c->sk_pub, certificate.sk_name, certificate.sk_name_size,
                           0x7fff, q3, q3_size) &&
               check_digest(c->suite, e->log, c->log_digest) &&
               check_digest(c->suite, e->host_log, c->host_log_digest);
    }
    if (good && e->opening != NULL) {
        good = monatt_session_commitment(c->suite, g_bytes_get_data(e->opening, NULL), 32,
                                         f->maker.host_id, commitment, &commitment_size) &&
               monatt_bytes_equal(commitment, certificate.host_commitment, commitment_size);
    }
    monatt_session_certificate_clear(&certificate);
    return good;
}

static void test_round(gconstpointer suite)
{
    Fixture f;
    gsize size;
    GError *error = NULL;
    set_up(&f, suite, NULL);
    const char *text = g_bytes_get_data(f.file, &size);
    g_autoptr(MonattEvidence) again = monatt_evidence_parse(text, size, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(again->claims, f.evidence->claims));
    g_assert_true(g_bytes_equal(again->log, f.evidence->log));
    g_assert_true(g_bytes_equal(again->host_log, f.evidence->host_log));
    g_assert_true(g_bytes_equal(again->opening, f.evidence->opening));
    g_assert_true(same_quote(again->device_quote, f.evidence->device_quote));
    g_assert_true(same_quote(again->host_quote, f.evidence->host_quote));
    g_assert_true(believe(&f, again));
    g_autoptr(GBytes) second = monatt_evidence_serialize(again, &error);
    g_assert_true(g_bytes_equal(second, f.file));
    tear_down(&f);
}

static void test_optional_parts(void)
{
    Fixture f;
    gsize size;
    set_up(&f, "S256", NULL);
    g_clear_pointer(&f.evidence->opening, g_bytes_unref);
    g_bytes_unref(f.evidence->host_log);
    f.evidence->host_log = g_bytes_new(NULL, 0);
    g_bytes_unref(f.file);
    f.file = monatt_evidence_serialize(f.evidence, NULL);
    const char *text = g_bytes_get_data(f.file, &size);
    g_autoptr(MonattEvidence) again = monatt_evidence_parse(text, size, NULL);
    g_assert_nonnull(again);
    g_assert_null(again->opening);
    g_assert_cmpuint(g_bytes_get_size(again->host_log), ==, 0);
    g_assert_true(g_str_has_suffix(text, "") && text[size - 1] == '}');
    f.evidence->opening = g_bytes_new("short", 5);
    GError *error = NULL;
    g_assert_null(monatt_evidence_serialize(f.evidence, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_USAGE);
    g_error_free(error);
    tear_down(&f);
}

/* The part that changed must be refused; the others are as they were, and were believed. */
static gboolean believe_change(const Fixture *f, const MonattClaims *c, const MonattEvidence *e)
{
    const MonattEvidence *good = f->evidence;
    gboolean changed = FALSE;
    gboolean refused = FALSE;
    if (!g_bytes_equal(e->claims, good->claims) || !g_bytes_equal(e->opening, good->opening)) {
        changed = TRUE;
        refused = !believe(f, e);
    }
    if (!same_quote(e->device_quote, good->device_quote)) {
        changed = TRUE;
        refused = !check_quote(e->device_quote, c->dak_pub, c->dak_name, c->dak_name_size, 0xffffff,
                               f->maker.q3, f->maker.q3_size);
    }
    if (!same_quote(e->host_quote, good->host_quote)) {
        changed = TRUE;
        refused = !check_quote(e->host_quote, c->sk_pub, c->sk_name, c->sk_name_size, 0x7fff,
                               f->maker.q3, f->maker.q3_size);
    }
    if (!g_bytes_equal(e->log, good->log)) {
        changed = TRUE;
        refused = !check_digest(c->suite, e->log, c->log_digest);
    }
    if (!g_bytes_equal(e->host_log, good->host_log)) {
        changed = TRUE;
        refused = !check_digest(c->suite, e->host_log, c->host_log_digest);
    }
    g_assert_true(changed); /* else two texts mean the same */
    return !refused;
}

static void test_refuses_every_bit(void)
{
    Fixture f;
    gsize size;
    size_t parsed = 0;
    set_up(&f, "S256", NULL);
    const void *octets = g_bytes_get_data(f.maker.claims_octets, &size);
    g_autoptr(MonattClaims) claims = monatt_claims_parse(octets, size, NULL);
    const void *data = g_bytes_get_data(f.file, &size);
    g_autofree char *text = g_memdup2(data, size);
    g_assert_true(believe(&f, f.evidence));
    for (size_t bit = 0; bit < size * 8; bit += BIT_STEP) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        g_autoptr(MonattEvidence) e = monatt_evidence_parse(text, size, NULL);
        if (e != NULL) {
            g_assert_false(believe_change(&f, claims, e));
            parsed++;
        }
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    g_test_message("%zu bits, %zu were well-formed", size * 8 / BIT_STEP, parsed);
    g_assert_cmpuint(parsed, >, 0);
    tear_down(&f);
}

static void refuse_text(const char *text, size_t size, MonattErrorCode code)
{
    GError *error = NULL;
    g_assert_null(monatt_evidence_parse(text, size, &error));
    g_assert_error(error, MONATT_GERROR, (int)code);
    g_error_free(error);
}

static void test_refuses_cut(void)
{
    Fixture f;
    gsize size;
    set_up(&f, "S256", NULL);
    const char *text = g_bytes_get_data(f.file, &size);
    for (size_t cut = 0; cut < size; cut++) {
        g_autoptr(MonattEvidence) e = monatt_evidence_parse(text, cut, NULL);
        g_assert_null(e);
    }
    g_autofree char *longer = g_strdup_printf("%.*s\n", (int)size, text);
    refuse_text(longer, size + 1, MONATT_ERROR_FORMAT);
    refuse_text(NULL, 0, MONATT_ERROR_FORMAT);
    tear_down(&f);
}

static void test_refuses_other_forms(void)
{
    static const struct {
        const char *from;
        const char *to;
    } changes[] = {
        {"{\"__cmwc_t\"", "{ \"__cmwc_t\""},
        {"evidence#1", "evidence#2"},
        {"\"claims\":", "\"claims\": "},
        {",\"claims\":", ",\"x\":[\"y\",\"\"],\"claims\":"},
        {"application/eat+jwt", "application/eat-jwt"},
        {",\"host-log\":", ",\"log\":[\"application/vnd.monatt.cel-tlv\",\"\"],\"host-log\":"},
        {"\"device-quote\"", "\"host-quote\""},
        {"cel-tlv\",\"", "cel-tlv\",\"="},
        {"cel-tlv\",\"", "cel-tlv\",\"\\n"},
        {"octet-stream\",\"", "octet-stream\",\"AAAA"}, /* opening of 35 bytes: LIMIT below */
    };
    Fixture f;
    gsize size;
    set_up(&f, "S256", NULL);
    const char *data = g_bytes_get_data(f.file, &size);
    g_autofree char *text = g_strndup(data, size);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_auto(GStrv) parts = g_strsplit(text, changes[i].from, 2);
        g_assert_nonnull(parts[1]);
        g_autofree char *bad = g_strjoinv(changes[i].to, parts);
        refuse_text(bad, strlen(bad),
                    i + 1 == G_N_ELEMENTS(changes) ? MONATT_ERROR_LIMIT : MONATT_ERROR_FORMAT);
    }
    tear_down(&f);
}

static void test_limits(void)
{
    Fixture f;
    GError *error = NULL;
    set_up(&f, "S256", NULL);
    /* a log of the largest size that fits, and one byte more than that */
    size_t claims = g_bytes_get_size(f.evidence->claims);
    size_t host_log = g_bytes_get_size(f.evidence->host_log);
    size_t largest = (MONATT_EVIDENCE_MAXIMUM - 16 * 1024) / 4 * 3 - claims - host_log;
    g_bytes_unref(f.evidence->log);
    f.evidence->log = g_bytes_new_take(g_malloc0(largest), largest);
    g_autoptr(GBytes) file = monatt_evidence_serialize(f.evidence, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(file), <=, MONATT_EVIDENCE_MAXIMUM);
    gsize size;
    const void *text = g_bytes_get_data(file, &size);
    g_autoptr(MonattEvidence) again = monatt_evidence_parse(text, size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(again->log), ==, largest);
    g_bytes_unref(f.evidence->log);
    f.evidence->log = g_bytes_new_take(g_malloc0(largest + 1), largest + 1);
    g_assert_null(monatt_evidence_serialize(f.evidence, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT);
    g_clear_error(&error);
    g_autofree char *large = g_malloc0(MONATT_EVIDENCE_MAXIMUM + 1);
    refuse_text(large, MONATT_EVIDENCE_MAXIMUM + 1, MONATT_ERROR_LIMIT);
    refuse_text(large, MONATT_EVIDENCE_MAXIMUM, MONATT_ERROR_FORMAT);
    tear_down(&f);
}

/* What the library alone must refuse; the rest of the maker's faults is the verifier's. */
static void test_refuses_faults(gconstpointer suite)
{
    static const char *const faults[] = {
        "device-qualifying", "host-qualifying",     "device-magic",
        "host-magic",        "device-type",         "host-type",
        "device-selection",  "host-selection",      "device-value",
        "host-value",        "device-more-values",  "device-signer",
        "host-signer",       "device-unrestricted", "host-unrestricted",
        "jws-signer",        "chain-stranger",      "chain-cut",
        "opening",           "claims-log",          "claims-host-log"};
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        Fixture f;
        gsize size;
        set_up(&f, suite, faults[i]);
        const void *text = g_bytes_get_data(f.file, &size);
        g_autoptr(MonattEvidence) e = monatt_evidence_parse(text, size, NULL);
        g_assert_nonnull(e); /* well-formed: the fault is in what it says */
        if (believe(&f, e)) {
            g_test_message("believed although '%s'", faults[i]);
            g_test_fail();
        }
        tear_down(&f);
    }
}

/* Claims, quotes and logs of two good files of one host, mixed. */
static void test_refuses_splices(void)
{
    Fixture f;
    set_up(&f, "S256", NULL);
    EvidenceMaker other;
    evidence_maker_init(&other, f.directory, "S256");
    other.nonce[0] ^= 1;
    other.items[1] = "another kernel";
    g_autoptr(MonattEvidence) second = evidence_maker_make(&other);
    g_assert_true(believe(&f, f.evidence));
    g_assert_true(believe(&f, second));
    for (int part = 0; part < 4; part++) {
        MonattEvidence mixed = *f.evidence;
        mixed.device_quote = part == 0 ? second->device_quote : mixed.device_quote;
        mixed.host_quote = part == 1 ? second->host_quote : mixed.host_quote;
        mixed.log = part == 2 ? second->log : mixed.log;
        mixed.claims = part == 3 ? second->claims : mixed.claims;
        g_assert_false(believe(&f, &mixed));
    }
    evidence_maker_clear(&other);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/evidence/round/s256", "S256", test_round);
    g_test_add_data_func("/evidence/round/s384", "S384", test_round);
    g_test_add_func("/evidence/optional-parts", test_optional_parts);
    g_test_add_func("/evidence/refuses-every-changed-bit", test_refuses_every_bit);
    g_test_add_func("/evidence/refuses-cut", test_refuses_cut);
    g_test_add_func("/evidence/refuses-other-forms", test_refuses_other_forms);
    g_test_add_func("/evidence/limits", test_limits);
    g_test_add_data_func("/evidence/refuses-faults/s256", "S256", test_refuses_faults);
    g_test_add_data_func("/evidence/refuses-faults/s384", "S384", test_refuses_faults);
    g_test_add_func("/evidence/refuses-splices", test_refuses_splices);
    return g_test_run();
}
