/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-strings.c - which programs a kernel may name as its own, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define AGENT 0x40

static const InventedRow rows[] = {
    {"cgroup_root", NULL, 0x240, NULL},
    {NULL, "root_list", 0x10, NULL},
    {NULL, "release_agent_path", AGENT, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t modprobe, core, uevent, poweroff, roots, root;

static void put(uint64_t address, const char *text)
{
    memset(invented_at(&invented, address), 0, 128);
    memcpy(invented_at(&invented, address), text, strlen(text));
}

static void set_up(bool all)
{
    one_check_disown("");
    invented_begin(&invented);
    core = invented_variable(&invented, "core_pattern", 256);
    put(core, "core");
    if (all) {
        modprobe = invented_variable(&invented, "modprobe_path", 256);
        uevent = invented_variable(&invented, "uevent_helper", 256);
        poweroff = invented_variable(&invented, "poweroff_cmd", 256);
        roots = invented_variable(&invented, "cgroup_roots", 16);
        put(modprobe, "/sbin/modprobe");
        put(poweroff, "/sbin/poweroff");
        root = invented_allocate(&invented, 0x240);
        invented_ring(&invented, roots);
        invented_ring_add(&invented, roots, root + 0x10);
    }
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_strings, &invented.kernel);
}

static void assert_clean(void)
{
    run();
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "strings"), ==, 5);
}

static void assert_found(CheckSeverity severity, const char *object, const char *observed)
{
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, severity);
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
    g_assert_cmpstr(one.sightings.items[0].observed, ==, observed);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_strings);
    invented_clear(&invented);
}

static void test_clean(void)
{
    static const char *const patterns[] = {
        "core",
        "/var/crash/core.%p",
        "|/lib/systemd/systemd-coredump %P %u %g %s %t 9223372036854",
        "|/usr/share/apport/apport -p%p",
        "|/bin/false",
        "@@/run/systemd/coredump"};

    set_up(true);
    assert_clean();
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        put(core, patterns[i]);
        assert_clean();
    }
    put(modprobe, "");
    assert_clean();
    put(uevent, "/sbin/mdev");
    put(root + AGENT, "/lib/systemd/systemd-cgroups-agent");
    assert_clean();
    tear_down();
}

static void test_changed(void)
{
    set_up(true);
    put(modprobe, "/tmp/x");
    assert_found(CHECK_COMPROMISED, "modprobe_path", "/tmp/x");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "/sbin/modprobe");
    put(modprobe, "/sbin/modprobe2"); /* begins like a known one */
    assert_found(CHECK_COMPROMISED, "modprobe_path", "/sbin/modprobe2");
    put(modprobe, "/sbin/modprob");
    assert_found(CHECK_COMPROMISED, "modprobe_path", "/sbin/modprob");
    put(modprobe, "/sbin/modprobe");
    put(uevent, "/dev/shm/.h");
    assert_found(CHECK_COMPROMISED, "uevent_helper", "/dev/shm/.h");
    put(uevent, "");
    put(poweroff, "/tmp/root");
    assert_found(CHECK_COMPROMISED, "poweroff_cmd", "/tmp/root");
    put(poweroff, "/sbin/poweroff");
    put(root + AGENT, "/cmd");
    assert_found(CHECK_DEGRADED, "release_agent", "/cmd");
    put(root + AGENT, "");
    assert_clean();
    tear_down();
}

static void test_core_pattern(void)
{
    static const char *const patterns[] = {"|/tmp/collect %p",
                                           "| /tmp/collect",
                                           "|/lib/systemd/systemd-coredump2 %P",
                                           "|/lib/systemd/systemd-core",
                                           "|",
                                           "@/tmp/socket"};

    set_up(true);
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        put(core, patterns[i]);
        assert_found(CHECK_DEGRADED, "core_pattern", patterns[i]);
    }
    memset(invented_at(&invented, core), 'c', 256);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    tear_down();
}

/* Strings without an end, bytes that are no text, a list without an end. */
static void test_hostile(void)
{
    set_up(true);
    memset(invented_at(&invented, modprobe), 0xff, 256);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_true(g_utf8_validate(one.sightings.items[0].observed, -1, NULL));
    put(modprobe, "/sbin/modprobe");
    invented_u64(&invented, root + 0x10, root + 0x10);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

/* What there is is judged all the same. */
static void test_lacking(void)
{
    set_up(false);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "modprobe_path"));
    g_assert_cmpuint(one_check_counter(&one, "strings"), ==, 1);
    put(core, "|/tmp/x");
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/strings/clean", test_clean);
    g_test_add_func("/strings/changed", test_changed);
    g_test_add_func("/strings/core-pattern", test_core_pattern);
    g_test_add_func("/strings/hostile", test_hostile);
    g_test_add_func("/strings/lacking", test_lacking);
    return g_test_run();
}
