/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-namespaces.c - the guest's network namespaces, by net_namespace_list
 */
#include "host-collector/sources/introspection/checks/net-namespaces.h"

#include "host-collector/sources/introspection/checks/guest-list.h"

#define TRIES 5 /* properties 8, torn reads */

static MonattReason walk(CheckContext *context, uint64_t head, uint32_t list, uint32_t number,
                         NetNamespaces *namespaces)
{
    GuestListWalk walk;
    uint64_t node;

    namespaces->count = 0;
    guest_list_begin(&walk, context, GUEST_LIST_RING, head);
    while (guest_list_next(&walk, &node)) {
        NetNamespace *item;
        if (namespaces->count == NET_NAMESPACES_MAXIMUM) {
            return MONATT_REASON_BUDGET;
        }
        item = &namespaces->items[namespaces->count++];
        *item = (NetNamespace){.address = node - list};
        if (!address_space_u32(&context->kernel->space, item->address + number, &item->number)) {
            item->number = 0;
        }
    }
    return walk.reason;
}

void net_namespaces_read(CheckContext *context, NetNamespaces *namespaces)
{
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;
    uint32_t list, number;

    namespaces->count = 0;
    if (!guest_kernel_symbol(context->kernel, "net_namespace_list", &head)) {
        check_lacks(context, "symbol 'net_namespace_list'");
        return;
    }
    if (!guest_kernel_member(context->kernel, "net", "list", &list) ||
        !guest_kernel_member(context->kernel, "net", "ns.inum", &number)) {
        check_lacks(context, "net.list and net.ns.inum");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        reason = walk(context, head, list, number, namespaces);
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the list of network namespaces ended after %u",
                     namespaces->count);
    }
}

uint32_t net_namespaces_number(const NetNamespaces *namespaces, uint64_t address)
{
    for (uint32_t i = 0; i < namespaces->count; i++) {
        if (namespaces->items[i].address == address) {
            return namespaces->items[i].number;
        }
    }
    return 0;
}
