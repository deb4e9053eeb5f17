/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gerror.c - the one bridge from MonattError to GError; loses neither code nor hint
 */
#include "libmonatt/evidence/evidence.h"

#include <string.h>

#define HINT_MARK "\nhint: "

G_DEFINE_QUARK(monatt_error, monatt_gerror)

gboolean monatt_error_to_gerror(const MonattError *err, GError **error)
{
    g_set_error(error, MONATT_GERROR, err->code, "%s%s%s", err->message,
                err->hint[0] ? HINT_MARK : "", err->hint);
    return FALSE;
}

const char *monatt_gerror_hint(const GError *error)
{
    const char *mark = strstr(error->message, HINT_MARK);
    return mark ? mark + strlen(HINT_MARK) : NULL;
}

char *monatt_gerror_message(const GError *error)
{
    const char *mark = strstr(error->message, HINT_MARK);
    return mark ? g_strndup(error->message, (gsize)(mark - error->message))
                : g_strdup(error->message);
}
