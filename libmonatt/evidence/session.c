/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.c - session requests as JSON, and what a session certificate says
 *
 * The chain is checked with libcrypto against one anchor that the caller trusts; nothing of the
 * system's own trust store is ever looked at.  A critical extension that is not ours is refused.
 */
#include "libmonatt/evidence/session.h"

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session-form.h"

#define PROOF_LABEL "monatt session 1" /* with its NUL, as all labels (protocol section 3) */
#define COMMITMENT_LABEL "monatt host 1"
#define REQUEST_MAXIMUM (16 * 1024) /* keys, a nonce and a signature are below 2 KiB */
#define PUBLIC_MAXIMUM 512          /* TPMT_PUBLIC of a P-384 key is 118 bytes */
#define PROOF_MAXIMUM 112           /* ECDSA P-384 in DER */
#define CHAIN_MAXIMUM 4             /* as in jose.c */

typedef json_t JsonAuto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonAuto, json_decref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE, X509_STORE_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE_CTX, X509_STORE_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ASN1_OBJECT, ASN1_OBJECT_free)

ASN1_SEQUENCE(MonattSessionForm) =
    {
        ASN1_SIMPLE(MonattSessionForm, sk_name, ASN1_OCTET_STRING),
        ASN1_SIMPLE(MonattSessionForm, host_commitment, ASN1_OCTET_STRING),
        ASN1_SEQUENCE_OF(MonattSessionForm, suites, ASN1_UTF8STRING),
} ASN1_SEQUENCE_END(MonattSessionForm) IMPLEMENT_ASN1_FUNCTIONS(MonattSessionForm)
        G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattSessionForm, MonattSessionForm_free)

            void monatt_session_request_free(MonattSessionRequest * request)
{
    if (request == NULL) {
        return;
    }
    g_free(request->host_id);
    g_clear_pointer(&request->sk_public, g_bytes_unref);
    g_clear_pointer(&request->jws_key, EVP_PKEY_free);
    g_clear_pointer(&request->nonce, g_bytes_unref);
    g_clear_pointer(&request->proof, g_bytes_unref);
    g_free(request);
}

GBytes *monatt_session_proof_input(GBytes *nonce, GBytes *sk_public, GError **error)
{
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    size_t name_size = 0;
    if (!monatt_public_name(sk_public, name, &name_size, error)) {
        return NULL;
    }
    gsize nonce_size;
    const void *nonce_bytes = g_bytes_get_data(nonce, &nonce_size);
    GByteArray *input = g_byte_array_new();
    g_byte_array_append(input, (const guint8 *)PROOF_LABEL, sizeof(PROOF_LABEL));
    g_byte_array_append(input, nonce_bytes, (guint)nonce_size);
    g_byte_array_append(input, name, (guint)name_size);
    return g_byte_array_free_to_bytes(input);
}

gboolean monatt_session_request_prove(MonattSessionRequest *request, EVP_PKEY *jws_private,
                                      GBytes *nonce, GError **error)
{
    if (g_bytes_get_size(nonce) != MONATT_NONCE_SIZE) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "session request: a nonce has %d bytes", MONATT_NONCE_SIZE);
        return FALSE;
    }
    g_autoptr(GBytes) input = monatt_session_proof_input(nonce, request->sk_public, error);
    if (input == NULL) {
        return FALSE;
    }
    gsize size;
    const void *bytes = g_bytes_get_data(input, &size);
    GBytes *proof = monatt_key_sign(jws_private, bytes, size, error);
    if (proof == NULL) {
        return FALSE;
    }
    g_clear_pointer(&request->proof, g_bytes_unref);
    g_clear_pointer(&request->nonce, g_bytes_unref);
    request->proof = proof;
    request->nonce = g_bytes_ref(nonce);
    return TRUE;
}

static json_t *bytes_to_json(GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_autofree char *text = monatt_base64url_encode(data, size);
    return json_string(text);
}

