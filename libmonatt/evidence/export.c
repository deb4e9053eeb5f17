/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * export.c - writes the parts of an evidence file for tpm2-tools, openssl and jose
 *
 * Every name of a file is a constant of this file: nothing of the evidence ever becomes a path.
 * Must never write over a file that is there.
 */
#include "libmonatt/evidence/export.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/evidence/checkpoint-quote.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"

/* tpm2-tools 5.4, "serialized": C structures as they lie in the memory of a little-endian machine:
 * TPML_PCR_SELECTION, u32 number of lists, that many TPML_DIGEST of up to eight digests. */
#define LIST_DIGESTS 8
#define BANKS_ROOM 16
#define DIGEST_ROOM 64
#define PCRS_MAXIMUM 4096 /* 32 registers: 132 + 4 + 4 * 532 bytes */

typedef json_t JsonAuto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonAuto, json_decref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)

static gboolean fail(GError **error, int number, const char *what, const char *path)
{
    MonattError err = {0};
    monatt_error_set_errno(&err, number, "export: %s '%s'", what, path);
    err.code = number == ENOENT   ? MONATT_ERROR_MISSING
               : number == EACCES ? MONATT_ERROR_PERMISSION
                                  : MONATT_ERROR_SYSTEM;
    return monatt_error_to_gerror(&err, error);
}

static gboolean write_file(const char *directory, const char *name, const void *bytes, size_t size,
                           GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    const uint8_t *from = bytes;
    int fd MONATT_CLEANUP_CLOSE =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 && errno == EEXIST) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "export: '%s' is there already\nhint: choose a new or empty folder", path);
        return FALSE;
    }
    if (fd < 0) {
        return fail(error, errno, "cannot create", path);
    }
    while (size > 0) {
        ssize_t wrote = write(fd, from, size);
        if (wrote < 0 && errno != EINTR) {
            return fail(error, errno, "cannot write", path);
        }
        if (wrote > 0) {
            from += wrote;
            size -= (size_t)wrote;
        }
    }
    return TRUE;
}

static gboolean write_bytes(const char *directory, const char *name, GBytes *bytes, GError **error)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    return write_file(directory, name, data, size, error);
}

static gboolean write_text(const char *directory, const char *name, const char *text,
                           GError **error)
{
    return write_file(directory, name, text, strlen(text), error);
}

/* The file that tpm2_checkquote takes with -f, and knows the selection from. */
static gboolean write_pcrs(const char *directory, const char *name, const MonattQuote *quote,
                           size_t digest_size, GError **error)
{
    uint8_t buffer[PCRS_MAXIMUM];
    uint8_t zeros[DIGEST_ROOM] = {0};
    MonattError err = {0};
    MonattWriter w;
    size_t size;
    gsize values_size;
    const uint8_t *values = g_bytes_get_data(quote->values, &values_size);
    size_t count = values_size / digest_size;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_writer_u32_le(&w, 1);
    for (size_t i = 0; i < BANKS_ROOM; i++) {
        monatt_writer_u16_le(&w, i == 0 ? quote->alg : 0);
        monatt_writer_u8(&w, i == 0 ? 3 : 0);
        monatt_writer_u8(&w, i == 0 ? (uint8_t)quote->selection : 0);
        monatt_writer_u8(&w, i == 0 ? (uint8_t)(quote->selection >> 8) : 0);
        monatt_writer_u8(&w, i == 0 ? (uint8_t)(quote->selection >> 16) : 0);
        monatt_writer_u16_le(&w, 0); /* the fourth register byte, and the structure's padding */
    }
    size_t lists = (count + LIST_DIGESTS - 1) / LIST_DIGESTS;
    monatt_writer_u32_le(&w, (uint32_t)lists);
    for (size_t i = 0; i < lists * LIST_DIGESTS; i++) {
        if (i % LIST_DIGESTS == 0) {
            monatt_writer_u32_le(&w, (uint32_t)MIN(count - i, LIST_DIGESTS));
        }
        monatt_writer_u16_le(&w, i < count ? (uint16_t)digest_size : 0);
        monatt_writer_bytes(&w, i < count ? values + i * digest_size : zeros, digest_size);
        monatt_writer_bytes(&w, zeros, DIGEST_ROOM - digest_size);
    }
    return monatt_writer_finish(&w, name, &size, &err)
               ? write_file(directory, name, buffer, size, error)
               : monatt_error_to_gerror(&err, error);
}

