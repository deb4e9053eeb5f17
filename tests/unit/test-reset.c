/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-reset.c - only wire and QMP together are a boot, and several of them at once are one
 */
#include <glib.h>
#include "hw-attest/reset.h"

static Reset connected(void)
{
    Reset reset;
    reset_init(&reset);
    reset.monitor = true;
    return reset;
}

static void test_wire_alone(void)
{
    Reset reset = connected();
    reset_guest_used(&reset);
    for (int64_t t = 0; t < 60000; t += 100) {
        g_assert_false(reset_wire(&reset, t));
    }
    g_assert_true(reset_pending(&reset, 60000));
    g_assert_false(reset_pending(&reset, 59900 + RESET_PAIR_MS + 1));
    /* Forgotten: QMP's word for something later does not meet it. */
    g_assert_false(reset_qmp(&reset, 59900 + RESET_PAIR_MS + 2));
}

static void test_qmp_alone(void)
{
    Reset reset = connected();
    for (int64_t t = 0; t < 60000; t += 100) {
        g_assert_false(reset_qmp(&reset, t));
    }
    g_assert_false(reset_pending(&reset, 60000));
}

static void test_pair_in_either_order(void)
{
    Reset reset = connected();
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_true(reset_qmp(&reset, 1005));
    reset_guest_used(&reset);
    g_assert_false(reset_qmp(&reset, 5000));
    g_assert_true(reset_wire(&reset, 5005));
    g_assert_false(reset_pending(&reset, 5006));
}

static void test_pair_too_far_apart(void)
{
    Reset reset = connected();
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_false(reset_qmp(&reset, 1000 + RESET_PAIR_MS + 1));
    /* The newer one waits on. */
    g_assert_true(reset_wire(&reset, 1000 + RESET_PAIR_MS + 2));
    reset = connected();
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_true(reset_qmp(&reset, 1000 + RESET_PAIR_MS));
}

static void test_several_are_one(void)
{
    Reset reset = connected();
    int boots = 0;
    for (int64_t t = 1000; t < 1000 + RESET_MERGE_MS; t += 50) {
        boots += reset_wire(&reset, t);
        boots += reset_qmp(&reset, t + 3);
    }
    g_assert_cmpint(boots, ==, 1);
    g_assert_false(reset_wire(&reset, 1003 + RESET_MERGE_MS + 1));
    g_assert_true(reset_qmp(&reset, 1003 + RESET_MERGE_MS + 2));
}

/* A guest that extended since is another boot, however fast it was. */
static void test_guest_between(void)
{
    Reset reset = connected();
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_true(reset_qmp(&reset, 1001));
    g_assert_false(reset_wire(&reset, 1010));
    reset_guest_used(&reset);
    g_assert_true(reset_qmp(&reset, 1011));
}

static void test_without_monitor(void)
{
    Reset reset = connected();
    reset.monitor = false;
    reset_guest_used(&reset);
    g_assert_false(reset_wire(&reset, 1000));
    /* Nobody can say what it was: extends stay busy. */
    g_assert_true(reset_pending(&reset, 1000000));
}

/* QEMU resets the device when it makes it; nothing ran before. */
static void test_first_reset_holds_nothing_up(void)
{
    Reset reset = connected();
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_false(reset_pending(&reset, 1001));
    reset_guest_used(&reset);
    g_assert_true(reset_pending(&reset, 1002));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reset/refuses-wire-alone", test_wire_alone);
    g_test_add_func("/reset/refuses-qmp-alone", test_qmp_alone);
    g_test_add_func("/reset/pair-in-either-order", test_pair_in_either_order);
    g_test_add_func("/reset/refuses-pair-too-far-apart", test_pair_too_far_apart);
    g_test_add_func("/reset/several-are-one", test_several_are_one);
    g_test_add_func("/reset/guest-between-makes-two", test_guest_between);
    g_test_add_func("/reset/busy-without-monitor", test_without_monitor);
    g_test_add_func("/reset/first-one-holds-nothing-up", test_first_reset_holds_nothing_up);
    return g_test_run();
}
