/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-task-views.c - each view of an invented guest's tasks, and lists made to hold us up
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/task-scan.h"
#include "tests/lib/guest-image.h"

#define PROCESSES (IMAGE_TASKS - 1)
#define LIST_HEAD (guest_image_task(0) + IMAGE_TASK_LIST)
#define STEPS 100000u
#define GROUPS MONATT_VIEW_BIT(MONATT_VIEW_CGROUPS)
#define CR3 MONATT_VIEW_BIT(MONATT_VIEW_CR3)

static uint8_t image[IMAGE_SIZE];
static GuestMemory memory;
static GuestKernel kernel;
static TaskScan scan;

static void set_up(void)
{
    MonattError err = {0};

    guest_image_fill(image, sizeof(image));
    guest_memory_init_bytes(&memory, 0, image, sizeof(image));
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    if (!scan.table.tasks) {
        g_assert_true(task_scan_init(&scan, &err));
    }
    task_table_reset(&scan.table);
}

static uint32_t views_of(uint32_t pid)
{
    const GuestTask *task =
        task_table_find(&scan.table, guest_image_task_address(pid), pid, 1000000000ull + pid);
    return task ? task->views : 0;
}

static uint32_t missing_of(uint32_t pid)
{
    const GuestTask *task =
        task_table_find(&scan.table, guest_image_task_address(pid), pid, 1000000000ull + pid);
    g_assert_nonnull(task);
    return task_scan_missing(&scan, &kernel, task);
}

static void assert_nobody_missing(void)
{
    for (uint32_t i = 0; i < scan.table.count; i++) {
        g_assert_cmphex(task_scan_missing(&scan, &kernel, &scan.table.tasks[i]), ==, 0);
    }
}

static void test_scan(void)
{
    const uint32_t all = MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR) |
                         MONATT_VIEW_BIT(MONATT_VIEW_SLAB) | GROUPS;
    const GuestTask *task;

    set_up();
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(scan.wanted, ==, TASK_SCAN_VIEWS | GROUPS);
    g_assert_cmphex(scan.complete, ==, scan.wanted);
    g_assert_cmpuint(scan.retries, ==, 0);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
    g_assert_cmphex(views_of(1), ==, all | MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES));
    g_assert_cmphex(views_of(IMAGE_VICTIM), ==, all);
    /* A thread is in no task list, and misses nothing. */
    g_assert_cmphex(views_of(IMAGE_THREAD), ==, all & ~MONATT_VIEW_BIT(MONATT_VIEW_LIST));
    assert_nobody_missing();
    task = task_table_find(&scan.table, guest_image_task_address(2), 2, 1000000002);
    g_assert_nonnull(task);
    g_assert_cmpstr(task->command, ==, "kthreadd");
    g_assert_cmpuint(task->uid, ==, 1000);
    g_assert_true(task->kernel_thread);
    /* The same once more: nothing is left over. */
    task_scan_run(&scan, &kernel);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
}

static void test_hidden(void)
{
    set_up();
    guest_image_unlink(image, IMAGE_VICTIM);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==, MONATT_VIEW_BIT(MONATT_VIEW_LIST));
    guest_image_clear_pid(image, IMAGE_VICTIM);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==,
                    MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR));
    guest_image_clear_pid(image, IMAGE_THREAD);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(missing_of(IMAGE_THREAD), ==, MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR));
    g_assert_cmphex(missing_of(3), ==, 0);
    /* Running, and out of the slab's sight as well. */
    set_up();
    guest_image_unlink(image, 1);
    guest_image_clear_pid(image, 1);
    guest_image_leave_groups(image, 1);
    guest_image_put_u32(image, guest_image_task(1) + 0x6c, 0); /* its usage makes it look freed */
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(views_of(1), ==, MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES));
    g_assert_cmphex(missing_of(1), !=, 0);
}

static uint32_t missing_when(uint64_t offset, uint32_t value, bool kernel_thread)
{
    uint64_t task = guest_image_task(IMAGE_VICTIM);

    set_up();
    guest_image_unlink(image, IMAGE_VICTIM);
    guest_image_put_u32(image, task + offset, value);
    if (kernel_thread) {
        guest_image_put_u64(image, task + IMAGE_TASK_MM, 0);
    }
    task_scan_run(&scan, &kernel);
    return missing_of(IMAGE_VICTIM);
}

