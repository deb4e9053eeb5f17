/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference.c - reads, writes and searches reference values
 *
 * Must never report a match without having compared at least one digest.
 */
#include "verifier/reference.h"

#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "verifier/json.h"

#define KEY_MAXIMUM 64
#define TIME_MAXIMUM 253402300799 /* end of the year 9999 */

static void free_value(gpointer data)
{
    MonattReferenceValue *value = data;
    g_free(value->key);
    g_free(value->name);
    g_free(value->text);
    g_free(value);
}

static void free_environment(gpointer data)
{
    MonattEnvironment *environment = data;
    g_ptr_array_unref(environment->values);
    g_free(environment);
}

MonattReference *monatt_reference_new(const char *id)
{
    MonattReference *reference = g_new0(MonattReference, 1);
    reference->id = g_strdup(id);
    reference->environments = g_ptr_array_new_with_free_func(free_environment);
    return reference;
}

void monatt_reference_free(MonattReference *reference)
{
    if (reference != NULL) {
        g_free(reference->id);
        g_ptr_array_unref(reference->environments);
        g_free(reference);
    }
}

MonattEnvironment *monatt_reference_add_environment(MonattReference *reference)
{
    MonattEnvironment *environment = g_new0(MonattEnvironment, 1);
    environment->values = g_ptr_array_new_with_free_func(free_value);
    g_ptr_array_add(reference->environments, environment);
    return environment;
}

MonattReferenceValue *monatt_environment_add(MonattEnvironment *environment, const char *key)
{
    MonattReferenceValue *value = g_new0(MonattReferenceValue, 1);
    value->key = g_strdup(key);
    g_ptr_array_add(environment->values, value);
    return value;
}

/* Reading. */

static gboolean read_digests(MonattReferenceValue *value, const json_t *object, const char *where,
                             GError **error)
{
    static const char *const allowed[] = {"sha-256", "sha-384", NULL};
    const json_t *digests = json_object_get(object, "digests");
    if (digests == NULL) {
        return TRUE;
    }
    return monatt_json_check_members(digests, where, allowed, error) &&
           monatt_json_hex(digests, where, "sha-256", TRUE, value->sha256, sizeof(value->sha256),
                           &value->has_sha256, error) &&
           monatt_json_hex(digests, where, "sha-384", TRUE, value->sha384, sizeof(value->sha384),
                           &value->has_sha384, error);
}

static gboolean read_state(MonattReferenceValue *value, const json_t *object, const char *where,
                           GError **error)
{
    const char *state;
    value->until = -1;
    if (!monatt_json_text(object, where, "state", TRUE, KEY_MAXIMUM, &state, error) ||
        !monatt_json_integer(object, where, "until", 0, TIME_MAXIMUM, &value->until, error)) {
        return FALSE;
    }
    if (state == NULL || strcmp(state, "current") == 0) {
        if (value->until >= 0) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                        "%s: member 'until': only a superseded value has an end", where);
            return FALSE;
        }
        return TRUE;
    }
    if (strcmp(state, "superseded") != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'state': must be \"current\" or \"superseded\"", where);
        return FALSE;
    }
    if (value->until < 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'until': a superseded value needs an end", where);
        return FALSE;
    }
    value->superseded = TRUE;
    return TRUE;
}

static gboolean read_value(MonattEnvironment *environment, const json_t *object, const char *where,
                           GError **error)
{
    static const char *const allowed[] = {"key", "name", "digests", "text", "state", "until", NULL};
    const char *key, *name, *text;
    if (!monatt_json_check_members(object, where, allowed, error) ||
        !monatt_json_text(object, where, "key", FALSE, KEY_MAXIMUM, &key, error) ||
        !monatt_json_text(object, where, "name", TRUE, MONATT_REFERENCE_TEXT_MAXIMUM, &name,
                          error) ||
        !monatt_json_text(object, where, "text", TRUE, MONATT_REFERENCE_TEXT_MAXIMUM, &text,
                          error)) {
        return FALSE;
    }
    MonattReferenceValue *value = monatt_environment_add(environment, key);
    value->name = g_strdup(name);
    value->text = g_strdup(text);
    if (!read_digests(value, object, where, error) || !read_state(value, object, where, error)) {
        return FALSE;
    }
    gboolean is_id = strcmp(key, "host/id") == 0;
    if (is_id ? text == NULL : !value->has_sha256 && !value->has_sha384) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: member '%s': is missing", where,
                    is_id ? "text" : "digests");
        return FALSE;
    }
    return TRUE;
}

