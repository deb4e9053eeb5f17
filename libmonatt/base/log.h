/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one line to stderr, for programs only; libraries return errors
 */
#ifndef MONATT_BASE_LOG_H
#define MONATT_BASE_LOG_H

#include "libmonatt/base/error.h"

typedef enum MonattLogLevel {
    MONATT_LOG_ERROR,
    MONATT_LOG_WARNING,
    MONATT_LOG_INFO,
    MONATT_LOG_DEBUG,
} MonattLogLevel;

/*
 * Control characters in a message become '?', so that one call is one line and nobody's text can
 * forge another.
 */
/* The program's name before each line; level from MONATT_LOG=error|warning|info|debug. */
void monatt_log_init(const char *program);
void monatt_log_error(const char *format, ...) MONATT_PRINTF(1, 2);
void monatt_log_warning(const char *format, ...) MONATT_PRINTF(1, 2);
void monatt_log_info(const char *format, ...) MONATT_PRINTF(1, 2);
void monatt_log_debug(const char *format, ...) MONATT_PRINTF(1, 2);
/* "program: message" and, when there is one, "hint: …", as a user sees a refusal. */
void monatt_log_failure(const MonattError *err);

/*
 * For what a guest or peer can trigger at will: true when the line may be written, at most
 * burst lines a second; the caller logs *ret_suppressed when it is not 0.
 */
typedef struct MonattLogLimit {
    long second;
    unsigned in_second;
    unsigned long suppressed;
} MonattLogLimit;
bool monatt_log_allowed(MonattLogLimit *limit, unsigned burst, unsigned long *ret_suppressed);

#endif
