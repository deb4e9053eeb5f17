/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.c - makes keys, hands out the request, takes the certificate
 *
 * Must never write a private key anywhere, nor sign with keys that no certificate names.
 */
#include "host-collector/session.h"

#include <openssl/pem.h>
#include <string.h>
#include <time.h>
#include "host-collector/errors.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"

#define CHAIN_MAXIMUM 4         /* leaf and up to three authorities below the root */
#define PEM_MAXIMUM (16 * 1024) /* one certificate; ours have about 900 bytes */

struct Session {
    HostTpm *tpm;
    Store *store;
    char *host_id;
    GMutex lock;
    SessionKeys *pending; /* without a chain yet */
    SessionKeys *current;
};

static void clear_keys(void *data)
{
    SessionKeys *keys = data;
    EVP_PKEY_free(keys->jws_key);
    g_clear_pointer(&keys->sk_public, g_bytes_unref);
    g_clear_pointer(&keys->opening, g_bytes_unref);
    sk_X509_pop_free(keys->chain, X509_free);
}

void session_release(SessionKeys *keys)
{
    if (keys) {
        g_atomic_rc_box_release_full(keys, clear_keys);
    }
}

/* With the lock held: nobody may begin a quote with them any more. */
static void drop(Session *session, SessionKeys **keys)
{
    if (*keys) {
        host_tpm_drop_key(session->tpm, (*keys)->tpm_key);
        session_release(*keys);
        *keys = NULL;
    }
}

Session *session_new(HostTpm *tpm, Store *store, const char *host_id)
{
    Session *session = g_new0(Session, 1);
    session->tpm = tpm;
    session->store = store;
    session->host_id = g_strdup(host_id);
    g_mutex_init(&session->lock);
    return session;
}

void session_free(Session *session)
{
    if (!session) {
        return;
    }
    drop(session, &session->pending);
    drop(session, &session->current);
    g_mutex_clear(&session->lock);
    g_free(session->host_id);
    g_free(session);
}

const char *session_host_id(const Session *session)
{
    return session->host_id;
}

char *session_request(Session *session, GBytes *nonce, MonattError *err)
{
    GError *error = NULL;
    SessionKeys *keys = g_atomic_rc_box_new0(SessionKeys);
    MonattSessionRequest request = {.host_id = session->host_id};
    char *json = NULL;

    /* First what was never certified goes: a software TPM has room for three objects. */
    g_mutex_lock(&session->lock);
    drop(session, &session->pending);
    g_mutex_unlock(&session->lock);
    keys->jws_key = monatt_key_generate(SESSION_SUITE, &error);
    if (!keys->jws_key) {
        errors_take(err, error);
    } else if (host_tpm_create_key(session->tpm, &keys->tpm_key, &keys->sk_public, err)) {
        request.sk_public = keys->sk_public;
        request.jws_key = keys->jws_key;
        if (monatt_session_request_prove(&request, keys->jws_key, nonce, &error)) {
            json = monatt_session_request_to_json(&request);
        } else {
            errors_take(err, error);
        }
        g_clear_pointer(&request.nonce, g_bytes_unref);
        g_clear_pointer(&request.proof, g_bytes_unref);
    }
    if (!json) {
        drop(session, &keys);
        return NULL;
    }
    g_mutex_lock(&session->lock);
    drop(session, &session->pending);
    session->pending = keys;
    g_mutex_unlock(&session->lock);
    return json;
}

static bool refuse(MonattError *err, const char *why)
{
    monatt_error_set(err, MONATT_ERROR_FORMAT, "session: %s", why);
    return monatt_error_hint(err, "certify it with 'monatt ca enrol'");
}

static STACK_OF(X509) * read_chain(const json_t *list, MonattError *err)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    size_t count = json_array_size(list);
    if (count < 1 || count > CHAIN_MAXIMUM) {
        refuse(err, "'chain' must be a list of 1 to 4 certificates");
        sk_X509_free(chain);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *text = json_array_get(list, i);
        size_t size = json_string_length(text);
        BIO *bio = size > 0 && size <= PEM_MAXIMUM
                       ? BIO_new_mem_buf(json_string_value(text), (int)size)
                       : NULL;
        X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        if (!certificate || sk_X509_push(chain, certificate) == 0) {
            X509_free(certificate);
            refuse(err, "'chain' holds something that is no PEM certificate");
            sk_X509_pop_free(chain, X509_free);
            return NULL;
        }
    }
    return chain;
}

