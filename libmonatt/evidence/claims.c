/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * claims.c - C of the protocol: the payload octets of the evidence JWS
 *
 * Written member by member in the order of docs/formats/evidence.md, read by jansson with every
 * leniency closed: no duplicate, no unknown, no missing member, integers only, byte strings of one
 * canonical text.  What is hashed (Q3) is the octets as sent: nobody may write claims again that
 * he has read.
 */
#include "libmonatt/evidence/evidence.h"

#include <jansson.h>
#include <string.h>
#include "libmonatt/evidence/jose.h"

#define START "{\"eat_profile\":\"" MONATT_EVIDENCE_PROFILE "\","
#define PUBLIC_MAXIMUM 512          /* TPMT_PUBLIC of a P-384 key is 118 bytes */
#define TIME_MAXIMUM 253402300799LL /* 9999-12-31 23:59:59, so that differences cannot overflow */

typedef json_t JsonAuto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonAuto, json_decref)

void monatt_claims_free(MonattClaims *claims)
{
    if (claims == NULL) {
        return;
    }
    g_clear_pointer(&claims->dak_pub, g_bytes_unref);
    g_clear_pointer(&claims->sk_pub, g_bytes_unref);
    g_free(claims);
}

static void add_bytes(GString *text, const char *name, const void *bytes, size_t size)
{
    g_autofree char *value = monatt_base64url_encode(bytes, size);
    g_string_append_printf(text, "\"%s\":\"%s\",", name, value);
}

static void add_number(GString *text, const char *name, uint64_t value)
{
    g_string_append_printf(text, "\"%s\":%" G_GUINT64_FORMAT ",", name, value);
}

/* The last member of an object has no comma behind it. */
static void end_object(GString *text, const char *end)
{
    g_string_truncate(text, text->len - 1);
    g_string_append(text, end);
}

static void add_measurements(GString *text, const MonattClaims *c, size_t digest_size)
{
    g_string_append(text, "\"m\":[");
    for (size_t i = 0; i < c->m_count; i++) {
        const MonattMeasurement *m = &c->m[i];
        g_string_append_printf(text, "%s{\"kind\":\"%s\",", i > 0 ? "," : "", m->kind);
        add_number(text, "register", m->index);
        add_number(text, "first", m->first);
        add_number(text, "last", m->last);
        add_bytes(text, "digest", m->digest, digest_size);
        end_object(text, "}");
    }
    g_string_append(text, "],");
}

static void add_key(GString *text, const char *name, const uint8_t *key_name, size_t size,
                    const char *public_name, GBytes *public)
{
    gsize public_size;
    const void *bytes = g_bytes_get_data(public, &public_size);
    add_bytes(text, name, key_name, size);
    add_bytes(text, public_name, bytes, public_size);
}

GBytes *monatt_claims_serialize(const MonattClaims *c, GError **error)
{
    size_t digest_size = monatt_suite_digest_size(c->suite);
    if (digest_size == 0 || c->m_count > MONATT_MEASUREMENTS_MAXIMUM || c->dak_pub == NULL ||
        c->sk_pub == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "claims: unknown suite, too many measurements, or no key");
        return NULL;
    }
    g_autoptr(GString) text = g_string_new(START);
    add_number(text, "ver", MONATT_EVIDENCE_VERSION);
    g_string_append_printf(text, "\"suite\":\"%s\",", c->suite);
    add_bytes(text, "eat_nonce", c->nonce, MONATT_NONCE_SIZE);
    if (c->ask_size > 0) {
        add_bytes(text, "ask", c->ask, c->ask_size);
    }
    add_number(text, "iat", (uint64_t)c->iat);
    add_bytes(text, "vid", c->vid, MONATT_UUID_SIZE);
    add_bytes(text, "bootseed", c->boot_seed, MONATT_BOOT_SEED_SIZE);
    add_number(text, "bootcount", c->boot_count);
    add_number(text, "uptime_ns", c->uptime_ns);
    add_number(text, "rm", c->rm);
    add_measurements(text, c, digest_size);
    add_bytes(text, "dek", c->dek_name, c->dek_name_size);
    add_key(text, "dak", c->dak_name, c->dak_name_size, "dak_pub", c->dak_pub);
    add_key(text, "sk", c->sk_name, c->sk_name_size, "sk_pub", c->sk_pub);
    g_string_append(text, "\"log\":{");
    add_number(text, "records", c->log_records);
    add_number(text, "bytes", c->log_bytes);
    add_bytes(text, "digest", c->log_digest, digest_size);
    end_object(text, "},\"host_log\":{");
    add_number(text, "bytes", c->host_log_bytes);
    add_bytes(text, "digest", c->host_log_digest, digest_size);
    add_number(text, "ima_count", c->host_ima_count);
    end_object(text, "},");
    add_bytes(text, "prev", c->previous, digest_size);
    add_number(text, "n", c->number);
    end_object(text, "}");

    /* The reader is the rule: what it would refuse must not be signed. */
    g_autoptr(MonattClaims) again = monatt_claims_parse(text->str, text->len, error);
    if (again == NULL) {
        g_prefix_error(error, "cannot write: ");
        return NULL;
    }
    return g_bytes_new(text->str, text->len);
}

