/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * question.h - the body of POST /v1/vms/VM/attest; foreign bytes until these functions said yes
 */
#ifndef MONATT_HOST_COLLECTOR_QUESTION_H
#define MONATT_HOST_COLLECTOR_QUESTION_H

#include <glib.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

/* 32 bytes from base64url; text may be NULL.  USAGE for everything else. */
GBytes *question_nonce(const char *text, MonattError *err) MONATT_MUST_CHECK;
/*
 * {"nonce":…,"properties":[…]}: the nonce, and MONATT_MEASURE_* bits of the properties, all of them
 * when the list is left out.  body may be NULL when size is 0.  FORMAT: another form; USAGE: a
 * property that nobody knows, or no nonce.  Free with g_bytes_unref().
 */
GBytes *question_parse(const void *body, size_t size, uint32_t *ret_bits,
                       MonattError *err) MONATT_MUST_CHECK;

#endif
