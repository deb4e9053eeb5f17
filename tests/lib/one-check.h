/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * one-check.h - one pass of one check over an invented kernel, with code owners of the test's
 * choice
 *
 * Takes the place of introspection's owner.c: a program that uses this must not use both.
 */
#ifndef MONATT_TESTS_ONE_CHECK_H
#define MONATT_TESTS_ONE_CHECK_H

#include "host-collector/sources/introspection/checks/check.h"

typedef struct OneCheck {
    void *state; /* the check's, between passes */
    CheckResult result;
    CheckSightings sightings;
    Table table; /* of the last pass */
    CheckInputs inputs;
    CheckReference *reference; /* the measured kernel, laid out by the test; NULL: none */
} OneCheck;

/* Core text is the invented kernel's; the rest is given here. */
void one_check_own(uint64_t start, uint64_t end, OwnerKind kind, const char *name, bool hidden);
/* Forgets all of them; missing: what owners_missing() says. */
void one_check_disown(const char *missing);
void one_check_run(OneCheck *one, const Check *check, GuestKernel *kernel);
void one_check_clear(OneCheck *one, const Check *check);
/* The value of a counter; UINT64_MAX: there is none. */
uint64_t one_check_counter(const OneCheck *one, const char *name);
/* The first cell of this column in the row whose column key holds value; false: no such row. */
bool one_check_cell(const OneCheck *one, const char *key, const char *value, const char *column,
                    TableCell *ret_cell);

#endif
