/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appraise.h - what 'evidence verify', 'report html' and 'reference learn' have in common
 *
 * Reads the files a person named, then everything else in the sandbox.
 */
#ifndef MONATT_VERIFIER_APPRAISE_H
#define MONATT_VERIFIER_APPRAISE_H

#include "verifier/cli/command.h"
#include "verifier/sandbox.h"

G_BEGIN_DECLS

#define APPRAISE_ID_MAXIMUM 128

typedef enum AppraiseTask {
    APPRAISE_VERDICT, /* documents: EAR claims, table, page */
    APPRAISE_LEARN,   /* documents: reference JSON, description */
} AppraiseTask;

/* Of "evidence", "nonce" or "inblob", "anchor", "reference", "policy", "host", "at": what command
 * has. */
gboolean appraise_run(const CommandArguments *arguments, AppraiseTask task,
                      MonattSandboxAnswer *ret_answer, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Seconds (UNIX) or 2026-01-31T12:00:00Z; now when text is NULL. */
gboolean appraise_read_time(const char *text, int64_t *ret,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#define APPRAISE_OPTION_NONCE                                                                      \
    {                                                                                              \
        "nonce", "HEX", "the nonce that was asked with, 64 hexadecimal digits", FALSE, FALSE       \
    }
/* Instead of the nonce, of evidence that the guest itself asked for. */
#define APPRAISE_OPTION_INBLOB                                                                     \
    {                                                                                              \
        "inblob", "FILE", "instead: what the guest asked with, 1 to 64 bytes", FALSE, FALSE        \
    }
#define APPRAISE_OPTION_ANCHOR                                                                     \
    {                                                                                              \
        "anchor", "CERT", "root certificate of the privacy CA, PEM", TRUE, FALSE                   \
    }
#define APPRAISE_OPTION_REFERENCE                                                                  \
    {                                                                                              \
        "reference", "FILE", "reference values, JSON", TRUE, FALSE                                 \
    }
#define APPRAISE_OPTION_POLICY                                                                     \
    {                                                                                              \
        "policy", "FILE", "policy, JSON; left out: the default", FALSE, FALSE                      \
    }
#define APPRAISE_OPTION_HOST                                                                       \
    {                                                                                              \
        "host", "ID", "the host that must have answered; left out: as the reference says", FALSE,  \
            FALSE                                                                                  \
    }
#define APPRAISE_OPTION_AT                                                                         \
    {                                                                                              \
        "at", "TIME", "judge at this time (seconds or 2026-01-31T12:00:00Z), not now", FALSE,      \
            FALSE                                                                                  \
    }
#define APPRAISE_OPTION_JSON                                                                       \
    {                                                                                              \
        "json", NULL, "one JSON object on stdout, nothing else", FALSE, FALSE                      \
    }

G_END_DECLS

#endif
