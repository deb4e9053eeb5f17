/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-names.c - the checks that run and the names that records, policies and results have
 */
#include <glib.h>
#include "host-collector/sources/introspection/checks/check.h"
#include "libmonatt/formats/check-records.h"

/* A check without a name here could be recorded and not be required. */
static void test_same_names(void)
{
    uint16_t before = 0;
    for (size_t i = 0; check_table[i]; i++) {
        const Check *check = check_table[i];
        g_test_message("%s", check->name);
        g_assert_cmpstr(monatt_check_name(check->id), ==, check->name);
        g_assert_cmpuint(monatt_check_by_name(check->name), ==, check->id);
        g_assert_cmpuint(check->id, >, before); /* ascending, as records and tables list them */
        g_assert_cmpuint(check->id, <, 32);     /* bits of a policy's set */
        before = check->id;
    }
    g_assert_cmpuint(before, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-names/same", test_same_names);
    return g_test_run();
}
