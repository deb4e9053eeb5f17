/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.c - reads and rewrites the value of a QEMU option
 *
 * Must never take a value for another than QEMU does: what is measured is what is loaded.
 * Source: QEMU's util/keyval.c and util/qemu-option.c, their behaviour.
 */
#include "hw-attest/launcher/keyval.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool keyval_add(Keyval *keyval, char *key, char *value, bool flag, MonattError *err)
{
    if (!key || (!value && !flag)) {
        free(key);
        free(value);
        return monatt_error_set_errno(err, ENOMEM, "option");
    }
    if (keyval->count == KEYVAL_PAIRS_MAXIMUM) {
        free(key);
        free(value);
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "option: more than %d settings in one",
                                KEYVAL_PAIRS_MAXIMUM);
    }
    keyval->pairs[keyval->count++] = (KeyvalPair){.key = key, .value = value};
    return true;
}

static bool keyval_flatten(Keyval *keyval, const char *prefix, json_t *json, int depth,
                           MonattError *err);

static bool keyval_flatten_member(Keyval *keyval, const char *prefix, const char *key,
                                  json_t *value, int depth, MonattError *err)
{
    char *name MONATT_CLEANUP_FREE = NULL;
    char *text = NULL;
    if (asprintf(&name, "%s%s%s", prefix, *prefix ? "." : "", key) < 0) {
        name = NULL;
        return monatt_error_set_errno(err, ENOMEM, "option");
    }
    if (json_is_object(value) || json_is_array(value)) {
        return keyval_flatten(keyval, name, value, depth + 1, err);
    }
    if (json_is_string(value)) {
        text = strdup(json_string_value(value));
    } else if (json_is_boolean(value)) {
        text = strdup(json_is_true(value) ? "on" : "off");
    } else {
        text = json_dumps(value, JSON_ENCODE_ANY);
    }
    char *owned = name;
    name = NULL;
    return keyval_add(keyval, owned, text, false, err);
}

static bool keyval_flatten(Keyval *keyval, const char *prefix, json_t *json, int depth,
                           MonattError *err)
{
    if (depth > KEYVAL_DEPTH_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "option: JSON deeper than %d",
                                KEYVAL_DEPTH_MAXIMUM);
    }
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            char number[24];
            snprintf(number, sizeof(number), "%zu", i);
            if (!keyval_flatten_member(keyval, prefix, number, json_array_get(json, i), depth,
                                       err)) {
                return false;
            }
        }
        return true;
    }
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        if (!keyval_flatten_member(keyval, prefix, key, value, depth, err)) {
            return false;
        }
    }
    return true;
}

/* Copies up to the next single comma, or '=' when at_equal; returns where it stopped. */
static const char *keyval_word(const char *text, bool at_equal, char **ret_word)
{
    char *word = malloc(strlen(text) + 1);
    size_t size = 0;
    while (*text && !(at_equal && *text == '=')) {
        if (*text == ',') {
            if (text[1] != ',') {
                break;
            }
            text++;
        }
        if (word) {
            word[size++] = *text;
        }
        text++;
    }
    if (word) {
        word[size] = '\0';
    }
    *ret_word = word;
    return text;
}

static bool keyval_split(Keyval *keyval, const char *text, const char *implied, MonattError *err)
{
    bool first = true;
    while (*text) {
        char *key;
        char *value = NULL;
        bool flag = false;
        const char *next = keyval_word(text, true, &key);
        if (*next == '=') {
            next = keyval_word(next + 1, false, &value);
        } else if (first && implied) {
            value = key;
            key = strdup(implied);
        } else {
            flag = true;
        }
        if (!keyval_add(keyval, key, value, flag, err)) {
            return false;
        }
        first = false;
        text = *next == ',' ? next + 1 : next;
    }
    return true;
}

bool keyval_parse(const char *text, const char *implied, Keyval *ret, MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    bool good;
    if (*text == '{') {
        json_error_t why;
        ret->json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
        if (!ret->json) {
            return monatt_error_set(err, MONATT_ERROR_USAGE, "JSON at position %d: %s",
                                    why.position, why.text);
        }
        good = keyval_flatten(ret, "", ret->json, 1, err);
    } else {
        good = keyval_split(ret, text, implied, err);
    }
    if (!good) {
        keyval_clear(ret);
    }
    return good;
}

void keyval_clear(Keyval *keyval)
{
    for (size_t i = 0; i < keyval->count; i++) {
        free(keyval->pairs[i].key);
        free(keyval->pairs[i].value);
    }
    json_decref(keyval->json);
    memset(keyval, 0, sizeof(*keyval));
}

const char *keyval_get(const Keyval *keyval, const char *key)
{
    for (size_t i = keyval->count; i > 0; i--) {
        const KeyvalPair *pair = &keyval->pairs[i - 1];
        if (strcmp(pair->key, key) == 0) {
            return pair->value ? pair->value : "on";
        }
        /* "noKEY" was QEMU's short form of KEY=off until 6.0 and is still read. */
        if (!pair->value && strncmp(pair->key, "no", 2) == 0 && strcmp(pair->key + 2, key) == 0) {
            return "off";
        }
    }
    return NULL;
}

bool keyval_is_on(const Keyval *keyval, const char *key, bool missing)
{
    static const char *const words[] = {"on", "yes", "true", "y"};
    const char *value = keyval_get(keyval, key);
    if (!value) {
        return missing;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* "file.filename" of a JSON object is a member of a member. */
static bool keyval_set_json(json_t *json, const char *key, const char *value)
{
    const char *dot = strchr(key, '.');
    if (json_object_get(json, key) || !dot) {
        return json_object_set_new(json, key, json_string(value)) == 0;
    }
    char *outer MONATT_CLEANUP_FREE = strndup(key, (size_t)(dot - key));
    json_t *inner = outer ? json_object_get(json, outer) : NULL;
    return json_is_object(inner) && keyval_set_json(inner, dot + 1, value);
}

bool keyval_set(Keyval *keyval, const char *key, const char *value, MonattError *err)
{
    for (size_t i = keyval->count; i > 0; i--) {
        KeyvalPair *pair = &keyval->pairs[i - 1];
        if (strcmp(pair->key, key) != 0) {
            continue;
        }
        char *copy = strdup(value);
        if (!copy || (keyval->json && !keyval_set_json(keyval->json, key, value))) {
            free(copy);
            return monatt_error_set(err, MONATT_ERROR_INTERNAL, "option: '%.60s' cannot be set",
                                    key);
        }
        free(pair->value);
        pair->value = copy;
        return true;
    }
    return monatt_error_set(err, MONATT_ERROR_INTERNAL, "option: no '%.60s' in it", key);
}

static void keyval_put(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == ',') {
            fputc(',', out);
        }
        fputc(*text, out);
    }
}

char *keyval_text(const Keyval *keyval)
{
    if (keyval->json) {
        return json_dumps(keyval->json, JSON_COMPACT);
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return NULL;
    }
    for (size_t i = 0; i < keyval->count; i++) {
        if (i > 0) {
            fputc(',', out);
        }
        keyval_put(out, keyval->pairs[i].key);
        if (keyval->pairs[i].value) {
            fputc('=', out);
            keyval_put(out, keyval->pairs[i].value);
        }
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