static bool seconds_of(const ASN1_TIME *time, int64_t *ret_seconds)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return false;
    }
    *ret_seconds = timegm(&parts);
    return true;
}

/* With the lock held: chain and opening are for the pending keys. */
static bool adopt(Session *session, STACK_OF(X509) * chain, GBytes *opening, MonattError *err)
{
    SessionKeys *keys = session->pending;
    X509 *leaf = sk_X509_value(chain, 0);
    int64_t now = time(NULL);
    uint8_t name[64];
    size_t name_size = 0;
    GError *error = NULL;

    if (!keys) {
        return refuse(err, "no request was made before");
    }
    if (EVP_PKEY_eq(X509_get0_pubkey(leaf), keys->jws_key) != 1) {
        return refuse(err, "the certificate is not for the key of the last request");
    }
    if (!seconds_of(X509_get0_notBefore(leaf), &keys->from_s) ||
        !seconds_of(X509_get0_notAfter(leaf), &keys->until_s) || keys->until_s <= now) {
        return refuse(err, "the certificate is not valid now");
    }
    if (!monatt_public_name(keys->sk_public, name, &name_size, &error)) {
        return errors_take(err, error);
    }
    if (!store_note_session(session->store, session->host_id, keys->from_s, keys->until_s, name,
                            name_size, err)) {
        return false;
    }
    keys->chain = X509_chain_up_ref(chain);
    keys->opening = g_bytes_ref(opening);
    /* Evidence that is being made holds the old keys; only its quote may then find them gone. */
    drop(session, &session->current);
    session->current = keys;
    session->pending = NULL;
    return true;
}

bool session_accept(Session *session, const void *body, size_t size, MonattError *err)
{
    json_error_t where;
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &where);
    const json_t *opening_text = json_object_get(root, "opening");
    GBytes *opening = NULL;
    STACK_OF(X509) *chain = NULL;
    bool done = false;

    if (!json_is_object(root) || json_object_size(root) != 2 || !json_is_string(opening_text) ||
        !json_is_array(json_object_get(root, "chain"))) {
        refuse(err, "the body must be {\"chain\":[…],\"opening\":\"…\"}");
    } else {
        opening = monatt_base64url_decode(json_string_value(opening_text),
                                          json_string_length(opening_text), 32, NULL);
        if (!opening || g_bytes_get_size(opening) != 32) {
            refuse(err, "'opening' must be 32 bytes in base64url");
        } else if ((chain = read_chain(json_object_get(root, "chain"), err)) != NULL) {
            g_mutex_lock(&session->lock);
            done = adopt(session, chain, opening, err);
            g_mutex_unlock(&session->lock);
        }
    }
    g_clear_pointer(&opening, g_bytes_unref);
    sk_X509_pop_free(chain, X509_free);
    json_decref(root);
    return done;
}

/* With the lock held. */
static const char *state_of(Session *session)
{
    if (!session->current) {
        return "none";
    }
    return session->current->until_s > time(NULL) &&
                   host_tpm_has_key(session->tpm, session->current->tpm_key)
               ? "certified"
               : "over";
}

bool session_take(Session *session, SessionKeys **ret_keys, MonattError *err)
{
    g_mutex_lock(&session->lock);
    const char *state = state_of(session);
    bool good = strcmp(state, "certified") == 0;
    if (good) {
        *ret_keys = g_atomic_rc_box_acquire(session->current);
    }
    g_mutex_unlock(&session->lock);
    if (!good) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "session: %s",
                         strcmp(state, "none") == 0
                             ? "the collector's keys are not certified yet"
                             : "it is over: its certificate ended or the host TPM was reset");
        return monatt_error_hint(err, "run 'monatt ca enrol --ca DIR'");
    }
    return true;
}

json_t *session_describe(Session *session)
{
    json_t *description = json_object();
    g_mutex_lock(&session->lock);
    json_object_set_new(description, "state", json_string(state_of(session)));
    json_object_set_new(description, "expires",
                        session->current ? json_integer(session->current->until_s) : json_null());
    g_mutex_unlock(&session->lock);
    return description;
}
