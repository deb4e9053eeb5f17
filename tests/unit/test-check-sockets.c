/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-sockets.c - open files against the kernel's tables, over an invented kernel
 *
 * One process, PID 7, holds what a test gives it; the tables lie as a test makes them.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define PID 7u
#define TABLE_MASK 0xffu
#define NULLS 1u /* ends a chain */
#define NETLINK 16u
#define NODE 0x30u /* sock_common.skc_node */

static const InventedRow rows[] = {
    {"task_struct", NULL, 0x200, NULL},
    {NULL, "tasks", 0x10, NULL},
    {NULL, "pid", 0x20, "u32"},
    {NULL, "tgid", 0x24, "u32"},
    {NULL, "comm", 0x28, NULL},
    {NULL, "mm", 0x38, NULL},
    {NULL, "cred", 0x40, NULL},
    {NULL, "__state", 0x60, "u32"},
    {NULL, "exit_state", 0x64, "u32"},
    {NULL, "stack", 0x70, NULL},
    {NULL, "start_time", 0x78, NULL},
    {NULL, "files", 0x80, NULL},
    {"cred", NULL, 0x20, NULL},
    {NULL, "uid", 0x4, "u32"},
    {"files_struct", NULL, 0x20, NULL},
    {NULL, "fdt", 0x8, NULL},
    {"fdtable", NULL, 0x20, NULL},
    {NULL, "max_fds", 0x0, "u32"},
    {NULL, "fd", 0x8, NULL},
    {"file", NULL, 0x40, NULL},
    {NULL, "f_op", 0x8, NULL},
    {NULL, "private_data", 0x18, NULL},
    {"socket", NULL, 0x40, NULL},
    {NULL, "file", 0x10, NULL},
    {NULL, "sk", 0x18, NULL},
    {"inode", NULL, 0x40, NULL},
    {NULL, "i_ino", 0x8, NULL},
    {"socket_alloc", NULL, 0x80, NULL},
    {NULL, "socket", 0x0, "socket"},
    {NULL, "vfs_inode", 0x40, "inode"},
    {"sock_common", NULL, 0x60, NULL},
    {NULL, "skc_daddr", 0x0, "u32"},
    {NULL, "skc_rcv_saddr", 0x4, "u32"},
    {NULL, "skc_dport", 0x8, "u16"},
    {NULL, "skc_num", 0xa, "u16"},
    {NULL, "skc_family", 0x10, "u16"},
    {NULL, "skc_state", 0x12, "u8"},
    {NULL, "skc_net", 0x18, NULL},
    {NULL, "skc_node", NODE, NULL},
    {"sock", NULL, 0x100, NULL},
    {NULL, "sk_type", 0x80, "u16"},
    {NULL, "sk_protocol", 0x82, "u16"},
    {NULL, "sk_filter", 0x88, NULL},
    {NULL, "sk_socket", 0x90, NULL},
    {NULL, "sk_uid", 0x98, "u32"},
    {"sk_filter", NULL, 0x20, NULL},
    {NULL, "prog", 0x8, NULL},
    {"bpf_prog", NULL, 0x40, NULL},
    {NULL, "orig_prog", 0x10, NULL},
    {"packet_sock", NULL, 0x140, NULL},
    {NULL, "num", 0x120, "u16"},
    {NULL, "ifindex", 0x124, "u32"},
    {"netlink_sock", NULL, 0x140, NULL},
    {NULL, "portid", 0x110, "u32"},
    {NULL, "bound", 0x114, "u8"},
    {NULL, "node", 0x118, NULL},
    {"ns_common", NULL, 0x20, NULL},
    {NULL, "inum", 0x8, "u32"},
    {"netns_packet", NULL, 0x20, NULL},
    {NULL, "sklist", 0x8, NULL},
    {"unix_table", NULL, 0x10, NULL},
    {NULL, "buckets", 0x8, NULL},
    {"netns_unix", NULL, 0x10, NULL},
    {NULL, "table", 0x0, "unix_table"},
    {"net", NULL, 0x200, NULL},
    {NULL, "list", 0x10, NULL},
    {NULL, "ns", 0x20, "ns_common"},
    {NULL, "packet", 0x80, "netns_packet"},
    {NULL, "unx", 0xc0, "netns_unix"},
    {"inet_hashinfo", NULL, 0x40, NULL},
    {NULL, "ehash", 0x0, NULL},
    {NULL, "ehash_mask", 0x8, "u32"},
    {NULL, "lhash2", 0x10, NULL},
    {NULL, "lhash2_mask", 0x18, "u32"},
    {"inet_ehash_bucket", NULL, 0x8, NULL},
    {"inet_listen_hashbucket", NULL, 0x10, NULL},
    {NULL, "nulls_head", 0x8, NULL},
    {"udp_table", NULL, 0x20, NULL},
    {NULL, "hash", 0x0, NULL},
    {NULL, "mask", 0x10, "u32"},
    {"udp_hslot", NULL, 0x10, NULL},
    {NULL, "head", 0x0, NULL},
    {"raw_hashinfo", NULL, 0x840, NULL},
    {NULL, "ht", 0x40, "u64[256]"},
    {"netlink_table", NULL, 0x80, NULL},
    {NULL, "hash", 0x0, "rhashtable"},
    {"rhashtable", NULL, 0x40, NULL},
    {NULL, "tbl", 0x0, NULL},
    {"bucket_table", NULL, 0x40, NULL},
    {NULL, "size", 0x0, "u32"},
    {NULL, "nest", 0x4, "u32"},
    {NULL, "future_tbl", 0x30, NULL},
    {NULL, "buckets", 0x40, NULL},
};

