/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets-tables.c - the tables by which the kernel finds the socket of a packet or of a name
 *
 * Sizes are the guest's word and bounded; buckets are read many at once, and an empty one is not
 * looked at.
 */
#include "host-collector/sources/introspection/checks/sockets.h"

#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "libmonatt/base/macros.h"

#define BUCKETS_MAXIMUM (1u << 20) /* thash_entries is at most 512 Ki by default */
#define BUCKET_SIZE_MAXIMUM 256u
#define RAW_BUCKETS 256  /* RAW_HTABLE_SIZE */
#define UNIX_BUCKETS 512 /* 2 * UNIX_HASH_SIZE, as one table and as one for each namespace */
#define OLD_LISTEN_BUCKETS 32
#define NETLINK_FAMILIES 32 /* MAX_LINKS */
#define TABLES_SEEN 64
#define FUTURE_TABLES 4    /* of one that is being made larger */
#define NETLINK_CHAIN 4096 /* sockets of one bucket; a table grows long before */
#define TRIES 5

typedef struct Seen {
    uint64_t tables[TABLES_SEEN];
    unsigned count;
} Seen;

/* Namespaces mostly share one. */
static bool was_seen(Seen *seen, uint64_t table)
{
    for (unsigned i = 0; i < seen->count; i++) {
        if (seen->tables[i] == table) {
            return true;
        }
    }
    if (seen->count < TABLES_SEEN) {
        seen->tables[seen->count++] = table;
    }
    return false;
}

static void unread(CheckContext *context, SocketCheck *check, MonattReason reason,
                   SocketTable table)
{
    check->missed[table] = true;
    check_reason(context, reason, "the table of %s could not be read whole",
                 sockets_table_name(table));
}

static void lacks(CheckContext *context, SocketCheck *check, SocketTable table, const char *what)
{
    check->missed[table] = true;
    check_lacks(context, what);
}

/* What is found twice because a walk began again was found. */
static void walk_chain(CheckContext *context, SocketCheck *check, uint64_t head, SocketTable what)
{
    MonattReason reason = MONATT_REASON_TORN;

    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;

        guest_list_begin(&walk, context, GUEST_LIST_NULLS, head);
        while (guest_list_next(&walk, &node)) {
            sockets_seen(context, check, node - check->layout.node);
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        unread(context, check, reason, what);
    }
}

/* count buckets of size bytes whose chain begins at head within each. */
static void walk_buckets(CheckContext *context, SocketCheck *check, uint64_t buckets,
                         uint64_t count, uint32_t size, uint32_t head, SocketTable what)
{
    uint8_t bytes[GUEST_PAGE_SIZE];
    const uint64_t at_once = sizeof(bytes) / size;

    if (count > BUCKETS_MAXIMUM) {
        unread(context, check, MONATT_REASON_BUDGET, what);
        count = BUCKETS_MAXIMUM;
    }
    for (uint64_t first = 0; first < count; first += at_once) {
        uint64_t here = count - first < at_once ? count - first : at_once;

        if (!check_step(context)) {
            return;
        }
        if (!address_space_read(&context->kernel->space, buckets + first * size, bytes,
                                here * size)) {
            unread(context, check, MONATT_REASON_TORN, what);
            return;
        }
        for (uint64_t i = 0; i < here; i++) {
            uint64_t value;
            memcpy(&value, bytes + i * size + head, sizeof(value));
            if (value != 0 && !(value & 1)) {
                walk_chain(context, check, buckets + (first + i) * size + head, what);
            }
        }
    }
}

static bool sane_bucket(uint32_t size, uint32_t head)
{
    return layout_has(size) && layout_has(head) && size >= 8 && size <= BUCKET_SIZE_MAXIMUM &&
           head <= size - 8;
}

