/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ca.c - the privacy CA on files: a root, a CA below it, session certificates below that
 *
 * Must never write a key that others can read, never overwrite one, and never certify a session
 * key that could have been loaded from outside a TPM.  Which host asks is the operator's word in
 * this version: he carries the request himself (session.h).
 */
#include "libmonatt/evidence/session.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/evidence.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session-form.h"

#define DAY_S (24 * 60 * 60L)
#define ROOT_LIFETIME_S (10 * 365 * DAY_S)
#define CA_LIFETIME_S (5 * 365 * DAY_S) /* protocol section 2 */
#define BACKDATE_S 60                   /* a verifier's clock may be a little behind */
#define SERIAL_SIZE 16                  /* random: it says nothing about when or who */
#define OPENING_SIZE 32
#define FILE_MAXIMUM (64 * 1024)

typedef STACK_OF(X509) CertificateStack;
static void free_chain(CertificateStack *chain)
{
    sk_X509_pop_free(chain, X509_free);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CertificateStack, free_chain)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ASN1_OBJECT, ASN1_OBJECT_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_EXTENSION, X509_EXTENSION_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattSessionForm, MonattSessionForm_free)

static gboolean fail_crypto(GError **error, const char *what)
{
    ERR_clear_error();
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "CA: libcrypto: %s", what);
    return FALSE;
}

static gboolean fail_system(GError **error, const char *what, const char *path)
{
    MonattError err = {0};
    MonattErrorCode code = errno == ENOENT   ? MONATT_ERROR_MISSING
                           : errno == EACCES ? MONATT_ERROR_PERMISSION
                                             : MONATT_ERROR_SYSTEM;
    monatt_error_set_errno(&err, errno, "CA: %s '%s'", what, path);
    err.code = code;
    return monatt_error_to_gerror(&err, error);
}

static gboolean add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    g_autoptr(X509_EXTENSION) extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    return extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
}

/* A certificate without its own extensions; common_name NULL: the serial number in hex. */
static X509 *begin(EVP_PKEY *key, const char *common_name, X509 *issuer, time_t from, long lifetime)
{
    uint8_t serial[SERIAL_SIZE];
    char serial_text[2 * SERIAL_SIZE + 1];
    if (RAND_bytes(serial, sizeof(serial)) != 1) {
        return NULL;
    }
    serial[0] = (uint8_t)(0x40 | (serial[0] & 0x3f)); /* positive, always 16 bytes */
    monatt_text_from_bytes(serial, sizeof(serial), serial_text);
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    g_autoptr(X509) certificate = X509_new();
    X509_NAME *name = X509_NAME_new();
    const char *text = common_name != NULL ? common_name : serial_text;
    gboolean good =
        certificate != NULL && number != NULL && name != NULL &&
        X509_set_version(certificate, X509_VERSION_3) == 1 &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text, -1, -1,
                                   0) == 1 &&
        X509_set_subject_name(certificate, name) == 1 &&
        X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : name) == 1 &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), from) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), from + lifetime) != NULL &&
        X509_set_pubkey(certificate, key) == 1;
    BN_free(number);
    X509_NAME_free(name);
    return good ? g_steal_pointer(&certificate) : NULL;
}

static gboolean sign(X509 *certificate, EVP_PKEY *issuer_key)
{
    return X509_sign(certificate, issuer_key, monatt_suite_md(monatt_suite_of_key(issuer_key))) > 0;
}

