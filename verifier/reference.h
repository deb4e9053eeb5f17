/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference.h - what a VM is expected to have started from, and on which host
 *
 * JSON that maps one to one to CoMID (docs/architecture.md "Reference values").  Two generations
 * may live side by side: "current" and "superseded" until a time.  An empty set never passes.
 */
#ifndef MONATT_VERIFIER_REFERENCE_H
#define MONATT_VERIFIER_REFERENCE_H

#include <glib.h>
#include <stdint.h>
#include "libmonatt/base/text.h"
#include "libmonatt/formats/limits.h"

G_BEGIN_DECLS

#define MONATT_REFERENCE_PROFILE "tag:github.com,2026:monatt/reference#1"
#define MONATT_REFERENCE_SIZE_MAXIMUM (1024u * 1024)
#define MONATT_REFERENCE_ENVIRONMENTS 256  /* VMs, or kinds of VM, in one file */
#define MONATT_REFERENCE_MEASUREMENTS 1024 /* in one environment: generations of every item */
#define MONATT_REFERENCE_TEXT_MAXIMUM 4096 /* a kernel command line is at most 2048 */
#define MONATT_REFERENCE_ID_MAXIMUM 128

typedef struct MonattReferenceValue {
    char *key;  /* "boot/kernel", "host/pcr", "host/id" */
    char *name; /* for people; may be NULL */
    char *text; /* may be NULL */
    gboolean has_sha256;
    gboolean has_sha384;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    gboolean superseded;
    int64_t until; /* seconds, UNIX: a superseded value degrades until then, later it counts not */
} MonattReferenceValue;

typedef struct MonattEnvironment {
    gboolean any; /* instance "*" */
    uint8_t vid[MONATT_UUID_SIZE];
    GPtrArray *values; /* MonattReferenceValue */
} MonattEnvironment;

typedef struct MonattReference {
    char *id;
    uint8_t digest[32]; /* SHA-256 of the file */
    gboolean learned;   /* learned_from is there */
    char learned_q3[97];
    uint8_t learned_vid[MONATT_UUID_SIZE];
    int64_t learned_iat;
    GPtrArray *environments; /* MonattEnvironment */
} MonattReference;

MonattReference *monatt_reference_new(const char *id);
MonattEnvironment *monatt_reference_add_environment(MonattReference *reference);
MonattReferenceValue *monatt_environment_add(MonattEnvironment *environment, const char *key);
void monatt_reference_free(MonattReference *reference);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattReference, monatt_reference_free)

/* FORMAT, LIMIT.  name is for messages. */
MonattReference *monatt_reference_parse(const char *name, const void *bytes, size_t size,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Indented JSON with a newline at the end; free with g_free(). */
char *monatt_reference_serialize(const MonattReference *reference);

/* All values of key for a VM, as pointers into reference; free the array only. */
GPtrArray *monatt_reference_select(const MonattReference *reference,
                                   const uint8_t vid[MONATT_UUID_SIZE], const char *key);

typedef enum MonattMatch {
    MONATT_MATCH_CURRENT,
    MONATT_MATCH_SUPERSEDED, /* within its overlap */
    MONATT_MATCH_OVER,       /* superseded, and its overlap has ended */
    MONATT_MATCH_DIFFERS,    /* values are there, none is equal */
    MONATT_MATCH_NONE,       /* nothing to compare with */
} MonattMatch;
/* Best match of digests (either may be NULL) among values; all digests that both sides have must
 * be equal, and at least one.  *ret_value: the one that matched, or the first current one. */
MonattMatch monatt_reference_match(const GPtrArray *values, const uint8_t *sha256,
                                   const uint8_t *sha384, int64_t at,
                                   const MonattReferenceValue **ret_value);

G_END_DECLS

#endif
