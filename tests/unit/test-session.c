/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-session.c - requests, the file CA, and certificates that must be refused
 */
#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"
#include "tests/lib/soft-tpm.h"

#define HOST "host-1"
#define NOW (g_get_real_time() / G_USEC_PER_SEC)

typedef struct Fixture {
    char *directory;
    const char *suite;
    SoftTpmKey sk;
    EVP_PKEY *jws_key;
    GBytes *nonce;
    MonattSessionRequest *request;
    X509 *anchor;
    STACK_OF(X509) * chain;
    GBytes *opening;
} Fixture;

static void assert_code(GError *error, MonattErrorCode code)
{
    g_assert_error(error, MONATT_GERROR, (int)code);
    g_error_free(error);
}

static X509 *read_certificate(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    FILE *file = fopen(path, "re");
    g_assert_nonnull(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    g_assert_nonnull(certificate);
    return certificate;
}

static void set_up(Fixture *f, const char *suite)
{
    GError *error = NULL;
    uint8_t nonce[MONATT_NONCE_SIZE] = {7};

    f->suite = suite;
    f->directory = g_dir_make_tmp("evidence-XXXXXX", NULL);
    g_assert_true(monatt_ca_init(f->directory, suite, &error));
    f->anchor = read_certificate(f->directory, "root.pem");
    soft_tpm_key_init(&f->sk, suite);
    f->jws_key = monatt_key_generate(suite, NULL);
    f->nonce = g_bytes_new(nonce, sizeof(nonce));
    f->request = g_new0(MonattSessionRequest, 1);
    f->request->host_id = g_strdup(HOST);
    f->request->sk_public = soft_tpm_key_public(&f->sk);
    EVP_PKEY_up_ref(f->jws_key);
    f->request->jws_key = f->jws_key;
    g_assert_true(monatt_session_request_prove(f->request, f->jws_key, f->nonce, &error));
}

static void issue(Fixture *f)
{
    GError *error = NULL;
    gboolean good =
        monatt_ca_issue_session(f->directory, f->nonce, f->request, &f->chain, &f->opening, &error);
    g_assert_no_error(error);
    g_assert_true(good);
}

static void tear_down(Fixture *f)
{
    static const char *const names[] = {"root.pem", "root.key", "ca.pem", "ca.key"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->directory, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(f->directory);
    g_free(f->directory);
    soft_tpm_key_clear(&f->sk);
    EVP_PKEY_free(f->jws_key);
    g_bytes_unref(f->nonce);
    monatt_session_request_free(f->request);
    X509_free(f->anchor);
    sk_X509_pop_free(f->chain, X509_free);
    g_clear_pointer(&f->opening, g_bytes_unref);
}

static void test_issues_and_checks(gconstpointer suite)
{
    Fixture f = {0};
    MonattSessionCertificate certificate = {0};
    GError *error = NULL;
    uint8_t name[64];
    size_t name_size;
    uint8_t commitment[48];
    size_t commitment_size;

    set_up(&f, suite);
    issue(&f);
    g_assert_cmpint(sk_X509_num(f.chain), ==, 2);
    gboolean good = monatt_session_certificate_check(f.chain, f.anchor, NOW, &certificate, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_assert_true(monatt_public_name(f.request->sk_public, name, &name_size, NULL));
    g_assert_cmpmem(certificate.sk_name, certificate.sk_name_size, name, name_size);
    g_assert_cmpint(EVP_PKEY_eq(certificate.jws_key, f.jws_key), ==, 1);
    g_assert_true(monatt_session_commitment(suite, g_bytes_get_data(f.opening, NULL), 32, HOST,
                                            commitment, &commitment_size));
    g_assert_cmpmem(certificate.host_commitment, certificate.host_commitment_size, commitment,
                    commitment_size);
    g_assert_true(monatt_session_commitment(suite, g_bytes_get_data(f.opening, NULL), 32, "host-2",
                                            commitment, &commitment_size));
    g_assert_false(monatt_bytes_equal(certificate.host_commitment, commitment, commitment_size));
    monatt_session_certificate_clear(&certificate);
    tear_down(&f);
}

static void refuse_issue_as(Fixture *f, GBytes *nonce, MonattErrorCode code, const char *words)
{
    GError *error = NULL;
    STACK_OF(X509) *chain = NULL;
    GBytes *opening = NULL;

    g_assert_false(
        monatt_ca_issue_session(f->directory, nonce, f->request, &chain, &opening, &error));
    g_assert_nonnull(strstr(error->message, words));
    assert_code(error, code);
    g_assert_null(chain);
    g_assert_null(opening);
}

static void refuse_issue(Fixture *f, GBytes *nonce, MonattErrorCode code)
{
    refuse_issue_as(f, nonce, code, "");
}

static void test_refuses_requests(void)
{
    Fixture f = {0};
    uint8_t other[MONATT_NONCE_SIZE] = {8};
    GError *error = NULL;

    set_up(&f, "S256");
    g_autoptr(GBytes) other_nonce = g_bytes_new(other, sizeof(other));
    g_autoptr(GBytes) short_nonce = g_bytes_new(other, 31);
    refuse_issue_as(&f, other_nonce, MONATT_ERROR_REFUSED, "another nonce");
    refuse_issue_as(&f, short_nonce, MONATT_ERROR_REFUSED, "another nonce");
    g_assert_false(monatt_session_request_prove(f.request, f.jws_key, short_nonce, &error));
    assert_code(error, MONATT_ERROR_USAGE);

    /* a proof by another key, as who has only seen the JWS key's public half could make */
    error = NULL;
    EVP_PKEY *stranger = monatt_key_generate("S256", NULL);
    g_assert_true(monatt_session_request_prove(f.request, stranger, f.nonce, &error));
    refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED);
    EVP_PKEY_free(stranger);

    /* a proof that is good for another session key */
    g_assert_true(monatt_session_request_prove(f.request, f.jws_key, f.nonce, &error));
    SoftTpmKey other_sk;
    soft_tpm_key_init(&other_sk, "S256");
    GBytes *good_sk = f.request->sk_public;
    f.request->sk_public = soft_tpm_key_public(&other_sk);
    refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED);
    g_bytes_unref(f.request->sk_public);
    soft_tpm_key_clear(&other_sk);

    /* keys that are no session keys, each with a good proof */
    const TPMA_OBJECT good = f.sk.public.objectAttributes;
    const TPMA_OBJECT bad[] = {
        good & ~TPMA_OBJECT_RESTRICTED,          good & ~TPMA_OBJECT_FIXEDTPM,
        good & ~TPMA_OBJECT_FIXEDPARENT,         good | TPMA_OBJECT_DECRYPT,
        good & ~TPMA_OBJECT_SENSITIVEDATAORIGIN, good & ~TPMA_OBJECT_SIGN_ENCRYPT,
        good | TPMA_OBJECT_ENCRYPTEDDUPLICATION};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        f.sk.public.objectAttributes = bad[i];
        f.request->sk_public = soft_tpm_key_public(&f.sk);
        g_assert_true(monatt_session_request_prove(f.request, f.jws_key, f.nonce, &error));
        refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED);
        g_bytes_unref(f.request->sk_public);
    }
    f.request->sk_public = good_sk;
    g_assert_true(monatt_session_request_prove(f.request, f.jws_key, f.nonce, &error));
    g_free(f.request->host_id);
    f.request->host_id = g_strdup("../host");
    refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED);
    g_free(f.request->host_id);
    f.request->host_id = g_strdup(HOST);
    issue(&f);
    tear_down(&f);
}