/* Being made or ended: no view need have it yet or still. */
static void test_unsettled(void)
{
    g_assert_cmphex(missing_when(IMAGE_TASK_STATE, 1, false), !=, 0);
    g_assert_cmphex(missing_when(IMAGE_TASK_STATE, 0x800, false), ==, 0);
    g_assert_cmphex(missing_when(IMAGE_TASK_STATE, 0x80, false), ==, 0);
    g_assert_cmphex(missing_when(IMAGE_TASK_EXIT, 0x20, true), ==, 0);
    /* What a rootkit may write to be left alone: exiting, and ended with an mm. */
    g_assert_cmphex(missing_when(IMAGE_TASK_FLAGS, 0x4, false), !=, 0);
    g_assert_cmphex(missing_when(IMAGE_TASK_EXIT, 0x20, false), !=, 0);
    g_assert_cmphex(missing_when(IMAGE_TASK_EXIT, 0x10, false), !=, 0);
}

/* copy_process() at work: the whole parent once more, running, in no queue. */
static void test_unborn_copy(void)
{
    const uint64_t copy = IMAGE_SLAB + 7 * IMAGE_TASK_SIZE;

    set_up();
    memcpy(image + copy, image + guest_image_task(3), IMAGE_TASK_SIZE);
    guest_image_put_u32(image, copy + IMAGE_TASK_STATE, 0);
    task_scan_run(&scan, &kernel);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS + 1);
    assert_nobody_missing();
    /* One that sleeps is no copy: it has run. */
    guest_image_put_u32(image, copy + IMAGE_TASK_STATE, 1);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(
        task_scan_missing(&scan, &kernel,
                          task_table_find(&scan.table, IMAGE_DIRECT + copy, 3, 1000000003)),
        !=, 0);
}

static TaskViewResult walk_list(uint64_t steps)
{
    WalkBudget budget = {.steps = steps};
    task_table_reset(&scan.table);
    return task_views_list(&kernel, &scan.table, &budget);
}

static void test_list_loops(void)
{
    uint64_t third = guest_image_task_address(3) + IMAGE_TASK_LIST;

    set_up();
    g_assert_cmpint(walk_list(STEPS).reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(scan.table.count, ==, PROCESSES);
    /* Exactly as many steps as nodes, and one less. */
    g_assert_cmpint(walk_list(PROCESSES).reason, ==, MONATT_REASON_NONE);
    g_assert_cmpint(walk_list(PROCESSES - 1).reason, ==, MONATT_REASON_BUDGET);
    /* A node that is its own next. */
    guest_image_put_u64(image, guest_image_task(3) + IMAGE_TASK_LIST, third);
    g_assert_cmpint(walk_list(STEPS).reason, ==, MONATT_REASON_TORN);
    g_assert_cmpuint(walk_list(STEPS).retries, ==, TASK_VIEWS_TRIES);
    /* … and its own prev: a list of one, for ever. */
    guest_image_put_u64(image, guest_image_task(3) + IMAGE_TASK_LIST + 8, third);
    g_assert_cmpint(walk_list(STEPS).reason, !=, MONATT_REASON_NONE);
    /* Back to a node in the middle: its prev is another. */
    set_up();
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_LIST,
                        guest_image_task_address(2) + IMAGE_TASK_LIST);
    g_assert_cmpint(walk_list(STEPS).reason, ==, MONATT_REASON_TORN);
}

static void test_list_pointers(void)
{
    const uint64_t nowhere[] = {0,
                                0x1234,
                                IMAGE_KERNEL + IMAGE_SIZE,
                                IMAGE_DIRECT + IMAGE_SIZE - 4,
                                UINT64_MAX,
                                0x8000000000000000ull};

    for (size_t i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        set_up();
        guest_image_put_u64(image, guest_image_task(3) + IMAGE_TASK_LIST, nowhere[i]);
        g_assert_cmpint(walk_list(STEPS).reason, ==, MONATT_REASON_TORN);
        guest_image_put_u64(image, LIST_HEAD, nowhere[i]);
        g_assert_cmpint(walk_list(STEPS).reason, ==, MONATT_REASON_TORN);
    }
    /* Torn is not empty: the tasks of a walk that failed do not count as listed. */
    g_assert_cmphex(views_of(1) & MONATT_VIEW_BIT(MONATT_VIEW_LIST), ==, 0);
}

