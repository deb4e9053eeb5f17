/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bounds.h - exact 95 % bounds (Clopper and Pearson) of a share that was counted
 */
#ifndef MONATT_TESTS_BOUNDS_H
#define MONATT_TESTS_BOUNDS_H

#include <math.h>

/* P[X >= k] of n tries with chance p. */
static inline double bounds_tail(unsigned long k, unsigned long n, double p)
{
    double sum = 0;
    if (k == 0 || p >= 1) {
        return 1;
    }
    if (p <= 0) {
        return 0;
    }
    for (unsigned long i = k; i <= n; i++) {
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                   (double)i * log(p) + (double)(n - i) * log1p(-p));
    }
    return sum < 1 ? sum : 1;
}

/* The p at which P[X >= k] is chance. */
static inline double bounds_solve(unsigned long k, unsigned long n, double chance)
{
    double low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (bounds_tail(k, n, middle) < chance) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

static inline double bounds_lower(unsigned long k, unsigned long n)
{
    return k == 0 || n == 0 ? 0 : bounds_solve(k, n, 0.025);
}

static inline double bounds_upper(unsigned long k, unsigned long n)
{
    return k >= n ? 1 : bounds_solve(k + 1, n, 0.975);
}

#endif