/* issuer NULL: signed by itself. */
static X509 *make_authority(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key,
                            long lifetime)
{
    g_autoptr(X509) certificate = begin(key, name, issuer, time(NULL) - BACKDATE_S, lifetime);
    if (certificate == NULL ||
        !add_extension(certificate, NULL, NID_basic_constraints,
                       issuer ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE,pathlen:1") ||
        !add_extension(certificate, NULL, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(certificate, NULL, NID_subject_key_identifier, "hash") ||
        (issuer != NULL &&
         !add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always")) ||
        !sign(certificate, issuer_key)) {
        return NULL;
    }
    return g_steal_pointer(&certificate);
}

/* Never follows or overwrites what is there; content is on disk when this returns TRUE. */
static gboolean write_new(const char *directory, const char *name, mode_t mode, BIO *memory,
                          GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    char *bytes = NULL;
    long size = BIO_get_mem_data(memory, &bytes);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "CA: '%s' is there already\nhint: nothing of a CA is ever overwritten; "
                    "choose another folder",
                    path);
        return FALSE;
    }
    if (fd < 0) {
        return fail_system(error, "cannot create", path);
    }
    for (long done = 0; done < size;) {
        ssize_t wrote = write(fd, bytes + done, (size_t)(size - done));
        if (wrote < 0 && errno != EINTR) {
            return fail_system(error, "cannot write", path);
        }
        done += wrote > 0 ? wrote : 0;
    }
    return fsync(fd) == 0 || fail_system(error, "cannot write", path);
}

static gboolean write_pair(const char *directory, const char *name, X509 *certificate,
                           EVP_PKEY *key, GError **error)
{
    /* Secure memory is wiped when it is freed. */
    g_autoptr(BIO) private = BIO_new(BIO_s_secmem());
    g_autoptr(BIO) public = BIO_new(BIO_s_mem());
    g_autofree char *key_name = g_strconcat(name, ".key", NULL);
    g_autofree char *certificate_name = g_strconcat(name, ".pem", NULL);
    if (private == NULL || public == NULL ||
        PEM_write_bio_PKCS8PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(public, certificate) != 1) {
        return fail_crypto(error, "cannot write a key");
    }
    return write_new(directory, key_name, 0600, private, error) &&
           write_new(directory, certificate_name, 0644, public, error);
}

gboolean monatt_ca_init(const char *directory, const char *suite, GError **error)
{
    if (monatt_suite_digest_size(suite) == 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE, "CA: suite must be S256 or S384");
        return FALSE;
    }
    if (g_mkdir_with_parents(directory, 0700) != 0) {
        return fail_system(error, "cannot make the folder", directory);
    }
    g_autoptr(EVP_PKEY) root_key = monatt_key_generate(suite, error);
    if (root_key == NULL) {
        return FALSE;
    }
    g_autoptr(EVP_PKEY) ca_key = monatt_key_generate(suite, error);
    if (ca_key == NULL) {
        return FALSE;
    }
    g_autoptr(X509) root =
        make_authority(root_key, "Monatt privacy root", NULL, root_key, ROOT_LIFETIME_S);
    g_autoptr(X509) ca =
        root != NULL ? make_authority(ca_key, "Monatt privacy CA", root, root_key, CA_LIFETIME_S)
                     : NULL;
    if (ca == NULL) {
        return fail_crypto(error, "cannot make the certificates");
    }
    return write_pair(directory, "root", root, root_key, error) &&
           write_pair(directory, "ca", ca, ca_key, error);
}

static BIO *read_file(const char *directory, const char *name, gboolean secret, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    char buffer[4096];
    struct stat status;
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        fail_system(error, "cannot read", path);
        return NULL;
    }
    if (secret && (status.st_mode & 077) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_PERMISSION,
                    "CA: '%s' can be read by others (mode %04o)\nhint: chmod 600, and think about "
                    "who has read it",
                    path, status.st_mode & 07777);
        return NULL;
    }
    BIO *memory = BIO_new(BIO_s_secmem());
    ssize_t got = 0;
    long size = 0;
    while (memory != NULL && size <= FILE_MAXIMUM && (got = read(fd, buffer, sizeof(buffer))) > 0) {
        size += BIO_write(memory, buffer, (int)got);
    }
    OPENSSL_cleanse(buffer, sizeof(buffer));
    if (memory == NULL || got < 0 || size > FILE_MAXIMUM) {
        BIO_free(memory);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "CA: '%s' is no PEM file", path);
        return NULL;
    }
    return memory;
}

static gboolean load_ca(const char *directory, EVP_PKEY **ret_key, X509 **ret_certificate,
                        GError **error)
{
    g_autoptr(BIO) private = read_file(directory, "ca.key", TRUE, error);
    if (private == NULL) {
        return FALSE;
    }
    g_autoptr(BIO) public = read_file(directory, "ca.pem", FALSE, error);
    if (public == NULL) {
        return FALSE;
    }
    char no_password[] = ""; /* else libcrypto asks on the terminal */
    g_autoptr(EVP_PKEY) key = PEM_read_bio_PrivateKey(private, NULL, NULL, no_password);
    g_autoptr(X509) certificate = PEM_read_bio_X509(public, NULL, NULL, no_password);
    ERR_clear_error();
    if (monatt_suite_of_key(key) == NULL || certificate == NULL ||
        X509_check_private_key(certificate, key) != 1) {
        ERR_clear_error();
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "CA: ca.key and ca.pem in '%s' are not one CA", directory);
        return FALSE;
    }
    *ret_key = g_steal_pointer(&key);
    *ret_certificate = g_steal_pointer(&certificate);
    return TRUE;
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "session request: %s", why);
    return FALSE;
}

static gboolean check_request(const MonattSessionRequest *request, GBytes *nonce, GError **error)
{
    MonattError err = {0};
    const char *suite = monatt_suite_of_key(request->jws_key);
    if (suite == NULL) {
        return refuse(error, "JWS key is on no curve of a suite");
    }
    if (!monatt_text_check_name(request->host_id, &err)) {
        return refuse(error, "host id is no name");
    }
    if (!monatt_public_check(request->sk_public, suite, NULL, error)) {
        g_prefix_error(error, "session request: ");
        return FALSE;
    }
    if (g_bytes_get_size(nonce) != MONATT_NONCE_SIZE || !g_bytes_equal(nonce, request->nonce)) {
        return refuse(error, "answers another nonce than the one that was given out");
    }
    g_autoptr(GBytes) input = monatt_session_proof_input(nonce, request->sk_public, error);
    if (input == NULL) {
        return FALSE;
    }
    gsize size;
    gsize proof_size;
    const void *bytes = g_bytes_get_data(input, &size);
    const void *proof = g_bytes_get_data(request->proof, &proof_size);
    if (!monatt_key_verify(request->jws_key, bytes, size, proof, proof_size, error)) {
        g_prefix_error(error, "session request: proof of the JWS key: ");
        return FALSE;
    }
    return TRUE;
}

