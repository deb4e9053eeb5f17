/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jose.c - JWS compact serialisation (RFC 7515, 7.1), strict; libjose signs and verifies
 *
 * libjose's own compact parser takes a fourth part (case V06) and any header, so the text is
 * taken apart here and libjose sees three known strings only.  Must never take a key from the
 * token: x5c is handed to the caller, who checks it against his anchor.
 */
#include "libmonatt/evidence/jose.h"

#include <jansson.h>
#include <jose/cfg.h>
#include <jose/jws.h>
#include <openssl/err.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/suite.h"

#define HEADER_MAXIMUM (16 * 1024) /* x5c of four P-384 certificates is below 8 KiB */
#define CHAIN_MAXIMUM 4            /* session certificate, CA, and two above */
#define CERTIFICATE_MAXIMUM 4096

typedef json_t JsonAuto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonAuto, json_decref)
typedef STACK_OF(X509) CertificateStack;
static void free_chain(CertificateStack *chain)
{
    sk_X509_pop_free(chain, X509_free);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CertificateStack, free_chain)

/* A library does not write to stderr; what failed is in our own error. */
static void be_quiet(void *misc, const char *file, int line, uint64_t err, const char *fmt,
                     va_list ap)
{
}

static jose_cfg_t *quiet_cfg(void)
{
    jose_cfg_t *cfg = jose_cfg();
    if (cfg != NULL) {
        jose_cfg_set_err_func(cfg, be_quiet, NULL);
    }
    return cfg;
}

static GBytes *refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "JWS: %s", why);
    return NULL;
}

static json_t *chain_to_x5c(STACK_OF(X509) * chain)
{
    json_t *x5c = json_array();
    for (int i = 0; i < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        int size = i2d_X509(sk_X509_value(chain, i), &der);
        if (size <= 0) {
            json_decref(x5c);
            return NULL;
        }
        g_autofree char *text = g_base64_encode(der, (gsize)size); /* RFC 7515, 4.1.6: not url */
        OPENSSL_free(der);
        json_array_append_new(x5c, json_string(text));
    }
    return x5c;
}

char *monatt_jws_sign(const void *payload, size_t size, const char *typ, EVP_PKEY *key,
                      STACK_OF(X509) * chain, GError **error)
{
    const char *alg = monatt_suite_alg(monatt_suite_of_key(key));
    g_autoptr(JsonAuto) jwk = monatt_key_to_jwk(key, TRUE, error);
    if (jwk == NULL) {
        return NULL;
    }
    if (size > MONATT_CLAIMS_MAXIMUM) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "JWS: payload of %zu bytes, the limit is %u", size, MONATT_CLAIMS_MAXIMUM);
        return NULL;
    }
    g_autoptr(JsonAuto) header = json_pack("{s:s, s:s}", "alg", alg, "typ", typ);
    if (header != NULL && chain != NULL) {
        json_object_set_new(header, "x5c", chain_to_x5c(chain));
    }
    char *header_text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    if (header_text == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "JWS: cannot write the header");
        return NULL;
    }
    g_autofree char *protected = monatt_base64url_encode(header_text, strlen(header_text));
    g_autofree char *body = monatt_base64url_encode(payload, size);
    free(header_text);

    g_autoptr(JsonAuto) jws = json_pack("{s:s}", "payload", body);
    g_autoptr(JsonAuto) sig = json_pack("{s:s}", "protected", protected);
    jose_cfg_auto_t *cfg = quiet_cfg();
    const char *signature = NULL;
    if (jws != NULL && sig != NULL && jose_jws_sig(cfg, jws, sig, jwk)) {
        signature = json_string_value(json_object_get(jws, "signature"));
        const char *kept = json_string_value(json_object_get(jws, "protected"));
        if (g_strcmp0(kept, protected) != 0) {
            signature = NULL; /* libjose must have signed our header, not one of its own */
        }
    }
    ERR_clear_error();
    if (signature == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "JWS: libjose cannot sign");
        return NULL;
    }
    return g_strdup_printf("%s.%s.%s", protected, body, signature);
}

void monatt_jws_free(MonattJws *jws)
{
    if (jws == NULL) {
        return;
    }
    g_clear_pointer(&jws->header, g_bytes_unref);
    g_clear_pointer(&jws->payload, g_bytes_unref);
    g_clear_pointer(&jws->signing_input, g_bytes_unref);
    g_clear_pointer(&jws->chain, free_chain);
    g_free(jws);
}

static X509 *certificate_from_x5c(const json_t *entry, GError **error)
{
    const char *text = json_string_value(entry);
    if (text == NULL || strlen(text) > CERTIFICATE_MAXIMUM / 3 * 4 + 4 || text[0] == '\0') {
        refuse(error, "x5c: an entry is no certificate");
        return NULL;
    }
    gsize size = 0;
    g_autofree guchar *der = g_base64_decode(text, &size);
    /* g_base64_decode() skips what it does not know: only the one right text may pass. */
    g_autofree char *again = g_base64_encode(der, size);
    if (strcmp(text, again) != 0) {
        refuse(error, "x5c: an entry is not canonical base64");
        return NULL;
    }
    const unsigned char *end = der;
    X509 *certificate = d2i_X509(NULL, &end, (long)size);
    if (certificate == NULL || end != der + size) {
        ERR_clear_error();
        X509_free(certificate);
        refuse(error, "x5c: an entry is not one certificate in DER");
        return NULL;
    }
    return certificate;
}

