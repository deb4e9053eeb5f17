/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.h - strict reading of JSON that the verifier is handed
 *
 * Policies, reference values and a collector's answers: UTF-8, no duplicate member, no unknown
 * member, no fraction, every text and list bounded.  Errors name the member and what is wrong.
 */
#ifndef MONATT_VERIFIER_JSON_H
#define MONATT_VERIFIER_JSON_H

#include <glib.h>
#include <jansson.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef json_t MonattJson;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattJson, json_decref)

#define MONATT_JSON_DEPTH 16 /* reference values need 6; a parser's stack is not for strangers */

/* An object; LIMIT above maximum bytes or MONATT_JSON_DEPTH, FORMAT otherwise.  name is for
 * messages ("policy 'p.json'").  Free with json_decref(). */
json_t *monatt_json_load(const char *name, const void *bytes, size_t size, size_t maximum,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Every member of object is in the NULL-terminated list; FORMAT names the first that is not. */
gboolean monatt_json_check_members(const json_t *object, const char *where,
                                   const char *const *allowed,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Text of 1 to maximum bytes, printable or space, owned by object; a missing member is FORMAT
 * unless optional (then *ret is NULL). */
gboolean monatt_json_text(const json_t *object, const char *where, const char *member,
                          gboolean optional, size_t maximum, const char **ret,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* An integer within [lowest, highest]; when missing *ret stays as it is. */
gboolean monatt_json_integer(const json_t *object, const char *where, const char *member,
                             int64_t lowest, int64_t highest, int64_t *ret,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* An array of at most maximum elements; *ret NULL when missing and optional. */
gboolean monatt_json_array(const json_t *object, const char *where, const char *member,
                           gboolean optional, size_t maximum, const json_t **ret,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Exactly size bytes as 2 * size hexadecimal digits. */
gboolean monatt_json_hex(const json_t *object, const char *where, const char *member,
                         gboolean optional, uint8_t *ret, size_t size, gboolean *ret_present,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A whole file of at most maximum bytes; MISSING, PERMISSION, LIMIT or SYSTEM.  what: "policy". */
GBytes *monatt_json_read_file(const char *what, const char *path, size_t maximum,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
