/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * property.h - the properties a customer can ask about, and what a verdict about one says
 *
 * Names are those of the protocol and of the EAR's submodules.  A verdict is not an error: a
 * rule cannot fail, it can only say "unknown" and why.
 */
#ifndef MONATT_VERIFIER_PROPERTY_H
#define MONATT_VERIFIER_PROPERTY_H

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef enum MonattProperty {
    MONATT_PROPERTY_STARTUP,
    MONATT_PROPERTY_RUNTIME,
    MONATT_PROPERTY_CPU_CHANNEL,
    MONATT_PROPERTY_BUS_CHANNEL,
    MONATT_PROPERTY_CACHE_CHANNEL,
    MONATT_PROPERTY_CPU_AVAILABILITY,
    MONATT_PROPERTY_HOST,
    MONATT_PROPERTY_COUNT
} MonattProperty;

/* By weight: the heaviest of several decides (properties.md 0). */
typedef enum MonattVerdict {
    MONATT_VERDICT_HEALTHY,
    MONATT_VERDICT_DEGRADED,
    MONATT_VERDICT_UNKNOWN,
    MONATT_VERDICT_COMPROMISED,
} MonattVerdict;

/* One thing that contradicts, with what was expected and what was seen; owned by the result. */
typedef struct MonattContradiction {
    char *what;
    char *expected;
    char *observed;
} MonattContradiction;

typedef struct MonattPropertyResult {
    MonattProperty property;
    MonattVerdict verdict;
    const char *code; /* stable word, docs/cli.md */
    const char *rule; /* what was decided by */
    char *measured;   /* "6 items" */
    char *reference;  /* "reference quickstart" */
    char *reason;     /* one sentence */
    GPtrArray *contradictions;
} MonattPropertyResult;

const char *monatt_property_name(MonattProperty property);
int monatt_property_find(const char *name); /* MonattProperty, or -1 */
const char *monatt_verdict_name(MonattVerdict verdict);

void monatt_property_result_init(MonattPropertyResult *result, MonattProperty property);
void monatt_property_result_clear(MonattPropertyResult *result);
/* Takes a heavier verdict with its code and reason; a lighter or equal one changes nothing. */
void monatt_property_result_raise(MonattPropertyResult *result, MonattVerdict verdict,
                                  const char *code, const char *format, ...) G_GNUC_PRINTF(4, 5);
void monatt_property_result_contradict(MonattPropertyResult *result, const char *what,
                                       const char *expected, const char *observed);

G_END_DECLS

#endif
