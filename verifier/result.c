/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * result.c - writes verdicts as an EAR, signs it, and checks one for a stranger
 *
 * Must never give "affirming" for anything but a healthy verdict.
 */
#include "verifier/result.h"

#include <openssl/x509_vfy.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/suite.h"
#include "monatt-version.h"
#include "verifier/json.h"

#define CLOCK_SLACK_S 5 /* as for evidence */

/* draft-ietf-rats-ar4si, trustworthiness tiers */
static const char *ear_status(MonattVerdict verdict)
{
    switch (verdict) {
    case MONATT_VERDICT_HEALTHY:
        return "affirming";
    case MONATT_VERDICT_DEGRADED:
        return "warning";
    case MONATT_VERDICT_COMPROMISED:
        return "contraindicated";
    case MONATT_VERDICT_UNKNOWN:
        break;
    }
    return "none";
}

/* AR4SI, 2.3: executables 3 = approved ones were loaded at boot, 32 = some are known unsafe,
 * 96 = contraindicated.  A healthy list of processes approves no executable, so it claims none. */
static json_t *trust_vector(const MonattPropertyResult *result)
{
    json_t *vector = json_object();
    int value = 0;
    if (result->verdict == MONATT_VERDICT_COMPROMISED) {
        value = 96;
    } else if (result->verdict == MONATT_VERDICT_DEGRADED) {
        value = 32;
    } else if (result->verdict == MONATT_VERDICT_HEALTHY &&
               result->property == MONATT_PROPERTY_STARTUP) {
        value = 3;
    }
    if (value != 0) {
        json_object_set_new(vector, "executables", json_integer(value));
    }
    return vector;
}

/* Text in a result may come from a guest: jansson refuses what is not UTF-8, so ask for ASCII. */
static json_t *safe_text(const char *text)
{
    size_t size = strlen(text);
    g_autofree char *printable = g_malloc(size + 1);
    monatt_text_printable(text, size, printable, size + 1);
    return json_string(printable);
}

static json_t *contradictions_to_json(const MonattPropertyResult *result)
{
    json_t *list = json_array();
    for (guint i = 0; i < result->contradictions->len; i++) {
        const MonattContradiction *c = g_ptr_array_index(result->contradictions, i);
        json_t *object = json_object();
        json_object_set_new(object, "what", safe_text(c->what));
        json_object_set_new(object, "expected", safe_text(c->expected));
        json_object_set_new(object, "observed", safe_text(c->observed));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *submodule(const MonattPropertyResult *result, const MonattPolicy *policy,
                         int64_t expires)
{
    json_t *module = json_object();
    json_object_set_new(module, "ear_status", json_string(ear_status(result->verdict)));
    json_object_set_new(module, "ear_trustworthiness_vector", trust_vector(result));
    json_object_set_new(module, "ear_appraisal_policy_ids",
                        json_pack("[o]", safe_text(policy->id)));
    json_object_set_new(module, "verdict", json_string(monatt_verdict_name(result->verdict)));
    json_object_set_new(module, "code", json_string(result->code));
    json_object_set_new(module, "reason", safe_text(result->reason));
    json_object_set_new(module, "measured", safe_text(result->measured));
    json_object_set_new(module, "reference", safe_text(result->reference));
    json_object_set_new(module, "rule", safe_text(result->rule));
    json_object_set_new(
        module, "confidence",
        json_string(result->verdict == MONATT_VERDICT_UNKNOWN ? "none" : "deterministic"));
    json_object_set_new(module, "expires", json_integer(expires));
    json_object_set_new(module, "contradictions", contradictions_to_json(result));
    return module;
}

static void set_base64url(json_t *object, const char *member, const void *bytes, size_t size)
{
    g_autofree char *text = monatt_base64url_encode(bytes, size);
    json_object_set_new(object, member, json_string(text));
}

static void set_hex(json_t *object, const char *member, const uint8_t *bytes, size_t size)
{
    char text[2 * MONATT_SHA384_SIZE + 1];
    monatt_text_from_bytes(bytes, size, text);
    json_object_set_new(object, member, json_string(text));
}

json_t *monatt_result_to_json(const MonattAppraisal *a, const MonattPolicy *policy,
                              const MonattReference *reference, const uint8_t *nonce, int64_t at)
{
    json_t *root = json_object();
    json_t *modules = json_object();
    char vid[MONATT_UUID_TEXT_SIZE];
    int64_t expires = at + policy->expires_s;
    monatt_text_from_uuid(a->claims->vid, vid);
    json_object_set_new(root, "eat_profile", json_string(MONATT_RESULT_PROFILE));
    json_object_set_new(root, "iat", json_integer(at));
    json_object_set_new(root, "exp", json_integer(expires));
    json_object_set_new(
        root, "ear_verifier_id",
        json_pack("{s:s,s:s}", "developer", "monatt", "build", "monatt " MONATT_VERSION));
    set_base64url(root, "eat_nonce", nonce, MONATT_NONCE_SIZE);
    json_object_set_new(root, "vid", json_string(vid));
    set_base64url(root, "bootseed", a->claims->boot_seed, sizeof(a->claims->boot_seed));
    json_object_set_new(root, "bootcount", json_integer((json_int_t)a->claims->boot_count));
    set_hex(root, "q3", a->q3, a->digest_size);
    json_object_set_new(root, "verdict", json_string(monatt_verdict_name(a->overall)));
    json_t *used = json_object();
    json_object_set_new(used, "id", safe_text(policy->id));
    set_hex(used, "sha-256", policy->digest, sizeof(policy->digest));
    json_object_set_new(root, "policy", used);
    used = json_object();
    json_object_set_new(used, "id", safe_text(reference->id));
    set_hex(used, "sha-256", reference->digest, sizeof(reference->digest));
    json_object_set_new(root, "reference", used);
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        json_object_set_new(modules, monatt_property_name((MonattProperty)i),
                            submodule(&a->results[i], policy, expires));
    }
    json_object_set_new(root, "submods", modules);
    return root;
}

char *monatt_result_sign(const void *payload, size_t size, EVP_PKEY *key, X509 *certificate,
                         GError **error)
{
    if (X509_check_private_key(certificate, key) != 1) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "signing key: is not the key of the signing certificate");
        return NULL;
    }
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL || sk_X509_push(chain, certificate) <= 0) {
        sk_X509_free(chain);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "result: out of memory");
        return NULL;
    }
    char *jws = monatt_jws_sign(payload, size, MONATT_RESULT_TYP, key, chain, error);
    sk_X509_free(chain);
    return jws;
}