char *monatt_session_request_to_json(const MonattSessionRequest *request)
{
    g_autoptr(JsonAuto) root = json_object();
    json_object_set_new(root, "host", json_string(request->host_id));
    json_object_set_new(root, "sk_pub", bytes_to_json(request->sk_public));
    json_object_set_new(root, "jwk", monatt_key_to_jwk(request->jws_key, FALSE, NULL));
    json_object_set_new(root, "nonce", bytes_to_json(request->nonce));
    json_object_set_new(root, "proof", bytes_to_json(request->proof));
    char *dumped = json_dumps(root, JSON_COMPACT);
    char *text = g_strdup(dumped);
    free(dumped);
    return text;
}

static GBytes *get_bytes(const json_t *root, const char *name, size_t maximum, GError **error)
{
    const char *text = json_string_value(json_object_get(root, name));
    if (text == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "session request: '%s' must be a byte string", name);
        return NULL;
    }
    GBytes *bytes = monatt_base64url_decode(text, strlen(text), maximum, error);
    if (bytes == NULL) {
        g_prefix_error(error, "session request: '%s': ", name);
    }
    return bytes;
}

MonattSessionRequest *monatt_session_request_from_json(const char *text, size_t length,
                                                       GError **error)
{
    json_error_t why;
    g_autoptr(JsonAuto) root =
        length <= REQUEST_MAXIMUM ? json_loadb(text, length, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (!json_is_object(root) || json_object_size(root) != 5) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "session request: must be one JSON object with five members");
        return NULL;
    }
    g_autoptr(MonattSessionRequest) request = g_new0(MonattSessionRequest, 1);
    const char *host = json_string_value(json_object_get(root, "host"));
    MonattError err = {0};
    if (host == NULL || !monatt_text_check_name(host, &err)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "session request: 'host' must be a name of 1 to 64 characters");
        return NULL;
    }
    request->host_id = g_strdup(host);
    request->sk_public = get_bytes(root, "sk_pub", PUBLIC_MAXIMUM, error);
    if (request->sk_public == NULL) {
        return NULL;
    }
    request->jws_key = monatt_key_from_jwk(json_object_get(root, "jwk"), error);
    if (request->jws_key == NULL) {
        g_prefix_error(error, "session request: ");
        return NULL;
    }
    request->nonce = get_bytes(root, "nonce", MONATT_NONCE_SIZE, error);
    if (request->nonce == NULL) {
        return NULL;
    }
    request->proof = get_bytes(root, "proof", PROOF_MAXIMUM, error);
    return request->proof != NULL ? g_steal_pointer(&request) : NULL;
}

gboolean monatt_session_commitment(const char *suite, const void *opening, size_t opening_size,
                                   const char *host_id, uint8_t *ret, size_t *ret_size)
{
    g_autoptr(GByteArray) input = g_byte_array_new();
    g_byte_array_append(input, (const guint8 *)COMMITMENT_LABEL, sizeof(COMMITMENT_LABEL));
    g_byte_array_append(input, opening, (guint)opening_size);
    g_byte_array_append(input, (const guint8 *)host_id, (guint)strlen(host_id));
    *ret_size = monatt_suite_digest_size(suite);
    return monatt_suite_hash(suite, input->data, input->len, ret);
}

void monatt_session_certificate_clear(MonattSessionCertificate *certificate)
{
    g_clear_pointer(&certificate->jws_key, EVP_PKEY_free);
    memset(certificate, 0, sizeof(*certificate));
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "session certificate: %s", why);
    return FALSE;
}

/* monattSession is critical so that nobody else takes the certificate for his own use; libcrypto
 * does not know it and asks here.  Every other unknown critical extension stays refused. */
