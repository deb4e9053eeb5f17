/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ca.c - monatt ca init, monatt ca enrol: the privacy CA on files
 *
 * enrol fetches the collector's request, certifies the session and hands the chain back.  Must
 * never certify a request that does not answer this very nonce.
 */
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/session.h"
#include "verifier/cli/client.h"
#include "verifier/cli/command.h"
#include "verifier/json.h"

#define ANSWER_MAXIMUM (64u * 1024) /* a session request is below 4 KiB */

static int init(const CommandArguments *arguments, GError **error)
{
    const char *directory = arguments->positionals[0];
    const char *suite = command_value(arguments, "suite");
    suite = suite != NULL ? suite : "S256";
    if (monatt_suite_digest_size(suite) == 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "ca init: suite must be S256 or S384");
        return -1;
    }
    if (!monatt_ca_init(directory, suite, error)) {
        return -1;
    }
    printf("root  %s/root.pem (the anchor: give it to who checks evidence)\n"
           "keys  %s/root.key, %s/ca.key (keep them)\n",
           directory, directory, directory);
    return MONATT_EXIT_DONE;
}

static MonattSessionRequest *fetch(const CommandArguments *arguments, const uint8_t *nonce,
                                   GError **error)
{
    g_autofree char *text = monatt_base64url_encode(nonce, MONATT_NONCE_SIZE);
    g_autofree char *path = g_strdup_printf("/v1/session?nonce=%s", text);
    g_autoptr(GBytes) body =
        client_call(command_value(arguments, "run-dir"), "GET", path, NULL, ANSWER_MAXIMUM, error);
    if (body == NULL) {
        return NULL;
    }
    gsize size;
    const char *json = g_bytes_get_data(body, &size);
    MonattSessionRequest *request = monatt_session_request_from_json(json, size, error);
    if (request == NULL) {
        g_prefix_error(error, "collector's session request: ");
        return NULL;
    }
    return request;
}

static json_t *chain_to_json(STACK_OF(X509) * chain)
{
    json_t *list = json_array();
    for (int i = 0; i < sk_X509_num(chain); i++) {
        char *text;
        BIO *bio = BIO_new(BIO_s_mem());
        if (bio != NULL && PEM_write_bio_X509(bio, sk_X509_value(chain, i)) == 1) {
            long size = BIO_get_mem_data(bio, &text);
            json_array_append_new(list, json_stringn(text, (size_t)size));
        }
        BIO_free(bio);
    }
    return list;
}

static gboolean hand_back(const CommandArguments *arguments, STACK_OF(X509) * chain,
                          GBytes *opening, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(opening, &size);
    g_autofree char *text = monatt_base64url_encode(bytes, size);
    g_autoptr(MonattJson) root = json_object();
    json_object_set_new(root, "chain", chain_to_json(chain));
    json_object_set_new(root, "opening", json_string(text));
    g_autofree char *body = json_dumps(root, JSON_COMPACT);
    g_autoptr(GBytes) answer = client_call(command_value(arguments, "run-dir"), "PUT",
                                           "/v1/session", body, ANSWER_MAXIMUM, error);
    return answer != NULL;
}

static int enrol(const CommandArguments *arguments, GError **error)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    STACK_OF(X509) *chain = NULL;
    g_autoptr(GBytes) opening = NULL;
    if (RAND_bytes(nonce, sizeof(nonce)) != 1) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "nonce: no random bytes");
        return -1;
    }
    g_autoptr(MonattSessionRequest) request = fetch(arguments, nonce, error);
    g_autoptr(GBytes) asked = g_bytes_new(nonce, sizeof(nonce));
    if (request == NULL || !monatt_ca_issue_session(command_value(arguments, "ca"), asked, request,
                                                    &chain, &opening, error)) {
        return -1;
    }
    gboolean good = hand_back(arguments, chain, opening, error);
    sk_X509_pop_free(chain, X509_free);
    if (!good) {
        return -1;
    }
    char shown[257];
    monatt_text_printable(request->host_id, strlen(request->host_id), shown, sizeof(shown));
    printf("session of host '%s' certified for at most %d hours\n", shown,
           MONATT_SESSION_LIFETIME_S / 3600);
    return MONATT_EXIT_DONE;
}

static const CommandOption init_options[] = {
    {"suite", "SUITE", "S256 (P-256, the default) or S384 (P-384)", FALSE, FALSE},
    {NULL},
};
static const CommandOption enrol_options[] = {
    {"ca", "DIR", "folder that 'monatt ca init' made", TRUE, FALSE},
    CLIENT_OPTION_RUN_DIR,
    {NULL},
};

const Command command_ca_init = {
    "ca", "init", {"DIR"}, NULL, "make a privacy CA", init_options, init,
};
const Command command_ca_enrol = {
    "ca", "enrol", {NULL}, NULL, "certify the collector's session", enrol_options, enrol,
};
