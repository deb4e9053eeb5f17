/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baselines.h - how others look for the same things, to compare with in the same run
 *
 * Each as its authors do it, over one look at the guest and with no second one.
 */
#ifndef MONATT_TESTS_BASELINES_H
#define MONATT_TESTS_BASELINES_H

#include "tests/mutators/mutate.h"

typedef enum Baseline {
    BASELINE_LIST_DIFFERENCE, /* the task list against the IDR, once (the paper's prototype) */
    BASELINE_TABLE_OUTSIDE,   /* an entry of sys_call_table that is not in kernel text */
    BASELINE_TEXT_HASH,       /* one hash over all text */
    BASELINE_KSET_LIST,       /* module_kset against the list of modules (Volatility) */
    BASELINES,
} Baseline;

extern const char *const baseline_names[BASELINES];

typedef struct Baselines {
    uint64_t text; /* hash of the clean guest's text */
} Baselines;

/* While the guest is known to be clean. */
void baselines_learn(Baselines *baselines, Mutator *mutator);
/* A bit (1 << Baseline) for each that alarms. */
unsigned baselines_alarm(const Baselines *baselines, Mutator *mutator);

#endif
