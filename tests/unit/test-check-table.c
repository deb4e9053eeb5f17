/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-table.c - the table of checks is one that records, policy and command line can name
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check.h"
#include "libmonatt/formats/record-payloads.h"

static void test_names(void)
{
    size_t count = 0;
    for (size_t i = 0; check_table[i]; i++, count++) {
        const Check *check = check_table[i];
        g_assert_cmpstr(check->name, ==, monatt_sub_check_name(check->id));
        g_assert_true(check_by_id(check->id) == check);
        g_assert_true(check_by_name(check->name) == check);
        g_assert_true(i == 0 || check_table[i - 1]->id < check->id);
        g_assert_cmpuint(check->id, <, CHECKS_MAXIMUM); /* a bit of a request */
    }
    g_assert_cmpuint(count, >, 0);
    g_assert_cmpstr(monatt_sub_check_name(0), ==, "unknown-check");
    g_assert_cmpstr(monatt_sub_check_name(UINT16_MAX), ==, "unknown-check");
}

/* A table that nobody fills would always be shown as unknown. */
static void test_tables(void)
{
    for (size_t i = 0; table_forms[i].name; i++) {
        bool filled = false;
        for (size_t k = 0; check_table[k]; k++) {
            const Check *check = check_table[k];
            filled = filled || g_strcmp0(check->table, table_forms[i].name) == 0 ||
                     g_strcmp0(check->also, table_forms[i].name) == 0;
        }
        if (!filled) {
            g_error("table '%s': no check fills it", table_forms[i].name);
        }
    }
    for (size_t k = 0; check_table[k]; k++) {
        g_assert_true(!check_table[k]->table || table_form(check_table[k]->table));
        g_assert_true(!check_table[k]->also || table_form(check_table[k]->also));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-table/names", test_names);
    g_test_add_func("/check-table/tables", test_tables);
    return g_test_run();
}