static void read_tcp(CheckContext *context, SocketCheck *check, uint64_t info)
{
    const SocketLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t buckets;
    uint32_t mask;

    if (!layout_has(layout->tcp_buckets) || !layout_has(layout->tcp_mask) ||
        !sane_bucket(layout->tcp_bucket_size, 0)) {
        lacks(context, check, SOCKET_TABLE_TCP, "inet_hashinfo.ehash");
    } else if (!address_space_u64(space, info + layout->tcp_buckets, &buckets) ||
               !address_space_u32(space, info + layout->tcp_mask, &mask)) {
        unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_TCP);
    } else {
        walk_buckets(context, check, buckets, (uint64_t)mask + 1, layout->tcp_bucket_size, 0,
                     SOCKET_TABLE_TCP);
    }
    if (!sane_bucket(layout->listen_bucket_size, layout->listen_head)) {
        lacks(context, check, SOCKET_TABLE_LISTEN, "inet_listen_hashbucket.nulls_head");
    } else if (layout_has(layout->listen_old)) {
        walk_buckets(context, check, info + layout->listen_old, OLD_LISTEN_BUCKETS,
                     layout->listen_bucket_size, layout->listen_head, SOCKET_TABLE_LISTEN);
    } else if (!layout_has(layout->listen_buckets) || !layout_has(layout->listen_mask)) {
        lacks(context, check, SOCKET_TABLE_LISTEN, "inet_hashinfo.lhash2");
    } else if (!address_space_u64(space, info + layout->listen_buckets, &buckets) ||
               !address_space_u32(space, info + layout->listen_mask, &mask)) {
        unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_LISTEN);
    } else {
        walk_buckets(context, check, buckets, (uint64_t)mask + 1, layout->listen_bucket_size,
                     layout->listen_head, SOCKET_TABLE_LISTEN);
    }
}

static void read_udp(CheckContext *context, SocketCheck *check, uint64_t table)
{
    const SocketLayout *layout = &check->layout;
    uint64_t buckets;
    uint32_t mask;

    if (!layout_has(layout->udp_buckets) || !layout_has(layout->udp_mask) ||
        !sane_bucket(layout->udp_bucket_size, layout->udp_head)) {
        lacks(context, check, SOCKET_TABLE_UDP, "udp_table.hash");
        return;
    }
    if (!address_space_u64(&context->kernel->space, table + layout->udp_buckets, &buckets) ||
        !address_space_u32(&context->kernel->space, table + layout->udp_mask, &mask)) {
        unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_UDP);
        return;
    }
    walk_buckets(context, check, buckets, (uint64_t)mask + 1, layout->udp_bucket_size,
                 layout->udp_head, SOCKET_TABLE_UDP);
}

static void read_raw(CheckContext *context, SocketCheck *check)
{
    static const char *const names[] = {"raw_v4_hashinfo", "raw_v6_hashinfo"};
    static const SocketTable tables[] = {SOCKET_TABLE_RAW, SOCKET_TABLE_RAW6};
    uint64_t table;

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names); i++) {
        if (!layout_has(check->layout.raw_buckets) ||
            !guest_kernel_symbol(context->kernel, names[i], &table)) {
            check->missed[tables[i]] = true; /* IPv6 may be a module, whose table is not known */
            if (i == 0) {
                check_lacks(context, "raw_v4_hashinfo");
            }
            continue;
        }
        walk_buckets(context, check, table + check->layout.raw_buckets, RAW_BUCKETS, 8, 0,
                     tables[i]);
    }
}

/* A resizable hash: nodes lead forward only, so a node must at least be a socket of its kind. */
static void read_netlink_chain(CheckContext *context, SocketCheck *check, uint64_t node)
{
    for (uint32_t i = 0; node != 0 && !(node & 1); i++) {
        uint64_t sock = node - check->layout.netlink_node;
        uint16_t family;

        if (!check_step(context)) {
            return;
        }
        if (i == NETLINK_CHAIN) { /* in a circle: a guest would have the whole budget for it */
            unread(context, check, MONATT_REASON_BUDGET, SOCKET_TABLE_NETLINK);
            return;
        }
        if (!address_space_read(&context->kernel->space, sock + check->layout.family, &family,
                                sizeof(family)) ||
            family != FAMILY_NETLINK || !address_space_u64(&context->kernel->space, node, &node)) {
            unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_NETLINK);
            return;
        }
        sockets_seen(context, check, sock);
    }
}

static void read_netlink_table(CheckContext *context, SocketCheck *check, uint64_t table)
{
    const SocketLayout *layout = &check->layout;
    uint64_t words[512];
    uint32_t count, nest;

    if (!address_space_u32(&context->kernel->space, table + layout->rhash_size, &count) ||
        !address_space_u32(&context->kernel->space, table + layout->rhash_nest, &nest) ||
        count > BUCKETS_MAXIMUM || nest != 0) {
        unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_NETLINK);
        return;
    }
    for (uint32_t first = 0; first < count; first += MONATT_ARRAY_SIZE(words)) {
        uint32_t here = count - first < MONATT_ARRAY_SIZE(words)
                            ? count - first
                            : (uint32_t)MONATT_ARRAY_SIZE(words);
        if (!check_step(context)) {
            return;
        }
        if (!address_space_read(&context->kernel->space,
                                table + layout->rhash_buckets + 8ull * first, words, here * 8ull)) {
            unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_NETLINK);
            return;
        }
        for (uint32_t i = 0; i < here; i++) {
            read_netlink_chain(context, check, words[i] & ~1ull); /* bit 0 is the bucket's lock */
        }
    }
}

