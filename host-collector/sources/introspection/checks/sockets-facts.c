/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets-facts.c - one socket, read and named as ss names it
 */
#include "host-collector/sources/introspection/checks/sockets.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define SOCK_SIZE_MAXIMUM 2048u /* struct sock: under 900 bytes in all */
#define UNIX_NAME_MAXIMUM 108

#define MEMBER(field, structure, path) LAYOUT_MEMBER(SocketLayout, field, structure, path)
#define SIZE(field, structure) LAYOUT_SIZE(SocketLayout, field, structure)
static const LayoutRow rows[] = {
    MEMBER(family, "sock_common", "skc_family"),
    MEMBER(state, "sock_common", "skc_state"),
    MEMBER(address, "sock_common", "skc_rcv_saddr"),
    MEMBER(peer, "sock_common", "skc_daddr"),
    MEMBER(address6, "sock_common", "skc_v6_rcv_saddr"),
    MEMBER(peer6, "sock_common", "skc_v6_daddr"),
    MEMBER(port, "sock_common", "skc_num"),
    MEMBER(peer_port, "sock_common", "skc_dport"),
    MEMBER(node, "sock_common", "skc_node"),
    MEMBER(net, "sock_common", "skc_net"),
    SIZE(common_size, "sock_common"),
    MEMBER(type, "sock", "sk_type"),
    MEMBER(protocol, "sock", "sk_protocol"),
    MEMBER(filter, "sock", "sk_filter"),
    MEMBER(socket, "sock", "sk_socket"),
    MEMBER(uid, "sock", "sk_uid"),
    MEMBER(socket_sock, "socket", "sk"),
    MEMBER(socket_file, "socket", "file"),
    MEMBER(alloc_socket, "socket_alloc", "socket"),
    MEMBER(alloc_inode, "socket_alloc", "vfs_inode"),
    MEMBER(inode_number, "inode", "i_ino"),
    MEMBER(filter_program, "sk_filter", "prog"),
    MEMBER(program_classic, "bpf_prog", "orig_prog"),
    MEMBER(packet_number, "packet_sock", "num"),
    MEMBER(packet_device, "packet_sock", "ifindex"),
    MEMBER(netlink_port, "netlink_sock", "portid"),
    MEMBER(netlink_bound, "netlink_sock", "bound"),
    MEMBER(netlink_node, "netlink_sock", "node"),
    MEMBER(unix_address, "unix_sock", "addr"),
    MEMBER(address_size, "unix_address", "len"),
    MEMBER(address_name, "unix_address", "name"),
    MEMBER(file_operations, "file", "f_op"),
    MEMBER(file_private, "file", "private_data"),
    MEMBER(files_table, "files_struct", "fdt"),
    MEMBER(table_count, "fdtable", "max_fds"),
    MEMBER(table_files, "fdtable", "fd"),
    MEMBER(net_tcp, "net", "ipv4.tcp_death_row.hashinfo"),
    MEMBER(net_udp, "net", "ipv4.udp_table"),
    MEMBER(net_packets, "net", "packet.sklist"),
    MEMBER(net_unix, "net", "unx.table.buckets"),
    MEMBER(tcp_buckets, "inet_hashinfo", "ehash"),
    MEMBER(tcp_mask, "inet_hashinfo", "ehash_mask"),
    SIZE(tcp_bucket_size, "inet_ehash_bucket"),
    MEMBER(listen_buckets, "inet_hashinfo", "lhash2"),
    MEMBER(listen_mask, "inet_hashinfo", "lhash2_mask"),
    SIZE(listen_bucket_size, "inet_listen_hashbucket"),
    MEMBER(listen_head, "inet_listen_hashbucket", "nulls_head"),
    MEMBER(listen_old, "inet_hashinfo", "listening_hash"),
    MEMBER(udp_buckets, "udp_table", "hash"),
    MEMBER(udp_mask, "udp_table", "mask"),
    SIZE(udp_bucket_size, "udp_hslot"),
    MEMBER(udp_head, "udp_hslot", "head"),
    MEMBER(raw_buckets, "raw_hashinfo", "ht"),
    SIZE(netlink_size, "netlink_table"),
    MEMBER(netlink_hash, "netlink_table", "hash"),
    MEMBER(rhash_table, "rhashtable", "tbl"),
    MEMBER(rhash_size, "bucket_table", "size"),
    MEMBER(rhash_nest, "bucket_table", "nest"),
    MEMBER(rhash_next, "bucket_table", "future_tbl"),
    MEMBER(rhash_buckets, "bucket_table", "buckets"),
};

void sockets_layout_read(GuestKernel *kernel, SocketLayout *layout)
{
    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), layout);
}

/* The bytes of a struct sock; what lies beyond what was read is not there. */
typedef struct SockBytes {
    uint8_t bytes[SOCK_SIZE_MAXIMUM];
    uint32_t size;
} SockBytes;

static uint64_t take(const SockBytes *sock, uint32_t offset, uint32_t size)
{
    uint64_t value = 0;
    if (layout_has(offset) && offset <= sock->size && size <= sock->size - offset) {
        memcpy(&value, sock->bytes + offset, size);
    }
    return le64toh(value);
}

