/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.h - a result's claims for people: a table on a terminal, a page in a browser
 *
 * Both are made from the EAR's claims alone, so what a person reads is what was signed.  Nothing
 * in the claims is believed to be harmless: a terminal gets printable characters only, a page
 * gets every text escaped, no script, no link, no picture from elsewhere.
 */
#ifndef MONATT_VERIFIER_REPORT_H
#define MONATT_VERIFIER_REPORT_H

#include <glib.h>
#include <jansson.h>

G_BEGIN_DECLS

/* Table of properties, verdicts, measured values; free with g_free(). */
char *monatt_report_text(const json_t *claims);
/* One self-contained HTML document; free with g_free(). */
char *monatt_report_html(const json_t *claims);

G_END_DECLS

#endif