static int allow_ours(int good, X509_STORE_CTX *context)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(context);
    if (good || certificate == NULL || X509_STORE_CTX_get_error_depth(context) != 0 ||
        X509_STORE_CTX_get_error(context) != X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION) {
        return good;
    }
    for (int i = 0; i < X509_get_ext_count(certificate); i++) {
        X509_EXTENSION *extension = X509_get_ext(certificate, i);
        char oid[128];
        if (!X509_EXTENSION_get_critical(extension) || X509_supported_extension(extension)) {
            continue;
        }
        if (OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(extension), 1) <= 0 ||
            strcmp(oid, MONATT_OID_SESSION_EXTENSION) != 0) {
            return 0;
        }
    }
    return 1;
}

static char *show_time(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return g_strdup("an unreadable time");
    }
    return g_strdup_printf("%04d-%02d-%02d %02d:%02d:%02d UTC", parts.tm_year + 1900,
                           parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                           parts.tm_sec);
}

/* Which bound failed, and both times (case L03). */
static gboolean refuse_time(X509 *certificate, int64_t at, int code, GError **error)
{
    gboolean early = code == X509_V_ERR_CERT_NOT_YET_VALID;
    g_autofree char *bound =
        show_time(early ? X509_get0_notBefore(certificate) : X509_get0_notAfter(certificate));
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(at);
    g_autofree char *shown = now ? g_date_time_format(now, "%Y-%m-%d %H:%M:%S UTC") : NULL;
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                "session certificate: %s %s, it is %s\nhint: %s",
                early ? "not valid before" : "expired at", bound, shown ? shown : "no time at all",
                early ? "one of the two clocks may be wrong"
                      : "the host must enrol again ('monatt ca enrol')");
    return FALSE;
}

static gboolean check_chain(STACK_OF(X509) * chain, X509 *anchor, int64_t at, GError **error)
{
    g_autoptr(X509_STORE) store = X509_STORE_new();
    g_autoptr(X509_STORE_CTX) context = X509_STORE_CTX_new();
    if (store == NULL || context == NULL || X509_STORE_add_cert(store, anchor) != 1 ||
        X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain) != 1) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "session certificate: no memory");
        return FALSE;
    }
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(parameters, (time_t)at);
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_depth(parameters, CHAIN_MAXIMUM);
    X509_VERIFY_PARAM_set_auth_level(parameters, 3); /* 128 bits: P-256 with SHA-256 or better */
    X509_STORE_CTX_set_verify_cb(context, allow_ours);
    int good = X509_verify_cert(context);
    int code = X509_STORE_CTX_get_error(context);
    ERR_clear_error();
    if (good != 1) {
        X509 *which = X509_STORE_CTX_get_current_cert(context);
        if (which != NULL &&
            (code == X509_V_ERR_CERT_NOT_YET_VALID || code == X509_V_ERR_CERT_HAS_EXPIRED)) {
            return refuse_time(which, at, code, error);
        }
        return refuse(error, X509_verify_cert_error_string(code));
    }
    /* What x5c carries is part of the chain: nothing that nobody looked at. */
    STACK_OF(X509) *built = X509_STORE_CTX_get0_chain(context);
    if (sk_X509_num(built) != sk_X509_num(chain) + 1) {
        return refuse(error, "the chain carries certificates that are not of it");
    }
    return TRUE;
}

/* Lifetime as issued, digital signature only, and the use that is Monatt's own. */
static gboolean check_use(X509 *leaf, GError **error)
{
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(leaf), X509_get0_notAfter(leaf)) != 1 ||
        days < 0 || seconds < 0 ||
        (int64_t)days * 24 * 60 * 60 + seconds > MONATT_SESSION_LIFETIME_S) {
        return refuse(error, "lives longer than 24 hours");
    }
    /* X509_check_ca() looks at the key usage first and then not at the constraints. */
    if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0) {
        return refuse(error, "is a CA's certificate");
    }
    /* Without the extension libcrypto says all bits. */
    if (X509_get_key_usage(leaf) != KU_DIGITAL_SIGNATURE) {
        return refuse(error, "key usage must be digital signature alone");
    }
    int critical;
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(leaf, NID_ext_key_usage, &critical, NULL);
    char oid[128] = "";
    if (sk_ASN1_OBJECT_num(uses) == 1) {
        OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(uses, 0), 1);
    }
    EXTENDED_KEY_USAGE_free(uses);
    if (strcmp(oid, MONATT_OID_EKU_EVIDENCE) != 0) {
        return refuse(error, "is not for evidence (extended key usage)");
    }
    return TRUE;
}

