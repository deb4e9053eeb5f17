/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-programs.c - programs, their paths and pages, and launches, over an invented kernel
 */
#include <glib.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define PAGE_STRUCT 64u
#define FILE_SIZE (70 * 4096u + 10) /* more than a node of 64 */
#define NODE 2u                     /* the low bits of a pointer to a node */
#define SIBLING(slot) ((uint64_t)(slot) << 2 | 2)

static const InventedRow rows[] = {
    {"task_struct", NULL, 0x200, NULL},  {NULL, "tasks", 0x10, NULL},
    {NULL, "pid", 0x20, "u32"},          {NULL, "tgid", 0x24, "u32"},
    {NULL, "comm", 0x28, NULL},          {NULL, "mm", 0x38, NULL},
    {NULL, "cred", 0x40, NULL},          {NULL, "real_cred", 0x40, NULL},
    {NULL, "__state", 0x60, "u32"},      {NULL, "exit_state", 0x64, "u32"},
    {NULL, "stack", 0x70, NULL},         {NULL, "start_time", 0x78, NULL},
    {NULL, "real_parent", 0x80, NULL},   {"cred", NULL, 0x20, NULL},
    {NULL, "uid", 0x4, "u32"},           {NULL, "gid", 0x8, "u32"},
    {"mm_struct", NULL, 0x40, NULL},     {NULL, "exe_file", 0x8, NULL},
    {"path", NULL, 0x10, NULL},          {NULL, "mnt", 0x0, NULL},
    {NULL, "dentry", 0x8, NULL},         {"file", NULL, 0x40, NULL},
    {NULL, "f_path", 0x10, "path"},      {NULL, "f_inode", 0x20, NULL},
    {"qstr", NULL, 0x10, NULL},          {NULL, "name", 0x8, NULL},
    {"dentry", NULL, 0x60, NULL},        {NULL, "d_hash", 0x0, NULL},
    {NULL, "d_parent", 0x10, NULL},      {NULL, "d_name", 0x18, "qstr"},
    {NULL, "d_inode", 0x28, NULL},       {"vfsmount", NULL, 0x10, NULL},
    {NULL, "mnt_root", 0x0, NULL},       {"mount", NULL, 0x40, NULL},
    {NULL, "mnt_parent", 0x8, NULL},     {NULL, "mnt_mountpoint", 0x10, NULL},
    {NULL, "mnt", 0x18, "vfsmount"},     {"inode", NULL, 0x40, NULL},
    {NULL, "i_ino", 0x0, NULL},          {NULL, "i_generation", 0x8, "u32"},
    {NULL, "i_size", 0x10, NULL},        {NULL, "i_mapping", 0x18, NULL},
    {"address_space", NULL, 0x20, NULL}, {NULL, "i_pages", 0x8, "xarray"},
    {"xarray", NULL, 0x10, NULL},        {NULL, "xa_head", 0x8, NULL},
    {"xa_node", NULL, 0x228, NULL},      {NULL, "shift", 0x0, "u8"},
    {NULL, "slots", 0x28, NULL},         {"page", NULL, PAGE_STRUCT, NULL},
    {NULL, "flags", 0x0, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t init, forks, tasks, memmap, mm, root_entry, inner_mount, entry, inode, head;
static uint64_t content;

static uint64_t make_entry(const char *name, uint64_t parent)
{
    uint64_t at = invented_allocate(&invented, 0x60), text = invented_allocate(&invented, 64);

    memcpy(invented_at(&invented, text), name, strlen(name) + 1);
    invented_u64(&invented, at + 0x8, 1); /* hashed */
    invented_u64(&invented, at + 0x10, parent ? parent : at);
    invented_u64(&invented, at + 0x20, text);
    return at;
}

static uint64_t make_mount(uint64_t root, uint64_t parent, uint64_t place)
{
    uint64_t at = invented_allocate(&invented, 0x40);
    invented_u64(&invented, at + 0x8, parent ? parent : at);
    invented_u64(&invented, at + 0x10, place);
    invented_u64(&invented, at + 0x18, root);
    return at;
}

/* The struct page of the content's page number n. */
static uint64_t page_of(uint64_t n)
{
    return memmap + ((content - INVENTED_DIRECT) / 4096 + n) * PAGE_STRUCT;
}

static uint64_t make_node(uint8_t shift)
{
    uint64_t at = invented_allocate(&invented, 0x240);
    *invented_at(&invented, at) = shift;
    return at;
}

static uint64_t add_task(uint32_t pid)
{
    uint64_t task = invented_allocate(&invented, 0x200);

    invented_u32(&invented, task + 0x20, pid);
    invented_u32(&invented, task + 0x24, pid);
    memcpy(invented_at(&invented, task + 0x28), "program", 7);
    invented_u64(&invented, task + 0x38, mm);
    invented_u64(&invented, task + 0x40, invented_allocate(&invented, 0x20));
    invented_u32(&invented, task + 0x60, 1);
    invented_u64(&invented, task + 0x78, 1000 + pid);
    invented_ring_add(&invented, tasks, task + 0x10);
    return task;
}

/* /opt/disk is a mount of its own, in which /bin/evil lies. */
static void make_file(void)
{
    uint64_t file = invented_allocate(&invented, 0x40), outer, place, folder, inner_root;

    root_entry = make_entry("/", 0);
    outer = make_mount(root_entry, 0, root_entry);
    place = make_entry("disk", make_entry("opt", root_entry));
    inner_root = make_entry("/", 0);
    inner_mount = make_mount(inner_root, outer, place);
    folder = make_entry("bin", inner_root);
    entry = make_entry("evil", folder);
    inode = invented_allocate(&invented, 0x40);
    invented_u64(&invented, file + 0x10, inner_mount + 0x18);
    invented_u64(&invented, file + 0x18, entry);
    invented_u64(&invented, file + 0x20, inode);
    invented_u64(&invented, mm + 0x8, file);
    invented_u64(&invented, inode, 4711);
    invented_u32(&invented, inode + 0x8, 99);
    invented_u64(&invented, inode + 0x10, FILE_SIZE);
}

/* Pages 0 to 3 as one folio, 5 alone, 7 gone, 64 to 70 in a second node, of which 66 is away. */
static void make_pages(void)
{
    uint64_t mapping = invented_allocate(&invented, 0x20), top = make_node(6), low = make_node(0);
    uint64_t high = make_node(0);

    head = mapping + 0x10;
    invented_u64(&invented, inode + 0x18, mapping);
    invented_u64(&invented, head, top | NODE);
    invented_u64(&invented, top + 0x28, low | NODE);
    invented_u64(&invented, top + 0x30, high | NODE);
    invented_u64(&invented, low + 0x28, page_of(0));
    for (uint64_t i = 1; i < 4; i++) {
        invented_u64(&invented, low + 0x28 + 8 * i, SIBLING(0));
    }
    invented_u64(&invented, low + 0x28 + 8 * 5, page_of(5));
    invented_u64(&invented, low + 0x28 + 8 * 7, 0x1235); /* what is left of a page that went */
    for (uint64_t i = 0; i < 7; i++) {
        invented_u64(&invented, high + 0x28 + 8 * i, i == 2 ? 0 : page_of(64 + i));
    }
}

static void set_up(void)
{
    uint64_t variable;

    one_check_disown("");
    invented_begin(&invented);
    init = invented_variable(&invented, "init_task", 0x200);
    tasks = init + 0x10;
    invented_ring(&invented, tasks);
    forks = invented_variable(&invented, "total_forks", 8);
    invented_u64(&invented, forks, 100);
    memmap = invented_allocate(&invented, INVENTED_SIZE / 4096 * PAGE_STRUCT);
    variable = invented_variable(&invented, "vmemmap_base", 8);
    invented_u64(&invented, variable, memmap);
    content = (invented_allocate(&invented, 72 * 4096) + 4095) & ~4095ull;
    for (uint64_t i = 0; i < 71; i++) {
        memset(invented_at(&invented, content + i * 4096), (int)(i + 1), 4096);
    }
    mm = invented_allocate(&invented, 0x40);
    make_file();
    make_pages();
    add_task(7);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_programs, &invented.kernel);
    g_assert_cmpuint(one.sightings.count, ==, 0);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_programs);
    invented_clear(&invented);
}

