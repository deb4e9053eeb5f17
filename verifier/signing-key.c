/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signing-key.c - makes and loads the verifier's key; writes files whole or not at all
 *
 * Must never write a private key that others can read, nor over one that exists.
 */
#include "verifier/signing-key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/key.h"
#include "verifier/json.h"

#define PEM_MAXIMUM (64u * 1024)

static gboolean fail_errno(GError **error, const char *what, const char *path)
{
    MonattError err = {0};
    monatt_error_set_errno(&err, errno, "%s '%s'", what, path);
    return monatt_error_to_gerror(&err, error);
}

gboolean monatt_file_write(const char *path, const void *bytes, size_t size, int mode,
                           GError **error)
{
    /* A pipe or a device cannot be renamed over. */
    struct stat status;
    gboolean in_place = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    g_autofree char *part = in_place ? g_strdup(path) : g_strdup_printf("%s.XXXXXX", path);
    int fd = in_place ? open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY) : mkostemp(part, O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(error, "file", path);
    }
    const uint8_t *next = bytes;
    gboolean good = in_place || fchmod(fd, (mode_t)mode) == 0;
    while (good && size > 0) {
        ssize_t done = write(fd, next, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        good = done > 0;
        next += good ? done : 0;
        size -= good ? (size_t)done : 0;
    }
    good = good && (in_place || fsync(fd) == 0);
    int number = errno;
    good = close(fd) == 0 && good;
    if (good && !in_place) {
        good = rename(part, path) == 0;
        number = errno;
    }
    if (!good) {
        if (!in_place) {
            unlink(part);
        }
        errno = number;
        return fail_errno(error, "file", path);
    }
    return TRUE;
}

static GBytes *take_memory(BIO *bio)
{
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    return g_bytes_new(bytes, size > 0 ? (size_t)size : 0);
}

static gboolean set_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    gboolean good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static X509 *make_certificate(EVP_PKEY *key)
{
    uint8_t random[8];
    char serial[2 * sizeof(random) + 1];
    X509 *certificate = X509_new();
    if (certificate == NULL || RAND_bytes(random, sizeof(random)) != 1) {
        X509_free(certificate);
        return NULL;
    }
    random[0] &= 0x7f; /* a serial number is positive */
    monatt_text_from_bytes(random, sizeof(random), serial);
    g_autofree char *name = g_strdup_printf("monatt verifier %s", serial);
    BIGNUM *number = BN_bin2bn(random, sizeof(random), NULL);
    X509_NAME *subject = X509_get_subject_name(certificate);
    gboolean good =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
        X509_set_version(certificate, X509_VERSION_3) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL &&
        X509_time_adj_ex(X509_getm_notAfter(certificate), MONATT_SIGNING_KEY_DAYS, 0, NULL) !=
            NULL &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0) ==
            1 &&
        X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1 &&
        set_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
        set_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
        set_extension(certificate, NID_subject_key_identifier, "hash") &&
        X509_sign(certificate, key, EVP_sha256()) > 0;
    BN_free(number);
    if (!good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static gboolean write_pair(const char *directory, EVP_PKEY *key, X509 *certificate, GError **error)
{
    g_autofree char *key_path = g_build_filename(directory, "key.pem", NULL);
    g_autofree char *certificate_path = g_build_filename(directory, "certificate.pem", NULL);
    g_autofree char *jwk_path = g_build_filename(directory, "public.jwk", NULL);
    g_autoptr(MonattJson) jwk = monatt_key_to_jwk(key, FALSE, error);
    if (jwk == NULL) {
        return FALSE;
    }
    g_autofree char *jwk_text = json_dumps(jwk, JSON_COMPACT);
    BIO *private = BIO_new(BIO_s_mem());
    BIO *public = BIO_new(BIO_s_mem());
    gboolean good = private != NULL && public != NULL &&
                    PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                    PEM_write_bio_X509(public, certificate) == 1;
    if (!good) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "key: libcrypto cannot write it");
    } else {
        g_autoptr(GBytes) private_bytes = take_memory(private);
        g_autoptr(GBytes) public_bytes = take_memory(public);
        /* The key last: a folder with a key is a whole one. */
        good = monatt_file_write(certificate_path, g_bytes_get_data(public_bytes, NULL),
                                 g_bytes_get_size(public_bytes), 0644, error) &&
               monatt_file_write(jwk_path, jwk_text, strlen(jwk_text), 0644, error) &&
               monatt_file_write(key_path, g_bytes_get_data(private_bytes, NULL),
                                 g_bytes_get_size(private_bytes), 0600, error);
    }
    BIO_free(private);
    BIO_free(public);
    return good;
}

gboolean monatt_signing_key_new(const char *directory, GError **error)
{
    g_autofree char *key_path = g_build_filename(directory, "key.pem", NULL);
    if (g_mkdir_with_parents(directory, 0700) != 0) {
        return fail_errno(error, "folder", directory);
    }
    if (g_file_test(key_path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "key '%s': is there already\nhint: choose another folder", key_path);
        return FALSE;
    }
    EVP_PKEY *key = monatt_key_generate("S256", error);
    if (key == NULL) {
        return FALSE;
    }
    X509 *certificate = make_certificate(key);
    if (certificate == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL,
                    "key: libcrypto cannot make a certificate");
    }
    gboolean good = certificate != NULL && write_pair(directory, key, certificate, error);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

EVP_PKEY *monatt_signing_key_load(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = monatt_json_read_file("signing key", path, PEM_MAXIMUM, error);
    if (bytes == NULL) {
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(g_bytes_get_data(bytes, NULL), (int)g_bytes_get_size(bytes));
    /* An empty passphrase: nobody is asked at the terminal. */
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
    BIO_free(bio);
    if (key == NULL || monatt_suite_of_key(key) == NULL) {
        EVP_PKEY_free(key);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "signing key '%s': is not an EC key on P-256 or P-384 in PEM form\n"
                    "hint: make one with 'monatt key new DIR'",
                    path);
        return NULL;
    }
    return key;
}

X509 *monatt_certificate_load(const char *what, const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = monatt_json_read_file(what, path, PEM_MAXIMUM, error);
    if (bytes == NULL) {
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(g_bytes_get_data(bytes, NULL), (int)g_bytes_get_size(bytes));
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, (void *)"") : NULL;
    X509 *second = certificate != NULL ? PEM_read_bio_X509(bio, NULL, NULL, (void *)"") : NULL;
    BIO_free(bio);
    if (certificate == NULL || second != NULL) {
        X509_free(certificate);
        X509_free(second);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s '%s': must hold exactly one certificate in PEM form", what, path);
        return NULL;
    }
    return certificate;
}
