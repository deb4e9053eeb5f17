/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-credentials.c - which rights a process may have, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define TASK_SIZE 0x100
#define LIST 0x10
#define MEMORY 0x30
#define REAL 0x50
#define SUBJECTIVE 0x58
#define EXEC 0x80
#define FLAGS 0x88
#define PERMITTED 0x28
#define EFFECTIVE 0x30
#define NAMESPACE 0x40
#define USER 0x48
#define THREAD 0x00200000u /* PF_KTHREAD */
#define ENDING 0x4u        /* PF_EXITING */
#define PAGE_SIZE 0x40
#define FULL 0x1ffffffffffull

static const InventedRow rows[] = {
    {"sched_entity", NULL, 0x10, NULL},
    {NULL, "group_node", 0x0, NULL},
    {"task_struct", NULL, TASK_SIZE, NULL},
    {NULL, "tasks", LIST, NULL},
    {NULL, "pid", 0x20, "u32"},
    {NULL, "tgid", 0x24, "u32"},
    {NULL, "mm", MEMORY, NULL},
    {NULL, "comm", 0x38, "u8[16]"},
    {NULL, "real_cred", REAL, NULL},
    {NULL, "cred", SUBJECTIVE, NULL},
    {NULL, "__state", 0x60, "u32"},
    {NULL, "exit_state", 0x64, "u32"},
    {NULL, "stack", 0x68, NULL},
    {NULL, "start_time", 0x70, NULL},
    {NULL, "usage", 0x78, "u32"},
    {NULL, "self_exec_id", EXEC, NULL},
    {NULL, "flags", FLAGS, "u32"},
    {NULL, "se", 0x90, "sched_entity"},
    {"mm_struct", NULL, 0x40, NULL},
    {NULL, "owner", 0x8, NULL},
    {"pt_regs", NULL, 0xa8, NULL},
    {NULL, "cs", 0x88, NULL},
    {NULL, "ss", 0xa0, NULL},
    {"user_struct", NULL, 0x40, NULL},
    {NULL, "uid", 0x4, "u32"},
    {"cred", NULL, 0x60, NULL},
    {NULL, "uid", 0x8, "u32"},
    {NULL, "suid", 0xc, "u32"},
    {NULL, "euid", 0x10, "u32"},
    {NULL, "fsuid", 0x14, "u32"},
    {NULL, "securebits", 0x18, "u32"},
    {NULL, "cap_permitted", PERMITTED, NULL},
    {NULL, "cap_effective", EFFECTIVE, NULL},
    {NULL, "cap_ambient", 0x38, NULL},
    {NULL, "user_ns", NAMESPACE, NULL},
    {NULL, "user", USER, NULL},
    {"kmem_cache", NULL, 0x40, NULL},
    {NULL, "size", 0x0, "u32"},
    {NULL, "oo", 0x4, "u32"},
    {NULL, "min", 0x8, "u32"},
    {"slab", NULL, PAGE_SIZE, NULL},
    {NULL, "slab_cache", 0x8, NULL},
    {NULL, "objects", 0x10, "u32"},
    {"page", NULL, PAGE_SIZE, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t init_task, init_cred, namespace, pages, cache;
static uint64_t tasks[4]; /* root's daemon, a user's shell, its thread, another of the user's */
static uint32_t next_pid;

static uint64_t credentials(uint32_t uid, uint64_t capabilities)
{
    uint64_t at = invented_allocate(&invented, 0x60);
    uint64_t frame = (at - INVENTED_DIRECT) / GUEST_PAGE_SIZE;
    uint64_t user = invented_allocate(&invented, 0x40);

    invented_u32(&invented, user + 0x4, uid);
    invented_u64(&invented, at + USER, user);
    for (uint64_t id = 0x8; id <= 0x14; id += 4) {
        invented_u32(&invented, at + id, uid);
    }
    invented_u64(&invented, at + PERMITTED, capabilities);
    invented_u64(&invented, at + EFFECTIVE, capabilities);
    invented_u64(&invented, at + NAMESPACE, namespace);
    invented_u64(&invented, pages + frame * PAGE_SIZE + 0x8, cache);
    return at;
}

static uint64_t task(uint32_t tgid, uint64_t memory, uint64_t cred)
{
    uint64_t at = invented_allocate(&invented, TASK_SIZE);
    uint32_t pid = ++next_pid;

    invented_u32(&invented, at + 0x20, pid);
    invented_u32(&invented, at + 0x24, tgid ? tgid : pid);
    invented_u64(&invented, at + MEMORY, memory);
    memcpy(invented_at(&invented, at + 0x38), "shell", 5);
    invented_u64(&invented, at + REAL, cred);
    invented_u64(&invented, at + SUBJECTIVE, cred);
    invented_u64(&invented, at + 0x68, INVENTED_DIRECT + 0x100000);
    invented_u64(&invented, at + 0x70, 1000 + pid);
    invented_u32(&invented, at + 0x78, 1);
    invented_u64(&invented, at + EXEC, 7);
    invented_ring_add(&invented, init_task + LIST, at + LIST);
    return at;
}

static void set_up(void)
{
    uint64_t cred, user;

    one_check_disown("");
    invented_begin(&invented);
    init_task = invented_variable(&invented, "init_task", TASK_SIZE);
    init_cred = invented_variable(&invented, "init_cred", 0x60);
    namespace = invented_variable(&invented, "init_user_ns", 8);
    pages = invented_allocate(&invented, INVENTED_SIZE / GUEST_PAGE_SIZE * PAGE_SIZE);
    cache = invented_allocate(&invented, 0x40);
    invented_u64(&invented, invented_variable(&invented, "vmemmap_base", 8), pages);
    invented_u64(&invented, invented_variable(&invented, "page_offset_base", 8), INVENTED_DIRECT);
    invented_u64(&invented, invented_variable(&invented, "cred_jar", 8), cache);
    invented_u64(&invented, invented_variable(&invented, "task_struct_cachep", 8), cache);
    invented_ring(&invented, init_task + LIST);
    memcpy(invented_at(&invented, init_task + 0x38), "swapper", 7);
    invented_u64(&invented, init_task + REAL, init_cred);
    invented_u64(&invented, init_task + SUBJECTIVE, init_cred);
    next_pid = 0;
    tasks[0] = task(0, 0x1000, credentials(0, FULL));
    cred = credentials(1000, 0);
    user = task(0, 0x2000, cred);
    tasks[1] = user;
    tasks[2] = task(2, 0x2000, cred); /* a thread shares */
    tasks[3] = task(0, 0x3000, credentials(1000, 0));
    task(0, 0, init_cred); /* a kernel thread */
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_credentials, &invented.kernel);
}

static void assert_clean(void)
{
    run();
    if (one.sightings.count) {
        g_error("%s", one.sightings.items[0].text);
    }
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one_check_counter(&one, "tasks"), ==, 4);
}