static void test_refuses_mixed_suites(void)
{
    Fixture f = {0};
    GError *error = NULL;

    set_up(&f, "S256");
    SoftTpmKey wide;
    soft_tpm_key_init(&wide, "S384");
    EVP_PKEY *wide_jws = monatt_key_generate("S384", NULL);
    g_autoptr(MonattSessionRequest) request = g_new0(MonattSessionRequest, 1);
    request->host_id = g_strdup(HOST);
    request->sk_public = soft_tpm_key_public(&wide);
    request->jws_key = f.jws_key;
    EVP_PKEY_up_ref(f.jws_key);
    g_assert_true(monatt_session_request_prove(request, f.jws_key, f.nonce, &error));
    MonattSessionRequest *kept = f.request;
    f.request = request;
    refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED); /* P-256 JWS key, P-384 session key */
    EVP_PKEY_free(request->jws_key);
    request->jws_key = wide_jws;
    g_assert_true(monatt_session_request_prove(request, wide_jws, f.nonce, &error));
    refuse_issue(&f, f.nonce, MONATT_ERROR_REFUSED); /* S384 below a P-256 CA */
    f.request = kept;
    soft_tpm_key_clear(&wide);
    tear_down(&f);
}

static void test_wide_authority_serves_both(void)
{
    Fixture f = {0};
    Fixture narrow = {0};
    MonattSessionCertificate certificate = {0};

    set_up(&f, "S384");
    set_up(&narrow, "S256");
    MonattSessionRequest *kept = f.request;
    f.request = narrow.request;
    issue(&f);
    f.request = kept;
    g_assert_true(monatt_session_certificate_check(f.chain, f.anchor, NOW, &certificate, NULL));
    monatt_session_certificate_clear(&certificate);
    tear_down(&narrow);
    tear_down(&f);
}

