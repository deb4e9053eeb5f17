/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * errors.h - the collector speaks MonattError throughout; this is its bridge from glib's
 *
 * The hint stays apart from the message all the way up to the JSON that a user sees.
 */
#ifndef MONATT_HOST_COLLECTOR_ERRORS_H
#define MONATT_HOST_COLLECTOR_ERRORS_H

#include <glib.h>
#include "libmonatt/base/error.h"

/* Moves a GError of libmonatt (MONATT_GERROR) or of glib into err and frees it; always false. */
bool errors_take(MonattError *err, GError *error);
/* HTTP status of an error: docs/architecture.md, "The collector's socket". */
unsigned errors_http_status(MonattErrorCode code);

#endif