static gboolean refuse(GError **error, const char *name, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "claims: '%s' %s", name, why);
    return FALSE;
}

static gboolean get_number(const json_t *object, const char *name, uint64_t maximum, uint64_t *ret,
                           GError **error)
{
    const json_t *value = json_object_get(object, name);
    /* jansson's integers are 64-bit with sign; a larger one in the text is its error. */
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > maximum) {
        return refuse(error, name, "must be an integer, not negative, within its limit");
    }
    *ret = (uint64_t)json_integer_value(value);
    return TRUE;
}

static GBytes *get_variable(const json_t *object, const char *name, size_t maximum, GError **error)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL) {
        refuse(error, name, "must be a byte string");
        return NULL;
    }
    GBytes *bytes = monatt_base64url_decode(text, strlen(text), maximum, error);
    if (bytes == NULL) {
        g_prefix_error(error, "claims: '%s': ", name);
    } else if (g_bytes_get_size(bytes) == 0) {
        g_clear_pointer(&bytes, g_bytes_unref);
        refuse(error, name, "is empty");
    }
    return bytes;
}

static gboolean get_bytes(const json_t *object, const char *name, void *ret, size_t size,
                          GError **error)
{
    g_autoptr(GBytes) bytes = get_variable(object, name, size, error);
    if (bytes == NULL) {
        return FALSE;
    }
    if (g_bytes_get_size(bytes) != size) {
        return refuse(error, name, "has another size");
    }
    memcpy(ret, g_bytes_get_data(bytes, NULL), size);
    return TRUE;
}

/* TPM Name: algorithm and a digest of just that algorithm. */
static gboolean get_name(const json_t *object, const char *name, uint8_t *ret, size_t *ret_size,
                         GError **error)
{
    g_autoptr(GBytes) bytes = get_variable(object, name, MONATT_NAME_SIZE_TPM + 16, error);
    if (bytes == NULL) {
        return FALSE;
    }
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    uint16_t alg = size >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0;
    size_t digest_size = monatt_suite_digest_size(monatt_suite_of_bank(alg));
    if (digest_size == 0 || size != 2 + digest_size) {
        return refuse(error, name, "is no TPM Name by SHA-256 or SHA-384");
    }
    memcpy(ret, data, size);
    *ret_size = size;
    return TRUE;
}

/* Every member was asked for, so a count that is equal leaves no room for an unknown one. */
static gboolean check_count(const json_t *object, const char *name, size_t count, GError **error)
{
    if (!json_is_object(object)) {
        return refuse(error, name, "must be an object");
    }
    return json_object_size(object) == count || refuse(error, name, "has an unknown member");
}

static gboolean get_kind(const json_t *object, MonattMeasurement *m, GError **error)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    size_t length = kind != NULL ? strlen(kind) : 0;
    if (length == 0 || length >= sizeof(m->kind) ||
        strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) {
        return refuse(error, "kind", "must be 1 to 31 of a to z, 0 to 9 and '-'");
    }
    g_strlcpy(m->kind, kind, sizeof(m->kind));
    return TRUE;
}

static gboolean get_measurements(const json_t *root, MonattClaims *c, size_t digest_size,
                                 GError **error)
{
    const json_t *list = json_object_get(root, "m");
    if (!json_is_array(list) || json_array_size(list) > MONATT_MEASUREMENTS_MAXIMUM) {
        return refuse(error, "m", "must be a list of at most 16");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        MonattMeasurement *m = &c->m[i];
        uint64_t index;
        if (!check_count(entry, "m", 5, error) || !get_kind(entry, m, error) ||
            !get_number(entry, "register", MONATT_REGISTER_COUNT - 1, &index, error) ||
            !get_number(entry, "first", INT64_MAX, &m->first, error) ||
            !get_number(entry, "last", INT64_MAX, &m->last, error) ||
            !get_bytes(entry, "digest", m->digest, digest_size, error)) {
            return FALSE;
        }
        m->index = (uint8_t)index;
    }
    c->m_count = json_array_size(list);
    return TRUE;
}