static void test_json_round(gconstpointer suite)
{
    Fixture f = {0};
    GError *error = NULL;

    set_up(&f, suite);
    g_autofree char *text = monatt_session_request_to_json(f.request);
    g_autoptr(MonattSessionRequest) again =
        monatt_session_request_from_json(text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_nonnull(again);
    g_assert_cmpstr(again->host_id, ==, HOST);
    g_assert_true(g_bytes_equal(again->sk_public, f.request->sk_public));
    g_assert_true(g_bytes_equal(again->proof, f.request->proof));
    MonattSessionRequest *kept = f.request;
    f.request = again;
    issue(&f);
    f.request = kept;
    for (size_t i = 0; i < strlen(text); i++) {
        g_autoptr(MonattSessionRequest) cut = monatt_session_request_from_json(text, i, NULL);
        g_assert_null(cut);
    }
    tear_down(&f);
}

static void test_refuses_json(void)
{
    Fixture f = {0};

    set_up(&f, "S256");
    g_autofree char *text = monatt_session_request_to_json(f.request);
    const struct {
        const char *from;
        const char *to;
    } changes[] = {
        {"\"host\":\"" HOST "\"", "\"host\":\"../etc\""},
        {"\"host\":\"" HOST "\"", "\"host\":\"\""},
        {"\"host\":\"" HOST "\"", "\"host\":7"},
        {"\"host\":", "\"hos\":"},
        {"{\"host\":", "{\"x\":1,\"host\":"},
        {"{\"host\":", "{\"host\":\"a\",\"host\":"},
        {"P-256", "P-521"},
        {"P-256", "P-384"},
        {"\"kty\":\"EC\"", "\"kty\":\"EC\",\"d\":\"AA\""},
        {"\"nonce\":\"B", "\"nonce\":\"="},
        {"\"proof\":\"M", "\"proof\":\" "},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        GError *error = NULL;
        g_auto(GStrv) parts = g_strsplit(text, changes[i].from, 2);
        g_assert_nonnull(parts[1]);
        g_autofree char *bad = g_strjoinv(changes[i].to, parts);
        g_assert_null(monatt_session_request_from_json(bad, strlen(bad), &error));
        assert_code(error, MONATT_ERROR_FORMAT);
    }
    g_autofree char *large = g_strnfill(16 * 1024 + 1, ' ');
    GError *error = NULL;
    g_assert_null(monatt_session_request_from_json(large, strlen(large), &error));
    assert_code(error, MONATT_ERROR_FORMAT);
    tear_down(&f);
}

static void refuse_chain(STACK_OF(X509) * chain, X509 *anchor, int64_t at, const char *words)
{
    MonattSessionCertificate certificate = {0};
    GError *error = NULL;

    g_assert_false(monatt_session_certificate_check(chain, anchor, at, &certificate, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    if (strstr(error->message, words) == NULL) {
        g_test_message("'%s' where '%s' was expected", error->message, words);
        g_test_fail();
    }
    g_error_free(error);
    g_assert_null(certificate.jws_key);
}

static void test_refuses_times(void)
{
    Fixture f = {0};
    MonattSessionCertificate certificate = {0};

    set_up(&f, "S256");
    issue(&f);
    int64_t day = MONATT_SESSION_LIFETIME_S;
    g_assert_true(
        monatt_session_certificate_check(f.chain, f.anchor, NOW + day - 120, &certificate, NULL));
    monatt_session_certificate_clear(&certificate);
    refuse_chain(f.chain, f.anchor, NOW + day + 10, "expired at");
    refuse_chain(f.chain, f.anchor, NOW - 3600, "not valid before");
    refuse_chain(f.chain, f.anchor, 0, "not valid before");
    tear_down(&f);
}

static void test_refuses_chains(void)
{
    Fixture f = {0};
    Fixture other = {0};

    set_up(&f, "S256");
    set_up(&other, "S256");
    issue(&f);
    issue(&other);
    refuse_chain(f.chain, other.anchor, NOW, "");
    refuse_chain(NULL, f.anchor, NOW, "1 to 4");

    STACK_OF(X509) *chain = sk_X509_new_null();
    refuse_chain(chain, f.anchor, NOW, "1 to 4");
    sk_X509_push(chain, sk_X509_value(f.chain, 0));
    refuse_chain(chain, f.anchor, NOW, "issuer"); /* the CA is left out */
    sk_X509_push(chain, sk_X509_value(other.chain, 1));
    refuse_chain(chain, f.anchor, NOW, "issuer");
    sk_X509_set(chain, 1, sk_X509_value(f.chain, 1));
    sk_X509_push(chain, sk_X509_value(other.chain, 1));
    refuse_chain(chain, f.anchor, NOW, "not of it"); /* one that nobody looked at */
    sk_X509_pop(chain);
    /* the CA's own certificate and key are no session */
    sk_X509_shift(chain);
    refuse_chain(chain, f.anchor, NOW, "24 hours");
    sk_X509_free(chain);
    tear_down(&other);
    tear_down(&f);
}

/* A certificate by the real CA with one extension changed, left out or added. */
typedef struct Change {
    const char *constraints;
    const char *usage;
    const char *extended;
    const char *session; /* "good", "plain" (not critical), "junk", NULL: none */
    const char *more;    /* OID of one more critical extension */
    long lifetime_s;
    const char *words;
} Change;

static void add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    g_assert_nonnull(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static void add_raw(X509 *certificate, const char *oid, int critical, const void *bytes, int size)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, bytes, size);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, critical, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(object);
}

static EVP_PKEY *read_key(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "ca.key", NULL);
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    g_assert_nonnull(key);
    return key;
}

static X509 *forge(const Fixture *f, const Change *change)
{
    X509 *ca = sk_X509_value(f->chain, 1);
    X509 *certificate = X509_dup(sk_X509_value(f->chain, 0));
    EVP_PKEY *ca_key = read_key(f->directory);
    ASN1_OBJECT *object = OBJ_txt2obj(MONATT_OID_SESSION_EXTENSION, 1);
    int at = X509_get_ext_by_OBJ(certificate, object, -1);
    X509_EXTENSION *kept = X509_delete_ext(certificate, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(kept);
    const unsigned char *bytes = ASN1_STRING_get0_data(value);
    int size = ASN1_STRING_length(value);

    ASN1_OBJECT_free(object);
    while (X509_get_ext_count(certificate) > 0) {
        X509_EXTENSION_free(X509_delete_ext(certificate, 0));
    }
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate),
                    change->lifetime_s ? change->lifetime_s : 3600);
    add(certificate, NULL, NID_basic_constraints,
        change->constraints ? change->constraints : "critical,CA:FALSE");
    if (g_strcmp0(change->usage, "none") != 0) {
        add(certificate, NULL, NID_key_usage,
            change->usage ? change->usage : "critical,digitalSignature");
    }
    if (g_strcmp0(change->extended, "none") != 0) {
        add(certificate, NULL, NID_ext_key_usage,
            change->extended ? change->extended : "critical," MONATT_OID_EKU_EVIDENCE);
    }
    add(certificate, NULL, NID_subject_key_identifier, "hash");
    add(certificate, ca, NID_authority_key_identifier, "keyid:always");
    if (g_strcmp0(change->session, "junk") == 0) {
        add_raw(certificate, MONATT_OID_SESSION_EXTENSION, 1, bytes, size - 1);
    } else if (g_strcmp0(change->session, "none") != 0) {
        add_raw(certificate, MONATT_OID_SESSION_EXTENSION, g_strcmp0(change->session, "plain") != 0,
                bytes, size);
    }
    if (g_strcmp0(change->session, "twice") == 0) {
        add_raw(certificate, MONATT_OID_SESSION_EXTENSION, 1, bytes, size);
    }
    if (change->more) {
        add_raw(certificate, change->more, 1, "\x05", 2);
    }
    g_assert_cmpint(X509_sign(certificate, ca_key, monatt_suite_md(f->suite)), >, 0);
    X509_EXTENSION_free(kept);
    EVP_PKEY_free(ca_key);
    return certificate;
}

