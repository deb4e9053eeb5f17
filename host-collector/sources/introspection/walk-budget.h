/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-budget.h - the number of steps a walk through a hostile guest's structures may take
 *
 * A guest can make any list endless; every loop over guest memory takes its steps from one of
 * these, and a budget that ran out makes the view incomplete (MONATT_REASON_BUDGET), never empty.
 */
#ifndef MONATT_INTROSPECTION_WALK_BUDGET_H
#define MONATT_INTROSPECTION_WALK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct WalkBudget {
    uint64_t steps;
    bool exhausted;
} WalkBudget;

static inline bool walk_budget_take(WalkBudget *budget, uint64_t steps)
{
    if (steps > budget->steps) {
        budget->steps = 0;
        budget->exhausted = true;
        return false;
    }
    budget->steps -= steps;
    return true;
}

#endif