static gboolean get_logs(const json_t *root, MonattClaims *c, size_t digest_size, GError **error)
{
    const json_t *log = json_object_get(root, "log");
    const json_t *host_log = json_object_get(root, "host_log");
    return check_count(log, "log", 3, error) &&
           get_number(log, "records", INT64_MAX, &c->log_records, error) &&
           get_number(log, "bytes", MONATT_EVIDENCE_MAXIMUM, &c->log_bytes, error) &&
           get_bytes(log, "digest", c->log_digest, digest_size, error) &&
           check_count(host_log, "host_log", 3, error) &&
           get_number(host_log, "bytes", MONATT_EVIDENCE_MAXIMUM, &c->host_log_bytes, error) &&
           get_bytes(host_log, "digest", c->host_log_digest, digest_size, error) &&
           get_number(host_log, "ima_count", INT64_MAX, &c->host_ima_count, error);
}

static gboolean get_suite(const json_t *root, MonattClaims *c, size_t *ret_digest_size,
                          GError **error)
{
    uint64_t version;
    if (!get_number(root, "ver", UINT32_MAX, &version, error)) {
        return FALSE;
    }
    if (version != MONATT_EVIDENCE_VERSION) {
        return refuse(error, "ver", "is a version that this program does not know");
    }
    const char *suite = json_string_value(json_object_get(root, "suite"));
    *ret_digest_size = monatt_suite_digest_size(suite);
    if (*ret_digest_size == 0) {
        return refuse(error, "suite", "must be S256 or S384");
    }
    g_strlcpy(c->suite, suite, sizeof(c->suite));
    return TRUE;
}

static gboolean get_question(const json_t *root, MonattClaims *c, size_t digest_size,
                             GError **error)
{
    uint64_t iat;
    uint64_t rm;
    /* Without an ask3, at the collector's own socket, there is no member 'ask' (architecture). */
    if (json_object_get(root, "ask") != NULL) {
        if (!get_bytes(root, "ask", c->ask, digest_size, error)) {
            return FALSE;
        }
        c->ask_size = digest_size;
    }
    if (!get_bytes(root, "eat_nonce", c->nonce, MONATT_NONCE_SIZE, error) ||
        !get_number(root, "iat", TIME_MAXIMUM, &iat, error) ||
        !get_number(root, "rm", UINT32_MAX, &rm, error)) {
        return FALSE;
    }
    c->iat = (int64_t)iat;
    c->rm = (uint32_t)rm;
    return TRUE;
}

static gboolean read_claims(const json_t *root, MonattClaims *c, GError **error)
{
    size_t digest_size;
    if (!get_suite(root, c, &digest_size, error) || !get_question(root, c, digest_size, error) ||
        !get_bytes(root, "vid", c->vid, MONATT_UUID_SIZE, error) ||
        !get_bytes(root, "bootseed", c->boot_seed, MONATT_BOOT_SEED_SIZE, error) ||
        !get_number(root, "bootcount", INT64_MAX, &c->boot_count, error) ||
        !get_number(root, "uptime_ns", INT64_MAX, &c->uptime_ns, error) ||
        !get_measurements(root, c, digest_size, error) ||
        !get_name(root, "dek", c->dek_name, &c->dek_name_size, error) ||
        !get_name(root, "dak", c->dak_name, &c->dak_name_size, error) ||
        !get_name(root, "sk", c->sk_name, &c->sk_name_size, error) ||
        !get_logs(root, c, digest_size, error) ||
        !get_bytes(root, "prev", c->previous, digest_size, error) ||
        !get_number(root, "n", UINT32_MAX, &c->number, error)) {
        return FALSE;
    }
    c->dak_pub = get_variable(root, "dak_pub", PUBLIC_MAXIMUM, error);
    if (c->dak_pub == NULL) {
        return FALSE;
    }
    c->sk_pub = get_variable(root, "sk_pub", PUBLIC_MAXIMUM, error);
    if (c->sk_pub == NULL) {
        return FALSE;
    }
    if (c->number == 0) {
        return refuse(error, "n", "must count from 1");
    }
    return check_count(root, "the claims", c->ask_size > 0 ? 21 : 20, error);
}

MonattClaims *monatt_claims_parse(const void *bytes, size_t size, GError **error)
{
    if (size > MONATT_CLAIMS_MAXIMUM) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT, "claims: %zu bytes, the limit is %u",
                    size, MONATT_CLAIMS_MAXIMUM);
        return NULL;
    }
    /* First of all: no other thing that is hashed starts so (protocol section 6). */
    if (size < strlen(START) || !monatt_bytes_equal(bytes, START, strlen(START))) {
        refuse(error, "eat_profile", "must come first and be " MONATT_EVIDENCE_PROFILE);
        return NULL;
    }
    json_error_t why;
    g_autoptr(JsonAuto) root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "claims: not one JSON object without duplicate members (at byte %d)",
                    why.position);
        return NULL;
    }
    g_autoptr(MonattClaims) claims = g_new0(MonattClaims, 1);
    return read_claims(root, claims, error) ? g_steal_pointer(&claims) : NULL;
}
