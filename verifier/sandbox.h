/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - a child that may parse hostile bytes, and do nothing else
 *
 * The work runs in a fork with no descriptor but one pipe, no privilege to gain and an allow-list
 * of system calls: it can compute and answer.  Keys are loaded by the parent, and only after the
 * child has ended.  The answer is a few length-delimited documents that the parent does not
 * interpret.
 */
#ifndef MONATT_VERIFIER_SANDBOX_H
#define MONATT_VERIFIER_SANDBOX_H

#include <glib.h>

G_BEGIN_DECLS

#define MONATT_SANDBOX_DOCUMENTS 3
#define MONATT_SANDBOX_ANSWER_MAXIMUM (64u * 1024 * 1024) /* all documents of one answer */
#define MONATT_SANDBOX_CPU_S 60 /* a log of the largest size replays in a few seconds */

typedef struct MonattSandboxAnswer {
    int exit_code;                               /* MonattExit */
    GBytes *documents[MONATT_SANDBOX_DOCUMENTS]; /* NULL: none; which is which: the caller knows */
} MonattSandboxAnswer;
void monatt_sandbox_answer_clear(MonattSandboxAnswer *answer);

/* Runs in the child: FALSE with error set is handed to the parent as its own error.  Must open
 * nothing. */
typedef gboolean (*MonattSandboxWork)(void *data, MonattSandboxAnswer *answer, GError **error);

/* Forks, runs work, waits.  FALSE: work's own error, PEER when the child died, SYSTEM. */
gboolean monatt_sandbox_run(MonattSandboxWork work, void *data, MonattSandboxAnswer *ret_answer,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether the child may make this call, for tests. */
gboolean monatt_sandbox_allows(const char *system_call);

G_END_DECLS

#endif