static InventedKernel invented;
static OneCheck one;
static uint64_t net, tcp, connections, listeners, udp, datagrams, raw, netlink, unixes;
static uint64_t operations, descriptors, files_table, namespaces;
static uint32_t descriptor_count;

static void make_task(void)
{
    uint64_t init = invented_variable(&invented, "init_task", 0x200);
    uint64_t task = invented_allocate(&invented, 0x200);
    uint64_t cred = invented_allocate(&invented, 0x20), files = invented_allocate(&invented, 0x20);

    invented_ring(&invented, init + 0x10);
    invented_ring_add(&invented, init + 0x10, task + 0x10);
    invented_u32(&invented, task + 0x20, PID);
    invented_u32(&invented, task + 0x24, PID);
    memcpy(invented_at(&invented, task + 0x28), "holder", 6);
    invented_u64(&invented, task + 0x38, invented_allocate(&invented, 64)); /* an mm */
    invented_u64(&invented, task + 0x40, cred);
    invented_u32(&invented, task + 0x60, 1);
    invented_u64(&invented, task + 0x78, 123456);
    invented_u64(&invented, task + 0x80, files);
    files_table = invented_allocate(&invented, 0x20);
    descriptors = invented_allocate(&invented, 64 * 8);
    descriptor_count = 0;
    invented_u64(&invented, files + 0x8, files_table);
    invented_u32(&invented, files_table, 64);
    invented_u64(&invented, files_table + 0x8, descriptors);
}

static uint64_t make_buckets(uint32_t count, uint32_t size, uint32_t head, uint64_t end)
{
    uint64_t buckets = invented_allocate(&invented, (uint64_t)count * size);
    for (uint64_t i = 0; end && i < count; i++) {
        invented_u64(&invented, buckets + i * size + head, end);
    }
    return buckets;
}

static void make_tables(void)
{
    uint64_t pointer = invented_variable(&invented, "nl_table", 8);

    namespaces = invented_variable(&invented, "net_namespace_list", 16);
    net = invented_allocate(&invented, 0x200);
    invented_ring(&invented, namespaces);
    invented_ring_add(&invented, namespaces, net + 0x10);
    invented_u32(&invented, net + 0x28, 4026531840u);
    tcp = invented_variable(&invented, "tcp_hashinfo", 0x40);
    connections = make_buckets(TABLE_MASK + 1, 8, 0, NULLS);
    listeners = make_buckets(16, 16, 8, NULLS);
    invented_u64(&invented, tcp, connections);
    invented_u32(&invented, tcp + 0x8, TABLE_MASK);
    invented_u64(&invented, tcp + 0x10, listeners);
    invented_u32(&invented, tcp + 0x18, 15);
    udp = invented_variable(&invented, "udp_table", 0x20);
    datagrams = make_buckets(64, 16, 0, 0);
    invented_u64(&invented, udp, datagrams);
    invented_u32(&invented, udp + 0x10, 63);
    raw = invented_variable(&invented, "raw_v4_hashinfo", 0x840);
    unixes = make_buckets(512, 8, 0, 0);
    invented_u64(&invented, net + 0xc8, unixes);
    netlink = invented_allocate(&invented, 0x40 + 16 * 8); /* one table for all 32 families */
    invented_u32(&invented, netlink, 16);
    for (uint64_t i = 0; i < 16; i++) {
        invented_u64(&invented, netlink + 0x40 + 8 * i, NULLS);
    }
    invented_u64(&invented, pointer, invented_allocate(&invented, 32 * 0x80));
    for (uint64_t i = 0; i < 32; i++) {
        invented_u64(&invented, invented_get(&invented, pointer) + i * 0x80, netlink);
    }
    operations = invented_variable(&invented, "socket_file_ops", 64);
}

