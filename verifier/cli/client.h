/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - one HTTP request to the collector's UNIX socket
 *
 * docs/architecture.md "The collector's socket".  What comes back is bounded and believed in
 * nothing: the host may be lost.
 */
#ifndef MONATT_VERIFIER_CLIENT_H
#define MONATT_VERIFIER_CLIENT_H

#include "verifier/cli/command.h"

G_BEGIN_DECLS

#define CLIENT_TIMEOUT_S 180 /* a measurement with retries on a loaded host */

#define CLIENT_OPTION_RUN_DIR                                                                      \
    {                                                                                              \
        "run-dir", "DIR", "folder of collector.sock; left out: $MONATT_RUN_DIR or /run/monatt",    \
            FALSE, FALSE                                                                           \
    }

/* run_dir NULL: MONATT_RUN_DIR, or /run/monatt.  body NULL: none.  The collector's own error
 * becomes *error with its code, message and hint; LIMIT above maximum bytes. */
GBytes *client_call(const char *run_dir, const char *method, const char *path, const char *body,
                    size_t maximum, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
