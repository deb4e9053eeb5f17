/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-show.c - monatt evidence show: what a file says, believed or not
 */
#include <stdio.h>
#include <string.h>
#include "verifier/cli/appraise.h"
#include "verifier/json.h"
#include "verifier/show.h"

static gboolean work_run(void *data, MonattSandboxAnswer *answer, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(data, &size);
    g_autoptr(MonattJson) shown = monatt_show_evidence(bytes, size, error);
    if (shown == NULL) {
        return FALSE;
    }
    char *json = json_dumps(shown, JSON_COMPACT | JSON_ENSURE_ASCII);
    char *text = monatt_show_text(shown);
    answer->documents[0] = json != NULL ? g_bytes_new(json, strlen(json)) : NULL;
    answer->documents[1] = g_bytes_new_take(text, strlen(text));
    free(json); /* jansson's */
    return TRUE;
}

static int run(const CommandArguments *arguments, GError **error)
{
    MonattSandboxAnswer answer = {0};
    const char *path = arguments->positionals[0];
    gboolean json = command_has(arguments, "json");
    g_autoptr(GBytes) bytes =
        monatt_json_read_file("evidence", path, MONATT_EVIDENCE_MAXIMUM, error);
    if (bytes == NULL) {
        return -1;
    }
    if (!monatt_sandbox_run(work_run, bytes, &answer, error)) {
        g_prefix_error(error, "evidence '%s': ", path);
        if (error != NULL && g_error_matches(*error, MONATT_GERROR, MONATT_ERROR_FORMAT)) {
            (*error)->code = MONATT_ERROR_REFUSED;
        }
        return -1;
    }
    gsize size;
    const char *text = g_bytes_get_data(answer.documents[json ? 0 : 1], &size);
    command_print(stdout, text, size);
    if (json) {
        fputc('\n', stdout);
    }
    monatt_sandbox_answer_clear(&answer);
    return MONATT_EXIT_DONE;
}

static const CommandOption options[] = {APPRAISE_OPTION_JSON, {NULL}};

const Command command_evidence_show = {
    "evidence", "show", {"FILE"}, NULL, "print what evidence says, without checking it",
    options,    run,
};
