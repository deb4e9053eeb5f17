/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence.c - the evidence file: a CMW collection (draft-ietf-rats-msg-wrap) in its one form
 *
 * JSON for whoever reads it, but here one exact text: these members, this order, no white space,
 * canonical base64url, nothing behind.  So no JSON library is needed, and no changed bit can hide
 * in what such a library would skip.  Believes nothing of what it takes apart.
 * Format: docs/formats/evidence.md.
 */
#include "libmonatt/evidence/evidence.h"

#include <string.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/evidence/jose.h"

#define TYPE_CLAIMS "application/eat+jwt"
#define TYPE_QUOTE "application/vnd.monatt.tpm-quote"
#define TYPE_LOG "application/vnd.monatt.cel-tlv"
#define TYPE_HOST_LOG "application/vnd.monatt.host-log"
#define TYPE_OPENING "application/octet-stream"

#define QUOTE_MAGIC "MTQ1"
#define QUOTE_HEADER_SIZE 16     /* magic, bank, selection, three sizes */
#define ATTEST_MAXIMUM 1024      /* TPMS_ATTEST of a quote is below 300 bytes */
#define SIGNATURE_MAXIMUM 1024   /* TPMT_SIGNATURE, ECDSA P-384: 104 bytes */
#define VALUES_MAXIMUM (32 * 48) /* as many as a selection has bits, SHA-384 */
#define QUOTE_MAXIMUM (QUOTE_HEADER_SIZE + ATTEST_MAXIMUM + SIGNATURE_MAXIMUM + VALUES_MAXIMUM)
#define JWS_MAXIMUM (128u * 1024) /* payload and header of the limits of jose.c, in base64url */
#define OPENING_SIZE 32

void monatt_evidence_free(MonattEvidence *evidence)
{
    if (evidence == NULL) {
        return;
    }
    g_clear_pointer(&evidence->claims, g_bytes_unref);
    g_clear_pointer(&evidence->device_quote, monatt_quote_free);
    g_clear_pointer(&evidence->host_quote, monatt_quote_free);
    g_clear_pointer(&evidence->log, g_bytes_unref);
    g_clear_pointer(&evidence->host_log, g_bytes_unref);
    g_clear_pointer(&evidence->opening, g_bytes_unref);
    g_free(evidence);
}

static void write_sized(MonattWriter *w, GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    monatt_writer_bytes(w, data, size);
}

static GBytes *pack_quote(const MonattQuote *quote, GError **error)
{
    uint8_t buffer[QUOTE_MAXIMUM];
    MonattWriter w;
    MonattError err = {0};
    size_t size;
    size_t attest_size = g_bytes_get_size(quote->attest);
    size_t signature_size = g_bytes_get_size(quote->signature);
    size_t values_size = g_bytes_get_size(quote->values);
    if (attest_size > ATTEST_MAXIMUM || signature_size > SIGNATURE_MAXIMUM ||
        values_size > VALUES_MAXIMUM) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "evidence: a quote of %zu, %zu and %zu bytes", attest_size, signature_size,
                    values_size);
        return NULL;
    }
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_bytes(&w, QUOTE_MAGIC, 4);
    monatt_writer_u16_be(&w, quote->alg);
    monatt_writer_u32_be(&w, quote->selection);
    monatt_writer_u16_be(&w, (uint16_t)attest_size);
    monatt_writer_u16_be(&w, (uint16_t)signature_size);
    monatt_writer_u16_be(&w, (uint16_t)values_size);
    write_sized(&w, quote->attest);
    write_sized(&w, quote->signature);
    write_sized(&w, quote->values);
    if (!monatt_writer_finish(&w, "quote", &size, &err)) {
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    return g_bytes_new(buffer, size);
}

static bool read_part(MonattReader *r, uint16_t size, uint16_t maximum, GBytes **ret)
{
    const uint8_t *bytes;
    if (size > maximum) {
        return monatt_reader_fail(r, "a part of %u bytes, the limit is %u", size, maximum);
    }
    if (!monatt_reader_bytes(r, size, &bytes)) {
        return false;
    }
    *ret = g_bytes_new(bytes, size);
    return true;
}

