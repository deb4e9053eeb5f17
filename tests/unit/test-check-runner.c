/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-runner.c - what lasts is a finding, what vanishes was a race, what nobody could see
 * again stays open
 *
 * The checks, the owners of code and the guest's clocks are of the test's making: they take the
 * places of check-table.c, owner.c and guest-clocks.c.
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-runner.h"

#define DEADLINE_MS 20000 /* what settles, settles in 0.3 s; a loaded machine may take long */
#define SHORT_MS 250
#define EVERY UINT64_MAX

static gboolean stalled;
static guint runs[2]; /* of each check, in the test at hand */
static void (*script[2])(CheckContext *context, guint run);
static guint cleared;

void guest_clocks_clear(GuestClocks *clocks)
{
    (void)clocks;
}
void guest_clocks_mark(GuestClocks *clocks)
{
    (void)clocks;
}
bool guest_clocks_advanced(GuestClocks *clocks)
{
    (void)clocks;
    return !stalled;
}

static char owners;
Owners *owners_read(GuestKernel *kernel, WalkBudget *budget)
{
    (void)kernel;
    (void)budget;
    return (Owners *)&owners;
}
void owners_free(Owners *map)
{
    (void)map;
}
void owners_find(const Owners *map, uint64_t address, Owner *ret_owner)
{
    (void)map;
    (void)address;
    memset(ret_owner, 0, sizeof(*ret_owner));
}
const char *owner_kind_name(OwnerKind kind)
{
    (void)kind;
    return "none";
}

static void run_one(CheckContext *context)
{
    *context->state = &cleared;
    script[0](context, runs[0]++);
}
static void run_two(CheckContext *context)
{
    if (script[1]) {
        script[1](context, runs[1]++);
    }
}
static void clear(void *state)
{
    g_assert_true(state == &cleared);
    cleared++;
}
static const Check one = {MONATT_SUBCHECK_MODULES, "modules", "modules", run_one, clear, "maps"};
static const Check two = {MONATT_SUBCHECK_BPF, "bpf", NULL, run_two, NULL};
const Check *const check_table[] = {&one, &two, NULL};
const Check *check_by_id(uint16_t id)
{
    return id == one.id ? &one : id == two.id ? &two : NULL;
}
const Check *check_by_name(const char *name)
{
    return strcmp(name, one.name) == 0 ? &one : NULL;
}

static CheckReport report;
static bool blind;
static void measure(void (*first)(CheckContext *, guint), void (*second)(CheckContext *, guint),
                    unsigned deadline_ms)
{
    static GuestKernel kernel;
    static GuestClocks clocks;
    static const CheckInputs inputs;
    CheckRunner *runner = check_runner_new();
    script[0] = first;
    script[1] = second;
    runs[0] = runs[1] = 0;
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, deadline_ms, NULL, &report);
    check_runner_free(runner);
    g_assert_cmpuint(report.result_count, ==, 2);
}

static void find(CheckContext *context, uint64_t address, const char *object)
{
    check_found(context, CHECK_COMPROMISED, address, object, "", "", "", "seen");
}
static void lasts(CheckContext *context, guint run)
{
    (void)run;
    find(context, 0x1000, "evil");
}
static void nothing(CheckContext *context, guint run)
{
    (void)context;
    (void)run;
}
static void races(CheckContext *context, guint run)
{
    if (run == 0) {
        find(context, 0x1000, "a module being loaded");
    }
}
/* Another one each time: none of them lasts. */
static void changes(CheckContext *context, guint run)
{
    find(context, 0x1000 + run, "a race");
}
/* A place where there is always something, and never the same. */
static void flips(CheckContext *context, guint run)
{
    find(context, 0x1000, "a module being freed");
    check_generation(context, run + 1);
}
/* The same, until it stays. */
static void flips_and_lasts(CheckContext *context, guint run)
{
    find(context, 0x1000, "evil");
    check_generation(context, run < 4 ? run + 1 : 100);
}
static void twice_blind(CheckContext *context, guint run)
{
    if (run == 1 || run == 2) {
        check_reason(context, MONATT_REASON_TORN, "torn");
        return;
    }
    find(context, 0x1000, "evil");
}
static void too_many(CheckContext *context, guint run)
{
    char object[32];
    (void)run;
    for (uint32_t i = 0; i < CHECK_SIGHTINGS + 5; i++) {
        g_snprintf(object, sizeof(object), "object %u", i);
        find(context, 0x1000 + i % 7, object);
    }
}
/* All but the first thousand vanish: those that stay are still found by their identity. */
static void many_vanish(CheckContext *context, guint run)
{
    for (uint32_t i = 0; i < CHECK_SIGHTINGS; i++) {
        if (run == 0 || i % 64 == 0) {
            find(context, 0x1000 + i, "x");
        }
    }
}