static void read_netlink(CheckContext *context, SocketCheck *check)
{
    const SocketLayout *layout = &check->layout;
    uint64_t symbol, tables, table;

    if (!guest_kernel_symbol(context->kernel, "nl_table", &symbol) ||
        !layout_has(layout->netlink_size) || !layout_has(layout->netlink_hash) ||
        !layout_has(layout->netlink_node) || !layout_has(layout->rhash_table) ||
        !layout_has(layout->rhash_size) || !layout_has(layout->rhash_nest) ||
        !layout_has(layout->rhash_next) || !layout_has(layout->rhash_buckets)) {
        lacks(context, check, SOCKET_TABLE_NETLINK, "nl_table");
        return;
    }
    if (!address_space_u64(&context->kernel->space, symbol, &tables)) {
        unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_NETLINK);
        return;
    }
    for (uint64_t i = 0; i < NETLINK_FAMILIES; i++) {
        uint64_t hash = tables + i * layout->netlink_size + layout->netlink_hash;
        if (!address_space_u64(&context->kernel->space, hash + layout->rhash_table, &table)) {
            unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_NETLINK);
            continue;
        }
        for (int k = 0; k < FUTURE_TABLES && table != 0; k++) {
            read_netlink_table(context, check, table);
            if (!address_space_u64(&context->kernel->space, table + layout->rhash_next, &table)) {
                break;
            }
        }
    }
}

static void read_namespace(CheckContext *context, SocketCheck *check, uint64_t net, Seen *seen)
{
    const SocketLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t table;

    if ((layout_has(layout->net_tcp) && address_space_u64(space, net + layout->net_tcp, &table)) ||
        guest_kernel_symbol(context->kernel, "tcp_hashinfo", &table)) {
        if (!was_seen(seen, table)) {
            read_tcp(context, check, table);
        }
    } else {
        check->missed[SOCKET_TABLE_LISTEN] = true;
        lacks(context, check, SOCKET_TABLE_TCP, "tcp_hashinfo");
    }
    if ((layout_has(layout->net_udp) && address_space_u64(space, net + layout->net_udp, &table)) ||
        guest_kernel_symbol(context->kernel, "udp_table", &table)) {
        if (!was_seen(seen, table)) {
            read_udp(context, check, table);
        }
    } else {
        lacks(context, check, SOCKET_TABLE_UDP, "udp_table");
    }
    if (layout_has(layout->net_packets)) {
        walk_chain(context, check, net + layout->net_packets, SOCKET_TABLE_PACKET);
    } else {
        lacks(context, check, SOCKET_TABLE_PACKET, "net.packet.sklist");
    }
    if (layout_has(layout->net_unix)) {
        if (address_space_u64(space, net + layout->net_unix, &table)) {
            walk_buckets(context, check, table, UNIX_BUCKETS, 8, 0, SOCKET_TABLE_UNIX);
        } else {
            unread(context, check, MONATT_REASON_TORN, SOCKET_TABLE_UNIX);
        }
    }
}

void sockets_read_tables(CheckContext *context, SocketCheck *check)
{
    Seen seen = {.count = 0};
    uint64_t table;

    if (!layout_has(check->layout.node) || !layout_has(check->layout.family)) {
        for (int i = 0; i < SOCKET_TABLE_COUNT; i++) {
            check->missed[i] = true;
        }
        check_lacks(context, "sock_common.skc_node");
        return;
    }
    for (uint32_t i = 0; i < check->namespaces.count; i++) {
        read_namespace(context, check, check->namespaces.items[i].address, &seen);
    }
    read_raw(context, check);
    read_netlink(context, check);
    if (guest_kernel_symbol(context->kernel, "udplite_table", &table)) {
        read_udp(context, check, table);
    }
    if (!layout_has(check->layout.net_unix)) {
        if (guest_kernel_symbol(context->kernel, "unix_socket_table", &table)) {
            walk_buckets(context, check, table, UNIX_BUCKETS, 8, 0, SOCKET_TABLE_UNIX);
        } else {
            lacks(context, check, SOCKET_TABLE_UNIX, "unix_socket_table");
        }
    }
}