/* The leaf must be the anchor itself or be issued under it, and valid at the time. */
static gboolean check_chain(STACK_OF(X509) * chain, X509 *anchor, int64_t at, GError **error)
{
    X509 *leaf = sk_X509_value(chain, 0);
    gboolean good = FALSE;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    const char *why = "libcrypto cannot check it";
    if (store != NULL && context != NULL && X509_STORE_add_cert(store, anchor) == 1 &&
        X509_STORE_CTX_init(context, store, leaf, chain) == 1) {
        X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_time(parameters, (time_t)at);
        X509_VERIFY_PARAM_set_flags(parameters,
                                    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
        good = X509_verify_cert(context) == 1;
        why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
    }
    if (!good) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "result: certificate is not believed: %s", why);
    }
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return good;
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "result: %s", why);
    return FALSE;
}

static gboolean check_claims(const json_t *claims, int64_t at, GError **error)
{
    const char *profile = json_string_value(json_object_get(claims, "eat_profile"));
    const json_t *iat = json_object_get(claims, "iat");
    const json_t *exp = json_object_get(claims, "exp");
    if (profile == NULL || strcmp(profile, MONATT_RESULT_PROFILE) != 0) {
        return refuse(error, "eat_profile is not " MONATT_RESULT_PROFILE);
    }
    if (!json_is_integer(iat) || !json_is_integer(exp)) {
        return refuse(error, "iat and exp must be whole seconds");
    }
    if (!json_is_object(json_object_get(claims, "submods")) ||
        json_object_size(json_object_get(claims, "submods")) == 0 ||
        !json_is_object(json_object_get(claims, "ear_verifier_id"))) {
        return refuse(error, "has no submods or no ear_verifier_id");
    }
    if (json_integer_value(iat) > at && json_integer_value(iat) - at > CLOCK_SLACK_S) {
        return refuse(error, "was made in the future\nhint: one of the two clocks may be wrong");
    }
    if (json_integer_value(exp) < at) {
        return refuse(error, "has expired\nhint: for an archived result give --at TIME");
    }
    return TRUE;
}

gboolean monatt_result_verify(const void *bytes, size_t size, X509 *anchor, int64_t at,
                              json_t **ret_claims, GError **error)
{
    if (size > MONATT_RESULT_SIZE_MAXIMUM) {
        return refuse(error, "is too large");
    }
    /* A file may end in a newline; the JWS itself may not. */
    while (size > 0 && ((const char *)bytes)[size - 1] == '\n') {
        size--;
    }
    g_autoptr(MonattJws) jws = monatt_jws_parse(bytes, size, MONATT_RESULT_TYP, TRUE, error);
    if (jws == NULL) {
        g_prefix_error(error, "result: ");
        return FALSE;
    }
    if (jws->chain == NULL || sk_X509_num(jws->chain) == 0) {
        return refuse(error, "carries no certificate (x5c)");
    }
    EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(jws->chain, 0));
    if (!check_chain(jws->chain, anchor, at, error)) {
        return FALSE;
    }
    if (key == NULL) {
        return refuse(error, "its certificate has no key of a known kind");
    }
    if (!monatt_jws_verify(jws, key, error)) {
        return FALSE;
    }
    gsize payload_size;
    const void *payload = g_bytes_get_data(jws->payload, &payload_size);
    g_autoptr(MonattJson) claims =
        monatt_json_load("result", payload, payload_size, MONATT_RESULT_SIZE_MAXIMUM, error);
    if (claims == NULL || !check_claims(claims, at, error)) {
        return FALSE;
    }
    *ret_claims = g_steal_pointer(&claims);
    return TRUE;
}
