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

/* As loadvm does it in QEMU 11.1: STOP, wire RESET, RESUME, and no word of QMP's. */
static Reset restorable(void)
{
    Reset reset = connected();
    reset.can_restore = true;
    reset_stop(&reset, 10000);
    return reset;
}

static void assert_restored(Reset *reset, int64_t now_ms, bool restored)
{
    /* Until it is known which it was, nothing is answered as if all were well. */
    g_assert_cmpint(reset_pending(reset, now_ms + RESET_PAIR_MS), ==, restored);
    g_assert_cmpint(reset_pending(reset, now_ms + RESET_PAIR_MS + 1), ==, restored);
    g_assert_false(reset_pending(reset, now_ms + RESET_PAIR_MS + 1));
    g_assert_cmpint(reset->restored, ==, restored);
}

static void test_restored(void)
{
    Reset reset = restorable();
    g_assert_false(reset_wire(&reset, 10010));
    reset_resume(&reset, 10020);
    assert_restored(&reset, 10010, true);
    /* Only a boot ends it. */
    g_assert_false(reset_wire(&reset, 20000));
    g_assert_false(reset_pending(&reset, 30000));
    g_assert_true(reset.restored);
    g_assert_false(reset_wire(&reset, 40000));
    g_assert_true(reset_qmp(&reset, 40001));
    g_assert_false(reset.restored);
    /* The other thread was quicker, or slower. */
    reset = connected();
    reset.can_restore = true;
    g_assert_false(reset_wire(&reset, 10000));
    reset_stop(&reset, 10000 + RESET_SLACK_MS);
    assert_restored(&reset, 10000, true);
    reset = restorable();
    reset_resume(&reset, 10050);
    g_assert_false(reset_wire(&reset, 10050 + RESET_SLACK_MS));
    assert_restored(&reset, 10050 + RESET_SLACK_MS, true);
    /* A guest that resets its bus at once, again and again, hides nothing. */
    reset = restorable();
    g_assert_false(reset_wire(&reset, 10010));
    reset_resume(&reset, 10020);
    for (int64_t t = 11000; t < 20000; t += 1000) {
        g_assert_false(reset_wire(&reset, t));
        g_assert_true(reset_pending(&reset, t));
    }
    assert_restored(&reset, 19000, true);
}

static void test_not_restored(void)
{
    Reset reset = restorable();
    g_assert_false(reset_wire(&reset, 10010));
    g_assert_true(reset_qmp(&reset, 10011)); /* system_reset of a stopped VM */
    assert_restored(&reset, 10010, false);
    reset = restorable();
    reset.can_restore = false; /* QEMU refuses it on that wire */
    g_assert_false(reset_wire(&reset, 10010));
    assert_restored(&reset, 10010, false);
    reset = restorable();
    reset_resume(&reset, 10020);
    g_assert_false(reset_wire(&reset, 10021 + RESET_SLACK_MS)); /* a bus reset by the guest */
    assert_restored(&reset, 10021 + RESET_SLACK_MS, false);
    reset = restorable();
    reset.monitor = false; /* QEMU realizes the device, with -S */
    g_assert_false(reset_wire(&reset, 10010));
    reset.monitor = true;
    reset_stop(&reset, 10020);
    assert_restored(&reset, 10010, false);
    reset = restorable();
    reset.attaching = true; /* a device process in place of a dead one */
    g_assert_false(reset_wire(&reset, 10010));
    assert_restored(&reset, 10010, false);
}

static void test_wakeup(void)
{
    Reset reset = connected();
    reset_guest_used(&reset);
    g_assert_false(reset_wire(&reset, 1000));
    g_assert_true(reset_pending(&reset, 1001));
    reset_wakeup(&reset);
    g_assert_false(reset_pending(&reset, 1002));
    /* And does not pair with the next reboot's QMP RESET, which waits for its own. */
    g_assert_false(reset_qmp(&reset, 1003));
    g_assert_true(reset_wire(&reset, 1004));
    reset = restorable();
    g_assert_false(reset_wire(&reset, 10010));
    reset_wakeup(&reset);
    assert_restored(&reset, 10010, true);
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
    g_test_add_func("/reset/restored", test_restored);
    g_test_add_func("/reset/not-restored", test_not_restored);
    g_test_add_func("/reset/wakeup", test_wakeup);
    return g_test_run();
}
