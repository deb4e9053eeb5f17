/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.c - strict reading of JSON; jansson parses, the shape is checked here
 *
 * Must never hand a member on whose type, size or name was not checked.
 */
#include "verifier/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/evidence.h"

static gboolean refuse(GError **error, const char *where, const char *member, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: member '%s': %s", where, member,
                why);
    return FALSE;
}

/* Nesting outside of strings, before jansson recurses into it. */
static gboolean is_too_deep(const char *text, size_t size)
{
    unsigned depth = 0;
    gboolean in_string = FALSE;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = FALSE;
            }
        } else if (c == '"') {
            in_string = TRUE;
        } else if (c == '{' || c == '[') {
            if (++depth > MONATT_JSON_DEPTH) {
                return TRUE;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return FALSE;
}

json_t *monatt_json_load(const char *name, const void *bytes, size_t size, size_t maximum,
                         GError **error)
{
    if (size > maximum) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "%s: %zu bytes, at most %zu are allowed", name, size, maximum);
        return NULL;
    }
    if (is_too_deep(bytes, size)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT, "%s: nested deeper than %d levels",
                    name, MONATT_JSON_DEPTH);
        return NULL;
    }
    json_error_t where;
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        char why[JSON_ERROR_TEXT_LENGTH];
        monatt_text_printable(where.text, strlen(where.text), why, sizeof(why));
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: line %d, column %d: %s", name,
                    where.line, where.column, why);
        return NULL;
    }
    if (!json_is_object(root)) {
        json_decref(root);
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: is not a JSON object", name);
        return NULL;
    }
    return root;
}

gboolean monatt_json_check_members(const json_t *object, const char *where,
                                   const char *const *allowed, GError **error)
{
    if (!json_is_object(object)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT, "%s: is not an object", where);
        return FALSE;
    }
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)object, member, value)
    {
        if (!g_strv_contains(allowed, member)) {
            char shown[65];
            monatt_text_printable(member, strlen(member), shown, sizeof(shown));
            return refuse(error, where, shown, "is not known");
        }
    }
    return TRUE;
}

/* Control characters never come in; UTF-8 as such was checked by jansson. */
static gboolean is_plain(const char *text)
{
    for (; *text != 0; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean monatt_json_text(const json_t *object, const char *where, const char *member,
                          gboolean optional, size_t maximum, const char **ret, GError **error)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL) {
        *ret = NULL;
        return optional || refuse(error, where, member, "is missing");
    }
    const char *text = json_string_value(value);
    if (text == NULL) {
        return refuse(error, where, member, "is not a text");
    }
    if (json_string_length(value) == 0 || json_string_length(value) > maximum) {
        return refuse(error, where, member, "is empty or too long");
    }
    if (!is_plain(text)) {
        return refuse(error, where, member, "has control characters");
    }
    *ret = text;
    return TRUE;
}

gboolean monatt_json_integer(const json_t *object, const char *where, const char *member,
                             int64_t lowest, int64_t highest, int64_t *ret, GError **error)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL) {
        return TRUE;
    }
    if (!json_is_integer(value)) {
        return refuse(error, where, member, "is not an integer");
    }
    json_int_t number = json_integer_value(value);
    if (number < lowest || number > highest) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "%s: member '%s': %lld is outside %lld to %lld", where, member,
                    (long long)number, (long long)lowest, (long long)highest);
        return FALSE;
    }
    *ret = number;
    return TRUE;
}

gboolean monatt_json_array(const json_t *object, const char *where, const char *member,
                           gboolean optional, size_t maximum, const json_t **ret, GError **error)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL) {
        *ret = NULL;
        return optional || refuse(error, where, member, "is missing");
    }
    if (!json_is_array(value)) {
        return refuse(error, where, member, "is not a list");
    }
    if (json_array_size(value) > maximum) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "%s: member '%s': %zu elements, at most %zu are allowed", where, member,
                    json_array_size(value), maximum);
        return FALSE;
    }
    *ret = value;
    return TRUE;
}

gboolean monatt_json_hex(const json_t *object, const char *where, const char *member,
                         gboolean optional, uint8_t *ret, size_t size, gboolean *ret_present,
                         GError **error)
{
    const char *text;
    *ret_present = FALSE;
    if (!monatt_json_text(object, where, member, optional, 2 * size, &text, error)) {
        return FALSE;
    }
    if (text == NULL) {
        return TRUE;
    }
    MonattError err = {0};
    if (!monatt_text_to_bytes(text, ret, size, &err)) {
        return refuse(error, where, member, "is not hexadecimal of the right length");
    }
    *ret_present = TRUE;
    return TRUE;
}

static gboolean fail_errno(GError **error, int number, const char *what, const char *path)
{
    MonattErrorCode code = MONATT_ERROR_SYSTEM;
    if (number == ENOENT || number == ENOTDIR) {
        code = MONATT_ERROR_MISSING;
    } else if (number == EACCES || number == EPERM) {
        code = MONATT_ERROR_PERMISSION;
    }
    g_set_error(error, MONATT_GERROR, code, "%s '%s': %s", what, path, g_strerror(number));
    return FALSE;
}

GBytes *monatt_json_read_file(const char *what, const char *path, size_t maximum, GError **error)
{
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        fail_errno(error, errno, what, path);
        return NULL;
    }
    if (S_ISDIR(status.st_mode)) {
        fail_errno(error, EISDIR, what, path);
        return NULL;
    }
    /* A pipe or device has no size: read at most one byte past the limit, whatever it says. */
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint8_t part[65536];
    for (;;) {
        ssize_t got = read(fd, part, sizeof(part));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            fail_errno(error, errno, what, path);
            return NULL;
        }
        if (got == 0) {
            return g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
        }
        if ((size_t)got > maximum - bytes->len) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT, "%s '%s': larger than %zu bytes",
                        what, path, maximum);
            return NULL;
        }
        g_byte_array_append(bytes, part, (guint)got);
    }
}