static const char *cell(const char *key, const char *value, const char *column)
{
    static TableCell cell;
    g_assert_true(one_check_cell(&one, key, value, column, &cell));
    return cell.text;
}

static void expected_digest(char text[2 * SHA256_DIGEST_SIZE + 1])
{
    static const uint8_t there[] = {0, 1, 2, 3, 5, 64, 65, 67, 68, 69, 70};
    uint8_t bytes[4096], digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx whole, one_page;

    sha256_init(&whole);
    for (size_t i = 0; i < sizeof(there); i++) {
        const uint8_t index[8] = {0, 0, 0, 0, 0, 0, 0, there[i]};
        memset(bytes, there[i] + 1, sizeof(bytes));
        sha256_init(&one_page);
        sha256_update(&one_page, sizeof(bytes), bytes);
        sha256_digest(&one_page, sizeof(digest), digest);
        sha256_update(&whole, sizeof(index), index);
        sha256_update(&whole, sizeof(digest), digest);
    }
    sha256_digest(&whole, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

static void test_pages(void)
{
    char digest[2 * SHA256_DIGEST_SIZE + 1];

    set_up();
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one_check_counter(&one, "programs"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "hashed whole"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "without a name"), ==, 0);
    expected_digest(digest);
    g_assert_cmpstr(cell("path", "/opt/disk/bin/evil", "digest"), ==, digest);
    g_assert_cmpstr(cell("inode", "4711", "path"), ==, "/opt/disk/bin/evil");
    g_assert_cmpstr(cell("pages", "11", "path"), ==, "/opt/disk/bin/evil");
    tear_down();
}

static void test_paths(void)
{
    set_up();
    invented_u64(&invented, entry + 0x8, 0); /* removed */
    run();
    g_assert_cmpstr(cell("inode", "4711", "path"), ==, "/opt/disk/bin/evil (deleted)");
    g_assert_cmpuint(one_check_counter(&one, "without a name"), ==, 1);
    invented_u64(&invented, entry + 0x10, entry); /* never had a place */
    run();
    g_assert_cmpstr(cell("inode", "4711", "path"), ==, "/evil (deleted)");
    /* Parents without end, mounts without end, a name that is nowhere, control characters. */
    invented_u64(&invented, entry + 0x8, 1);
    invented_u64(&invented, entry + 0x10, make_entry("x", entry));
    invented_u64(&invented, invented_get(&invented, entry + 0x10) + 0x10, entry);
    run();
    g_assert_cmpuint(strlen(cell("inode", "4711", "path")), <=, 256);
    invented_u64(&invented, entry + 0x10, invented_get(&invented, inner_mount + 0x18));
    invented_u64(&invented, inner_mount + 0x8, 0x4141414141414141);
    run();
    g_assert_cmpstr(cell("inode", "4711", "path"), ==, "?");
    invented_u64(&invented, entry + 0x20, 0x4141414141414141);
    run();
    g_assert_cmpstr(cell("inode", "4711", "path"), ==, "?");
    tear_down();
}

static void test_launches(void)
{
    uint64_t eighth;

    set_up();
    run();
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, UINT64_MAX);
    eighth = add_task(8);
    invented_u64(&invented, forks, 104); /* three were over before anyone looked */
    run();
    g_assert_cmpuint(one_check_counter(&one, "started"), ==, 4);
    g_assert_cmpuint(one_check_counter(&one, "started and seen"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, 250000);
    g_assert_cmpuint(one_check_counter(&one, "sampled"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "nearly unseen"), ==, 0);
    /* One ended; another one stands at the same place. */
    invented_u64(&invented, eighth + 0x78, 5000);
    invented_u64(&invented, forks, 105);
    run();
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, 1000000);
    g_assert_cmpuint(one_check_counter(&one, "sampled"), ==, 0);
    invented_u64(&invented, forks, 205);
    run();
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "nearly unseen"), ==, 1);
    /* Nobody was started: there is no part of nothing. */
    run();
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, UINT64_MAX);
    /* A counter that goes back is not believed. */
    invented_u64(&invented, forks, 3);
    run();
    g_assert_cmpuint(one_check_counter(&one, "coverage ppm"), ==, UINT64_MAX);
    tear_down();
}

