/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show.h - what stands in an evidence file, without believing any of it
 */
#ifndef MONATT_VERIFIER_SHOW_H
#define MONATT_VERIFIER_SHOW_H

#include <glib.h>
#include <jansson.h>
#include <stddef.h>

G_BEGIN_DECLS

#define MONATT_SHOW_RECORDS 1000 /* log records shown; more are counted */

/* {"verified":false,"claims":{...},"parts":{...},"log":[...],"log_records":n}; json_decref(). */
json_t *monatt_show_evidence(const void *bytes, size_t size,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a terminal; free with g_free(). */
char *monatt_show_text(const json_t *shown);

G_END_DECLS

#endif