/* A member of one byte, two or four behind the common part. */
static uint32_t member(CheckContext *context, uint64_t sock, uint32_t offset, uint32_t size)
{
    uint32_t value = 0;
    if (!layout_has(offset) ||
        !address_space_read(&context->kernel->space, sock + offset, &value, size)) {
        return 0;
    }
    return le32toh(value);
}

static void read_inode(CheckContext *context, const SocketLayout *layout, SocketFacts *facts)
{
    if (facts->socket != 0 && layout_has(layout->alloc_socket) && layout_has(layout->alloc_inode) &&
        layout_has(layout->inode_number)) {
        (void)!address_space_u64(&context->kernel->space,
                                 facts->socket - layout->alloc_socket + layout->alloc_inode +
                                     layout->inode_number,
                                 &facts->inode);
    }
}

bool sockets_read_facts(CheckContext *context, const SocketCheck *check, uint64_t sock,
                        SocketFacts *ret_facts)
{
    const SocketLayout *layout = &check->layout;
    SockBytes copy = {.size = layout->common_size};
    const uint32_t ends[] = {layout->type, layout->protocol, layout->socket, layout->uid};

    memset(ret_facts, 0, sizeof(*ret_facts));
    ret_facts->sock = sock;
    ret_facts->uid = PROCESS_NOT_KNOWN;
    if (!layout_has(layout->common_size) || copy.size > sizeof(copy.bytes) ||
        !address_space_read(&context->kernel->space, sock, copy.bytes, copy.size)) {
        return false;
    }
    ret_facts->family = (uint16_t)take(&copy, layout->family, 2);
    ret_facts->state = (uint8_t)take(&copy, layout->state, 1);
    ret_facts->net = take(&copy, layout->net, 8);
    ret_facts->port = (uint16_t)take(&copy, layout->port, 2);
    ret_facts->peer_port = be16toh((uint16_t)take(&copy, layout->peer_port, 2));
    /* What waits or is being opened is no struct sock: it has the common part only. */
    ret_facts->half =
        (ret_facts->family == FAMILY_INET || ret_facts->family == FAMILY_INET6) &&
        (ret_facts->state == STATE_TIME_WAIT || ret_facts->state == STATE_NEW_SYN_RECEIVED);
    if (ret_facts->half) {
        ret_facts->type = TYPE_STREAM;
        ret_facts->protocol = PROTOCOL_TCP;
        return true;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(ends); i++) {
        if (layout_has(ends[i]) && ends[i] <= sizeof(copy.bytes) - 8 && ends[i] + 8 > copy.size) {
            copy.size = ends[i] + 8;
        }
    }
    if (!address_space_read(&context->kernel->space, sock, copy.bytes, copy.size)) {
        return false;
    }
    ret_facts->type = (uint16_t)take(&copy, layout->type, 2);
    ret_facts->protocol = (uint16_t)take(&copy, layout->protocol, 2);
    ret_facts->socket = take(&copy, layout->socket, 8);
    ret_facts->uid = (uint32_t)take(&copy, layout->uid, 4);
    if (ret_facts->family == FAMILY_NETLINK) {
        ret_facts->bound = member(context, sock, layout->netlink_bound, 1) != 0;
    }
    read_inode(context, layout, ret_facts);
    return true;
}

bool sockets_has_classic_filter(CheckContext *context, const SocketCheck *check, uint64_t sock)
{
    const SocketLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t filter, program, classic;

    /* The kernel keeps what was given only of a classic one. */
    return layout_has(layout->filter) && layout_has(layout->filter_program) &&
           layout_has(layout->program_classic) &&
           address_space_u64(space, sock + layout->filter, &filter) && filter != 0 &&
           address_space_u64(space, filter + layout->filter_program, &program) &&
           address_space_u64(space, program + layout->program_classic, &classic) && classic != 0;
}

static void name_end(CheckContext *context, const SocketFacts *facts, uint32_t address4,
                     uint32_t address6, uint16_t port, char text[SOCKETS_TEXT])
{
    bool six = facts->family == FAMILY_INET6;
    uint32_t offset = six ? address6 : address4;
    char address[INET6_ADDRSTRLEN] = "?", number[8] = "*";
    uint8_t bytes[16];

    if (layout_has(offset) &&
        address_space_read(&context->kernel->space, facts->sock + offset, bytes, six ? 16 : 4)) {
        inet_ntop(six ? AF_INET6 : AF_INET, bytes, address, sizeof(address));
    }
    if (port != 0) {
        snprintf(number, sizeof(number), "%u", port);
    }
    snprintf(text, SOCKETS_TEXT, six ? "[%s]:%s" : "%s:%s", address, number);
}

static const char *inet_name(const SocketFacts *facts)
{
    if (facts->type == TYPE_RAW) {
        return "raw";
    }
    switch (facts->protocol) {
    case PROTOCOL_TCP:
        return "tcp";
    case PROTOCOL_UDP:
    case PROTOCOL_UDP_LITE:
        return "udp";
    default:
        return facts->type == TYPE_DATAGRAM ? "icmp" : "inet";
    }
}