static void test_refuses_uses(void)
{
    static const Change changes[] = {
        {.session = "none", .words = "monattSession"},
        {.session = "plain", .words = "monattSession"},
        {.session = "junk", .words = "monattSession"},
        {.session = "twice", .words = "monattSession"},
        {.extended = "none", .words = "extended key usage"},
        {.extended = "clientAuth", .words = "extended key usage"},
        {.extended = MONATT_OID_EKU_EVIDENCE ",clientAuth", .words = "extended key usage"},
        {.usage = "none", .words = "key usage"},
        {.usage = "critical,digitalSignature,keyAgreement", .words = "key usage"},
        {.constraints = "critical,CA:TRUE", .words = "is a CA's"},
        {.more = "2.25.1", .words = "critical extension"},
        {.lifetime_s = MONATT_SESSION_LIFETIME_S + 1, .words = "24 hours"},
    };
    Fixture f = {0};
    MonattSessionCertificate certificate = {0};
    static const Change none = {0};

    set_up(&f, "S256");
    issue(&f);
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *leaf = forge(&f, &none);
    sk_X509_push(chain, leaf);
    sk_X509_push(chain, sk_X509_value(f.chain, 1));
    /* what forge() makes is good as long as it changes nothing */
    g_assert_true(monatt_session_certificate_check(chain, f.anchor, NOW, &certificate, NULL));
    monatt_session_certificate_clear(&certificate);
    X509_free(leaf);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        leaf = forge(&f, &changes[i]);
        sk_X509_set(chain, 0, leaf);
        refuse_chain(chain, f.anchor, NOW, changes[i].words);
        X509_free(leaf);
    }
    sk_X509_free(chain);
    tear_down(&f);
}

