/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-host-tpm.c - session keys and host quotes on a real software TPM, and after its death
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "host-collector/host-tpm.h"
#include "host-collector/session.h"
#include "host-collector/tpm-link.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"

#define START_TENTHS 100

typedef struct SoftTpm {
    char *folder;
    char *tcti;
    GPid pid;
} SoftTpm;

static void start(SoftTpm *tpm)
{
    g_autofree char *state = g_strdup_printf("dir=%s", tpm->folder);
    g_autofree char *path = g_strdup_printf("%s/s", tpm->folder);
    g_autofree char *server = g_strdup_printf("type=unixio,path=%s", path);
    g_autofree char *control = g_strdup_printf("type=unixio,path=%s.ctrl", path);
    const char *const words[] = {"swtpm",
                                 "socket",
                                 "--tpm2",
                                 "--tpmstate",
                                 state,
                                 "--server",
                                 server,
                                 "--ctrl",
                                 control,
                                 "--flags",
                                 "not-need-init,startup-clear",
                                 NULL};
    g_unlink(path);
    g_assert_true(g_spawn_async(NULL, (char **)words, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                    G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                                NULL, NULL, &tpm->pid, NULL));
    for (int i = 0; i < START_TENTHS && !g_file_test(path, G_FILE_TEST_EXISTS); i++) {
        g_usleep(100 * 1000);
    }
    g_free(tpm->tcti);
    tpm->tcti = g_strdup_printf("swtpm:path=%s", path);
}

static void end(SoftTpm *tpm)
{
    kill(tpm->pid, SIGKILL);
    waitpid(tpm->pid, NULL, 0);
}

static void set_up(SoftTpm *tpm, gconstpointer data)
{
    tpm->folder = g_dir_make_tmp("monatt-tpm-XXXXXX", NULL);
    start(tpm);
}

