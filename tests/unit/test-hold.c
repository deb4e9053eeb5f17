/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-hold.c - one hold, its position, and the three ways it ends
 */
#include <glib.h>
#include "hw-attest/hold.h"

static Registers registers;

static void test_limit(void)
{
    Hold hold = {0};
    MonattError err = {0};
    g_assert_cmpuint(hold_limit(&hold, 30, 0), ==, 30);
    g_assert_true(hold_begin(&hold, 1, 20, &registers, 0, 100, &err));
    g_assert_cmpuint(hold_limit(&hold, 10, 0), ==, 10);
    g_assert_cmpuint(hold_limit(&hold, 20, 0), ==, 20);
    g_assert_cmpuint(hold_limit(&hold, 30, 99), ==, 20);
    g_assert_cmpuint(hold_limit(&hold, 30, 100), ==, 30);
    g_assert_false(hold.active);
}

static void test_refuses_second(void)
{
    Hold hold = {0};
    MonattError err = {0};
    g_assert_true(hold_begin(&hold, 1, 20, &registers, 0, 100, &err));
    g_assert_false(hold_begin(&hold, 1, 21, &registers, 50, 100, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    err = (MonattError){0};
    g_assert_false(hold_begin(&hold, 2, 21, &registers, 50, 100, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    g_assert_cmpuint(hold.position, ==, 20);
    err = (MonattError){0};
    g_assert_true(hold_begin(&hold, 2, 22, &registers, 100, 200, &err));
    g_assert_cmpuint(hold.position, ==, 22);
}

static void test_ends_with_its_connection(void)
{
    Hold hold = {0};
    MonattError err = {0};
    g_assert_true(hold_begin(&hold, 1, 20, &registers, 0, 100, &err));
    hold_end_of(&hold, 0);
    g_assert_true(hold_active(&hold, 1));
    hold_end_of(&hold, 1);
    g_assert_false(hold_active(&hold, 1));
}

static void test_quote_outlives_the_time(void)
{
    Hold hold = {0};
    MonattError err = {0};
    g_assert_true(hold_begin(&hold, 1, 20, &registers, 0, 100, &err));
    hold.quoting = true;
    g_assert_cmpuint(hold_limit(&hold, 30, 5000), ==, 20);
    hold_end(&hold);
    g_assert_cmpuint(hold_limit(&hold, 30, 5000), ==, 30);
    g_assert_true(hold_begin(&hold, 1, 25, &registers, 5000, 5100, &err));
    g_assert_false(hold_active(&hold, 5100));
}

static void test_log_end(void)
{
    Hold hold = {0};
    MonattError err = {0};
    g_assert_false(hold_wants_log_end(&hold, 0, 30));
    g_assert_true(hold_begin(&hold, 1, 20, &registers, 0, 100, &err));
    g_assert_true(hold_wants_log_end(&hold, 0, 20));
    g_assert_true(hold_wants_log_end(&hold, 19, 30));
    g_assert_false(hold_wants_log_end(&hold, 0, 19));
    g_assert_false(hold_wants_log_end(&hold, 20, 30));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hold/limit", test_limit);
    g_test_add_func("/hold/refuses-second", test_refuses_second);
    g_test_add_func("/hold/ends-with-its-connection", test_ends_with_its_connection);
    g_test_add_func("/hold/quote-outlives-the-time", test_quote_outlives_the_time);
    g_test_add_func("/hold/log-end", test_log_end);
    return g_test_run();
}