static void assert_found(CheckSeverity severity, uint32_t pid, const char *why)
{
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, severity);
    g_assert_cmpuint(one.sightings.items[0].pid, ==, pid);
    if (!strstr(one.sightings.items[0].text, why)) {
        g_error("'%s' is not in '%s'", why, one.sightings.items[0].text);
    }
}

static void give(uint64_t to, uint64_t cred)
{
    invented_u64(&invented, to + REAL, cred);
    invented_u64(&invented, to + SUBJECTIVE, cred);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_credentials);
    invented_clear(&invented);
}

static void test_pointers(void)
{
    uint64_t own;

    set_up();
    assert_clean();
    own = invented_get(&invented, tasks[3] + REAL);
    give(tasks[3], init_cred);
    assert_found(CHECK_COMPROMISED, 4, "kernel's first task");
    give(tasks[3], own);
    invented_u64(&invented, tasks[3] + SUBJECTIVE, init_cred); /* lent, or not */
    assert_found(CHECK_DEGRADED, 4, "acts with");
    invented_u64(&invented, tasks[3] + SUBJECTIVE, invented_get(&invented, tasks[0] + REAL));
    assert_found(CHECK_COMPROMISED, 4, "acts with the credentials of another");
    invented_u64(&invented, tasks[3] + SUBJECTIVE, credentials(0, FULL)); /* nobody's: overlayfs */
    assert_clean();
    give(tasks[3], own);
    give(tasks[3], invented_get(&invented, tasks[1] + REAL)); /* of the same user, yet another's */
    assert_found(CHECK_COMPROMISED, 4, "of another process");
    give(tasks[3], own);
    assert_clean();
    tear_down();
}