static gboolean write_quote(const char *directory, const char *who, const MonattQuote *quote,
                            GError **error)
{
    size_t digest_size = monatt_suite_digest_size(monatt_suite_of_bank(quote->alg));
    if (digest_size == 0 || g_bytes_get_size(quote->values) % digest_size != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "export: %s quote: values are not digests of its bank", who);
        return FALSE;
    }
    g_autofree char *attest = g_strdup_printf("%s-quote.attest", who);
    g_autofree char *signature = g_strdup_printf("%s-quote.signature", who);
    g_autofree char *values = g_strdup_printf("%s-quote.values", who);
    g_autofree char *pcrs = g_strdup_printf("%s-quote.pcrs", who);
    return write_bytes(directory, attest, quote->attest, error) &&
           write_bytes(directory, signature, quote->signature, error) &&
           write_bytes(directory, values, quote->values, error) &&
           write_pcrs(directory, pcrs, quote, digest_size, error);
}

static gboolean write_public(const char *directory, const char *who, GBytes *public, GError **error)
{
    g_autofree char *pem = monatt_public_to_pem(public, error);
    if (pem == NULL) {
        return FALSE;
    }
    g_autofree char *ak_pem = g_strdup_printf("%s-ak.pem", who);
    g_autofree char *ak_public = g_strdup_printf("%s-ak.tpmt", who);
    return write_text(directory, ak_pem, pem, error) &&
           write_bytes(directory, ak_public, public, error);
}

/* The quote of the suite's bank, as tpm2_checkquote takes it, and what it signs.  The log itself
 * stays whole: replay-cel.py starts from its checkpoint. */
static gboolean write_checkpoint(const char *directory, const char *suite, GBytes *log,
                                 GError **error)
{
    MonattCheckpoint c;
    MonattError err = {0};
    gsize size;
    const void *bytes = g_bytes_get_data(log, &size);
    if (!monatt_checkpoint_is_there(bytes, size)) {
        return TRUE;
    }
    if (!monatt_checkpoint_parse(bytes, size, &c, &err)) {
        return monatt_error_to_gerror(&err, error);
    }
    g_autoptr(MonattQuote) quote = monatt_quote_of_checkpoint(&c, monatt_suite_bank(suite));
    return write_file(directory, "checkpoint.body", c.body, c.body_size, error) &&
           write_quote(directory, "checkpoint", quote, error);
}

static gboolean write_certificates(const char *directory, STACK_OF(X509) * chain, GError **error)
{
    g_autoptr(BIO) leaf = BIO_new(BIO_s_mem());
    g_autoptr(BIO) rest = BIO_new(BIO_s_mem());
    gboolean good = leaf != NULL && rest != NULL;
    for (int i = 0; good && i < sk_X509_num(chain); i++) {
        good = PEM_write_bio_X509(i == 0 ? leaf : rest, sk_X509_value(chain, i)) == 1;
    }
    if (!good) {
        ERR_clear_error();
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "export: cannot write PEM");
        return FALSE;
    }
    char *leaf_text = NULL;
    char *rest_text = NULL;
    long leaf_size = BIO_get_mem_data(leaf, &leaf_text);
    long rest_size = BIO_get_mem_data(rest, &rest_text);
    return write_file(directory, "session.pem", leaf_text, (size_t)leaf_size, error) &&
           write_file(directory, "session-ca.pem", rest_text, (size_t)rest_size, error);
}

static gboolean write_key(const char *directory, X509 *leaf, GError **error)
{
    g_autoptr(EVP_PKEY) key = X509_get_pubkey(leaf);
    g_autoptr(JsonAuto) jwk = monatt_key_to_jwk(key, FALSE, error);
    if (jwk == NULL) {
        return FALSE;
    }
    char *text = json_dumps(jwk, JSON_COMPACT);
    gboolean good = write_text(directory, "jws-key.jwk", text, error);
    free(text);
    return good;
}

/* H of the claims: what both quotes were asked to sign. */
static char *qualifying_hex(const char *suite, GBytes *payload)
{
    uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
    char text[2 * MONATT_SUITE_DIGEST_MAXIMUM + 1];
    gsize size;
    const void *bytes = g_bytes_get_data(payload, &size);
    if (!monatt_suite_hash(suite, bytes, size, digest)) {
        return NULL;
    }
    monatt_text_from_bytes(digest, monatt_suite_digest_size(suite), text);
    return g_strdup(text);
}