static MonattQuote *unpack_quote(const char *name, GBytes *packed, GError **error)
{
    g_autoptr(MonattQuote) quote = g_new0(MonattQuote, 1);
    MonattError err = {0};
    MonattReader r;
    gsize size;
    const void *bytes = g_bytes_get_data(packed, &size);
    const uint8_t *magic;
    uint16_t attest_size;
    uint16_t signature_size;
    uint16_t values_size;
    monatt_reader_init(&r, name, bytes, size, &err);
    if (!monatt_reader_bytes(&r, 4, &magic)) {
        goto refused;
    }
    if (!monatt_bytes_equal(magic, QUOTE_MAGIC, 4)) {
        monatt_reader_fail(&r, "does not start with " QUOTE_MAGIC);
        goto refused;
    }
    if (!monatt_reader_u16_be(&r, &quote->alg) || !monatt_reader_u32_be(&r, &quote->selection) ||
        !monatt_reader_u16_be(&r, &attest_size) || !monatt_reader_u16_be(&r, &signature_size) ||
        !monatt_reader_u16_be(&r, &values_size) ||
        !read_part(&r, attest_size, ATTEST_MAXIMUM, &quote->attest) ||
        !read_part(&r, signature_size, SIGNATURE_MAXIMUM, &quote->signature) ||
        !read_part(&r, values_size, VALUES_MAXIMUM, &quote->values) || !monatt_reader_finish(&r)) {
        goto refused;
    }
    return g_steal_pointer(&quote);
refused:
    monatt_error_to_gerror(&err, error);
    return NULL;
}

/* ,"name":["type","value"] */
static void add_member(GString *text, const char *name, const char *type, GBytes *value)
{
    gsize size;
    const void *bytes = g_bytes_get_data(value, &size);
    g_autofree char *encoded = monatt_base64url_encode(bytes, size);
    g_string_append_printf(text, ",\"%s\":[\"%s\",\"", name, type);
    g_string_append(text, encoded);
    g_string_append(text, "\"]");
}

GBytes *monatt_evidence_serialize(const MonattEvidence *evidence, GError **error)
{
    g_autoptr(GBytes) device = pack_quote(evidence->device_quote, error);
    if (device == NULL) {
        return NULL;
    }
    g_autoptr(GBytes) host = pack_quote(evidence->host_quote, error);
    if (host == NULL) {
        return NULL;
    }
    size_t sizes = g_bytes_get_size(evidence->claims) + g_bytes_get_size(evidence->log) +
                   g_bytes_get_size(evidence->host_log);
    /* Before a text of that size is built; what is added to it is below 16 KiB. */
    if (g_bytes_get_size(evidence->claims) > JWS_MAXIMUM ||
        sizes > (MONATT_EVIDENCE_MAXIMUM - 16 * 1024) / 4 * 3) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "evidence: %zu bytes do not fit into a file of %u", sizes,
                    MONATT_EVIDENCE_MAXIMUM);
        return NULL;
    }
    if (evidence->opening != NULL && g_bytes_get_size(evidence->opening) != OPENING_SIZE) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE, "evidence: opening is not %d bytes",
                    OPENING_SIZE);
        return NULL;
    }
    GString *text = g_string_sized_new(sizes / 3 * 4 + 8 * 1024);
    g_string_append(text, "{\"__cmwc_t\":\"" MONATT_EVIDENCE_PROFILE "\"");
    add_member(text, "claims", TYPE_CLAIMS, evidence->claims);
    add_member(text, "device-quote", TYPE_QUOTE, device);
    add_member(text, "host-quote", TYPE_QUOTE, host);
    add_member(text, "log", TYPE_LOG, evidence->log);
    add_member(text, "host-log", TYPE_HOST_LOG, evidence->host_log);
    if (evidence->opening != NULL) {
        add_member(text, "opening", TYPE_OPENING, evidence->opening);
    }
    g_string_append_c(text, '}');
    return g_string_free_to_bytes(text);
}

