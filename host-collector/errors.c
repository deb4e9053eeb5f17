/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * errors.c - from GError to MonattError, and from there to an HTTP status
 */
#include "host-collector/errors.h"
#include "libmonatt/evidence/evidence.h"

bool errors_take(MonattError *err, GError *error)
{
    g_autofree char *message = NULL;
    MonattErrorCode code = MONATT_ERROR_INTERNAL;

    if (!error) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "a call failed without a reason");
    }
    if (error->domain == MONATT_GERROR) {
        code = (MonattErrorCode)error->code;
    }
    message = monatt_gerror_message(error);
    monatt_error_set(err, code, "%s", message);
    if (monatt_gerror_hint(error)) {
        monatt_error_hint(err, "%s", monatt_gerror_hint(error));
    }
    g_error_free(error);
    return false;
}

unsigned errors_http_status(MonattErrorCode code)
{
    switch (code) {
    case MONATT_ERROR_USAGE:
    case MONATT_ERROR_FORMAT:
        return 400;
    case MONATT_ERROR_PERMISSION:
        return 403;
    case MONATT_ERROR_MISSING:
        return 404;
    case MONATT_ERROR_BUSY:
        return 503;
    default:
        return 500;
    }
}