static const char *const readme =
    "One evidence file of Monatt, taken apart.  These tools are not Monatt's.\n"
    "\n"
    "1. The claims were signed by the key of the session certificate; jose writes the claims:\n"
    "\n"
    "    jose jws ver -i claims.jws -k jws-key.jwk -O claims.checked\n"
    "    cmp claims.checked claims.json\n"
    "\n"
    "2. The session certificate was issued by the privacy CA (root.pem comes from who runs it,\n"
    "   not from here; -ignore_critical: the certificate's own extension is Monatt's):\n"
    "\n"
    "    openssl verify -ignore_critical -CAfile root.pem -untrusted session-ca.pem session.pem\n"
    "\n"
    "3. The hash of the claims is what both TPMs were asked to sign:\n"
    "\n"
    "    @SUM@ claims.json; cat qualifying-data.hex\n"
    "\n"
    "4. The VM's device signed the VM's registers, the host's TPM the host's, for these claims:\n"
    "\n"
    "    tpm2_checkquote -u device-ak.pem -m device-quote.attest -s device-quote.signature \\\n"
    "        -f device-quote.pcrs -g @HASH@ -q \"$(cat qualifying-data.hex)\"\n"
    "    tpm2_checkquote -u host-ak.pem -m host-quote.attest -s host-quote.signature \\\n"
    "        -f host-quote.pcrs -g @HASH@ -q \"$(cat qualifying-data.hex)\"\n"
    "\n"
    "   tpm2_checkquote does not say whose key it was: the hash of device-ak.tpmt (host-ak.tpmt)\n"
    "   behind the two bytes of its algorithm is claim 'dak' ('sk'), and the host's stands in the\n"
    "   session certificate.  Nor does it look for a nonce when -q is missing: give it.\n"
    "\n"
    "5. claims.json names the nonce that was asked (eat_nonce), the VM, its boot, and size and\n"
    "   hash of log.cel, a TCG Canonical Event Log (TLV): extending its digests, register by\n"
    "   register, gives the values in device-quote.values.\n"
    "\n"
    "All of it byte by byte: docs/formats/evidence.md.\n";

static const char *const readme_checkpoint =
    "\n"
    "6. The log was cut: it begins with a checkpoint, which says what the registers were there, "
    "and\n"
    "   which the device signed with the same key (docs/formats/event-log.md, \"Segments\"):\n"
    "\n"
    "    tpm2_checkquote -u device-ak.pem -m checkpoint-quote.attest \\\n"
    "        -s checkpoint-quote.signature -f checkpoint-quote.pcrs -g @HASH@ \\\n"
    "        -q \"4d434b31$(@SUM@ checkpoint.body | cut -d ' ' -f 1)\"\n"
    "\n"
    "   Extending the digests behind it, from the values in checkpoint-quote.values on, gives "
    "those\n"
    "   in device-quote.values.\n";

static gboolean write_readme(const char *directory, const char *suite, GBytes *log, GError **error)
{
    gboolean narrow = strcmp(suite, "S256") == 0;
    g_autoptr(GString) text = g_string_new(readme);
    gsize size;
    const void *bytes = g_bytes_get_data(log, &size);
    g_string_append(text, monatt_checkpoint_is_there(bytes, size) ? readme_checkpoint : "");
    g_string_replace(text, "@SUM@", narrow ? "sha256sum" : "sha384sum", 0);
    g_string_replace(text, "@HASH@", narrow ? "sha256" : "sha384", 0);
    return write_text(directory, "README.txt", text->str, error);
}

gboolean monatt_evidence_export(const MonattEvidence *evidence, const MonattClaims *claims,
                                const char *directory, GError **error)
{
    gsize size;
    const void *jws_bytes = g_bytes_get_data(evidence->claims, &size);
    g_autoptr(MonattJws) jws = monatt_jws_parse(jws_bytes, size, "eat+jwt", TRUE, error);
    if (jws == NULL) {
        return FALSE;
    }
    if (jws->chain == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "export: the claims carry no session certificate");
        return FALSE;
    }
    g_autofree char *qualifying = qualifying_hex(claims->suite, jws->payload);
    if (qualifying == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "export: libcrypto cannot hash");
        return FALSE;
    }
    if (g_mkdir_with_parents(directory, 0755) != 0) {
        return fail(error, errno, "cannot make the folder", directory);
    }
    return write_readme(directory, claims->suite, evidence->log, error) &&
           write_bytes(directory, "claims.jws", evidence->claims, error) &&
           write_bytes(directory, "claims.json", jws->payload, error) &&
           write_text(directory, "qualifying-data.hex", qualifying, error) &&
           write_certificates(directory, jws->chain, error) &&
           write_key(directory, sk_X509_value(jws->chain, 0), error) &&
           write_quote(directory, "device", evidence->device_quote, error) &&
           write_public(directory, "device", claims->dak_pub, error) &&
           write_quote(directory, "host", evidence->host_quote, error) &&
           write_public(directory, "host", claims->sk_pub, error) &&
           write_bytes(directory, "log.cel", evidence->log, error) &&
           write_checkpoint(directory, claims->suite, evidence->log, error) &&
           write_bytes(directory, "host.log", evidence->host_log, error) &&
           (evidence->opening == NULL ||
            write_bytes(directory, "opening.bin", evidence->opening, error));
}
