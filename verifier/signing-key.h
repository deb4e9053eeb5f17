/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signing-key.h - the verifier's own key for results, and certificates from files
 */
#ifndef MONATT_VERIFIER_SIGNING_KEY_H
#define MONATT_VERIFIER_SIGNING_KEY_H

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

G_BEGIN_DECLS

#define MONATT_SIGNING_KEY_DAYS 365 /* protocol section 2: SKa lives at most a year */

/* DIR/{key.pem (0600), certificate.pem (self-signed), public.jwk}; USAGE when a key is there. */
gboolean monatt_signing_key_new(const char *directory, GError **error) G_GNUC_WARN_UNUSED_RESULT;
EVP_PKEY *monatt_signing_key_load(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Exactly one PEM certificate; what: "anchor". */
X509 *monatt_certificate_load(const char *what, const char *path,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Writes bytes so that path is either the old or the whole new file; mode as given. */
gboolean monatt_file_write(const char *path, const void *bytes, size_t size, int mode,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