static TaskViewResult walk_idr(uint64_t steps)
{
    WalkBudget budget = {.steps = steps};
    task_table_reset(&scan.table);
    return task_views_pid_idr(&kernel, &scan.table, &budget);
}

/* A tree of depth nodes above the leaf; shift: of the top, 6 for each level when right. */
static void make_deep(int depth, int shift)
{
    uint64_t below = IMAGE_IDR_NODE, physical = 0;

    for (int i = 0; i < depth; i++) {
        physical = 0x100000 + (uint64_t)i * 0x1000;
        image[physical] = (uint8_t)(shift - 6 * (depth - 1 - i));
        guest_image_put_u64(image, physical + IMAGE_NODE_SLOTS, (IMAGE_DIRECT + below) | 2);
        guest_image_put_u64(image, below + 8, IMAGE_DIRECT + physical);
        below = physical;
    }
    guest_image_put_u64(image, IMAGE_IDR_HEAD, (IMAGE_DIRECT + physical) | 2);
}

static void test_idr_depth(void)
{
    set_up();
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
    g_assert_cmpint(walk_idr(63).reason, ==, MONATT_REASON_BUDGET);
    make_deep(10, 60); /* as deep as 64 bits can be */
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
    make_deep(11, 66);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
    make_deep(2, 18); /* a level is left out */
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
}

static void test_idr_loops(void)
{
    set_up();
    /* A leaf that has itself as a child. */
    guest_image_put_u64(image, IMAGE_IDR_NODE + IMAGE_NODE_SLOTS + 8 * 40,
                        (IMAGE_DIRECT + IMAGE_IDR_NODE) | 2);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
    /* A node above, all of whose slots are itself. */
    set_up();
    make_deep(1, 6);
    for (uint64_t i = 0; i < 64; i++) {
        guest_image_put_u64(image, 0x100000 + IMAGE_NODE_SLOTS + 8 * i,
                            (IMAGE_DIRECT + 0x100000) | 2);
    }
    guest_image_put_u64(image, 0x100008, IMAGE_DIRECT + 0x100000);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
    /* No tree at all. */
    guest_image_put_u64(image, IMAGE_IDR_HEAD, 0);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
    guest_image_put_u64(image, IMAGE_IDR_HEAD, 0xdead0002);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
    /* A slot that leads nowhere. */
    set_up();
    guest_image_put_u64(image, IMAGE_IDR_NODE + IMAGE_NODE_SLOTS + 8 * 40, 0x1000);
    g_assert_cmpint(walk_idr(STEPS).reason, ==, MONATT_REASON_TORN);
}

