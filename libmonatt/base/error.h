/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.h - the one error argument of the glib-free half of Monatt
 *
 * A function that can fail returns bool, takes the error last, writes its result only on
 * success and sets the error exactly once, only on failure.  The error is owned by the caller,
 * has a fixed size and allocates nothing, so it works inside a sandbox and under memory pressure.
 * Message: "what: on what: why"; what the user can do about it goes into the hint.
 */
#ifndef MONATT_BASE_ERROR_H
#define MONATT_BASE_ERROR_H

#include <stdbool.h>
#include "libmonatt/base/macros.h"

/* Grouped by what the caller can do about it. */
typedef enum MonattErrorCode {
    MONATT_ERROR_NONE = 0,
    MONATT_ERROR_USAGE,      /* the caller's words are wrong; exit 2 */
    MONATT_ERROR_SYSTEM,     /* the operating system refused; errno is kept; exit 1 */
    MONATT_ERROR_MISSING,    /* a file, device, program or VM is not there; exit 1 */
    MONATT_ERROR_PERMISSION, /* it is there and may not be used; exit 1 */
    MONATT_ERROR_FORMAT,     /* bytes do not have the form they must have; exit 1 (evidence: 3) */
    MONATT_ERROR_LIMIT,      /* a named limit was reached; exit 1 (evidence: 3) */
    MONATT_ERROR_BUSY,       /* try again later; exit 1 */
    MONATT_ERROR_PEER,       /* the other process went away or broke the protocol; exit 1 */
    MONATT_ERROR_TPM,        /* a TPM answered with an error; exit 1 */
    MONATT_ERROR_REFUSED,    /* evidence is not believed; exit 3 */
    MONATT_ERROR_FAULT,      /* device and TPM, or log and registers, disagree */
    MONATT_ERROR_INTERNAL,   /* a bug of ours */
    MONATT_ERROR_COUNT
} MonattErrorCode;

#define MONATT_ERROR_MESSAGE_SIZE 200
#define MONATT_ERROR_HINT_SIZE 120

typedef struct MonattError {
    MonattErrorCode code;
    int system_errno; /* 0 when no system call was involved */
    char message[MONATT_ERROR_MESSAGE_SIZE];
    char hint[MONATT_ERROR_HINT_SIZE];
} MonattError;

/* Exit codes of every Monatt program (docs/exit-codes.md). */
typedef enum MonattExit {
    MONATT_EXIT_DONE = 0, /* done, or healthy */
    MONATT_EXIT_FAILED = 1,
    MONATT_EXIT_USAGE = 2,
    MONATT_EXIT_REFUSED = 3,
    MONATT_EXIT_COMPROMISED = 4,
    MONATT_EXIT_DEGRADED = 5,
    MONATT_EXIT_UNKNOWN = 6,
} MonattExit;

/* Fills *err (NULL is allowed and ignored) and returns false, so callers can "return set(…)". */
bool monatt_error_set(MonattError *err, MonattErrorCode code, const char *format, ...)
    MONATT_PRINTF(3, 4);
/* As above with errno's name appended: "…: No such file or directory". */
bool monatt_error_set_errno(MonattError *err, int system_errno, const char *format, ...)
    MONATT_PRINTF(3, 4);
/* What the user can do; returns false for chaining. */
bool monatt_error_hint(MonattError *err, const char *format, ...) MONATT_PRINTF(2, 3);
/* Puts context before the message on the way up; returns false for chaining. */
bool monatt_error_prefix(MonattError *err, const char *format, ...) MONATT_PRINTF(2, 3);
void monatt_error_clear(MonattError *err);
/* Stable lower-case name ("format", "limit" …), for JSON and logs. */
const char *monatt_error_code_name(MonattErrorCode code);
MonattExit monatt_error_exit_code(MonattErrorCode code);

#endif
