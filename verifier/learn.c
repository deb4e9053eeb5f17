/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn.c - reference values from one evidence, with where they came from
 */
#include "verifier/learn.h"

#include <string.h>
#include "libmonatt/base/text.h"

static void add_boot(MonattEnvironment *environment, const MonattBootItemPayload *item)
{
    g_autofree char *key = g_strdup_printf("boot/%s", monatt_boot_item_kind_name(item->kind));
    MonattReferenceValue *value = monatt_environment_add(environment, key);
    gboolean is_text = item->kind == MONATT_BOOT_COMMAND_LINE;
    if (item->name[0] != 0) {
        *(is_text ? &value->text : &value->name) = g_strdup(item->name);
    }
    value->has_sha256 = value->has_sha384 = TRUE;
    memcpy(value->sha256, item->sha256, sizeof(value->sha256));
    memcpy(value->sha384, item->sha384, sizeof(value->sha384));
}

static void add_host(MonattEnvironment *environment, const MonattAppraisal *a)
{
    MonattReferenceValue *value = monatt_environment_add(environment, "host/pcr");
    if (strcmp(a->suite, "S384") == 0) {
        value->has_sha384 = TRUE;
        memcpy(value->sha384, a->host_pcr, sizeof(value->sha384));
    } else {
        value->has_sha256 = TRUE;
        memcpy(value->sha256, a->host_pcr, sizeof(value->sha256));
    }
    if (a->host_id != NULL) {
        value = monatt_environment_add(environment, "host/id");
        value->text = g_strdup(a->host_id);
    }
}

/* Found for this report or for an earlier one of the boot, described or only counted: what runs in
 * a kernel that was compromised is no reference for anything. */
static gboolean shows_finding(const MonattLogFacts *facts)
{
    gboolean counted = FALSE;
    for (guint i = 0; i < facts->summaries->len; i++) {
        counted |= g_array_index(facts->summaries, MonattSummaryFact, i).summary.findings > 0;
    }
    return counted || facts->findings_total > 0 || facts->earlier_total > 0;
}

MonattReference *monatt_learn_reference(const MonattAppraisal *a, const char *id, GError **error)
{
    char vid[MONATT_UUID_TEXT_SIZE];
    monatt_text_from_uuid(a->claims->vid, vid);
    if (shows_finding(&a->facts)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED,
                    "reference: the evidence shows a hidden process, nothing is learned from it");
        return NULL;
    }
    if (a->facts.boot->len == 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_MISSING,
                    "reference: the evidence holds no boot measurement to learn from");
        return NULL;
    }
    g_autofree char *own_id =
        id == NULL ? g_strdup_printf("learned-%s-%" G_GINT64_FORMAT, vid, a->claims->iat) : NULL;
    MonattReference *reference = monatt_reference_new(id != NULL ? id : own_id);
    reference->learned = TRUE;
    reference->learned_iat = a->claims->iat;
    memcpy(reference->learned_vid, a->claims->vid, sizeof(reference->learned_vid));
    monatt_text_from_bytes(a->q3, a->digest_size, reference->learned_q3);
    MonattEnvironment *environment = monatt_reference_add_environment(reference);
    memcpy(environment->vid, a->claims->vid, sizeof(environment->vid));
    for (guint i = 0; i < a->facts.boot->len; i++) {
        add_boot(environment, &g_array_index(a->facts.boot, MonattBootFact, i).item);
    }
    add_host(environment, a);
    return reference;
}

static void add_printable(GString *out, const char *label, const char *text)
{
    if (text != NULL) {
        size_t size = strlen(text);
        g_autofree char *shown = g_malloc(size + 1);
        monatt_text_printable(text, size, shown, size + 1);
        g_string_append_printf(out, "%s%s", label, shown);
    }
}

static void describe_environment(GString *out, const MonattEnvironment *environment)
{
    char vid[MONATT_UUID_TEXT_SIZE] = "any";
    if (!environment->any) {
        monatt_text_from_uuid(environment->vid, vid);
    }
    g_string_append_printf(out, "VM %s\n", vid);
    for (guint i = 0; i < environment->values->len; i++) {
        const MonattReferenceValue *value = g_ptr_array_index(environment->values, i);
        char digest[2 * MONATT_SHA384_SIZE + 1] = "";
        if (value->has_sha256) {
            monatt_text_from_bytes(value->sha256, MONATT_SHA256_SIZE, digest);
        } else if (value->has_sha384) {
            monatt_text_from_bytes(value->sha384, MONATT_SHA384_SIZE, digest);
        }
        add_printable(out, "  ", value->key);
        g_string_append_printf(out, "%*s%s", (int)MAX(1, 20 - (int)strlen(value->key)), " ",
                               digest);
        add_printable(out, digest[0] != 0 ? "  " : "", value->name);
        add_printable(out, digest[0] != 0 ? "  " : "", value->text);
        if (value->superseded) {
            g_string_append_printf(out, "  (superseded, until %" G_GINT64_FORMAT ")", value->until);
        }
        g_string_append_c(out, '\n');
    }
}

char *monatt_learn_describe(const MonattReference *reference)
{
    GString *out = g_string_new("");
    add_printable(out, "reference values ", reference->id);
    g_string_append_c(out, '\n');
    if (reference->learned) {
        g_string_append_printf(out, "learned from evidence %s\n", reference->learned_q3);
    }
    for (guint i = 0; i < reference->environments->len; i++) {
        describe_environment(out, g_ptr_array_index(reference->environments, i));
    }
    return g_string_free(out, FALSE);
}