static gboolean read_chain(const json_t *x5c, MonattJws *jws, GError **error)
{
    size_t count = json_array_size(x5c); /* 0 when it is no array */
    if (count == 0 || count > CHAIN_MAXIMUM) {
        refuse(error, "x5c must be a list of 1 to 4 certificates");
        return FALSE;
    }
    g_autoptr(CertificateStack) chain = sk_X509_new_null();
    for (size_t i = 0; i < count; i++) {
        X509 *certificate = certificate_from_x5c(json_array_get(x5c, i), error);
        if (certificate == NULL) {
            return FALSE;
        }
        sk_X509_push(chain, certificate);
    }
    jws->chain = g_steal_pointer(&chain);
    return TRUE;
}

static gboolean read_header(MonattJws *jws, const char *typ, gboolean allow_x5c, GError **error)
{
    gsize size;
    const char *text = g_bytes_get_data(jws->header, &size);
    json_error_t why;
    g_autoptr(JsonAuto) header = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(header)) {
        refuse(error, "header is not one JSON object");
        return FALSE;
    }
    const char *name;
    json_t *value;
    json_object_foreach(header, name, value)
    {
        gboolean known = strcmp(name, "alg") == 0 || strcmp(name, "typ") == 0 ||
                         (allow_x5c && strcmp(name, "x5c") == 0);
        if (!known) {
            /* crit, jku, jwk, kid …: nothing of a header may steer us (RFC 8725, 3.10) */
            refuse(error, "header has a member that is not allowed here");
            return FALSE;
        }
    }
    const char *alg = json_string_value(json_object_get(header, "alg"));
    if (g_strcmp0(alg, "ES256") != 0 && g_strcmp0(alg, "ES384") != 0) {
        refuse(error, "alg must be ES256 or ES384");
        return FALSE;
    }
    g_strlcpy(jws->alg, alg, sizeof(jws->alg));
    if (g_strcmp0(json_string_value(json_object_get(header, "typ")), typ) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "JWS: typ must be '%s'", typ);
        return FALSE;
    }
    const json_t *x5c = json_object_get(header, "x5c");
    return x5c == NULL || read_chain(x5c, jws, error);
}

MonattJws *monatt_jws_parse(const void *bytes, size_t size, const char *typ, gboolean allow_x5c,
                            GError **error)
{
    const char *text = bytes;
    const char *end = text + size;
    const char *first = size > 0 ? memchr(text, '.', size) : NULL;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (second == NULL) {
        refuse(error, "must have three parts");
        return NULL;
    }
    if (memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL) {
        refuse(error, "has a fourth part");
        return NULL;
    }
    g_autoptr(MonattJws) jws = g_new0(MonattJws, 1);
    jws->header = monatt_base64url_decode(text, (size_t)(first - text), HEADER_MAXIMUM, error);
    if (jws->header == NULL) {
        g_prefix_error(error, "JWS: header: ");
        return NULL;
    }
    jws->payload = monatt_base64url_decode(first + 1, (size_t)(second - first - 1),
                                           MONATT_CLAIMS_MAXIMUM, error);
    if (jws->payload == NULL) {
        g_prefix_error(error, "JWS: payload: ");
        return NULL;
    }
    g_autoptr(GBytes) signature = monatt_base64url_decode(second + 1, (size_t)(end - second - 1),
                                                          sizeof(jws->signature), error);
    if (signature == NULL) {
        g_prefix_error(error, "JWS: signature: ");
        return NULL;
    }
    if (!read_header(jws, typ, allow_x5c, error)) {
        return NULL;
    }
    gsize signature_size;
    const void *signature_bytes = g_bytes_get_data(signature, &signature_size);
    /* RFC 7518, 3.4: r and s each of the curve's size, no DER, no stripped zeros (case E06) */
    if (signature_size != (strcmp(jws->alg, "ES256") == 0 ? 64 : 96)) {
        refuse(error, "signature has another size than its algorithm's");
        return NULL;
    }
    memcpy(jws->signature, signature_bytes, signature_size);
    jws->signature_size = signature_size;
    jws->signing_input = g_bytes_new(text, (size_t)(second - text));
    return g_steal_pointer(&jws);
}

gboolean monatt_jws_verify(const MonattJws *jws, EVP_PKEY *key, GError **error)
{
    const char *alg = monatt_suite_alg(monatt_suite_of_key(key));
    if (g_strcmp0(alg, jws->alg) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "JWS: alg is %s, the key is for %s",
                    jws->alg, alg ? alg : "nothing we take");
        return FALSE;
    }
    g_autoptr(JsonAuto) jwk = monatt_key_to_jwk(key, FALSE, error);
    if (jwk == NULL) {
        return FALSE;
    }
    gsize size;
    const char *input = g_bytes_get_data(jws->signing_input, &size);
    const char *dot = memchr(input, '.', size);
    g_autofree char *protected = g_strndup(input, (gsize)(dot - input));
    g_autofree char *payload = g_strndup(dot + 1, size - (gsize)(dot + 1 - input));
    g_autofree char *signature = monatt_base64url_encode(jws->signature, jws->signature_size);
    g_autoptr(JsonAuto) json = json_pack("{s:s, s:s, s:s}", "payload", payload, "protected",
                                         protected, "signature", signature);
    jose_cfg_auto_t *cfg = quiet_cfg();
    gboolean good = json != NULL && jose_jws_ver(cfg, json, NULL, jwk, true);
    ERR_clear_error();
    if (!good) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "JWS: signature is not by the key it must be by");
        return FALSE;
    }
    return TRUE;
}