static void name_unix(CheckContext *context, const SocketLayout *layout, const SocketFacts *facts,
                      SocketNames *names)
{
    AddressSpace *space = &context->kernel->space;
    char name[UNIX_NAME_MAXIMUM];
    uint64_t address;
    uint32_t size;

    snprintf(names->netid, sizeof(names->netid), "%s",
             facts->type == TYPE_STREAM      ? "u_str"
             : facts->type == TYPE_SEQUENCED ? "u_seq"
                                             : "u_dgr");
    if (!layout_has(layout->unix_address) || !layout_has(layout->address_size) ||
        !layout_has(layout->address_name) ||
        !address_space_u64(space, facts->sock + layout->unix_address, &address) || address == 0 ||
        !address_space_u32(space, address + layout->address_size, &size) || size <= 2 ||
        size - 2 > sizeof(name) ||
        !address_space_read(space, address + layout->address_name + 2, name, size - 2)) {
        return;
    }
    if (name[0] == '\0') { /* an abstract one: its name has no terminator */
        names->local[0] = '@';
        monatt_text_printable(name + 1, size - 3, names->local + 1, sizeof(names->local) - 1);
    } else {
        monatt_text_printable(name, size - 2, names->local, sizeof(names->local));
    }
}

void sockets_read_names(CheckContext *context, const SocketCheck *check, const SocketFacts *facts,
                        SocketNames *ret_names)
{
    const SocketLayout *layout = &check->layout;
    uint64_t sock = facts->sock;

    *ret_names = (SocketNames){.local = "*", .peer = "*"};
    switch (facts->family) {
    case FAMILY_INET:
    case FAMILY_INET6:
        snprintf(ret_names->netid, sizeof(ret_names->netid), "%s", inet_name(facts));
        name_end(context, facts, layout->address, layout->address6, facts->port, ret_names->local);
        name_end(context, facts, layout->peer, layout->peer6, facts->peer_port, ret_names->peer);
        return;
    case FAMILY_PACKET:
        snprintf(ret_names->netid, sizeof(ret_names->netid), "%s",
                 facts->type == TYPE_DATAGRAM ? "p_dgr" : "p_raw");
        snprintf(ret_names->local, sizeof(ret_names->local), "%#06x:if%u",
                 be16toh((uint16_t)member(context, sock, layout->packet_number, 2)),
                 member(context, sock, layout->packet_device, 4));
        return;
    case FAMILY_NETLINK:
        snprintf(ret_names->netid, sizeof(ret_names->netid), "nl");
        snprintf(ret_names->local, sizeof(ret_names->local), "%u:%u", facts->protocol,
                 member(context, sock, layout->netlink_port, 4));
        return;
    case FAMILY_UNIX:
        name_unix(context, layout, facts, ret_names);
        return;
    default:
        snprintf(ret_names->netid, sizeof(ret_names->netid), "f%u", facts->family % 1000u);
    }
}

SocketTable sockets_table_of(const SocketFacts *facts)
{
    switch (facts->family) {
    case FAMILY_INET:
    case FAMILY_INET6:
        if (facts->type == TYPE_STREAM && facts->protocol == PROTOCOL_TCP) {
            return facts->state == STATE_LISTEN        ? SOCKET_TABLE_LISTEN
                   : facts->state == STATE_ESTABLISHED ? SOCKET_TABLE_TCP
                                                       : SOCKET_TABLE_NONE;
        }
        if (facts->port == 0) {
            return SOCKET_TABLE_NONE;
        }
        if (facts->type == TYPE_RAW) {
            return facts->family == FAMILY_INET ? SOCKET_TABLE_RAW : SOCKET_TABLE_RAW6;
        }
        /* Sockets of ping have a table of their own, which is not read. */
        return facts->protocol == PROTOCOL_UDP || facts->protocol == PROTOCOL_UDP_LITE
                   ? SOCKET_TABLE_UDP
                   : SOCKET_TABLE_NONE;
    case FAMILY_PACKET:
        return SOCKET_TABLE_PACKET;
    case FAMILY_UNIX:
        return SOCKET_TABLE_UNIX;
    case FAMILY_NETLINK:
        return facts->bound ? SOCKET_TABLE_NETLINK : SOCKET_TABLE_NONE;
    default:
        return SOCKET_TABLE_NONE;
    }
}

const char *sockets_table_name(SocketTable table)
{
    static const char *const names[] = {
        "nothing",     "TCP connections",     "TCP listeners",  "UDP",
        "raw sockets", "raw sockets of IPv6", "packet sockets", "netlink",
        "unix sockets"};
    return table < MONATT_ARRAY_SIZE(names) ? names[table] : "?";
}

const char *sockets_state_name(const SocketFacts *facts)
{
    static const char *const tcp[] = {
        "?",      "ESTAB",      "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
        "UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN",   "CLOSING",    "SYN-RECV"};
    if (facts->family == FAMILY_PACKET || facts->family == FAMILY_NETLINK) {
        return "UNCONN";
    }
    return facts->state < MONATT_ARRAY_SIZE(tcp) ? tcp[facts->state] : "?";
}