/* Slow in its second run, as a guest may make a check. */
static void slow(CheckContext *context, guint run)
{
    if (run > 0) {
        g_usleep((SHORT_MS + 50) * 1000);
    }
    find(context, 0x1000, "evil");
}
static void flood(CheckContext *context, guint run)
{
    (void)run;
    while (check_step(context)) {
        find(context, 0x1000, "evil");
        g_assert_cmpuint(context->sightings->beyond, <=, CHECK_STEPS / 16);
    }
}

/* A check that makes the deadline pass is the last one that is run again. */
static void test_slow(void)
{
    measure(slow, lasts, SHORT_MS);
    g_assert_cmpuint(runs[0], <=, 2);
    g_assert_cmpuint(runs[1], ==, 1);
    g_assert_cmpuint(report.results[1].unsettled, ==, 1);
    g_assert_cmpuint(report.results[1].reason, ==, MONATT_REASON_BUDGET);
}

/* Sightings without an end take of the budget, and end as a reason. */
static void test_flood(void)
{
    measure(flood, nothing, SHORT_MS);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_BUDGET);
    g_assert_cmpuint(report.results[0].unsettled, >, CHECK_SIGHTINGS);
}

static void test_persists(void)
{
    measure(lasts, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.findings[0].sightings, ==, CHECK_RUNNER_SCANS);
    g_assert_cmpuint(report.findings[0].check, ==, MONATT_SUBCHECK_MODULES);
    g_assert_cmpuint(report.results[0].findings, ==, 1);
    g_assert_cmpuint(report.results[0].unsettled, ==, 0);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(report.results[0].passes, >=, CHECK_RUNNER_SCANS);
    /* The gaps: three looks 100 ms apart. */
    g_assert_cmpuint(report.t1_ns - report.t0_ns, >=,
                     (CHECK_RUNNER_SCANS - 1) * CHECK_RUNNER_GAP_MS * 1000000ull);
    /* What saw nothing is not run again. */
    g_assert_cmpuint(runs[1], ==, 1);
    g_assert_cmpuint(report.results[1].findings, ==, 0);
}

static void test_race(void)
{
    measure(races, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 0);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(runs[0], ==, 2);
    measure(changes, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 0);
}

/* Neither a finding nor nothing: who changes what he left between two looks is not healthy. */
static void test_generations(void)
{
    measure(flips, nothing, 1000);
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 1);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_BUDGET);
    g_assert_cmpuint(report.results[1].reason, ==, MONATT_REASON_NONE);
    measure(flips_and_lasts, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.findings[0].sightings, ==, CHECK_RUNNER_SCANS);
    g_assert_cmpuint(report.results[0].unsettled, ==, 0);
    g_assert_cmpuint(runs[0], >=, 4 + CHECK_RUNNER_SCANS);
}

static void test_stalled(void)
{
    stalled = TRUE;
    measure(lasts, nothing, SHORT_MS);
    stalled = FALSE;
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 1);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_STALLED);
    g_assert_cmpuint(report.results[1].reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(runs[0], ==, 1);
}

static void test_no_time(void)
{
    measure(lasts, nothing, 0);
    g_assert_cmpuint(report.finding_count, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 1);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_BUDGET);
}

static void test_incomplete_keeps(void)
{
    measure(twice_blind, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(runs[0], ==, CHECK_RUNNER_SCANS + 2);
}

static void test_too_many(void)
{
    measure(too_many, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, CHECK_FINDINGS);
    g_assert_cmpuint(report.results[0].findings, ==, CHECK_SIGHTINGS);
    /* The five that had no room are not forgotten: the verdict is unknown besides. */
    g_assert_cmpuint(report.results[0].unsettled, ==, 5);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_BUDGET);
}

static void test_many_vanish(void)
{
    measure(many_vanish, nothing, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, CHECK_SIGHTINGS / 64);
    for (uint32_t i = 0; i < report.finding_count; i++) {
        g_assert_cmpuint(report.findings[i].address, ==, 0x1000 + 64 * i);
    }
}