static gboolean has_suite(const MonattSessionForm *form, const char *suite)
{
    for (int i = 0; i < sk_ASN1_UTF8STRING_num(form->suites); i++) {
        const ASN1_UTF8STRING *value = sk_ASN1_UTF8STRING_value(form->suites, i);
        if ((size_t)ASN1_STRING_length(value) == strlen(suite) &&
            monatt_bytes_equal(ASN1_STRING_get0_data(value), suite, strlen(suite))) {
            return TRUE;
        }
    }
    return FALSE;
}

static MonattSessionForm *read_form(X509 *leaf)
{
    g_autoptr(ASN1_OBJECT) object = OBJ_txt2obj(MONATT_OID_SESSION_EXTENSION, 1);
    int at = object != NULL ? X509_get_ext_by_OBJ(leaf, object, -1) : -1;
    if (at < 0 || X509_get_ext_by_OBJ(leaf, object, at) >= 0) {
        return NULL;
    }
    X509_EXTENSION *extension = X509_get_ext(leaf, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    const unsigned char *bytes = ASN1_STRING_get0_data(value);
    const unsigned char *end = bytes;
    long size = ASN1_STRING_length(value);
    if (!X509_EXTENSION_get_critical(extension)) {
        return NULL;
    }
    g_autoptr(MonattSessionForm) form = d2i_MonattSessionForm(NULL, &end, size);
    return form != NULL && end == bytes + size ? g_steal_pointer(&form) : NULL;
}

static gboolean read_leaf(X509 *leaf, MonattSessionCertificate *ret, GError **error)
{
    g_autoptr(EVP_PKEY) key = X509_get_pubkey(leaf);
    const char *suite = monatt_suite_of_key(key);
    g_autoptr(MonattSessionForm) form = read_form(leaf);
    ERR_clear_error();
    if (form == NULL) {
        return refuse(error, "has no well-formed critical monattSession extension");
    }
    if (suite == NULL || !has_suite(form, suite)) {
        return refuse(error, "its key is not of a suite that it names");
    }
    size_t digest_size = monatt_suite_digest_size(suite);
    if ((size_t)ASN1_STRING_length(form->sk_name) != 2 + digest_size ||
        (size_t)ASN1_STRING_length(form->host_commitment) != digest_size) {
        return refuse(error, "session key's Name or host commitment has another size");
    }
    ret->sk_name_size = 2 + digest_size;
    memcpy(ret->sk_name, ASN1_STRING_get0_data(form->sk_name), ret->sk_name_size);
    ret->host_commitment_size = digest_size;
    memcpy(ret->host_commitment, ASN1_STRING_get0_data(form->host_commitment), digest_size);
    ret->jws_key = g_steal_pointer(&key);
    return TRUE;
}

gboolean monatt_session_certificate_check(STACK_OF(X509) * chain, X509 *anchor, int64_t at,
                                          MonattSessionCertificate *ret, GError **error)
{
    int count = sk_X509_num(chain); /* -1 without a chain */
    if (count < 1 || count > CHAIN_MAXIMUM) {
        return refuse(error, "a chain has 1 to 4 certificates");
    }
    X509 *leaf = sk_X509_value(chain, 0);
    return check_chain(chain, anchor, at, error) && check_use(leaf, error) &&
           read_leaf(leaf, ret, error);
}