static void set_up(void)
{
    one_check_disown("");
    invented_begin(&invented);
    make_task();
    make_tables();
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_sockets, &invented.kernel);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_sockets);
    invented_clear(&invented);
}

/* A socket that PID holds, in no table yet. */
static uint64_t make_socket(uint16_t family, uint16_t type, uint16_t protocol, uint8_t state,
                            uint16_t port)
{
    uint64_t sock = invented_allocate(&invented, 0x140);
    uint64_t socket = invented_allocate(&invented, 0x80);
    uint64_t file = invented_allocate(&invented, 0x40);

    invented_u32(&invented, sock + 0x4, 0x0100007f);
    invented_u16(&invented, sock + 0xa, port);
    invented_u16(&invented, sock + 0x10, family);
    *invented_at(&invented, sock + 0x12) = state;
    invented_u64(&invented, sock + 0x18, net);
    invented_u16(&invented, sock + 0x80, type);
    invented_u16(&invented, sock + 0x82, protocol);
    invented_u64(&invented, sock + 0x90, socket);
    invented_u32(&invented, sock + 0x98, 1000);
    invented_u64(&invented, socket + 0x10, file);
    invented_u64(&invented, socket + 0x18, sock);
    invented_u64(&invented, socket + 0x48, 777); /* inode */
    invented_u64(&invented, file + 0x8, operations);
    invented_u64(&invented, file + 0x18, socket);
    invented_u64(&invented, descriptors + 8ull * descriptor_count++, file);
    return sock;
}

static void in_chain(uint64_t head, uint64_t sock, uint64_t end)
{
    invented_chain_add(&invented, head, sock + NODE, end);
}

static void in_netlink(uint64_t sock)
{
    invented_u64(&invented, sock + 0x118, NULLS);
    invented_u64(&invented, netlink + 0x40 + 8 * 5, sock + 0x118);
}

