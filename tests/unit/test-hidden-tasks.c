/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-hidden-tasks.c - when a difference between views becomes a finding, and when it must not
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host-collector/sources/introspection/hidden-tasks.h"
#include "tests/lib/guest-image.h"

#define DEADLINE_MS 20000 /* what settles, settles in 0.3 s; a loaded machine may take long */
#define SHORT_MS 450      /* for what never settles */
#define LIST MONATT_VIEW_BIT(MONATT_VIEW_LIST)
#define IDR MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR)
#define QUEUES MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES)
#define SLAB MONATT_VIEW_BIT(MONATT_VIEW_SLAB)
#define GROUPS MONATT_VIEW_BIT(MONATT_VIEW_CGROUPS)
#define CR3 MONATT_VIEW_BIT(MONATT_VIEW_CR3)
#define GUEST MONATT_VIEW_BIT(MONATT_VIEW_GUEST_LIST)

static uint8_t image[IMAGE_SIZE];
static GuestMemory memory;
static GuestClocks clocks;
static HiddenTasks tasks;
static MonattTaskReport report;
static const uint8_t nonce[MONATT_NONCE_SIZE] = {7};
static const uint8_t other_nonce[MONATT_NONCE_SIZE] = {8};

/* What happens to the guest while it is measured: called in a thread, every 20 ms. */
typedef void Life(unsigned long step);
static Life *life;
static gint living;
static unsigned long run_ns;
static char state;

static void write_clock(void)
{
    char text[128];
    int size = snprintf(text, sizeof(text), "%lu 0 0\n", run_ns);
    g_assert_cmpint(pwrite(clocks.vcpus[0].run_fd, text, (size_t)size, 0), ==, size);
    size = snprintf(text, sizeof(text), "17 (CPU 0/TCG) x) %c 1 1\n", state);
    g_assert_cmpint(pwrite(clocks.vcpus[0].state_fd, text, (size_t)size, 0), ==, size);
}

static gpointer live(gpointer unused)
{
    for (unsigned long step = 0; g_atomic_int_get(&living); step++) {
        life(step);
        write_clock();
        g_usleep(20000);
    }
    return NULL;
}

static void runs(unsigned long step)
{
    run_ns += 15000000; /* of 20 ms: more than the 10 that a gap takes */
}

static void stands(unsigned long step)
{
}

static void set_up(void)
{
    MonattError err = {0};

    guest_image_fill(image, sizeof(image));
    guest_memory_init_bytes(&memory, 0, image, sizeof(image));
    run_ns = 1000;
    state = 'R';
    clocks.count = 1;
    clocks.vcpus[0].run_fd = memfd_create("schedstat", MFD_CLOEXEC);
    clocks.vcpus[0].state_fd = memfd_create("stat", MFD_CLOEXEC);
    write_clock();
    g_assert_true(hidden_tasks_init(&tasks, &memory, &clocks, &err));
}

static void tear_down(void)
{
    hidden_tasks_clear(&tasks);
    guest_clocks_clear(&clocks);
}

static void measure_with(Life *how, const void *list, size_t size, unsigned deadline_ms)
{
    GThread *thread;

    life = how;
    g_atomic_int_set(&living, 1);
    thread = g_thread_new("guest", live, NULL);
    hidden_tasks_measure(&tasks, list, size, nonce, deadline_ms, &report);
    g_atomic_int_set(&living, 0);
    g_thread_join(thread);
}

static void test_clean(void)
{
    set_up();
    measure_with(stands, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_cmpuint(report.summary.unsettled, ==, 0);
    g_assert_cmpuint(report.summary.reason, ==, MONATT_REASON_NONE);
    g_assert_cmphex(report.summary.views_read, ==, report.summary.views_wanted);
    g_assert_cmpuint(report.summary.scans, ==, 1); /* nothing to settle: no time is spent */
    g_assert_cmpuint(report.summary.view_count, ==, 5);
    g_assert_cmpuint(report.summary.views[0].tasks, ==, IMAGE_TASKS - 1);
    g_assert_cmpuint(report.summary.views[1].tasks, ==, IMAGE_TASKS);
    g_assert_cmpuint(report.summary.total_forks, ==, 77);
    g_assert_cmpstr(report.kernel, ==, "6.1.0-invented");
    g_assert_cmpuint(report.t1_ns, >=, report.t0_ns);
    tear_down();
}

static void test_hidden(void)
{
    set_up();
    guest_image_unlink(image, IMAGE_VICTIM);
    guest_image_clear_pid(image, IMAGE_VICTIM);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 1);
    g_assert_cmpuint(report.finding_count, ==, 1);
    g_assert_cmpuint(report.summary.unsettled, ==, 0);
    g_assert_cmpuint(report.findings[0].pid, ==, IMAGE_VICTIM);
    g_assert_cmpstr(report.findings[0].command, ==, "evil-daemon");
    g_assert_cmphex(report.findings[0].views_absent, ==, LIST | IDR);
    g_assert_cmphex(report.findings[0].views_present, ==, SLAB | GROUPS);
    g_assert_cmpuint(report.findings[0].scans, ==, HIDDEN_TASKS_SCANS);
    g_assert_cmpuint(report.findings[0].uid, ==, 1000);
    g_assert_cmpstr(report.findings[0].text, ==,
                    "shown by task slab, cgroups, not by task list, pid IDR");
    tear_down();
}