/* A token is stolen: both the pointer and what it gives are wrong. */
static void test_stolen(void)
{
    set_up();
    assert_clean();
    give(tasks[3], invented_get(&invented, tasks[0] + REAL));
    run();
    g_assert_cmpuint(one.sightings.count, ==, 2);
    tear_down();
}

static void test_rise(void)
{
    uint64_t cred;

    set_up();
    assert_clean();
    cred = invented_get(&invented, tasks[3] + REAL);
    invented_u32(&invented, cred + 0x10, 0); /* euid, in place */
    assert_found(CHECK_COMPROMISED, 4, "without an exec");
    invented_u32(&invented, cred + 0x10, 1000);
    assert_found(CHECK_COMPROMISED, 4, "without an exec"); /* it had it: that stays */
    invented_u64(&invented, tasks[3] + EXEC, 8);
    assert_clean();
    give(tasks[3], credentials(0, FULL)); /* commit_creds(prepare_kernel_cred()) */
    assert_found(CHECK_COMPROMISED, 4, "without an exec");
    give(tasks[3], cred);
    invented_u64(&invented, tasks[3] + EXEC, 9);
    assert_clean();
    invented_u64(&invented, cred + PERMITTED, 1u << 21); /* CAP_SYS_ADMIN alone */
    assert_found(CHECK_COMPROMISED, 4, "without an exec");
    tear_down();
}