static void test_hostile_pages(void)
{
    const uint64_t nodes[] = {0x4141414141414140 | NODE, 0, 0x1235,
                              INVENTED_DIRECT + INVENTED_SIZE + NODE};

    for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
        set_up();
        invented_u64(&invented, head, nodes[i]);
        run();
        g_assert_cmpuint(one_check_counter(&one, "hashed whole"), ==, 1);
        g_assert_cmpstr(cell("pages", "0", "path"), ==, "/opt/disk/bin/evil");
        tear_down();
    }
    set_up(); /* a node that is its own child, of any shift; a file without end */
    invented_u64(&invented, inode + 0x10, UINT64_MAX);
    for (int shift = 0; shift < 256; shift += 3) {
        uint64_t node = invented_get(&invented, head) - NODE;
        *invented_at(&invented, node) = (uint8_t)shift;
        for (uint64_t slot = 0; slot < 64; slot++) {
            invented_u64(&invented, node + 0x28 + 8 * slot, node | NODE);
        }
        run();
        /* 1,024 looks a pass and 65,536 in all, whatever the size says. */
        g_assert_cmpuint(one_check_counter(&one, "hashed whole"), ==, shift / 3 + 1 >= 64);
    }
    tear_down();
    set_up(); /* pages that are none */
    for (uint64_t slot = 0; slot < 64; slot++) {
        uint64_t low = invented_get(&invented, invented_get(&invented, head) - NODE + 0x28) - NODE;
        invented_u64(&invented, low + 0x28 + 8 * slot, memmap + 4 + slot * 4);
    }
    run();
    g_assert_cmpuint(one_check_counter(&one, "programs"), ==, 1);
    tear_down();
}