/* It runs, by the register of its vCPU, and neither list has it: two looks are enough. */
static void test_running(void)
{
    const uint64_t root = IMAGE_PROCESS_ROOT(IMAGE_VICTIM);

    set_up();
    hidden_tasks_roots(&tasks, &root, 1);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_cmphex(report.summary.views_read, ==, LIST | IDR | QUEUES | SLAB | GROUPS | CR3);
    guest_image_unlink(image, IMAGE_VICTIM);
    measure_with(runs, NULL, 0, DEADLINE_MS); /* one of the lists: the rule of all */
    g_assert_cmpuint(report.findings[0].scans, ==, HIDDEN_TASKS_SCANS);
    guest_image_clear_pid(image, IMAGE_VICTIM);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 1);
    g_assert_cmpuint(report.findings[0].pid, ==, IMAGE_VICTIM);
    g_assert_cmphex(report.findings[0].views_present, ==, SLAB | GROUPS | CR3);
    g_assert_cmpuint(report.findings[0].scans, ==, HIDDEN_TASKS_RUNNING_SCANS);
    hidden_tasks_roots(&tasks, NULL, 0);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.findings[0].scans, ==, HIDDEN_TASKS_SCANS);
    g_assert_cmphex(report.summary.views_wanted & CR3, ==, 0);
    tear_down();
}

static void appears(unsigned long step)
{
    runs(step);
    if (step == 8) { /* after the first scan and before the third */
        guest_image_put_u64(image, IMAGE_IDR_NODE + IMAGE_NODE_SLOTS + 8ull * IMAGE_VICTIM,
                            IMAGE_DIRECT + 0x50000 + IMAGE_VICTIM * 0x40);
    }
}

static void test_race(void)
{
    set_up();
    guest_image_clear_pid(image, IMAGE_VICTIM);
    measure_with(appears, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_cmpuint(report.summary.unsettled, ==, 0);
    g_assert_cmpuint(report.summary.reason, ==, MONATT_REASON_NONE);
    tear_down();
}

static void becomes_another(unsigned long step)
{
    runs(step);
    /* The same pid at the same address: exited, and another one started there. */
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x78, 5000 + step);
}

static void test_identity(void)
{
    set_up();
    guest_image_clear_pid(image, IMAGE_VICTIM);
    measure_with(becomes_another, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    tear_down();
}

static void sleeps(unsigned long step)
{
    run_ns += 1000; /* an idle guest's tick */
    state = 'S';
}

static void pauses(unsigned long step)
{
    state = 'S';
}

static void test_progress(void)
{
    static const struct {
        Life *how;
        uint32_t findings;
    } lives[] = {{runs, 1}, {sleeps, 1}, {stands, 0}, {pauses, 0}};

    for (size_t i = 0; i < G_N_ELEMENTS(lives); i++) {
        set_up();
        guest_image_unlink(image, IMAGE_VICTIM);
        measure_with(lives[i].how, NULL, 0, lives[i].findings ? DEADLINE_MS : SHORT_MS);
        g_assert_cmpuint(report.summary.findings, ==, lives[i].findings);
        g_assert_cmpuint(report.summary.unsettled, ==, 1 - lives[i].findings);
        g_assert_cmpuint(report.summary.reason, ==,
                         lives[i].findings ? MONATT_REASON_NONE : MONATT_REASON_STALLED);
        tear_down();
    }
    /* No clocks at all: never a finding. */
    set_up();
    guest_clocks_clear(&clocks);
    guest_image_unlink(image, IMAGE_VICTIM);
    hidden_tasks_measure(&tasks, NULL, 0, nonce, SHORT_MS, &report);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_cmpuint(report.summary.reason, ==, MONATT_REASON_STALLED);
    tear_down();
}

static void test_not_whole(void)
{
    set_up();
    guest_image_put_u64(image, IMAGE_IDR_HEAD, 0);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0); /* all of them "lack" the IDR: not said */
    g_assert_cmpuint(report.summary.reason, ==, MONATT_REASON_TORN);
    g_assert_cmphex(report.summary.views_read & IDR, ==, 0);
    g_assert_false(report.views[MONATT_VIEW_PID_IDR].complete);
    tear_down();
    set_up();
    memset(image + IMAGE_NOTE, 0, GUEST_PAGE_SIZE);
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmphex(report.summary.views_read, ==, 0);
    g_assert_nonnull(strstr(report.summary.text, "no VMCOREINFO"));
    tear_down();
}

