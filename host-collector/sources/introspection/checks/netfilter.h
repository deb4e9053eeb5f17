/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netfilter.h - what the parts of the "netfilter" check share: who may stand in a packet's way
 */
#ifndef MONATT_INTROSPECTION_NETFILTER_H
#define MONATT_INTROSPECTION_NETFILTER_H

#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/net-namespaces.h"

typedef enum PacketHookKind {
    PACKET_HOOK_NETFILTER, /* nf_register_net_hook() */
    PACKET_HOOK_TAP,       /* sees every packet: ptype_all */
    PACKET_HOOK_PROTOCOL,  /* the receiver of one EtherType: ptype_base */
    PACKET_HOOK_RECEIVE,   /* a device's rx_handler */
    PACKET_HOOK_DEVICE,    /* functions of a device's driver */
} PacketHookKind;

#define PACKET_PLACE_SIZE 65
#define PACKET_OPERATIONS_SEEN 64

/* Offsets; LAYOUT_MISSING where this kernel has none. */
typedef struct NetfilterLayout {
    uint32_t net_hooks[5]; /* net.nf.hooks_*: ipv4, ipv6, arp, bridge, decnet (until 5.x) */
    uint32_t net_devices;
    uint32_t net_taps; /* 7.x: a namespace has lists of its own */
    uint32_t net_protocols;
    uint32_t entries_hooks; /* nf_hook_entries.hooks */
    uint32_t entries_count;
    uint32_t entry_size; /* nf_hook_entry */
    uint32_t entry_function;
    uint32_t ops_function; /* nf_hook_ops */
    uint32_t ops_priority;
    uint32_t device_list;
    uint32_t device_name;
    uint32_t device_ingress;
    uint32_t device_egress;
    uint32_t device_taps;
    uint32_t device_protocols;
    uint32_t device_receive;
    uint32_t device_operations[3]; /* netdev_ops, ethtool_ops, header_ops */
    uint32_t operations_size[3];
    uint32_t packet_list; /* packet_type */
    uint32_t packet_type;
    uint32_t packet_function;
    uint32_t packet_list_function;
    uint32_t packet_match;
    uint32_t hot_taps; /* net_hotdata.ptype_all */
} NetfilterLayout;

typedef struct NetfilterCheck {
    NetfilterLayout layout;
    NetNamespaces namespaces;
    uint64_t hook_count;
    uint64_t operations[PACKET_OPERATIONS_SEEN]; /* tables judged in this pass */
    unsigned operations_count;
} NetfilterCheck;

/* Judges one pointer at slot and makes its row. place: where it hangs; note: may be "". */
void packet_hook_judge(CheckContext *context, PacketHookKind kind, const char *place,
                       uint64_t target, uint64_t slot, const char *note);
/* "netfilter", "tap" … */
const char *packet_hook_kind_name(PacketHookKind kind);
/* One array of hooks: *pointer is a struct nf_hook_entries, or 0. */
void netfilter_read_hooks(CheckContext *context, NetfilterCheck *check, uint64_t pointer,
                          const char *place);
/* All devices of one namespace (netfilter-devices.c). */
void netfilter_read_devices(CheckContext *context, NetfilterCheck *check,
                            const NetNamespace *namespace);
/* A list of packet_type. */
void netfilter_read_packet_types(CheckContext *context, NetfilterCheck *check, uint64_t head,
                                 PacketHookKind kind, const char *place);

#endif