static void tear_down(SoftTpm *tpm, gconstpointer data)
{
    const char *const words[] = {"rm", "-rf", tpm->folder, NULL};
    end(tpm);
    g_assert_true(g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
    g_free(tpm->folder);
    g_free(tpm->tcti);
}

static void test_quote(SoftTpm *soft, gconstpointer data)
{
    static const uint8_t question[32] = "which";
    MonattError err = {0};
    uint64_t id;
    g_autoptr(GBytes) public = NULL;
    g_autoptr(MonattQuote) quote = NULL;
    MonattQuoteFacts facts;
    HostTpm *tpm = host_tpm_new(soft->tcti);
    g_assert_true(host_tpm_create_key(tpm, &id, &public, &err));
    g_assert_true(host_tpm_has_key(tpm, id));
    g_assert_true(host_tpm_quote_finish(host_tpm_quote_start(tpm, id, question, sizeof(question)),
                                        &quote, &err));
    g_assert_true(monatt_quote_check(quote, public, question, sizeof(question), TPM_LINK_SELECTION,
                                     &facts, NULL));
    g_assert_false(monatt_quote_check(quote, public, "wrong", 5, TPM_LINK_SELECTION, &facts, NULL));

    /* Its key dropped: no quote, and it says what to do. */
    host_tpm_drop_key(tpm, id);
    g_autoptr(MonattQuote) none = NULL;
    g_assert_false(host_tpm_quote_finish(host_tpm_quote_start(tpm, id, question, sizeof(question)),
                                         &none, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    g_assert_cmpuint(strlen(err.hint), >, 0);
    host_tpm_free(tpm);
}

static void test_limit(SoftTpm *soft, gconstpointer data)
{
    uint64_t ids[16];
    size_t count = 0;
    MonattError err = {0};
    HostTpm *tpm = host_tpm_new(soft->tcti);
    while (count < G_N_ELEMENTS(ids)) {
        GBytes *public = NULL;
        if (!host_tpm_create_key(tpm, &ids[count], &public, &err)) {
            break;
        }
        g_bytes_unref(public);
        count++;
    }
    /* A software TPM holds three transient objects, one of which the storage key needs. */
    g_assert_cmpuint(count, >=, 2);
    g_assert_cmpuint(count, <, G_N_ELEMENTS(ids));
    g_assert_true(err.code == MONATT_ERROR_LIMIT || err.code == MONATT_ERROR_TPM);
    host_tpm_drop_key(tpm, ids[0]);
    g_autoptr(GBytes) public = NULL;
    g_assert_true(host_tpm_create_key(tpm, &ids[0], &public, &err));
    host_tpm_free(tpm);
}

static void test_death(SoftTpm *soft, gconstpointer data)
{
    static const uint8_t question[32] = "which";
    MonattError err = {0};
    uint64_t id;
    uint64_t later;
    g_autoptr(GBytes) public = NULL;
    g_autoptr(GBytes) fresh = NULL;
    g_autoptr(MonattQuote) quote = NULL;
    HostTpm *tpm = host_tpm_new(soft->tcti);
    g_assert_true(host_tpm_create_key(tpm, &id, &public, &err));
    end(soft);
    g_assert_false(host_tpm_quote_finish(host_tpm_quote_start(tpm, id, question, sizeof(question)),
                                         &quote, &err));
    g_assert_false(host_tpm_has_key(tpm, id));
    memset(&err, 0, sizeof(err));
    g_assert_false(host_tpm_create_key(tpm, &later, &fresh, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);

    /* Another TPM there: new keys, and never the old one's id. */
    start(soft);
    g_assert_true(host_tpm_create_key(tpm, &later, &fresh, &err));
    g_assert_cmpuint(later, !=, id);
    g_assert_false(host_tpm_has_key(tpm, id));
    g_assert_false(g_bytes_equal(public, fresh));
    host_tpm_free(tpm);
}

/* Body of PUT /v1/session from what a CA issued. */
static char *body_of(STACK_OF(X509) * chain, GBytes *opening)
{
    GString *text = g_string_new("{\"chain\":[");
    for (int i = 0; i < sk_X509_num(chain); i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem;
        g_assert_cmpint(PEM_write_bio_X509(bio, sk_X509_value(chain, i)), ==, 1);
        long size = BIO_get_mem_data(bio, &pem);
        g_autofree char *one = g_strndup(pem, (gsize)size);
        g_auto(GStrv) lines = g_strsplit(one, "\n", -1);
        g_autofree char *joined = g_strjoinv("\\n", lines);
        g_string_append_printf(text, "%s\"%s\"", i > 0 ? "," : "", joined);
        BIO_free(bio);
    }
    gsize size;
    const void *bytes = g_bytes_get_data(opening, &size);
    g_autofree char *encoded = monatt_base64url_encode(bytes, size);
    g_string_append_printf(text, "],\"opening\":\"%s\"}", encoded);
    return g_string_free(text, FALSE);
}

static char *certify(const char *ca, const char *json)
{
    g_autoptr(GError) error = NULL;
    STACK_OF(X509) *chain = NULL;
    g_autoptr(GBytes) opening = NULL;
    g_autoptr(MonattSessionRequest) request =
        monatt_session_request_from_json(json, strlen(json), &error);
    g_assert_no_error(error);
    g_assert_true(monatt_ca_issue_session(ca, request->nonce, request, &chain, &opening, &error));
    g_assert_no_error(error);
    char *body = body_of(chain, opening);
    sk_X509_pop_free(chain, X509_free);
    return body;
}

static void test_session(SoftTpm *soft, gconstpointer data)
{
    MonattError err = {0};
    SessionKeys *keys = NULL;
    SessionKeys *later = NULL;
    g_autofree char *database = g_strdup_printf("%s/db", soft->folder);
    g_autofree char *ca = g_strdup_printf("%s/ca", soft->folder);
    g_autoptr(GBytes) nonce = g_bytes_new("0123456789abcdef0123456789abcdef", 32);
    HostTpm *tpm = host_tpm_new(soft->tcti);
    Store *store = store_open(database, &err);
    Session *session = session_new(tpm, store, "host-1");
    g_assert_true(monatt_ca_init(ca, SESSION_SUITE, NULL));
    g_assert_false(session_take(session, &keys, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);

    /* Requests that nobody answers leave nothing behind in the TPM. */
    for (int i = 0; i < 5; i++) {
        g_autofree char *unanswered = session_request(session, nonce, &err);
        g_assert_nonnull(unanswered);
    }
    g_autofree char *first = session_request(session, nonce, &err);
    g_assert_nonnull(first);
    g_autofree char *first_body = certify(ca, first);
    g_assert_false(session_take(session, &keys, &err));
    g_assert_true(session_accept(session, first_body, strlen(first_body), &err));
    g_assert_true(session_take(session, &keys, &err));

    /* The same certificate again: its keys are no longer the ones asked about. */
    g_assert_false(session_accept(session, first_body, strlen(first_body), &err));
    g_autofree char *second = session_request(session, nonce, &err);
    g_assert_cmpstr(first, !=, second);
    g_assert_false(session_accept(session, first_body, strlen(first_body), &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_autofree char *second_body = certify(ca, second);
    g_assert_true(session_accept(session, second_body, strlen(second_body), &err));
    g_assert_true(session_take(session, &later, &err));
    g_assert_cmpuint(keys->tpm_key, !=, later->tpm_key);
    session_release(keys);

    /* The TPM gone: over, and not in use any more. */
    end(soft);
    MonattQuote *quote = NULL;
    g_assert_false(
        host_tpm_quote_finish(host_tpm_quote_start(tpm, later->tpm_key, "q", 1), &quote, &err));
    session_release(later);
    g_assert_false(session_take(session, &keys, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    start(soft);
    session_free(session);
    host_tpm_free(tpm);
    store_close(store);
}

int main(int argc, char **argv)
{
    g_setenv("TSS2_LOG", "all+none", TRUE);
    signal(SIGPIPE, SIG_IGN); /* as the collector: a dead TPM is an error, not the end */
    g_autofree char *program = g_find_program_in_path("swtpm");
    if (!program) {
        g_print("1..0 # SKIP swtpm is missing\n");
        return 77;
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add("/host-tpm/quotes", SoftTpm, NULL, set_up, test_quote, tear_down);
    g_test_add("/host-tpm/keeps-to-what-the-tpm-holds", SoftTpm, NULL, set_up, test_limit,
               tear_down);
    g_test_add("/host-tpm/outlives-its-tpm", SoftTpm, NULL, set_up, test_death, tear_down);
    g_test_add("/host-tpm/session", SoftTpm, NULL, set_up, test_session, tear_down);
    return g_test_run();
}