/* The same processes as ps would list them. */
static void test_tasks(void)
{
    OneCheck list = {.state = NULL};
    TableCell found;
    uint64_t task;

    set_up();
    task = add_task(8);
    invented_u64(&invented, task + 0x80, task); /* its own parent */
    invented_u32(&invented, invented_get(&invented, task + 0x40) + 0x4, 1000);
    invented_u64(&invented, add_task(9) + 0x38, 0); /* a kernel thread */
    one_check_run(&list, &check_task_list, &invented.kernel);
    g_assert_cmpuint(list.sightings.count, ==, 0);
    g_assert_cmpuint(list.table.rows, ==, 3);
    g_assert_cmpuint(one_check_counter(&list, "processes"), ==, 2);
    g_assert_cmpuint(one_check_counter(&list, "kernel threads"), ==, 1);
    g_assert_true(one_check_cell(&list, "pid", "8", "exe", &found));
    g_assert_cmpstr(found.text, ==, "/opt/disk/bin/evil");
    g_assert_true(one_check_cell(&list, "pid", "8", "ppid", &found));
    g_assert_cmpuint(found.value, ==, 8);
    g_assert_true(one_check_cell(&list, "pid", "8", "uid", &found));
    g_assert_cmpuint(found.value, ==, 1000);
    g_assert_true(one_check_cell(&list, "pid", "9", "note", &found));
    g_assert_cmpstr(found.text, ==, "kernel");
    /* Without the IDR's symbols the list is there and says that the other view is not. */
    g_assert_cmpuint(list.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(list.result.text, "init_pid_ns"));
    one_check_clear(&list, &check_task_list);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/programs/pages", test_pages);
    g_test_add_func("/programs/paths", test_paths);
    g_test_add_func("/programs/launches", test_launches);
    g_test_add_func("/programs/hostile-pages", test_hostile_pages);
    g_test_add_func("/programs/tasks", test_tasks);
    return g_test_run();
}
