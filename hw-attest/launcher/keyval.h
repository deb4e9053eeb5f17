/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.h - the value of a QEMU option: "type,key=value,flag" with commas doubled, or JSON
 *
 * QEMU reads it for itself; this is for finding what must be measured or refused.  In JSON an
 * inner object's members become "outer.inner", true and false become on and off.
 */
#ifndef HW_ATTEST_LAUNCHER_KEYVAL_H
#define HW_ATTEST_LAUNCHER_KEYVAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "libmonatt/base/error.h"

#define KEYVAL_PAIRS_MAXIMUM 128 /* libvirt's longest line has about 30 */
#define KEYVAL_DEPTH_MAXIMUM 8   /* a chain of block nodes; deeper is refused */

typedef struct KeyvalPair {
    char *key;
    char *value; /* NULL: a flag without '=' */
} KeyvalPair;

typedef struct Keyval {
    json_t *json; /* NULL: not JSON */
    size_t count;
    KeyvalPair pairs[KEYVAL_PAIRS_MAXIMUM];
} Keyval;

/*
 * implied is the key of a first word without '=', or NULL.  USAGE for broken JSON, LIMIT for more
 * than the maxima.  To be cleared on success only.
 */
bool keyval_parse(const char *text, const char *implied, Keyval *ret,
                  MonattError *err) MONATT_MUST_CHECK;
void keyval_clear(Keyval *keyval);
/* The last value of a key, "on" for a flag; NULL when the key is not there. */
const char *keyval_get(const Keyval *keyval, const char *key);
/* on, yes, true and y; `missing` when the key is not there. */
bool keyval_is_on(const Keyval *keyval, const char *key, bool missing);
/* Gives a key that is there another value. */
bool keyval_set(Keyval *keyval, const char *key, const char *value,
                MonattError *err) MONATT_MUST_CHECK;
/* As QEMU reads it, to be freed; NULL without memory. */
char *keyval_text(const Keyval *keyval);

#endif