static gboolean add_session_extension(X509 *certificate, const MonattSessionRequest *request,
                                      GBytes *opening)
{
    const char *suite = monatt_suite_of_key(request->jws_key);
    uint8_t name[MONATT_NAME_SIZE_TPM + 16];
    uint8_t commitment[MONATT_SUITE_DIGEST_MAXIMUM];
    size_t name_size;
    size_t commitment_size;
    gsize opening_size;
    const void *r = g_bytes_get_data(opening, &opening_size);
    g_autoptr(MonattSessionForm) form = MonattSessionForm_new();
    ASN1_UTF8STRING *suite_name = ASN1_UTF8STRING_new();
    if (form == NULL || suite_name == NULL || ASN1_STRING_set(suite_name, suite, -1) != 1 ||
        sk_ASN1_UTF8STRING_push(form->suites, suite_name) <= 0) {
        ASN1_UTF8STRING_free(suite_name);
        return FALSE;
    }
    if (!monatt_public_name(request->sk_public, name, &name_size, NULL) ||
        !monatt_session_commitment(suite, r, opening_size, request->host_id, commitment,
                                   &commitment_size) ||
        ASN1_OCTET_STRING_set(form->sk_name, name, (int)name_size) != 1 ||
        ASN1_OCTET_STRING_set(form->host_commitment, commitment, (int)commitment_size) != 1) {
        return FALSE;
    }
    unsigned char *der = NULL;
    int size = i2d_MonattSessionForm(form, &der);
    g_autoptr(ASN1_OCTET_STRING) value = ASN1_OCTET_STRING_new();
    gboolean good = size > 0 && value != NULL && ASN1_OCTET_STRING_set(value, der, size) == 1;
    OPENSSL_free(der);
    g_autoptr(ASN1_OBJECT) object = OBJ_txt2obj(MONATT_OID_SESSION_EXTENSION, 1);
    g_autoptr(X509_EXTENSION) extension =
        good && object != NULL ? X509_EXTENSION_create_by_OBJ(NULL, object, 1, value) : NULL;
    return extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
}

static X509 *make_session(const MonattSessionRequest *request, GBytes *opening, X509 *ca,
                          EVP_PKEY *ca_key)
{
    g_autoptr(X509) certificate =
        begin(request->jws_key, NULL, ca, time(NULL) - BACKDATE_S, MONATT_SESSION_LIFETIME_S);
    if (certificate == NULL ||
        !add_extension(certificate, NULL, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(certificate, NULL, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(certificate, NULL, NID_ext_key_usage, "critical," MONATT_OID_EKU_EVIDENCE) ||
        !add_extension(certificate, NULL, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, ca, NID_authority_key_identifier, "keyid:always") ||
        !add_session_extension(certificate, request, opening) || !sign(certificate, ca_key)) {
        return NULL;
    }
    return g_steal_pointer(&certificate);
}

gboolean monatt_ca_issue_session(const char *directory, GBytes *nonce,
                                 const MonattSessionRequest *request, STACK_OF(X509) * *ret_chain,
                                 GBytes **ret_opening, GError **error)
{
    g_autoptr(EVP_PKEY) ca_key = NULL;
    g_autoptr(X509) ca = NULL;
    uint8_t r[OPENING_SIZE];
    if (!check_request(request, nonce, error) || !load_ca(directory, &ca_key, &ca, error)) {
        return FALSE;
    }
    /* A chain is as strong as its weakest curve. */
    if (monatt_suite_digest_size(monatt_suite_of_key(ca_key)) <
        monatt_suite_digest_size(monatt_suite_of_key(request->jws_key))) {
        return refuse(error, "is of suite S384, this CA is on P-256\n"
                             "hint: make a CA of suite S384, it certifies both");
    }
    if (RAND_bytes(r, sizeof(r)) != 1) {
        return fail_crypto(error, "no random bytes");
    }
    g_autoptr(GBytes) opening = g_bytes_new(r, sizeof(r));
    g_autoptr(X509) session = make_session(request, opening, ca, ca_key);
    g_autoptr(CertificateStack) chain = sk_X509_new_null();
    if (session == NULL || chain == NULL || sk_X509_push(chain, session) <= 0) {
        return fail_crypto(error, "cannot make the session certificate");
    }
    session = NULL;
    if (sk_X509_push(chain, ca) <= 0) {
        return fail_crypto(error, "no memory");
    }
    ca = NULL;
    *ret_chain = g_steal_pointer(&chain);
    *ret_opening = g_steal_pointer(&opening);
    return TRUE;
}