static gboolean read_class(MonattEnvironment *environment, const json_t *object, const char *where,
                           GError **error)
{
    static const char *const allowed[] = {"vendor", "model", "instance", NULL};
    const json_t *class = json_object_get(object, "class");
    const char *vendor, *model, *instance;
    if (class == NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: member 'class': is missing",
                    where);
        return FALSE;
    }
    if (!monatt_json_check_members(class, where, allowed, error) ||
        !monatt_json_text(class, where, "vendor", FALSE, KEY_MAXIMUM, &vendor, error) ||
        !monatt_json_text(class, where, "model", FALSE, KEY_MAXIMUM, &model, error) ||
        !monatt_json_text(class, where, "instance", FALSE, KEY_MAXIMUM, &instance, error)) {
        return FALSE;
    }
    if (strcmp(vendor, "monatt") != 0 || strcmp(model, "vm") != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'class': vendor must be \"monatt\" and model \"vm\"", where);
        return FALSE;
    }
    environment->any = strcmp(instance, "*") == 0;
    MonattError err = {0};
    if (!environment->any && !monatt_text_to_uuid(instance, environment->vid, &err)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'instance': must be a VM's UUID or \"*\"", where);
        return FALSE;
    }
    return TRUE;
}

static gboolean read_environment(MonattReference *reference, const json_t *object,
                                 const char *where, GError **error)
{
    static const char *const allowed[] = {"class", "measurements", NULL};
    const json_t *list;
    MonattEnvironment *environment = monatt_reference_add_environment(reference);
    if (!monatt_json_check_members(object, where, allowed, error) ||
        !read_class(environment, object, where, error) ||
        !monatt_json_array(object, where, "measurements", FALSE, MONATT_REFERENCE_MEASUREMENTS,
                           &list, error)) {
        return FALSE;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        g_autofree char *place = g_strdup_printf("%s: measurement %zu", where, i);
        if (!read_value(environment, json_array_get(list, i), place, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean read_learned(MonattReference *reference, const json_t *root, const char *name,
                             GError **error)
{
    static const char *const allowed[] = {"q3", "vid", "iat", NULL};
    const json_t *object = json_object_get(root, "learned_from");
    const char *q3, *vid;
    if (object == NULL) {
        return TRUE;
    }
    g_autofree char *where = g_strdup_printf("%s: learned_from", name);
    reference->learned_iat = -1;
    if (!monatt_json_check_members(object, where, allowed, error) ||
        !monatt_json_text(object, where, "q3", FALSE, 96, &q3, error) ||
        !monatt_json_text(object, where, "vid", FALSE, KEY_MAXIMUM, &vid, error) ||
        !monatt_json_integer(object, where, "iat", 0, TIME_MAXIMUM, &reference->learned_iat,
                             error)) {
        return FALSE;
    }
    uint8_t digest[MONATT_SHA384_SIZE];
    MonattError err = {0};
    if ((strlen(q3) != 64 && strlen(q3) != 96) ||
        !monatt_text_to_bytes(q3, digest, strlen(q3) / 2, &err) ||
        !monatt_text_to_uuid(vid, reference->learned_vid, &err) || reference->learned_iat < 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: needs q3 (hexadecimal), vid (UUID) and iat (seconds)", where);
        return FALSE;
    }
    g_strlcpy(reference->learned_q3, q3, sizeof(reference->learned_q3));
    reference->learned = TRUE;
    return TRUE;
}

MonattReference *monatt_reference_parse(const char *name, const void *bytes, size_t size,
                                        GError **error)
{
    static const char *const allowed[] = {"profile", "id", "learned_from", "environments", NULL};
    const char *profile, *id;
    const json_t *list;
    g_autoptr(MonattJson) root =
        monatt_json_load(name, bytes, size, MONATT_REFERENCE_SIZE_MAXIMUM, error);
    if (root == NULL || !monatt_json_check_members(root, name, allowed, error) ||
        !monatt_json_text(root, name, "profile", FALSE, 128, &profile, error) ||
        !monatt_json_text(root, name, "id", FALSE, MONATT_REFERENCE_ID_MAXIMUM, &id, error)) {
        return NULL;
    }
    if (strcmp(profile, MONATT_REFERENCE_PROFILE) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'profile': must be \"" MONATT_REFERENCE_PROFILE "\"", name);
        return NULL;
    }
    g_autoptr(MonattReference) reference = monatt_reference_new(id);
    if (!monatt_suite_hash("S256", bytes, size, reference->digest)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "%s: libcrypto cannot hash", name);
        return NULL;
    }
    if (!read_learned(reference, root, name, error) ||
        !monatt_json_array(root, name, "environments", FALSE, MONATT_REFERENCE_ENVIRONMENTS, &list,
                           error)) {
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        g_autofree char *where = g_strdup_printf("%s: environment %zu", name, i);
        if (!read_environment(reference, json_array_get(list, i), where, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&reference);
}

/* Writing. */

static json_t *digest_to_json(const uint8_t *digest, size_t size)
{
    char text[2 * MONATT_SHA384_SIZE + 1];
    monatt_text_from_bytes(digest, size, text);
    return json_string(text);
}

static json_t *value_to_json(const MonattReferenceValue *value)
{
    json_t *object = json_object();
    json_object_set_new(object, "key", json_string(value->key));
    if (value->name != NULL) {
        json_object_set_new(object, "name", json_string(value->name));
    }
    if (value->has_sha256 || value->has_sha384) {
        json_t *digests = json_object();
        if (value->has_sha256) {
            json_object_set_new(digests, "sha-256",
                                digest_to_json(value->sha256, sizeof(value->sha256)));
        }
        if (value->has_sha384) {
            json_object_set_new(digests, "sha-384",
                                digest_to_json(value->sha384, sizeof(value->sha384)));
        }
        json_object_set_new(object, "digests", digests);
    }
    if (value->text != NULL) {
        json_object_set_new(object, "text", json_string(value->text));
    }
    json_object_set_new(object, "state", json_string(value->superseded ? "superseded" : "current"));
    if (value->superseded) {
        json_object_set_new(object, "until", json_integer(value->until));
    }
    return object;
}

static json_t *environment_to_json(const MonattEnvironment *environment)
{
    char vid[MONATT_UUID_TEXT_SIZE] = "*";
    if (!environment->any) {
        monatt_text_from_uuid(environment->vid, vid);
    }
    json_t *list = json_array();
    for (guint i = 0; i < environment->values->len; i++) {
        json_array_append_new(list, value_to_json(g_ptr_array_index(environment->values, i)));
    }
    return json_pack("{s:{s:s,s:s,s:s},s:o}", "class", "vendor", "monatt", "model", "vm",
                     "instance", vid, "measurements", list);
}

char *monatt_reference_serialize(const MonattReference *reference)
{
    g_autoptr(MonattJson) root = json_object();
    json_object_set_new(root, "profile", json_string(MONATT_REFERENCE_PROFILE));
    json_object_set_new(root, "id", json_string(reference->id));
    if (reference->learned) {
        char vid[MONATT_UUID_TEXT_SIZE];
        monatt_text_from_uuid(reference->learned_vid, vid);
        json_object_set_new(root, "learned_from",
                            json_pack("{s:s,s:s,s:I}", "q3", reference->learned_q3, "vid", vid,
                                      "iat", (json_int_t)reference->learned_iat));
    }
    json_t *list = json_array();
    for (guint i = 0; i < reference->environments->len; i++) {
        json_array_append_new(list,
                              environment_to_json(g_ptr_array_index(reference->environments, i)));
    }
    json_object_set_new(root, "environments", list);
    g_autofree char *text = json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    return g_strconcat(text, "\n", NULL);
}

/* Searching. */

GPtrArray *monatt_reference_select(const MonattReference *reference,
                                   const uint8_t vid[MONATT_UUID_SIZE], const char *key)
{
    GPtrArray *found = g_ptr_array_new();
    for (guint i = 0; i < reference->environments->len; i++) {
        const MonattEnvironment *environment = g_ptr_array_index(reference->environments, i);
        if (!environment->any && !monatt_bytes_equal(environment->vid, vid, MONATT_UUID_SIZE)) {
            continue;
        }
        for (guint k = 0; k < environment->values->len; k++) {
            MonattReferenceValue *value = g_ptr_array_index(environment->values, k);
            if (strcmp(value->key, key) == 0) {
                g_ptr_array_add(found, value);
            }
        }
    }
    return found;
}

static gboolean is_equal(const MonattReferenceValue *value, const uint8_t *sha256,
                         const uint8_t *sha384)
{
    gboolean compared = FALSE;
    if (value->has_sha256 && sha256 != NULL) {
        if (!monatt_bytes_equal(value->sha256, sha256, MONATT_SHA256_SIZE)) {
            return FALSE;
        }
        compared = TRUE;
    }
    if (value->has_sha384 && sha384 != NULL) {
        if (!monatt_bytes_equal(value->sha384, sha384, MONATT_SHA384_SIZE)) {
            return FALSE;
        }
        compared = TRUE;
    }
    return compared;
}

MonattMatch monatt_reference_match(const GPtrArray *values, const uint8_t *sha256,
                                   const uint8_t *sha384, int64_t at,
                                   const MonattReferenceValue **ret_value)
{
    MonattMatch best = MONATT_MATCH_NONE;
    *ret_value = NULL;
    for (guint i = 0; i < values->len; i++) {
        const MonattReferenceValue *value = g_ptr_array_index(values, i);
        MonattMatch match = MONATT_MATCH_DIFFERS;
        if (!(value->has_sha256 && sha256 != NULL) && !(value->has_sha384 && sha384 != NULL)) {
            continue; /* no digest in common: nothing was compared */
        }
        if (is_equal(value, sha256, sha384)) {
            match = !value->superseded   ? MONATT_MATCH_CURRENT
                    : at <= value->until ? MONATT_MATCH_SUPERSEDED
                                         : MONATT_MATCH_OVER;
        }
        if (match < best) {
            best = match;
            *ret_value = value;
        } else if (match == MONATT_MATCH_DIFFERS && best == MONATT_MATCH_DIFFERS &&
                   (*ret_value)->superseded && !value->superseded) {
            *ret_value = value;
        }
    }
    return best;
}
