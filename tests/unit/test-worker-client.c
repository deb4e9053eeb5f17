/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-worker-client.c - a worker on an invented guest: asked, killed, stopped, and lying
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host-collector/worker/worker-client.h"
#include "libmonatt/formats/guest-list.h"
#include "tests/lib/guest-image.h"

#define DEADLINE_MS 20000 /* what settles, settles in 0.3 s; a loaded machine may take long */

static const uint8_t nonce[MONATT_NONCE_SIZE] = {3};
static int ram = -1;
static uint8_t *image;
static const MonattRamRegion region = {0, IMAGE_SIZE, 0};

static const char *worker_path(void)
{
    static char path[512];
    const char *build = g_getenv("MONATT_BUILD_DIR");
    g_snprintf(path, sizeof(path), "%s/host-collector/worker/monatt-worker",
               build ? build : "build");
    return path;
}

static void set_up(void)
{
    ram = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(ram, IMAGE_SIZE), ==, 0);
    image = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
    g_assert_true(image != MAP_FAILED);
    guest_image_fill(image, IMAGE_SIZE);
}

static void tear_down(void)
{
    munmap(image, IMAGE_SIZE);
    close(ram);
}

/* The test's own thread is the guest's clock: it runs whenever it is asked to. */
static MonattWorker *start(void)
{
    MonattWorker *worker = NULL;
    MonattError err = {0};
    uint32_t thread = (uint32_t)syscall(SYS_gettid);

    if (!monatt_worker_start(worker_path(), &region, &ram, 1, &thread, 1, &worker, &err)) {
        g_error("start: %s", err.message);
    }
    g_assert_true(monatt_worker_alive(worker));
    return worker;
}

static gint busy;
static gpointer burn(gpointer ret_thread)
{
    g_atomic_int_set((gint *)ret_thread, (gint)syscall(SYS_gettid));
    while (g_atomic_int_get(&busy)) {
    }
    return NULL;
}