/* A guest's list of all its processes but one; the thread is none. */
static size_t make_list(uint8_t *bytes, size_t capacity, const uint8_t *bound_to, uint32_t without)
{
    MonattWriter w;
    size_t size;

    monatt_writer_init(&w, bytes, capacity);
    monatt_guest_list_begin(&w, bound_to, without ? IMAGE_TASKS - 2 : IMAGE_TASKS - 1);
    for (uint32_t pid = 1; pid <= IMAGE_TASKS; pid++) {
        MonattGuestTask task = {.pid = pid, .command = "x"};
        if (pid != without && pid != IMAGE_THREAD) {
            monatt_guest_list_add(&w, &task);
        }
    }
    g_assert_true(monatt_writer_finish(&w, "list", &size, NULL));
    return size;
}

static void test_guest_list(void)
{
    uint8_t list[512];
    size_t size;
    MonattError err = {0};

    set_up();
    g_assert_true(hidden_tasks_mark(&tasks, nonce, &err));
    size = make_list(list, sizeof(list), nonce, 0);
    measure_with(runs, list, size, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_cmphex(report.summary.views_read & GUEST, ==, GUEST);
    g_assert_cmpuint(report.views[MONATT_VIEW_GUEST_LIST].tasks, ==, IMAGE_TASKS - 1);
    size = make_list(list, sizeof(list), nonce, IMAGE_VICTIM);
    measure_with(runs, list, size, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 1);
    g_assert_cmpuint(report.findings[0].pid, ==, IMAGE_VICTIM);
    g_assert_cmphex(report.findings[0].views_absent, ==, GUEST);
    g_assert_cmphex(report.findings[0].views_present, ==, LIST | IDR | SLAB | GROUPS);
    /* The next measurement without a list does not go on with the old one. */
    measure_with(runs, NULL, 0, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    /* Started after the mark: the list may be older than it. */
    g_assert_true(hidden_tasks_mark(&tasks, nonce, &err));
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x78, 9999999999);
    measure_with(runs, list, size, DEADLINE_MS);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    tear_down();
}

static void test_refuses_guest_list(void)
{
    uint8_t list[512];
    size_t size;
    MonattError err = {0};

    set_up();
    size = make_list(list, sizeof(list), nonce, IMAGE_VICTIM);
    measure_with(runs, list, size, DEADLINE_MS); /* nobody marked it */
    g_assert_cmphex(report.summary.views_wanted & ~report.summary.views_read, ==, GUEST);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_nonnull(strstr(report.summary.text, "no scan was marked"));
    g_assert_true(hidden_tasks_mark(&tasks, nonce, &err));
    size = make_list(list, sizeof(list), other_nonce, IMAGE_VICTIM);
    measure_with(runs, list, size, DEADLINE_MS);
    g_assert_cmphex(report.summary.views_wanted & ~report.summary.views_read, ==, GUEST);
    g_assert_nonnull(strstr(report.summary.text, "another nonce"));
    measure_with(runs, list, size - 1, DEADLINE_MS);
    g_assert_cmphex(report.summary.views_wanted & ~report.summary.views_read, ==, GUEST);
    g_assert_cmpuint(report.summary.findings, ==, 0);
    g_assert_true(hidden_tasks_mark(&tasks, other_nonce, &err)); /* the last one counts */
    size = make_list(list, sizeof(list), nonce, IMAGE_VICTIM);
    measure_with(runs, list, size, DEADLINE_MS);
    g_assert_cmphex(report.summary.views_wanted & ~report.summary.views_read, ==, GUEST);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hidden-tasks/clean", test_clean);
    g_test_add_func("/hidden-tasks/hidden", test_hidden);
    g_test_add_func("/hidden-tasks/running", test_running);
    g_test_add_func("/hidden-tasks/race-is-no-finding", test_race);
    g_test_add_func("/hidden-tasks/identity", test_identity);
    g_test_add_func("/hidden-tasks/needs-progress", test_progress);
    g_test_add_func("/hidden-tasks/not-whole", test_not_whole);
    g_test_add_func("/hidden-tasks/guest-list", test_guest_list);
    g_test_add_func("/hidden-tasks/refuses-guest-list", test_refuses_guest_list);
    return g_test_run();
}
