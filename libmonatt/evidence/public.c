/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * public.c - TPMT_PUBLIC of a quoting key, read by ourselves
 *
 * Only the one form that Monatt takes can be read: ECC, restricted, ECDSA, no symmetric, no KDF.
 * tss2-mu is not used here: it writes to stderr about bytes that a stranger sent.  Must never
 * accept a key that signs what its TPM did not make (case E05), nor one loaded from outside.
 */
#include "libmonatt/evidence/quote.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/evidence/key.h"

#define POLICY_MAXIMUM 64     /* TPM2B_DIGEST, SHA-512 */
#define COORDINATE_MAXIMUM 48 /* P-384 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)

typedef struct Public {
    uint16_t type;
    uint16_t name_alg;
    uint32_t attributes;
    uint16_t symmetric;
    uint16_t scheme;
    uint16_t scheme_hash;
    uint16_t curve;
    uint16_t kdf;
    const uint8_t *x;
    uint16_t x_size;
    const uint8_t *y;
    uint16_t y_size;
} Public;

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "TPM key: %s", why);
    return FALSE;
}

/* TPM 2.0 Part 2, 12.2.4; an algorithm that takes parameters we do not know ends the reading. */
static bool read_public(MonattReader *r, Public *p)
{
    const uint8_t *policy;
    uint16_t policy_size;
    if (!monatt_reader_u16_be(r, &p->type) || !monatt_reader_u16_be(r, &p->name_alg) ||
        !monatt_reader_u32_be(r, &p->attributes) ||
        !monatt_reader_sized_u16_be(r, POLICY_MAXIMUM, &policy, &policy_size)) {
        return false;
    }
    if (p->type != TPM2_ALG_ECC) {
        return monatt_reader_fail(r, "type %#06x, must be ECC", p->type);
    }
    if (!monatt_reader_u16_be(r, &p->symmetric)) {
        return false;
    }
    if (p->symmetric != TPM2_ALG_NULL) {
        return monatt_reader_fail(r, "is a storage key");
    }
    if (!monatt_reader_u16_be(r, &p->scheme)) {
        return false;
    }
    if (p->scheme != TPM2_ALG_ECDSA) {
        return monatt_reader_fail(r, "scheme %#06x, must be ECDSA", p->scheme);
    }
    return monatt_reader_u16_be(r, &p->scheme_hash) && monatt_reader_u16_be(r, &p->curve) &&
           monatt_reader_u16_be(r, &p->kdf) &&
           monatt_reader_sized_u16_be(r, COORDINATE_MAXIMUM, &p->x, &p->x_size) &&
           monatt_reader_sized_u16_be(r, COORDINATE_MAXIMUM, &p->y, &p->y_size) &&
           monatt_reader_finish(r);
}

static gboolean parse(GBytes *key_public, Public *ret, GError **error)
{
    MonattError err = {0};
    MonattReader r;
    gsize size;
    const void *bytes = g_bytes_get_data(key_public, &size);
    monatt_reader_init(&r, "TPM key", bytes, size, &err);
    memset(ret, 0, sizeof(*ret));
    return read_public(&r, ret) ? TRUE : monatt_error_to_gerror(&err, error);
}

static gboolean check_attributes(uint32_t attributes, GError **error)
{
    const uint32_t needed = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED |
                            TPMA_OBJECT_SIGN_ENCRYPT;
    /* How its use is authorised is its owner's affair. */
    const uint32_t allowed = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY |
                             TPMA_OBJECT_NODA | TPMA_OBJECT_STCLEAR;
    if ((attributes & TPMA_OBJECT_RESTRICTED) == 0) {
        return refuse(error, "not restricted: it signs what its TPM did not make");
    }
    if ((attributes & TPMA_OBJECT_DECRYPT) != 0) {
        return refuse(error, "decrypts as well as signs");
    }
    if ((attributes & needed) != needed) {
        return refuse(error, "must be sign, fixedTPM, fixedParent and sensitiveDataOrigin");
    }
    if ((attributes & ~(needed | allowed)) != 0) {
        return refuse(error, "has an attribute that no quoting key has");
    }
    return TRUE;
}

gboolean monatt_public_check(GBytes *key_public, const char *suite, EVP_PKEY **ret_key,
                             GError **error)
{
    Public p;
    if (!parse(key_public, &p, error) || !check_attributes(p.attributes, error)) {
        return FALSE;
    }
    uint16_t alg = monatt_suite_bank(suite);
    if (alg == 0 || p.name_alg != alg || p.scheme_hash != alg || p.kdf != TPM2_ALG_NULL ||
        p.curve != (alg == TPM2_ALG_SHA256 ? TPM2_ECC_NIST_P256 : TPM2_ECC_NIST_P384)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "TPM key: its curve, hash or Name is not of suite %s", suite);
        return FALSE;
    }
    EVP_PKEY *key = monatt_key_from_point(suite, p.x, p.x_size, p.y, p.y_size, error);
    if (key == NULL) {
        return FALSE;
    }
    if (ret_key != NULL) {
        *ret_key = key;
    } else {
        EVP_PKEY_free(key);
    }
    return TRUE;
}

gboolean monatt_public_name(GBytes *key_public, uint8_t *ret_name, size_t *ret_size, GError **error)
{
    Public p;
    gsize size;
    const void *bytes = g_bytes_get_data(key_public, &size);
    if (!parse(key_public, &p, error)) {
        return FALSE;
    }
    const char *suite = monatt_suite_of_bank(p.name_alg);
    if (suite == NULL) {
        return refuse(error, "its Name is by a hash that no suite has");
    }
    /* TPM 2.0 Part 1, 16: Name := nameAlg || H(TPMT_PUBLIC) */
    ret_name[0] = (uint8_t)(p.name_alg >> 8);
    ret_name[1] = (uint8_t)p.name_alg;
    if (!monatt_suite_hash(suite, bytes, size, ret_name + 2)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "TPM key: libcrypto cannot hash");
        return FALSE;
    }
    *ret_size = 2 + monatt_suite_digest_size(suite);
    return TRUE;
}

char *monatt_public_to_pem(GBytes *key_public, GError **error)
{
    Public p;
    if (!parse(key_public, &p, error)) {
        return NULL;
    }
    const char *suite = p.curve == TPM2_ECC_NIST_P384 ? "S384" : "S256";
    g_autoptr(EVP_PKEY) key = monatt_key_from_point(suite, p.x, p.x_size, p.y, p.y_size, error);
    if (key == NULL) {
        return NULL;
    }
    g_autoptr(BIO) memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    long length = 0;
    if (memory != NULL && PEM_write_bio_PUBKEY(memory, key) == 1) {
        length = BIO_get_mem_data(memory, &text);
    }
    if (length <= 0) {
        ERR_clear_error();
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "TPM key: cannot write PEM");
        return NULL;
    }
    return g_strndup(text, (gsize)length);
}