static void test_measures(void)
{
    MonattWorker *worker;
    MonattTaskReport *report = NULL;
    MonattError err = {0};
    gint thread = 0;
    uint32_t clock;
    GThread *vcpu;

    set_up();
    g_atomic_int_set(&busy, 1);
    vcpu = g_thread_new("vcpu", burn, &thread);
    while (g_atomic_int_get(&thread) == 0) {
        g_usleep(1000);
    }
    clock = (uint32_t)thread;
    if (!monatt_worker_start(worker_path(), &region, &ram, 1, &clock, 1, &worker, &err)) {
        g_error("start: %s", err.message);
    }
    g_assert_true(monatt_worker_tasks(worker, -1, NULL, DEADLINE_MS, &report, &err));
    g_assert_cmpuint(report->summary.findings, ==, 0);
    g_assert_cmpuint(report->summary.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(report->task_count, ==, IMAGE_TASKS);
    g_assert_cmpstr(report->kernel, ==, "6.1.0-invented");
    monatt_task_report_free(report);
    guest_image_unlink(image, IMAGE_VICTIM);
    g_assert_true(monatt_worker_tasks(worker, -1, NULL, DEADLINE_MS, &report, &err));
    g_assert_cmpuint(report->finding_count, ==, 1);
    g_assert_cmpuint(report->findings[0].pid, ==, IMAGE_VICTIM);
    g_assert_cmpstr(report->findings[0].command, ==, "evil-daemon");
    monatt_task_report_free(report);
    g_atomic_int_set(&busy, 0);
    g_thread_join(vcpu);
    /* Its clock has gone: a difference cannot last any more. */
    g_assert_true(monatt_worker_tasks(worker, -1, NULL, 300, &report, &err));
    g_assert_cmpuint(report->summary.findings, ==, 0);
    g_assert_cmpuint(report->summary.unsettled, ==, 1);
    g_assert_cmpuint(report->summary.reason, ==, MONATT_REASON_STALLED);
    monatt_task_report_free(report);
    monatt_worker_free(worker);
    tear_down();
}

static int make_list(const uint8_t *bound_to)
{
    uint8_t bytes[256];
    size_t size;
    MonattWriter w;
    MonattGuestTask task = {.pid = 1, .command = "systemd"};
    int fd = memfd_create("list", MFD_CLOEXEC);

    monatt_writer_init(&w, bytes, sizeof(bytes));
    monatt_guest_list_begin(&w, bound_to, 1);
    monatt_guest_list_add(&w, &task);
    g_assert_true(monatt_writer_finish(&w, "list", &size, NULL));
    g_assert_cmpint(write(fd, bytes, size), ==, (ssize_t)size);
    return fd;
}

static void test_guest_list(void)
{
    MonattWorker *worker;
    MonattTaskReport *report = NULL;
    MonattError err = {0};
    int list = make_list(nonce);

    set_up();
    worker = start();
    g_assert_true(monatt_worker_mark(worker, nonce, DEADLINE_MS, &err));
    g_assert_true(monatt_worker_tasks(worker, list, nonce, 300, &report, &err));
    g_assert_true(report->views[MONATT_VIEW_GUEST_LIST].complete);
    g_assert_cmpuint(report->views[MONATT_VIEW_GUEST_LIST].tasks, ==, 1);
    monatt_task_report_free(report);
    /* Larger than any list may be. */
    g_assert_cmpint(ftruncate(list, MONATT_GUEST_LIST_MAXIMUM + 1), ==, 0);
    g_assert_false(monatt_worker_tasks(worker, list, nonce, 300, &report, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_true(monatt_worker_alive(worker));
    /* A kernel that has gone is a refusal of the mark, not the end of the worker. */
    memset(image + IMAGE_NOTE, 0, 4096);
    g_assert_false(monatt_worker_mark(worker, nonce, DEADLINE_MS, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    g_assert_true(monatt_worker_alive(worker));
    monatt_worker_free(worker);
    close(list);
    tear_down();
}

/* Registers that were given lead the next measurement to who runs, and no later one. */
static void test_roots(void)
{
    const MonattVcpuRegisters vcpu = {.cr0 = 0x80050033, .cr3 = IMAGE_PROCESS_ROOT(IMAGE_VICTIM)};
    const MonattWorkerInputs inputs = {.set_vcpus = true, .vcpus = &vcpu, .vcpu_count = 1};
    MonattTaskReport *report = NULL;
    MonattWorker *worker;
    MonattError err = {0};

    set_up();
    worker = start();
    g_assert_true(monatt_worker_inputs(worker, &inputs, &err));
    g_assert_true(monatt_worker_tasks(worker, -1, NULL, 300, &report, &err));
    g_assert_true(report->views[MONATT_VIEW_CR3].complete);
    g_assert_cmpuint(report->views[MONATT_VIEW_CR3].tasks, ==, 1);
    monatt_task_report_free(report);
    g_assert_true(monatt_worker_tasks(worker, -1, NULL, 300, &report, &err));
    g_assert_false(report->views[MONATT_VIEW_CR3].wanted);
    monatt_task_report_free(report);
    monatt_worker_free(worker);
    tear_down();
}

/* The invented kernel lacks most of what checks follow: each says so, and none is left out. */
static void test_checks(void)
{
    const MonattVcpuRegisters vcpu = {.cr0 = 0x80050033, .cr3 = IMAGE_ROOT};
    MonattWorkerInputs inputs = {
        .set_image = true, .set_vcpus = true, .vcpus = &vcpu, .vcpu_count = 1};
    MonattCheckRequest request = {.deadline_ms = 300, .checks = UINT64_MAX};
    MonattCheckReport *report = NULL;
    MonattWorker *worker;
    MonattError err = {0};
    size_t all;

    set_up();
    worker = start();
    inputs.image_fd = ram;
    g_assert_true(monatt_worker_inputs(worker, &inputs, &err));
    g_assert_true(monatt_worker_checks(worker, &request, &report, &err));
    all = report->report.result_count;
    g_assert_cmpuint(all, >, 0);
    g_assert_cmpstr(report->report.kernel, ==, "6.1.0-invented");
    g_assert_cmpuint(report->table_count, ==, 0);
    monatt_check_report_free(report);
    /* A table brings the checks that fill it, and only those. */
    request =
        (MonattCheckRequest){.tables = 1u << (table_form("hooks") - table_forms), .snapshot = true};
    g_assert_true(monatt_worker_checks(worker, &request, &report, &err));
    g_assert_cmpuint(report->report.result_count, >, 0);
    g_assert_cmpuint(report->report.result_count, <, all);
    g_assert_nonnull(monatt_check_report_table(report, "hooks"));
    g_assert_true(report->snapshot);
    monatt_check_report_free(report);
    /* No kernel: every check that was wanted says so, and the worker lives on. */
    memset(image + IMAGE_NOTE, 0, 4096);
    request = (MonattCheckRequest){.deadline_ms = 300, .checks = UINT64_MAX};
    g_assert_true(monatt_worker_checks(worker, &request, &report, &err));
    g_assert_cmpuint(report->report.result_count, ==, all);
    for (size_t i = 0; i < all; i++) {
        g_assert_cmpuint(report->report.results[i].reason, ==, MONATT_REASON_UNSUPPORTED);
        g_assert_cmpuint(report->report.results[i].findings, ==, 0);
    }
    g_assert_cmpstr(report->report.kernel, ==, "");
    monatt_check_report_free(report);
    monatt_worker_free(worker);
    tear_down();
}

static void test_refuses_inputs(void)
{
    MonattWorkerInputs inputs = {.set_image = true, .image_fd = -1};
    MonattCheckRequest request = {.tables = 1u << TABLE_FORMS_MAXIMUM};
    MonattCheckReport *report = NULL;
    MonattWorker *worker;
    MonattError err = {0};
    int large = memfd_create("kernel", MFD_CLOEXEC);

    set_up();
    worker = start();
    g_assert_true(monatt_worker_inputs(worker, &inputs, &err)); /* none is fine */
    g_assert_cmpint(ftruncate(large, 64 * 1024 * 1024 + 1), ==, 0);
    inputs.image_fd = large;
    g_assert_false(monatt_worker_inputs(worker, &inputs, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_cmpint(ftruncate(large, 64 * 1024 * 1024), ==, 0);
    g_assert_true(monatt_worker_inputs(worker, &inputs, &err));
    g_assert_false(monatt_worker_checks(worker, &request, &report, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    request = (MonattCheckRequest){.deadline_ms = 60001};
    g_assert_false(monatt_worker_checks(worker, &request, &report, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT); /* the worker's refusal: it lives */
    g_assert_true(monatt_worker_alive(worker));
    monatt_worker_free(worker);
    close(large);
    tear_down();
}

static void assert_lost(MonattWorker *worker)
{
    MonattTaskReport *report = NULL;
    MonattError err = {0};
    uint32_t pid = monatt_worker_pid(worker);

    g_assert_false(monatt_worker_tasks(worker, -1, NULL, 100, &report, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
    g_assert_null(report);
    g_assert_false(monatt_worker_alive(worker));
    if (pid != 0) { /* it is gone and reaped, no zombie is left */
        g_assert_cmpint(kill((pid_t)pid, 0), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);
    }
    g_assert_false(monatt_worker_mark(worker, nonce, 100, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
    monatt_worker_free(worker);
}

static void test_killed(void)
{
    MonattWorker *worker;

    set_up();
    worker = start();
    kill((pid_t)monatt_worker_pid(worker), SIGKILL);
    assert_lost(worker);
    /* And the next one works. */
    worker = start();
    monatt_worker_free(worker);
    tear_down();
}

static void test_stopped(void)
{
    MonattWorker *worker;
    gint64 begin;

    set_up();
    worker = start();
    kill((pid_t)monatt_worker_pid(worker), SIGSTOP);
    begin = g_get_monotonic_time();
    assert_lost(worker);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 60 * G_USEC_PER_SEC);
    tear_down();
}

/* The file shrinks under the mapping, behind the note: SIGBUS ends the worker, not us. */
static void test_shrunk(void)
{
    MonattWorker *worker;

    set_up();
    worker = start();
    g_assert_cmpint(ftruncate(ram, IMAGE_NOTE + 4096), ==, 0);
    assert_lost(worker);
    tear_down();
}

/* The collector dies without a word: its worker sees the socket close and ends. */
static void test_orphan(void)
{
    int pipes[2], status;
    uint32_t pid = 0;
    pid_t collector;

    set_up();
    g_assert_cmpint(pipe(pipes), ==, 0);
    collector = fork();
    if (collector == 0) {
        pid = monatt_worker_pid(start());
        _exit(write(pipes[1], &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
    }
    g_assert_cmpint(read(pipes[0], &pid, sizeof(pid)), ==, sizeof(pid));
    g_assert_cmpint(waitpid(collector, &status, 0), ==, collector);
    for (int i = 0; i < 3000 && kill((pid_t)pid, 0) == 0; i++) {
        /* Nobody reaps it here: a zombie has ended too. */
        g_autofree char *command = g_strdup_printf("/proc/%u/cmdline", pid);
        g_autofree char *text = NULL;
        gsize size = 0;
        if (!g_file_get_contents(command, &text, &size, NULL) || size == 0) {
            break;
        }
        g_usleep(10000);
        g_assert_cmpint(i, <, 2999);
    }
    close(pipes[0]);
    close(pipes[1]);
    tear_down();
}

static void test_refuses_start(void)
{
    MonattWorker *worker = NULL;
    MonattError err = {0};
    const MonattRamRegion beyond = {0, IMAGE_SIZE + 4096, 0};
    uint32_t nobody = 0x7ffffff0;

    set_up();
    g_assert_false(monatt_worker_start("/nonexistent/monatt-worker", &region, &ram, 1, NULL, 0,
                                       &worker, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    g_assert_false(monatt_worker_start(worker_path(), &region, &ram, 0, NULL, 0, &worker, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_false(monatt_worker_start(worker_path(), &beyond, &ram, 1, NULL, 0, &worker, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
    g_assert_false(monatt_worker_start(worker_path(), &region, &ram, 1, &nobody, 1, &worker, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    /* A program that is no worker. */
    g_assert_false(monatt_worker_start("/bin/true", &region, &ram, 1, NULL, 0, &worker, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
    g_assert_null(worker);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker-client/measures", test_measures);
    g_test_add_func("/worker-client/guest-list", test_guest_list);
    g_test_add_func("/worker-client/roots", test_roots);
    g_test_add_func("/worker-client/checks", test_checks);
    g_test_add_func("/worker-client/refuses-inputs", test_refuses_inputs);
    g_test_add_func("/worker-client/killed", test_killed);
    g_test_add_func("/worker-client/stopped", test_stopped);
    g_test_add_func("/worker-client/shrunk", test_shrunk);
    g_test_add_func("/worker-client/orphan", test_orphan);
    g_test_add_func("/worker-client/refuses-start", test_refuses_start);
    return g_test_run();
}