static void test_files(void)
{
    Fixture f = {0};
    GError *error = NULL;
    struct stat status;

    set_up(&f, "S256");
    g_autofree char *path = g_build_filename(f.directory, "ca.key", NULL);
    g_autofree char *root_path = g_build_filename(f.directory, "root.key", NULL);
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_cmpint(stat(root_path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_false(monatt_ca_init(f.directory, "S256", &error)); /* never overwritten */
    assert_code(error, MONATT_ERROR_USAGE);
    error = NULL;
    g_assert_false(monatt_ca_init(f.directory, "S512", &error));
    assert_code(error, MONATT_ERROR_USAGE);
    g_assert_cmpint(g_chmod(path, 0640), ==, 0);
    refuse_issue(&f, f.nonce, MONATT_ERROR_PERMISSION);
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
    issue(&f);
    g_assert_true(g_file_set_contents(path, "no key\n", -1, NULL));
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
    refuse_issue(&f, f.nonce, MONATT_ERROR_FORMAT);
    g_assert_cmpint(g_unlink(path), ==, 0);
    refuse_issue(&f, f.nonce, MONATT_ERROR_MISSING);
    tear_down(&f);
}

/* Computed with Python's hashlib: the label with its NUL, r, the host id without one. */
static void test_commitment_known(void)
{
    static const char *const known[][2] = {
        {"S256", "3a3a8ff8f15438b696479369c41416e028f07e0d8b9fe686111058b6b28d2890"},
        {"S384", "0c9f7e6f495da19a26ee73b303ab6caf974917cb324538bb7633593dda6873e3"
                 "be5bc490912b3ff539554e1d17a25e13"}};
    uint8_t opening[32];
    uint8_t commitment[48];
    char text[97];
    size_t size;
    for (size_t i = 0; i < sizeof(opening); i++) {
        opening[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        g_assert_true(monatt_session_commitment(known[i][0], opening, 32, HOST, commitment, &size));
        monatt_text_from_bytes(commitment, size, text);
        g_assert_cmpstr(text, ==, known[i][1]);
    }
    g_assert_false(monatt_session_commitment("S1", opening, 32, HOST, commitment, &size));
}

/* What the JWS key signs, put together here once more (protocol section 3). */
static void test_proof_input(void)
{
    Fixture f = {0};
    uint8_t name[64];
    size_t name_size;
    gsize proof_size;
    set_up(&f, "S256");
    g_assert_true(monatt_public_name(f.request->sk_public, name, &name_size, NULL));
    g_autoptr(GByteArray) input = g_byte_array_new();
    g_byte_array_append(input, (const guint8 *)"monatt session 1\0", 17);
    g_byte_array_append(input, g_bytes_get_data(f.nonce, NULL), 32);
    g_byte_array_append(input, name, (guint)name_size);
    const void *proof = g_bytes_get_data(f.request->proof, &proof_size);
    g_assert_true(monatt_key_verify(f.jws_key, input->data, input->len, proof, proof_size, NULL));
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/session/issues-and-checks/s256", "S256", test_issues_and_checks);
    g_test_add_data_func("/session/issues-and-checks/s384", "S384", test_issues_and_checks);
    g_test_add_func("/session/wide-authority-serves-both", test_wide_authority_serves_both);
    g_test_add_func("/session/refuses-requests", test_refuses_requests);
    g_test_add_func("/session/refuses-mixed-suites", test_refuses_mixed_suites);
    g_test_add_data_func("/session/json-round/s256", "S256", test_json_round);
    g_test_add_data_func("/session/json-round/s384", "S384", test_json_round);
    g_test_add_func("/session/refuses-json", test_refuses_json);
    g_test_add_func("/session/refuses-times", test_refuses_times);
    g_test_add_func("/session/refuses-chains", test_refuses_chains);
    g_test_add_func("/session/refuses-uses", test_refuses_uses);
    g_test_add_func("/session/files", test_files);
    g_test_add_func("/session/commitment-known", test_commitment_known);
    g_test_add_func("/session/proof-input", test_proof_input);
    return g_test_run();
}
