/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appraise.c - files in, sandbox, documents out
 *
 * Evidence, policy and reference values are parsed in the sandbox only; the parent reads their
 * bytes.  The anchor is the one file that is trusted as it is.
 */
#include "verifier/cli/appraise.h"

#include <string.h>
#include <time.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/inblob.h"
#include "verifier/appraisal/appraisal.h"
#include "verifier/json.h"
#include "verifier/learn.h"
#include "verifier/report.h"
#include "verifier/result.h"
#include "verifier/signing-key.h"

typedef struct Work {
    AppraiseTask task;
    const char *name; /* of the evidence, for messages */
    const char *reference_name;
    const char *policy_name;
    const char *host_id;
    const char *id; /* for reference values that are learned */
    GBytes *evidence;
    GBytes *reference;
    GBytes *policy;
    X509 *anchor;
    uint8_t nonce[MONATT_NONCE_SIZE];
    int64_t at;
} Work;

static void work_clear(Work *work)
{
    g_clear_pointer(&work->evidence, g_bytes_unref);
    g_clear_pointer(&work->reference, g_bytes_unref);
    g_clear_pointer(&work->policy, g_bytes_unref);
    X509_free(work->anchor);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

gboolean appraise_read_time(const char *text, int64_t *ret, GError **error)
{
    if (text == NULL) {
        *ret = (int64_t)time(NULL);
        return TRUE;
    }
    guint64 seconds;
    if (g_ascii_string_to_unsigned(text, 10, 0, 253402300799u, &seconds, NULL)) {
        *ret = (int64_t)seconds;
        return TRUE;
    }
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) when = g_date_time_new_from_iso8601(text, utc);
    if (when == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "time: must be seconds since 1970 or like 2026-01-31T12:00:00Z");
        return FALSE;
    }
    *ret = g_date_time_to_unix(when);
    return TRUE;
}

static GBytes *take_text(char *text)
{
    return g_bytes_new_take(text, strlen(text));
}

static GBytes *take_json(json_t *root, size_t flags)
{
    GBytes *bytes = NULL;
    char *text = json_dumps(root, flags);
    if (text != NULL) {
        bytes = g_bytes_new(text, strlen(text));
        free(text); /* jansson's */
    }
    json_decref(root);
    return bytes;
}

static int exit_code(MonattVerdict verdict)
{
    switch (verdict) {
    case MONATT_VERDICT_HEALTHY:
        return MONATT_EXIT_DONE;
    case MONATT_VERDICT_DEGRADED:
        return MONATT_EXIT_DEGRADED;
    case MONATT_VERDICT_COMPROMISED:
        return MONATT_EXIT_COMPROMISED;
    case MONATT_VERDICT_UNKNOWN:
        break;
    }
    return MONATT_EXIT_UNKNOWN;
}

static gboolean write_verdict(const Work *work, const MonattAppraisal *appraisal,
                              const MonattPolicy *policy, const MonattReference *reference,
                              MonattSandboxAnswer *answer, GError **error)
{
    g_autoptr(MonattJson) claims =
        monatt_result_to_json(appraisal, policy, reference, work->nonce, work->at);
    answer->exit_code = exit_code(appraisal->overall);
    answer->documents[1] = take_text(monatt_report_text(claims));
    answer->documents[2] = take_text(monatt_report_html(claims));
    answer->documents[0] = take_json(g_steal_pointer(&claims), JSON_COMPACT);
    if (answer->documents[0] == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "result: cannot be written");
        return FALSE;
    }
    return TRUE;
}

static gboolean write_reference(const Work *work, const MonattAppraisal *appraisal,
                                MonattSandboxAnswer *answer, GError **error)
{
    g_autoptr(MonattReference) reference = monatt_learn_reference(appraisal, work->id, error);
    if (reference == NULL) {
        return FALSE;
    }
    answer->documents[0] = take_text(monatt_reference_serialize(reference));
    answer->documents[1] = take_text(monatt_learn_describe(reference));
    return TRUE;
}

static gboolean work_run(void *data, MonattSandboxAnswer *answer, GError **error)
{
    const Work *work = data;
    gsize size, policy_size, reference_size;
    const void *evidence = g_bytes_get_data(work->evidence, &size);
    g_autoptr(MonattPolicy) policy = NULL;
    g_autoptr(MonattReference) reference = NULL;
    if (work->policy == NULL) {
        policy = monatt_policy_new();
    } else {
        const void *bytes = g_bytes_get_data(work->policy, &policy_size);
        policy = monatt_policy_parse(work->policy_name, bytes, policy_size, error);
        if (policy == NULL) {
            return FALSE;
        }
    }
    if (work->reference != NULL) {
        const void *bytes = g_bytes_get_data(work->reference, &reference_size);
        reference = monatt_reference_parse(work->reference_name, bytes, reference_size, error);
        if (reference == NULL) {
            return FALSE;
        }
    }
    MonattAppraisalInput input = {
        .evidence = evidence,
        .evidence_size = size,
        .nonce = work->nonce,
        .anchor = work->anchor,
        .reference = reference,
        .policy = policy,
        .host_id = work->host_id,
        .at = work->at,
    };
    g_autoptr(MonattAppraisal) appraisal = monatt_appraisal_run(&input, NULL, error);
    if (appraisal == NULL) {
        g_prefix_error(error, "evidence '%s': ", work->name);
        return FALSE;
    }
    return work->task == APPRAISE_LEARN
               ? write_reference(work, appraisal, answer, error)
               : write_verdict(work, appraisal, policy, reference, answer, error);
}

