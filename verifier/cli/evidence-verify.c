/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-verify.c - monatt evidence verify: is it believed, and what does it say?
 *
 * The signing key is read only after the sandbox that parsed the evidence has ended.
 */
#include <stdio.h>
#include <string.h>
#include "verifier/cli/appraise.h"
#include "verifier/result.h"
#include "verifier/signing-key.h"

static gboolean write_result(const CommandArguments *arguments, const MonattSandboxAnswer *answer,
                             GError **error)
{
    const char *path = command_value(arguments, "result");
    gsize size;
    const void *claims = g_bytes_get_data(answer->documents[0], &size);
    EVP_PKEY *key = monatt_signing_key_load(command_value(arguments, "signing-key"), error);
    X509 *certificate =
        key != NULL
            ? monatt_certificate_load("signing certificate",
                                      command_value(arguments, "signing-certificate"), error)
            : NULL;
    g_autofree char *jws =
        certificate != NULL ? monatt_result_sign(claims, size, key, certificate, error) : NULL;
    gboolean good = jws != NULL && monatt_file_write(path, jws, strlen(jws), 0644, error);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

static gboolean check_options(const CommandArguments *arguments, GError **error)
{
    gboolean result = command_has(arguments, "result");
    gboolean key = command_has(arguments, "signing-key");
    gboolean certificate = command_has(arguments, "signing-certificate");
    if (result != key || key != certificate) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "evidence verify: --result, --signing-key and --signing-certificate belong "
                    "together\nhint: make a key with 'monatt key new DIR'");
        return FALSE;
    }
    return TRUE;
}

static int run(const CommandArguments *arguments, GError **error)
{
    MonattSandboxAnswer answer = {0};
    if (!check_options(arguments, error) ||
        !appraise_run(arguments, APPRAISE_VERDICT, &answer, error)) {
        return -1;
    }
    int code = answer.exit_code;
    gboolean json = command_has(arguments, "json");
    gsize size;
    const char *text = g_bytes_get_data(answer.documents[json ? 0 : 1], &size);
    if (command_has(arguments, "result") && !write_result(arguments, &answer, error)) {
        code = -1;
    } else {
        command_print(stdout, text, size);
        if (json) {
            fputc('\n', stdout);
        }
    }
    monatt_sandbox_answer_clear(&answer);
    return code;
}

static const CommandOption options[] = {
    APPRAISE_OPTION_NONCE,
    APPRAISE_OPTION_INBLOB,
    APPRAISE_OPTION_ANCHOR,
    APPRAISE_OPTION_REFERENCE,
    APPRAISE_OPTION_POLICY,
    APPRAISE_OPTION_HOST,
    APPRAISE_OPTION_AT,
    {"result", "FILE", "write the signed result (EAR, JWT) here", FALSE, FALSE},
    {"signing-key", "KEY", "private key for the result, PEM", FALSE, FALSE},
    {"signing-certificate", "CERT", "certificate of that key, PEM", FALSE, FALSE},
    APPRAISE_OPTION_JSON,
    {NULL},
};

const Command command_evidence_verify = {
    "evidence", "verify", {"FILE"}, NULL, "check evidence, print properties and verdicts",
    options,    run,
};