static void test_slab(void)
{
    WalkBudget budget = {.steps = STEPS}, small = {.steps = 10};

    set_up();
    g_assert_cmpint(task_views_slab(&kernel, &scan.table, &budget).reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
    g_assert_cmpint(task_views_slab(&kernel, &scan.table, &small).reason, ==, MONATT_REASON_BUDGET);
    /* Objects too small to be tasks, too large, of an order that no slab has. */
    guest_image_put_u32(image, 0x24000, 0x20);
    g_assert_cmpint(task_views_slab(&kernel, &scan.table, &budget).reason, ==, MONATT_REASON_TORN);
    guest_image_put_u32(image, 0x24000, 0x7fffffff);
    g_assert_cmpint(task_views_slab(&kernel, &scan.table, &budget).reason, ==, MONATT_REASON_TORN);
    guest_image_put_u32(image, 0x24000, IMAGE_TASK_SIZE);
    guest_image_put_u32(image, 0x24008, 63u << 16);
    g_assert_cmpint(task_views_slab(&kernel, &scan.table, &budget).reason, ==, MONATT_REASON_TORN);
}

static void test_run_queues(void)
{
    WalkBudget budget = {.steps = STEPS};
    uint64_t head = IMAGE_KERNEL + IMAGE_QUEUE + 0x10;

    /* The victim waits: queue -> its group node -> queue. */
    set_up();
    guest_image_put_u64(image, IMAGE_QUEUE + 0x10, guest_image_task_address(IMAGE_VICTIM) + 0x90);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x90, head);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x98, head);
    g_assert_cmpint(task_views_run_queues(&kernel, &scan.table, &scan.idle, &budget).reason, ==,
                    MONATT_REASON_NONE);
    g_assert_cmphex(views_of(IMAGE_VICTIM), ==, MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES));
    g_assert_cmpuint(scan.idle.count, ==, 1);
    /* A queue without end stops at its limit. */
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x90,
                        guest_image_task_address(IMAGE_VICTIM) + 0x90);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + 0x98,
                        guest_image_task_address(IMAGE_VICTIM) + 0x90);
    g_assert_cmpint(task_views_run_queues(&kernel, &scan.table, &scan.idle, &budget).reason, ==,
                    MONATT_REASON_NONE);
    /* As many CPUs as a number can say. */
    guest_image_put_u32(image, 0x25010, UINT32_MAX);
    g_assert_cmpint(task_views_run_queues(&kernel, &scan.table, &scan.idle, &budget).reason, !=,
                    MONATT_REASON_NONE);
    guest_image_put_u32(image, 0x25010, 0);
    g_assert_cmpint(task_views_run_queues(&kernel, &scan.table, &scan.idle, &budget).reason, ==,
                    MONATT_REASON_TORN);
}

/* Threads too; out of list, IDR and slab, a task still stands in a list of its set. */
static void test_cgroups(void)
{
    const uint64_t next = IMAGE_DIRECT + guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_GROUPS;
    WalkBudget budget = {.steps = STEPS};

    set_up();
    guest_image_unlink(image, IMAGE_VICTIM);
    guest_image_clear_pid(image, IMAGE_VICTIM);
    guest_image_put_u32(image, guest_image_task(IMAGE_VICTIM) + 0x6c, 0);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(views_of(IMAGE_VICTIM), ==, GROUPS);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==,
                    MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR));
    g_assert_cmphex(views_of(IMAGE_THREAD) & GROUPS, ==, GROUPS);
    /* Out of it as well: its absence there says nothing, and nobody else is missing. */
    set_up();
    guest_image_leave_groups(image, IMAGE_VICTIM);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==, 0);
    /* In the list of those that move to another set. */
    guest_image_put_u64(image, IMAGE_SET + 0x10, next);
    guest_image_put_u64(image, IMAGE_SET + 0x18, next);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_GROUPS,
                        IMAGE_DIRECT + IMAGE_SET + 0x10);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_GROUPS + 8,
                        IMAGE_DIRECT + IMAGE_SET + 0x10);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(views_of(IMAGE_VICTIM) & GROUPS, ==, GROUPS);
    /* A list that leads nowhere, one without end, a bucket that leads nowhere. */
    set_up();
    guest_image_put_u64(image, IMAGE_SET, 0x1122334455667788);
    g_assert_cmpint(task_views_cgroups(&kernel, &scan.table, &budget).reason, ==,
                    MONATT_REASON_TORN);
    guest_image_put_u64(image, IMAGE_SET, next);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_GROUPS, next);
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_GROUPS + 8, next);
    g_assert_cmpint(task_views_cgroups(&kernel, &scan.table, &budget).reason, !=,
                    MONATT_REASON_NONE);
    guest_image_put_u64(image, IMAGE_SET_TABLE + 8, 0xdead000000000100);
    g_assert_cmpint(task_views_cgroups(&kernel, &scan.table, &budget).reason, ==,
                    MONATT_REASON_TORN);
    budget.steps = 3;
    set_up();
    g_assert_cmpint(task_views_cgroups(&kernel, &scan.table, &budget).reason, ==,
                    MONATT_REASON_BUDGET);
    /* A kernel without control groups: nothing is wanted of them. */
    set_up();
    kernel.symbols.set_table = 0;
    kernel.missing[MONATT_VIEW_CGROUPS][0] = 'x';
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(scan.wanted, ==, TASK_SCAN_VIEWS);
    g_assert_cmphex(scan.complete, ==, TASK_SCAN_VIEWS);
}