/* sudo, a daemon that goes back and forth, user namespaces, a thread. */
static void test_legal(void)
{
    uint64_t cred;

    set_up();
    assert_clean();
    give(tasks[3], credentials(0, FULL));
    invented_u64(&invented, tasks[3] + EXEC, 8);
    assert_clean();
    cred = credentials(33, 1u << 7); /* may set its uid */
    give(tasks[3], cred);
    assert_clean();
    give(tasks[3], credentials(0, FULL));
    assert_clean();
    cred = credentials(33, 0); /* saved uid 0 */
    invented_u32(&invented, cred + 0xc, 0);
    give(tasks[3], cred);
    assert_clean();
    give(tasks[3], credentials(0, FULL));
    assert_clean();
    cred = credentials(1000, 0);
    give(tasks[3], cred);
    assert_clean();
    cred = credentials(1000, FULL); /* unshare(CLONE_NEWUSER) */
    invented_u64(&invented, cred + NAMESPACE, namespace + 0x40);
    give(tasks[3], cred);
    assert_clean();
    invented_u32(&invented, tasks[1] + FLAGS, 0x00200000); /* a kernel thread with some memory */
    give(tasks[1], init_cred);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

static void test_forms(void)
{
    uint64_t cred, frame;

    set_up();
    cred = credentials(1000, FULL);
    give(tasks[3], cred);
    assert_found(CHECK_DEGRADED, 4, "is not root and has all");
    invented_u64(&invented, cred + 0x38, FULL); /* ambient: it was given them */
    assert_clean();
    frame = (cred - INVENTED_DIRECT) / GUEST_PAGE_SIZE;
    cred = invented_allocate(&invented, 32 * GUEST_PAGE_SIZE) + 16 * GUEST_PAGE_SIZE; /* no slab */
    memcpy(invented_at(&invented, cred),
           invented_at(&invented, INVENTED_DIRECT + frame * GUEST_PAGE_SIZE), 0x60);
    invented_u32(&invented, cred + 0x8, 1000);
    invented_u32(&invented, cred + 0xc, 1000);
    invented_u32(&invented, cred + 0x10, 1000);
    invented_u32(&invented, cred + 0x14, 1000);
    invented_u64(&invented, cred + EFFECTIVE, 0);
    invented_u64(&invented, cred + PERMITTED, 0);
    give(tasks[3], cred);
    assert_found(CHECK_COMPROMISED, 4, "did not allocate");
    tear_down();
}

/* A process that says it is the kernel's: left out by nobody. */
static void test_disguise(void)
{
    uint64_t stack, memory, frame;

    set_up();
    stack = invented_allocate(&invented, 0x4000);
    memory = invented_allocate(&invented, 0x40);
    frame = stack + 0x4000 - 0xa8;
    invented_u64(&invented, tasks[3] + 0x68, stack);
    invented_u64(&invented, tasks[3] + MEMORY, memory);
    assert_clean();
    invented_u32(&invented, tasks[3] + FLAGS, THREAD);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "tasks"), ==, 3); /* as one that borrowed a memory */
    invented_u64(&invented, memory + 0x8, tasks[3]);
    assert_found(CHECK_COMPROMISED, 4, "says that it is a kernel thread");
    invented_u64(&invented, memory + 0x8, tasks[0]);
    for (uint64_t padding = 0; padding <= 16; padding += 16) { /* FRED leaves room above */
        invented_u64(&invented, frame - padding + 0x88, 0x33);
        run();
        g_assert_cmpuint(one.sightings.count, ==, 0);
        invented_u64(&invented, frame - padding + 0xa0, 0x2b | 7ull << 32);
        assert_found(CHECK_COMPROMISED, 4, "says that it is a kernel thread");
        invented_u64(&invented, frame - padding + 0x88, 0);
        invented_u64(&invented, frame - padding + 0xa0, 0);
    }
    invented_u64(&invented, frame + 0x88, 0x33);
    invented_u64(&invented, frame + 0xa0, 0x2b);
    invented_u32(&invented, tasks[3] + FLAGS, 0);
    assert_clean();
    invented_u64(&invented, tasks[3] + MEMORY, 0); /* no memory either */
    assert_found(CHECK_COMPROMISED, 4, "says that it is a kernel thread");
    invented_u32(&invented, tasks[3] + FLAGS, ENDING);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    /* And what it gained is judged all the same. */
    invented_u32(&invented, tasks[3] + FLAGS, THREAD);
    give(tasks[3], init_cred);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 2);
    tear_down();
}

/* Before the first look: the uid was written over, its user was not. */
static void test_user(void)
{
    uint64_t cred = 0;

    set_up();
    cred = credentials(1000, 0);
    for (uint64_t id = 0x8; id <= 0x14; id += 4) {
        invented_u32(&invented, cred + id, 0);
    }
    give(tasks[3], cred);
    assert_found(CHECK_COMPROMISED, 4, "has a uid that is not its user's");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "uid 1000, whose user it is");
    /* A set-uid program changes the effective ones. */
    cred = credentials(1000, FULL);
    invented_u32(&invented, cred + 0xc, 0);
    invented_u32(&invented, cred + 0x10, 0);
    invented_u32(&invented, cred + 0x14, 0);
    give(tasks[3], cred);
    assert_clean();
    tear_down();
}

static void test_hostile(void)
{
    set_up();
    give(tasks[3], 0x4141414141414141ull);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/credentials/pointers", test_pointers);
    g_test_add_func("/credentials/stolen", test_stolen);
    g_test_add_func("/credentials/rise", test_rise);
    g_test_add_func("/credentials/legal", test_legal);
    g_test_add_func("/credentials/forms", test_forms);
    g_test_add_func("/credentials/disguise", test_disguise);
    g_test_add_func("/credentials/user", test_user);
    g_test_add_func("/credentials/hostile", test_hostile);
    return g_test_run();
}