/* The same identity by two checks is two things. */
static void test_two_checks(void)
{
    measure(lasts, lasts, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 2);
    g_assert_cmpuint(report.results[0].findings, ==, 1);
    g_assert_cmpuint(report.results[1].findings, ==, 1);
    measure(races, lasts, DEADLINE_MS);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.findings[0].check, ==, MONATT_SUBCHECK_BPF);
}

static void test_look(void)
{
    static GuestKernel kernel;
    static const CheckInputs inputs;
    CheckRunner *runner = check_runner_new();
    script[0] = lasts;
    script[1] = NULL;
    check_runner_look(runner, &kernel, &inputs, EVERY, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.findings[0].sightings, ==, 1);
    g_assert_cmpuint(report.results[0].findings, ==, 0);
    g_assert_cmpuint(report.results[0].unsettled, ==, 1);
    cleared = 0;
    check_runner_forget(runner);
    g_assert_cmpuint(cleared, ==, 1);
    check_runner_free(runner);
    g_assert_cmpuint(cleared, ==, 1);
}

static uint32_t bit_of(const char *table)
{
    return 1u << (table_form(table) - table_forms);
}

static void test_wanted(void)
{
    g_assert_cmpuint(check_runner_wanted(EVERY, 0), ==, 3);
    g_assert_cmpuint(check_runner_wanted(1ull << MONATT_SUBCHECK_BPF, 0), ==, 2);
    g_assert_cmpuint(check_runner_wanted(0, bit_of("modules")), ==, 1);
    g_assert_cmpuint(check_runner_wanted(0, bit_of("maps")), ==, 1); /* its second table */
    g_assert_cmpuint(check_runner_wanted(0, bit_of("sockets")), ==, 0);
    check_runner_without_kernel(2, "no\x1bkernel", &report);
    g_assert_cmpuint(report.result_count, ==, 1);
    g_assert_cmpuint(report.results[0].check, ==, MONATT_SUBCHECK_BPF);
    g_assert_cmpuint(report.results[0].reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpstr(report.results[0].text, ==, "no?kernel");
}

static void may_be_blind(CheckContext *context, guint run)
{
    (void)run;
    if (blind) {
        check_lacks(context, "symbol 'gone'");
    }
}

/* What could be read in this boot, with no more from the host, and cannot be any more. */
static void test_blinded(void)
{
    static GuestKernel kernel;
    static GuestClocks clocks;
    static uint8_t image[1];
    static CheckInputs inputs;
    CheckRunner *runner = check_runner_new();

    script[0] = may_be_blind;
    script[1] = NULL;
    blind = true; /* from the start: it is the kernel's fault */
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, DEADLINE_MS, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 0);
    blind = false;
    inputs.image = image;
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, DEADLINE_MS, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 0);
    blind = true;
    inputs.image = NULL; /* the host gives less: nothing follows from that */
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, DEADLINE_MS, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 0);
    inputs.image = image;
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, DEADLINE_MS, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.findings[0].severity, ==, CHECK_DEGRADED);
    g_assert_cmpstr(report.findings[0].object, ==, "modules");
    g_assert_cmpstr(report.findings[0].observed, ==, "this kernel has no symbol 'gone'");
    check_runner_forget(runner); /* another boot */
    check_runner_measure(runner, &kernel, &clocks, &inputs, EVERY, DEADLINE_MS, NULL, &report);
    g_assert_cmpuint(report.finding_count, ==, 0);
    check_runner_free(runner);
    blind = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check-runner/slow", test_slow);
    g_test_add_func("/check-runner/flood", test_flood);
    g_test_add_func("/check-runner/persists", test_persists);
    g_test_add_func("/check-runner/race", test_race);
    g_test_add_func("/check-runner/generations", test_generations);
    g_test_add_func("/check-runner/stalled", test_stalled);
    g_test_add_func("/check-runner/no-time", test_no_time);
    g_test_add_func("/check-runner/incomplete-keeps", test_incomplete_keeps);
    g_test_add_func("/check-runner/too-many", test_too_many);
    g_test_add_func("/check-runner/many-vanish", test_many_vanish);
    g_test_add_func("/check-runner/two-checks", test_two_checks);
    g_test_add_func("/check-runner/look", test_look);
    g_test_add_func("/check-runner/blinded", test_blinded);
    g_test_add_func("/check-runner/wanted", test_wanted);
    return g_test_run();
}