/* CR3 of a vCPU leads to the process, whatever lists it left. */
static void test_roots(void)
{
    set_up();
    guest_image_unlink(image, IMAGE_VICTIM);
    guest_image_clear_pid(image, IMAGE_VICTIM);
    guest_image_leave_groups(image, IMAGE_VICTIM);
    guest_image_put_u32(image, guest_image_task(IMAGE_VICTIM) + 0x6c, 0);
    /* With a PCID; the user's root beside a kernel's; init's root; one outside of RAM. */
    scan.roots[0] = IMAGE_PROCESS_ROOT(IMAGE_VICTIM) | 1ull << 63 | 5;
    scan.roots[1] = (IMAGE_PROCESS_ROOT(2) & ~0x1000u) | 0x1000;
    scan.roots[2] = IMAGE_ROOT;
    scan.roots[3] = 0x000ffffffffff000;
    scan.root_count = 4;
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(scan.complete, ==, TASK_SCAN_VIEWS | GROUPS | CR3);
    g_assert_cmphex(views_of(IMAGE_VICTIM), ==, CR3);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==,
                    MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR));
    g_assert_cmphex(views_of(1) & CR3, ==, 0);
    /* The page belongs to another now: the mm does not lead back, and nobody is seen. */
    guest_image_put_u64(image, IMAGE_MM(IMAGE_VICTIM), IMAGE_DIRECT + 0x9000);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(views_of(IMAGE_VICTIM), ==, 0);
    set_up();
    guest_image_put_u64(image, guest_image_task(IMAGE_VICTIM) + IMAGE_TASK_MM, 0);
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(views_of(IMAGE_VICTIM) & CR3, ==, 0);
    scan.root_count = 0;
}

/* A view without what it follows says so; without the run queues nobody knows the idle tasks. */
static void test_degrades_alone(void)
{
    const uint32_t read = (TASK_SCAN_VIEWS | GROUPS) & ~MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES);
    const GuestTask idle = {.address = 1, .settled = true, .views = 1u << MONATT_VIEW_SLAB};
    MonattError err = {0};

    set_up();
    memcpy(memmem(image + IMAGE_BTF, 4096, "cfs_tasks", 9), "cfs_tusks", 9);
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    task_scan_run(&scan, &kernel);
    g_assert_cmpint(scan.views[MONATT_VIEW_RUN_QUEUES].reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmphex(scan.complete, ==, read);
    g_assert_cmpuint(scan.table.count, ==, IMAGE_TASKS);
    assert_nobody_missing();
    g_assert_cmphex(task_scan_missing(&scan, &kernel, &idle), ==, 0);
    guest_image_unlink(image, IMAGE_VICTIM); /* and what is hidden is seen as before */
    task_scan_run(&scan, &kernel);
    g_assert_cmphex(missing_of(IMAGE_VICTIM), ==, MONATT_VIEW_BIT(MONATT_VIEW_LIST));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/task-views/scan", test_scan);
    g_test_add_func("/task-views/hidden", test_hidden);
    g_test_add_func("/task-views/unsettled", test_unsettled);
    g_test_add_func("/task-views/unborn-copy", test_unborn_copy);
    g_test_add_func("/task-views/list-loops", test_list_loops);
    g_test_add_func("/task-views/list-pointers", test_list_pointers);
    g_test_add_func("/task-views/idr-depth", test_idr_depth);
    g_test_add_func("/task-views/idr-loops", test_idr_loops);
    g_test_add_func("/task-views/slab", test_slab);
    g_test_add_func("/task-views/run-queues", test_run_queues);
    g_test_add_func("/task-views/cgroups", test_cgroups);
    g_test_add_func("/task-views/roots", test_roots);
    g_test_add_func("/task-views/degrades-alone", test_degrades_alone);
    return g_test_run();
}