static bool read_text(MonattReader *r, const char *text)
{
    const uint8_t *bytes;
    size_t length = strlen(text);
    size_t left = monatt_reader_left(r);
    if (left < length || !monatt_bytes_equal(r->bytes + r->position, text, length)) {
        return monatt_reader_fail(r, "'%s' must stand here", text);
    }
    return monatt_reader_bytes(r, length, &bytes);
}

/* The value of the member that must come next. */
static GBytes *read_member(MonattReader *r, const char *name, const char *type, size_t maximum,
                           GError **error)
{
    g_autofree char *before = g_strdup_printf(",\"%s\":[\"%s\",\"", name, type);
    const uint8_t *value;
    if (!read_text(r, before)) {
        monatt_error_to_gerror(r->err, error);
        return NULL;
    }
    size_t left = monatt_reader_left(r);
    const uint8_t *end = left > 0 ? memchr(r->bytes + r->position, '"', left) : NULL;
    if (end == NULL) {
        monatt_reader_fail(r, "%s does not end", name);
        monatt_error_to_gerror(r->err, error);
        return NULL;
    }
    size_t length = (size_t)(end - (r->bytes + r->position));
    if (!monatt_reader_bytes(r, length, &value) || !read_text(r, "\"]")) {
        monatt_error_to_gerror(r->err, error);
        return NULL;
    }
    GBytes *bytes = monatt_base64url_decode((const char *)value, length, maximum, error);
    if (bytes == NULL) {
        g_prefix_error(error, "evidence: %s: ", name);
    }
    return bytes;
}

static MonattQuote *read_quote(MonattReader *r, const char *name, GError **error)
{
    g_autoptr(GBytes) packed = read_member(r, name, TYPE_QUOTE, QUOTE_MAXIMUM, error);
    return packed != NULL ? unpack_quote(name, packed, error) : NULL;
}

MonattEvidence *monatt_evidence_parse(const void *bytes, size_t size, GError **error)
{
    g_autoptr(MonattEvidence) e = g_new0(MonattEvidence, 1);
    MonattError err = {0};
    MonattReader r;
    if (size > MONATT_EVIDENCE_MAXIMUM) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "evidence: %zu bytes, the limit is %u", size, MONATT_EVIDENCE_MAXIMUM);
        return NULL;
    }
    monatt_reader_init(&r, "evidence", bytes, size, &err);
    if (!read_text(&r, "{\"__cmwc_t\":\"" MONATT_EVIDENCE_PROFILE "\"")) {
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    e->claims = read_member(&r, "claims", TYPE_CLAIMS, JWS_MAXIMUM, error);
    if (e->claims == NULL) {
        return NULL;
    }
    e->device_quote = read_quote(&r, "device-quote", error);
    if (e->device_quote == NULL) {
        return NULL;
    }
    e->host_quote = read_quote(&r, "host-quote", error);
    if (e->host_quote == NULL) {
        return NULL;
    }
    e->log = read_member(&r, "log", TYPE_LOG, size, error);
    if (e->log == NULL) {
        return NULL;
    }
    e->host_log = read_member(&r, "host-log", TYPE_HOST_LOG, size, error);
    if (e->host_log == NULL) {
        return NULL;
    }
    if (monatt_reader_left(&r) > 1) {
        e->opening = read_member(&r, "opening", TYPE_OPENING, OPENING_SIZE, error);
        if (e->opening == NULL) {
            return NULL;
        }
        if (g_bytes_get_size(e->opening) != OPENING_SIZE) {
            monatt_reader_fail(&r, "opening is not %d bytes", OPENING_SIZE);
        }
    }
    if (!read_text(&r, "}") || !monatt_reader_finish(&r)) {
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    return g_steal_pointer(&e);
}
