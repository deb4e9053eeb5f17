/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-export.c - monatt evidence export: each native part as a file of its own
 *
 * tpm2_checkquote, openssl and jose then decide without us.  Must hold no key.
 */
#include <stdio.h>
#include <string.h>
#include "libmonatt/evidence/export.h"
#include "libmonatt/evidence/jose.h"
#include "verifier/cli/command.h"
#include "verifier/json.h"

static MonattClaims *read_claims(const MonattEvidence *evidence, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(evidence->claims, &size);
    g_autoptr(MonattJws) jws = monatt_jws_parse(bytes, size, "eat+jwt", TRUE, error);
    if (jws == NULL) {
        return NULL;
    }
    bytes = g_bytes_get_data(jws->payload, &size);
    return monatt_claims_parse(bytes, size, error);
}

static int run(const CommandArguments *arguments, GError **error)
{
    const char *path = arguments->positionals[0];
    const char *directory = arguments->positionals[1];
    g_autoptr(GBytes) bytes =
        monatt_json_read_file("evidence", path, MONATT_EVIDENCE_MAXIMUM, error);
    if (bytes == NULL) {
        return -1;
    }
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_autoptr(MonattEvidence) evidence = monatt_evidence_parse(data, size, error);
    g_autoptr(MonattClaims) claims = evidence != NULL ? read_claims(evidence, error) : NULL;
    if (claims == NULL) {
        g_prefix_error(error, "evidence '%s': ", path);
        if (error != NULL && *error != NULL && (*error)->code != MONATT_ERROR_INTERNAL) {
            (*error)->code = MONATT_ERROR_REFUSED;
        }
        return -1;
    }
    if (!monatt_evidence_export(evidence, claims, directory, error)) {
        return -1;
    }
    printf("parts of '%s' are in %s, not verified; README.txt there says how to check them\n", path,
           directory);
    return MONATT_EXIT_DONE;
}

static const CommandOption options[] = {{NULL}};

const Command command_evidence_export = {
    "evidence", "export", {"FILE", "DIR"}, NULL, "write each part for tpm2_checkquote and jose",
    options,    run,
};