/* Each kind: in its table nothing is said, out of it the socket is. */
static void test_kinds(void)
{
    static const struct {
        uint16_t family, type, protocol;
        uint8_t state;
        uint16_t port;
        int table; /* 0 connections, 1 listeners, 2 UDP, 3 raw, 4 packets, 5 unix */
        const char *object;
    } kinds[] = {
        {2, 1, 6, 1, 40001, 0, "tcp 127.0.0.1:40001"},
        {2, 1, 6, 10, 31337, 1, "tcp 127.0.0.1:31337"},
        {2, 2, 17, 7, 53, 2, "udp 127.0.0.1:53"},
        {2, 3, 17, 7, 17, 3, "raw 127.0.0.1:17"},
        {17, 3, 3, 0, 0, 4, "p_raw 0x0003:if2"},
        {1, 1, 0, 1, 0, 5, "u_str *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        uint64_t heads[6], sock;
        TableCell cell;

        set_up();
        heads[0] = connections + 8 * 200;
        heads[1] = listeners + 16 * 3 + 8;
        heads[2] = datagrams + 16 * 53;
        heads[3] = raw + 0x40 + 8 * 17;
        heads[4] = net + 0x88;
        heads[5] = unixes + 8 * 400;
        sock = make_socket(kinds[i].family, kinds[i].type, kinds[i].protocol, kinds[i].state,
                           kinds[i].port);
        if (kinds[i].family == 17) {
            invented_u16(&invented, sock + 0x120, 0x0300);
            invented_u32(&invented, sock + 0x124, 2);
        }
        in_chain(heads[kinds[i].table], sock, kinds[i].table < 2 ? NULLS : 0);
        run();
        g_assert_cmpstr(one.result.text, ==, "");
        g_assert_cmpuint(one.sightings.count, ==, 0);
        g_assert_cmpuint(one_check_counter(&one, "held"), ==, 1);
        g_assert_cmpuint(one_check_counter(&one, "in tables"), ==, 1);
        g_assert_true(one_check_cell(&one, "pid", "7", "process", &cell));
        g_assert_cmpstr(cell.text, ==, "holder");
        g_assert_true(one_check_cell(&one, "pid", "7", "inode", &cell));
        g_assert_cmpuint(cell.value, ==, 777);
        g_assert_true(one_check_cell(&one, "pid", "7", "uid", &cell));
        g_assert_cmpuint(cell.value, ==, 1000);
        g_assert_true(one_check_cell(&one, "pid", "7", "netns", &cell));
        g_assert_cmpuint(cell.value, ==, 4026531840u);

        invented_chain_remove(&invented, sock + NODE);
        run();
        g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
        g_assert_cmpuint(one.sightings.count, ==, 1);
        g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
        g_assert_cmphex(one.sightings.items[0].address, ==, sock);
        g_assert_cmpuint(one.sightings.items[0].pid, ==, PID);
        g_assert_cmpuint(one.sightings.items[0].start_ns, ==, 123456);
        g_assert_cmpstr(one.sightings.items[0].owner, ==, "holder");
        g_assert_cmpstr(one.sightings.items[0].object, ==, kinds[i].object);
        tear_down();
    }
}

static void test_netlink(void)
{
    uint64_t sock;

    set_up();
    sock = make_socket(NETLINK, 3, 0, 0, 0);
    invented_u32(&invented, sock + 0x110, 4711);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0); /* not bound: it need not be anywhere */
    *invented_at(&invented, sock + 0x114) = 1;
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpstr(one.sightings.items[0].object, ==, "nl 0:4711");
    in_netlink(sock);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    tear_down();
}

/* What no rule puts into a table, what is closed meanwhile, and what nobody holds. */
static void test_legal(void)
{
    uint64_t sock, socket;

    set_up();
    make_socket(2, 1, 6, 7, 0);   /* a TCP socket that is not connected */
    make_socket(2, 2, 17, 7, 0);  /* UDP without a port */
    make_socket(2, 2, 1, 7, 5);   /* ping's */
    make_socket(40, 1, 0, 10, 1); /* a family that is not known */
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one_check_counter(&one, "held"), ==, 4);
    /* Closed between the two looks: file and socket are there, but not each other's any more. */
    sock = make_socket(2, 1, 6, 10, 80);
    socket = invented_get(&invented, sock + 0x90);
    invented_u64(&invented, sock + 0x90, 0);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    /* Another file of the process's, with something else behind it. */
    invented_u64(&invented, sock + 0x90, socket);
    invented_u64(&invented, invented_get(&invented, socket + 0x10) + 0x8, operations + 8);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    /* In a table and with an open file that nobody has: in flight. */
    in_chain(listeners + 8, sock, NULLS);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "held by no listed"), ==, 1);
    /* Waiting: no more of it than the common part. */
    sock = invented_allocate(&invented, 0x60);
    invented_u16(&invented, sock + 0x10, 2);
    *invented_at(&invented, sock + 0x12) = 6;
    in_chain(connections, sock, NULLS);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "in tables"), ==, 2);
    tear_down();
}

static void test_filter(void)
{
    uint64_t sock, filter, program;

    set_up();
    sock = make_socket(17, 3, 3, 0, 0);
    in_chain(net + 0x88, sock, 0);
    filter = invented_allocate(&invented, 0x20);
    program = invented_allocate(&invented, 0x40);
    invented_u64(&invented, sock + 0x88, filter);
    invented_u64(&invented, filter + 0x8, program);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0); /* an eBPF program: the check "bpf" judges it */
    invented_u64(&invented, program + 0x10, filter);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_DEGRADED);
    g_assert_cmpuint(one.sightings.items[0].pid, ==, PID);
    tear_down();
    /* udev and its readers filter what the kernel tells of devices: a raw socket of netlink. */
    set_up();
    sock = make_socket(NETLINK, 3, 15, 0, 0);
    in_netlink(sock);
    filter = invented_allocate(&invented, 0x20);
    program = invented_allocate(&invented, 0x40);
    invented_u64(&invented, sock + 0x88, filter);
    invented_u64(&invented, filter + 0x8, program);
    invented_u64(&invented, program + 0x10, filter);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "held"), ==, 1);
    tear_down();
}

