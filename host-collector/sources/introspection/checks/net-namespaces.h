/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-namespaces.h - the guest's network namespaces and their devices
 *
 * By net_namespace_list, which holds all of them, whoever may enter them.  Its numbers are those
 * of /proc/PID/ns/net.
 */
#ifndef MONATT_INTROSPECTION_NET_NAMESPACES_H
#define MONATT_INTROSPECTION_NET_NAMESPACES_H

#include "host-collector/sources/introspection/checks/check.h"

#define NET_NAMESPACES_MAXIMUM 4096 /* more in one guest: the check is incomplete */

typedef struct NetNamespace {
    uint64_t address; /* of the struct net */
    uint32_t number;  /* inode number of the namespace; 0: not known */
} NetNamespace;

typedef struct NetNamespaces {
    uint32_t count;
    NetNamespace items[NET_NAMESPACES_MAXIMUM];
} NetNamespaces;

/* What could not be read is said as the check's reason. */
void net_namespaces_read(CheckContext *context, NetNamespaces *namespaces);
/* The number of one, or 0. */
uint32_t net_namespaces_number(const NetNamespaces *namespaces, uint64_t address);

#endif
