/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report-html.c - monatt report html: the same appraisal as a page
 *
 * Evidence that is refused gives no page: there is nothing in it that could be shown as true.
 */
#include <stdio.h>
#include "verifier/cli/appraise.h"
#include "verifier/signing-key.h"

static int run(const CommandArguments *arguments, GError **error)
{
    MonattSandboxAnswer answer = {0};
    const char *path = command_value(arguments, "output");
    if (!appraise_run(arguments, APPRAISE_VERDICT, &answer, error)) {
        return -1;
    }
    int code = answer.exit_code;
    gsize size;
    const void *page = g_bytes_get_data(answer.documents[2], &size);
    if (!monatt_file_write(path, page, size, 0644, error)) {
        code = -1;
    } else {
        printf("report  %s\n", path);
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
    {"output", "FILE", "the page", TRUE, FALSE},
    {NULL},
};

const Command command_report_html = {
    "report", "html", {"FILE"}, NULL, "write a self-contained page about evidence", options, run,
};