static gboolean read_files(const CommandArguments *arguments, Work *work, GError **error)
{
    const char *reference =
        command_has(arguments, "reference") ? command_value(arguments, "reference") : NULL;
    const char *policy =
        command_has(arguments, "policy") ? command_value(arguments, "policy") : NULL;
    work->anchor = monatt_certificate_load("anchor", command_value(arguments, "anchor"), error);
    if (work->anchor == NULL) {
        return FALSE;
    }
    if (reference != NULL) {
        work->reference =
            monatt_json_read_file("reference", reference, MONATT_REFERENCE_SIZE_MAXIMUM, error);
        if (work->reference == NULL) {
            return FALSE;
        }
    }
    if (policy != NULL) {
        work->policy = monatt_json_read_file("policy", policy, MONATT_POLICY_SIZE_MAXIMUM, error);
        if (work->policy == NULL) {
            return FALSE;
        }
    }
    work->evidence = monatt_json_read_file("evidence", work->name, MONATT_EVIDENCE_MAXIMUM, error);
    if (work->evidence == NULL && error != NULL &&
        g_error_matches(*error, MONATT_GERROR, MONATT_ERROR_LIMIT)) {
        (*error)->code = MONATT_ERROR_REFUSED; /* evidence of this size is not believed */
    }
    return work->evidence != NULL;
}

/* The nonce that the evidence must answer, as given or as made of the guest's inblob. */
static gboolean read_nonce(const CommandArguments *arguments, uint8_t nonce[MONATT_NONCE_SIZE],
                           GError **error)
{
    const char *text = command_value(arguments, "nonce");
    const char *inblob = command_value(arguments, "inblob");
    if ((text != NULL) == (inblob != NULL)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "%s %s: needs --nonce HEX or --inblob FILE%s\nhint: see 'monatt %s %s --help'",
                    arguments->command->noun, arguments->command->verb,
                    text != NULL ? ", not both" : "", arguments->command->noun,
                    arguments->command->verb);
        return FALSE;
    }
    if (text != NULL) {
        return command_read_nonce(text, nonce, error);
    }
    g_autoptr(GBytes) bytes = monatt_json_read_file("inblob", inblob, MONATT_INBLOB_MAXIMUM, error);
    gsize size = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    gboolean good = bytes != NULL && monatt_inblob_nonce(data, size, nonce);
    if (bytes != NULL && !good) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE, "inblob '%s': is empty", inblob);
    } else if (!good && g_error_matches(*error, MONATT_GERROR, MONATT_ERROR_LIMIT)) {
        (*error)->code = MONATT_ERROR_USAGE; /* the wrong file was named; no evidence is refused */
    }
    return good;
}

gboolean appraise_run(const CommandArguments *arguments, AppraiseTask task,
                      MonattSandboxAnswer *ret_answer, GError **error)
{
    g_auto(Work) work = {.task = task, .name = arguments->positionals[0]};
    const char *at = command_has(arguments, "at") ? command_value(arguments, "at") : NULL;
    work.host_id = command_has(arguments, "host") ? command_value(arguments, "host") : NULL;
    work.id = command_has(arguments, "id") ? command_value(arguments, "id") : NULL;
    if (work.id != NULL && strlen(work.id) > APPRAISE_ID_MAXIMUM) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE, "id: longer than %d characters",
                    APPRAISE_ID_MAXIMUM);
        return FALSE;
    }
    if (!read_nonce(arguments, work.nonce, error) || !appraise_read_time(at, &work.at, error) ||
        !read_files(arguments, &work, error)) {
        return FALSE;
    }
    g_autofree char *reference_name =
        command_has(arguments, "reference")
            ? g_strdup_printf("reference '%s'", command_value(arguments, "reference"))
            : NULL;
    g_autofree char *policy_name =
        work.policy != NULL ? g_strdup_printf("policy '%s'", command_value(arguments, "policy"))
                            : NULL;
    work.reference_name = reference_name;
    work.policy_name = policy_name;
    return monatt_sandbox_run(work_run, &work, ret_answer, error);
}