static void test_hidden_namespace(void)
{
    uint64_t other, sock;

    set_up();
    other = invented_allocate(&invented, 0x200);
    sock = make_socket(2, 1, 6, 10, 4444);
    in_chain(listeners + 8, sock, NULLS);
    invented_u64(&invented, sock + 0x18, other);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0); /* the table has it */
    invented_chain_remove(&invented, sock + NODE);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_nonnull(strstr(one.sightings.items[0].text, "hidden namespace"));
    tear_down();
}

/* What a table that could not be read whole lacks says nothing, and the check says why. */
static void assert_torn(void)
{
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, !=, MONATT_REASON_NONE);
    tear_down();
}

static void test_hostile(void)
{
    uint64_t sock;

    set_up(); /* a mask beyond all bounds, of a table that ends */
    make_socket(2, 1, 6, 1, 40001);
    invented_u32(&invented, tcp + 0x8, UINT32_MAX);
    assert_torn();
    set_up();
    make_socket(2, 1, 6, 10, 80);
    invented_u64(&invented, tcp + 0x10, 0xdead000000000100ull);
    assert_torn();
    set_up(); /* a chain that is a ring */
    sock = make_socket(2, 1, 6, 10, 80);
    invented_u64(&invented, listeners + 8, sock + NODE);
    invented_u64(&invented, sock + NODE, sock + NODE);
    invented_u64(&invented, sock + NODE + 8, listeners + 8);
    make_socket(2, 1, 6, 10, 81);
    assert_torn();
    set_up(); /* netlink's nodes lead forward only: the budget ends them */
    sock = make_socket(NETLINK, 3, 0, 0, 0);
    invented_u64(&invented, netlink + 0x40, sock + 0x118);
    invented_u64(&invented, sock + 0x118, sock + 0x118);
    *invented_at(&invented, make_socket(NETLINK, 3, 0, 0, 0) + 0x114) = 1;
    assert_torn();
    set_up();
    invented_u32(&invented, netlink, UINT32_MAX);
    *invented_at(&invented, make_socket(NETLINK, 3, 0, 0, 0) + 0x114) = 1;
    assert_torn();
    set_up(); /* nodes that are no sockets */
    in_chain(net + 0x88, INVENTED_DIRECT + INVENTED_SIZE - 0x100, 0);
    run();
    tear_down();
    set_up(); /* room for four billion open files */
    invented_u32(&invented, files_table, UINT32_MAX);
    make_socket(2, 1, 6, 10, 80);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
    tear_down();
    set_up(); /* open files that are nothing */
    invented_u64(&invented, descriptors, 0x4141414141414141ull);
    invented_u64(&invented, descriptors + 8, INVENTED_DIRECT + INVENTED_SIZE);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "held"), ==, 0);
    tear_down();
}

/* A kernel without one of the tables: its sockets are not judged, the others are. */
static void test_lacking(void)
{
    InventedRow fewer[G_N_ELEMENTS(rows)];

    memcpy(fewer, rows, sizeof(rows));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (fewer[i].member && strcmp(fewer[i].member, "lhash2") == 0) {
            fewer[i].member = "renamed";
        }
    }
    one_check_disown("");
    invented_begin(&invented);
    make_task();
    make_tables();
    invented_end(&invented, fewer, G_N_ELEMENTS(fewer));
    make_socket(2, 1, 6, 10, 80);
    make_socket(2, 1, 6, 1, 40001);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpstr(one.sightings.items[0].object, ==, "tcp 127.0.0.1:40001");
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "lhash2"));
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sockets/kinds", test_kinds);
    g_test_add_func("/sockets/netlink", test_netlink);
    g_test_add_func("/sockets/legal", test_legal);
    g_test_add_func("/sockets/filter", test_filter);
    g_test_add_func("/sockets/hidden-namespace", test_hidden_namespace);
    g_test_add_func("/sockets/hostile", test_hostile);
    g_test_add_func("/sockets/lacking", test_lacking);
    return g_test_run();
}
