/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * result-verify.c - monatt result verify: what a stranger does with a result
 *
 * Exits as the result's verdict says; 3 when the result itself is not believed.
 */
#include <stdio.h>
#include <string.h>
#include "verifier/cli/appraise.h"
#include "verifier/json.h"
#include "verifier/report.h"
#include "verifier/result.h"
#include "verifier/signing-key.h"

typedef struct Work {
    GBytes *bytes;
    X509 *anchor;
    int64_t at;
    const uint8_t *nonce; /* NULL: any */
} Work;

static gboolean check_nonce(const json_t *claims, const uint8_t *nonce, GError **error)
{
    const char *seen = json_string_value(json_object_get(claims, "eat_nonce"));
    g_autofree char *wanted = monatt_base64url_encode(nonce, MONATT_NONCE_SIZE);
    if (seen == NULL || strcmp(seen, wanted) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "result: nonce is not the one asked for");
        return FALSE;
    }
    return TRUE;
}

static int exit_code(const json_t *claims)
{
    const char *verdict = json_string_value(json_object_get(claims, "verdict"));
    if (verdict == NULL) {
        return MONATT_EXIT_UNKNOWN;
    }
    return strcmp(verdict, "healthy") == 0       ? MONATT_EXIT_DONE
           : strcmp(verdict, "degraded") == 0    ? MONATT_EXIT_DEGRADED
           : strcmp(verdict, "compromised") == 0 ? MONATT_EXIT_COMPROMISED
                                                 : MONATT_EXIT_UNKNOWN;
}

static gboolean work_run(void *data, MonattSandboxAnswer *answer, GError **error)
{
    const Work *work = data;
    gsize size;
    const void *bytes = g_bytes_get_data(work->bytes, &size);
    json_t *parsed = NULL;
    if (!monatt_result_verify(bytes, size, work->anchor, work->at, &parsed, error)) {
        return FALSE;
    }
    g_autoptr(MonattJson) claims = parsed;
    if (work->nonce != NULL && !check_nonce(claims, work->nonce, error)) {
        return FALSE;
    }
    char *json = json_dumps(claims, JSON_COMPACT);
    char *text = monatt_report_text(claims);
    answer->exit_code = exit_code(claims);
    answer->documents[0] = json != NULL ? g_bytes_new(json, strlen(json)) : NULL;
    answer->documents[1] = g_bytes_new_take(text, strlen(text));
    free(json); /* jansson's */
    return TRUE;
}

static int run(const CommandArguments *arguments, GError **error)
{
    Work work = {0};
    uint8_t nonce[MONATT_NONCE_SIZE];
    MonattSandboxAnswer answer = {0};
    const char *nonce_text = command_value(arguments, "nonce");
    const char *path = arguments->positionals[0];
    int code = -1;
    if (!appraise_read_time(command_value(arguments, "at"), &work.at, error) ||
        (nonce_text != NULL && !command_read_nonce(nonce_text, nonce, error))) {
        return -1;
    }
    work.nonce = nonce_text != NULL ? nonce : NULL;
    work.anchor = monatt_certificate_load("anchor", command_value(arguments, "anchor"), error);
    work.bytes = work.anchor != NULL
                     ? monatt_json_read_file("result", path, MONATT_RESULT_SIZE_MAXIMUM, error)
                     : NULL;
    if (work.bytes != NULL && monatt_sandbox_run(work_run, &work, &answer, error)) {
        gsize size;
        const char *text =
            g_bytes_get_data(answer.documents[command_has(arguments, "json") ? 0 : 1], &size);
        command_print(stdout, text, size);
        if (command_has(arguments, "json")) {
            fputc('\n', stdout);
        }
        code = answer.exit_code;
    } else if (error != NULL && *error != NULL &&
               g_error_matches(*error, MONATT_GERROR, MONATT_ERROR_FORMAT) && work.bytes != NULL) {
        (*error)->code = MONATT_ERROR_REFUSED; /* a result that has no form is not believed */
    }
    monatt_sandbox_answer_clear(&answer);
    g_clear_pointer(&work.bytes, g_bytes_unref);
    X509_free(work.anchor);
    return code;
}

static const CommandOption options[] = {
    {"anchor", "CERT", "the verifier's certificate, or the root above it, PEM", TRUE, FALSE},
    {"nonce", "HEX", "refuse a result that answers another nonce", FALSE, FALSE},
    APPRAISE_OPTION_AT,
    APPRAISE_OPTION_JSON,
    {NULL},
};

const Command command_result_verify = {
    "result", "verify", {"FILE"}, NULL, "check a signed result and print it", options, run,
};
