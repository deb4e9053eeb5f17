/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets.h - what the parts of the "sockets" check share
 *
 * Two ways lead to a socket: the open files of a process, and the kernel's tables, by which packets
 * find it and from which ss and /proc/net read.  Who takes one out of what people read leaves it in
 * the other.
 */
#ifndef MONATT_INTROSPECTION_SOCKETS_H
#define MONATT_INTROSPECTION_SOCKETS_H

#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "host-collector/sources/introspection/checks/net-namespaces.h"
#include "host-collector/sources/introspection/checks/process.h"

#define SOCKETS_MAXIMUM 262144u /* that processes hold; more: the check is incomplete */
#define SOCKETS_TEXT 140
#define SOCKETS_LATER 64

/* The kernel's tables; what one of them lacks is judged only when it was read whole. */
typedef enum SocketTable {
    SOCKET_TABLE_NONE, /* nobody promises that it is in one */
    SOCKET_TABLE_TCP,
    SOCKET_TABLE_LISTEN,
    SOCKET_TABLE_UDP,
    SOCKET_TABLE_RAW,
    SOCKET_TABLE_RAW6,
    SOCKET_TABLE_PACKET,
    SOCKET_TABLE_NETLINK,
    SOCKET_TABLE_UNIX,
    SOCKET_TABLE_COUNT,
} SocketTable;

/* Linux's numbers (include/linux/socket.h, net/tcp_states.h, linux/in.h). */
enum {
    FAMILY_UNIX = 1,
    FAMILY_INET = 2,
    FAMILY_INET6 = 10,
    FAMILY_NETLINK = 16,
    FAMILY_PACKET = 17,
    TYPE_STREAM = 1,
    TYPE_DATAGRAM = 2,
    TYPE_RAW = 3,
    TYPE_SEQUENCED = 5,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_UDP_LITE = 136,
    STATE_ESTABLISHED = 1,
    STATE_TIME_WAIT = 6,
    STATE_CLOSE = 7,
    STATE_LISTEN = 10,
    STATE_NEW_SYN_RECEIVED = 12,
};

/* Offsets; LAYOUT_MISSING where this kernel has none. */
typedef struct SocketLayout {
    uint32_t family; /* sock_common */
    uint32_t state;
    uint32_t address;
    uint32_t peer;
    uint32_t address6;
    uint32_t peer6;
    uint32_t port;
    uint32_t peer_port;
    uint32_t node; /* in the table of its protocol */
    uint32_t net;
    uint32_t type; /* sock */
    uint32_t protocol;
    uint32_t filter;
    uint32_t socket;
    uint32_t uid;
    uint32_t common_size;
    uint32_t socket_sock; /* socket */
    uint32_t socket_file;
    uint32_t alloc_socket; /* socket_alloc */
    uint32_t alloc_inode;
    uint32_t inode_number;
    uint32_t filter_program;  /* sk_filter */
    uint32_t program_classic; /* bpf_prog.orig_prog */
    uint32_t packet_number;   /* packet_sock */
    uint32_t packet_device;
    uint32_t netlink_port; /* netlink_sock */
    uint32_t netlink_bound;
    uint32_t netlink_node;
    uint32_t unix_address; /* unix_sock */
    uint32_t address_size; /* unix_address */
    uint32_t address_name;
    uint32_t file_operations;
    uint32_t file_private;
    uint32_t files_table;
    uint32_t table_count;
    uint32_t table_files;
    uint32_t net_tcp; /* net.ipv4.tcp_death_row.hashinfo */
    uint32_t net_udp;
    uint32_t net_packets;
    uint32_t net_unix;
    uint32_t tcp_buckets; /* inet_hashinfo */
    uint32_t tcp_mask;
    uint32_t tcp_bucket_size;
    uint32_t listen_buckets;
    uint32_t listen_mask;
    uint32_t listen_bucket_size;
    uint32_t listen_head;
    uint32_t listen_old; /* until 5.18: 32 buckets within inet_hashinfo */
    uint32_t udp_buckets;
    uint32_t udp_mask;
    uint32_t udp_bucket_size;
    uint32_t udp_head;
    uint32_t raw_buckets;
    uint32_t netlink_size; /* netlink_table */
    uint32_t netlink_hash;
    uint32_t rhash_table; /* rhashtable.tbl */
    uint32_t rhash_size;  /* bucket_table */
    uint32_t rhash_nest;
    uint32_t rhash_next;
    uint32_t rhash_buckets;
} SocketLayout;

/* A socket that an open file of a process is. */
typedef struct HeldSocket {
    uint64_t sock;   /* struct sock */
    uint64_t socket; /* struct socket */
    uint32_t task;   /* index in the scan's table */
    bool in_table;   /* the kernel's tables have it too */
} HeldSocket;

/* One socket as it was read. */
typedef struct SocketFacts {
    uint64_t sock;
    uint64_t net;
    uint64_t socket; /* 0: the kernel's own, or nobody's any more */
    uint64_t inode;
    uint32_t uid; /* PROCESS_NOT_KNOWN: a half socket (TIME-WAIT), which has none */
    uint16_t family;
    uint16_t type;
    uint16_t protocol;
    uint8_t state;
    uint16_t port;
    uint16_t peer_port;
    bool half;  /* only the part that all have: waiting or being opened */
    bool bound; /* netlink's */
} SocketFacts;

typedef struct SocketNames {
    char netid[8];
    char local[SOCKETS_TEXT];
    char peer[SOCKETS_TEXT];
} SocketNames;

typedef struct SocketCheck {
    SocketLayout layout;
    ProcessLayout processes;
    NetNamespaces namespaces;
    uint64_t file_operations; /* socket_file_ops */
    HeldSocket *held;         /* SOCKETS_MAXIMUM; untouched pages cost nothing */
    uint32_t held_count;
    uint32_t in_tables;            /* sockets that the tables have */
    uint32_t unlisted;             /* in a table, with an open file that no listed process has */
    uint64_t later[SOCKETS_LATER]; /* of them: their holders are looked for in the slab */
    uint32_t later_count;
    bool missed[SOCKET_TABLE_COUNT]; /* not read whole */
} SocketCheck;

void sockets_layout_read(GuestKernel *kernel, SocketLayout *layout);
/* Fills held from the open files of all tasks (sockets-held.c); ascending by sock. */
void sockets_read_held(CheckContext *context, SocketCheck *check, const TaskScan *scan);
/* The first entry of this sock, or NULL. */
HeldSocket *sockets_find_held(SocketCheck *check, uint64_t sock);
/* Walks all tables (sockets-tables.c); calls sockets_seen() for each one. */
void sockets_read_tables(CheckContext *context, SocketCheck *check);
void sockets_seen(CheckContext *context, SocketCheck *check, uint64_t sock);
/* sockets-facts.c; false: not readable, or no socket. */
bool sockets_read_facts(CheckContext *context, const SocketCheck *check, uint64_t sock,
                        SocketFacts *ret_facts) MONATT_MUST_CHECK;
/* A filter of classic BPF, as tcpdump and backdoors attach them. */
bool sockets_has_classic_filter(CheckContext *context, const SocketCheck *check, uint64_t sock);
void sockets_read_names(CheckContext *context, const SocketCheck *check, const SocketFacts *facts,
                        SocketNames *ret_names);
/* The table that has every such socket, from before its first packet to after its last. */
SocketTable sockets_table_of(const SocketFacts *facts);
const char *sockets_table_name(SocketTable table);
const char *sockets_state_name(const SocketFacts *facts);

#endif
