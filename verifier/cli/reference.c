/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference.c - monatt reference learn and show; monatt policy check
 *
 * learn prints everything that will be trusted from now on: it is a decision of a person.
 */
#include <stdio.h>
#include <string.h>
#include "verifier/cli/appraise.h"
#include "verifier/json.h"
#include "verifier/learn.h"
#include "verifier/policy.h"
#include "verifier/reference.h"
#include "verifier/signing-key.h"

static int learn(const CommandArguments *arguments, GError **error)
{
    MonattSandboxAnswer answer = {0};
    const char *path = command_value(arguments, "output");
    if (!appraise_run(arguments, APPRAISE_LEARN, &answer, error)) {
        return -1;
    }
    gsize size, text_size;
    const void *reference = g_bytes_get_data(answer.documents[0], &size);
    const char *text = g_bytes_get_data(answer.documents[1], &text_size);
    gboolean good = monatt_file_write(path, reference, size, 0644, error);
    if (good) {
        printf("from now on trusted, because you say so:\n");
        command_print(stdout, text, text_size);
        printf("written to %s\n", path);
    }
    monatt_sandbox_answer_clear(&answer);
    return good ? MONATT_EXIT_DONE : -1;
}

static gboolean show_work(void *data, MonattSandboxAnswer *answer, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(data, &size);
    g_autoptr(MonattReference) reference = monatt_reference_parse("reference", bytes, size, error);
    if (reference == NULL) {
        return FALSE;
    }
    char *json = monatt_reference_serialize(reference);
    char *text = monatt_learn_describe(reference);
    answer->documents[0] = g_bytes_new_take(json, strlen(json));
    answer->documents[1] = g_bytes_new_take(text, strlen(text));
    return TRUE;
}

static gboolean policy_work(void *data, MonattSandboxAnswer *answer, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(data, &size);
    g_autoptr(MonattPolicy) policy = monatt_policy_parse("policy", bytes, size, error);
    if (policy == NULL) {
        return FALSE;
    }
    g_autoptr(MonattJson) root = json_object();
    json_t *required = json_array();
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        if (policy->required & 1u << i) {
            json_array_append_new(required, json_string(monatt_property_name((MonattProperty)i)));
        }
    }
    json_object_set_new(root, "id", json_string(policy->id));
    json_object_set_new(root, "required", required);
    json_object_set_new(root, "expires_s", json_integer(policy->expires_s));
    json_object_set_new(root, "max_age_s", json_integer(policy->max_age_s));
    char *json = json_dumps(root, JSON_COMPACT);
    char *text = g_strdup_printf(
        "policy %s is well-formed: requires %zu properties, evidence at "
        "most %" G_GINT64_FORMAT " s old, results for %" G_GINT64_FORMAT " s",
        policy->id, json_array_size(required), policy->max_age_s, policy->expires_s);
    answer->documents[0] = json != NULL ? g_bytes_new(json, strlen(json)) : NULL;
    answer->documents[1] = g_bytes_new_take(text, strlen(text));
    free(json); /* jansson's */
    return TRUE;
}

/* One file, parsed in the sandbox, shown as text or JSON. */
static int show_file(const CommandArguments *arguments, const char *what, size_t maximum,
                     MonattSandboxWork work, GError **error)
{
    MonattSandboxAnswer answer = {0};
    g_autoptr(GBytes) bytes =
        monatt_json_read_file(what, arguments->positionals[0], maximum, error);
    if (bytes == NULL) {
        return -1;
    }
    if (!monatt_sandbox_run(work, bytes, &answer, error)) {
        g_prefix_error(error, "'%s': ", arguments->positionals[0]);
        return -1;
    }
    gsize size;
    const char *text =
        g_bytes_get_data(answer.documents[command_has(arguments, "json") ? 0 : 1], &size);
    command_print(stdout, text, size);
    if (size > 0 && text[size - 1] != '\n') {
        fputc('\n', stdout);
    }
    monatt_sandbox_answer_clear(&answer);
    return MONATT_EXIT_DONE;
}

static int show(const CommandArguments *arguments, GError **error)
{
    return show_file(arguments, "reference", MONATT_REFERENCE_SIZE_MAXIMUM, show_work, error);
}

static int check(const CommandArguments *arguments, GError **error)
{
    return show_file(arguments, "policy", MONATT_POLICY_SIZE_MAXIMUM, policy_work, error);
}

static const CommandOption learn_options[] = {
    APPRAISE_OPTION_NONCE,
    APPRAISE_OPTION_INBLOB,
    APPRAISE_OPTION_ANCHOR,
    APPRAISE_OPTION_POLICY,
    APPRAISE_OPTION_HOST,
    APPRAISE_OPTION_AT,
    {"id", "TEXT", "name of these reference values; left out: made of VM and time", FALSE, FALSE},
    {"output", "FILE", "the reference values, JSON", TRUE, FALSE},
    {NULL},
};
static const CommandOption json_options[] = {APPRAISE_OPTION_JSON, {NULL}};

const Command command_reference_learn = {
    "reference",   "learn", {"FILE"}, NULL, "trust what evidence shows, from now on",
    learn_options, learn,
};
const Command command_reference_show = {
    "reference", "show", {"FILE"}, NULL, "check and print reference values", json_options, show,
};
const Command command_policy_check = {
    "policy", "check", {"FILE"}, NULL, "check a policy", json_options, check,
};
