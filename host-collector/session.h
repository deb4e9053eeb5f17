/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - the keys the collector signs evidence with, and the certificate that names them
 *
 * JK (the JWS key) lives in this process only, SK in the host TPM; a certificate of the privacy CA
 * binds both (protocol, sections 2 and 3).  A session ends at its certificate's end, when the host
 * TPM was reset, and with the process.  Calls may come from any thread.
 */
#ifndef MONATT_HOST_COLLECTOR_SESSION_H
#define MONATT_HOST_COLLECTOR_SESSION_H

#include <glib.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "host-collector/host-tpm.h"
#include "host-collector/store.h"

/* What this build's host TPM link makes and quotes with. */
#define SESSION_SUITE "S256"

typedef struct Session Session;

/* One certified session as evidence uses it; stays whole while it is held. */
typedef struct SessionKeys {
    EVP_PKEY *jws_key;
    uint64_t tpm_key; /* host_tpm_quote_start() */
    GBytes *sk_public;
    STACK_OF(X509) * chain; /* leaf first, without the root */
    GBytes *opening;
    int64_t from_s; /* validity of the leaf, UNIX seconds */
    int64_t until_s;
} SessionKeys;

/* tpm and store must outlive it. */
Session *session_new(HostTpm *tpm, Store *store, const char *host_id);
void session_free(Session *session);
const char *session_host_id(const Session *session);
/* Makes fresh keys and the request to certify them, as JSON; nonce: 32 bytes from the CA.  The
 * session in use goes on until session_accept().  Free with g_free(). */
char *session_request(Session *session, GBytes *nonce, MonattError *err) MONATT_MUST_CHECK;
/* Body of PUT /v1/session: the chain must certify the keys of the last request. */
bool session_accept(Session *session, const void *body, size_t size,
                    MonattError *err) MONATT_MUST_CHECK;
/* BUSY when there is none that is valid now. */
bool session_take(Session *session, SessionKeys **ret_keys, MonattError *err) MONATT_MUST_CHECK;
void session_release(SessionKeys *keys);
/* {"state":"none|certified|over","expires":seconds or null} */
json_t *session_describe(Session *session);

#endif
