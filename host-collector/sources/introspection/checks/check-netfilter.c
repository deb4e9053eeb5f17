/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-netfilter.c - every function that packets meet on their way, in every network namespace
 *
 * Netfilter's hooks, the taps and receivers of packets, the handlers and functions of devices.
 * BPF programs on that way (XDP, tc, netfilter links) are the check "bpf"'s.
 *
 * Must never call a hook good because its registration looks whole: what runs is what is judged.
 */
#include "host-collector/sources/introspection/checks/netfilter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "libmonatt/base/macros.h"

#define HOOKS_MAXIMUM 1024 /* MAX_HOOK_COUNT of net/netfilter/core.c */
#define ENTRY_SIZE_MAXIMUM 64
#define PROTOCOL_BUCKETS 16 /* PTYPE_HASH_SIZE */
#define TRIES 5

static const struct {
    const char *family;
    const char *member;
    const char *hooks[5];
} families[] = {
    {"ipv4", "hooks_ipv4", {"prerouting", "input", "forward", "output", "postrouting"}},
    {"ipv6", "hooks_ipv6", {"prerouting", "input", "forward", "output", "postrouting"}},
    {"arp", "hooks_arp", {"input", "output", "forward", "3", "4"}},
    {"bridge", "hooks_bridge", {"prerouting", "input", "forward", "output", "postrouting"}},
    {"decnet", "hooks_decnet", {"0", "1", "2", "3", "4"}},
};

#define MEMBER(field, structure, path) LAYOUT_MEMBER(NetfilterLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(net_hooks[0], "net", "nf.hooks_ipv4"),
    MEMBER(net_hooks[1], "net", "nf.hooks_ipv6"),
    MEMBER(net_hooks[2], "net", "nf.hooks_arp"),
    MEMBER(net_hooks[3], "net", "nf.hooks_bridge"),
    MEMBER(net_hooks[4], "net", "nf.hooks_decnet"),
    MEMBER(net_devices, "net", "dev_base_head"),
    MEMBER(net_taps, "net", "ptype_all"),
    MEMBER(net_protocols, "net", "ptype_specific"),
    MEMBER(entries_hooks, "nf_hook_entries", "hooks"),
    MEMBER(entries_count, "nf_hook_entries", "num_hook_entries"),
    LAYOUT_SIZE(NetfilterLayout, entry_size, "nf_hook_entry"),
    MEMBER(entry_function, "nf_hook_entry", "hook"),
    MEMBER(ops_function, "nf_hook_ops", "hook"),
    MEMBER(ops_priority, "nf_hook_ops", "priority"),
    MEMBER(device_list, "net_device", "dev_list"),
    MEMBER(device_name, "net_device", "name"),
    MEMBER(device_ingress, "net_device", "nf_hooks_ingress"),
    MEMBER(device_egress, "net_device", "nf_hooks_egress"),
    MEMBER(device_taps, "net_device", "ptype_all"),
    MEMBER(device_protocols, "net_device", "ptype_specific"),
    MEMBER(device_receive, "net_device", "rx_handler"),
    MEMBER(device_operations[0], "net_device", "netdev_ops"),
    MEMBER(device_operations[1], "net_device", "ethtool_ops"),
    MEMBER(device_operations[2], "net_device", "header_ops"),
    LAYOUT_SIZE(NetfilterLayout, operations_size[0], "net_device_ops"),
    LAYOUT_SIZE(NetfilterLayout, operations_size[1], "ethtool_ops"),
    LAYOUT_SIZE(NetfilterLayout, operations_size[2], "header_ops"),
    MEMBER(packet_list, "packet_type", "list"),
    MEMBER(packet_type, "packet_type", "type"),
    MEMBER(packet_function, "packet_type", "func"),
    MEMBER(packet_list_function, "packet_type", "list_func"),
    MEMBER(packet_match, "packet_type", "id_match"),
    MEMBER(hot_taps, "net_hotdata", "ptype_all"),
};

/* orig_ops[i], behind the hooks, is what was registered: it must be what runs. */
static void compare_registration(CheckContext *context, const NetfilterLayout *layout,
                                 uint64_t slot, uint64_t target, const char *place, char *note,
                                 size_t capacity)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t registration, function;
    uint32_t priority;
    char object[CHECK_OBJECT_SIZE], is[CHECK_OBJECT_SIZE], was[CHECK_OBJECT_SIZE];

    if (!layout_has(layout->ops_function) || !layout_has(layout->ops_priority) ||
        !address_space_u64(space, slot, &registration) ||
        !address_space_u64(space, registration + layout->ops_function, &function) ||
        !address_space_u32(space, registration + layout->ops_priority, &priority)) {
        snprintf(note, capacity, "registration not readable");
        return;
    }
    snprintf(note, capacity, "priority %d", (int)priority);
    if (function != target) {
        check_name_address(context, target, is);
        check_name_address(context, function, was);
        snprintf(object, sizeof(object), "netfilter %.50s", place);
        check_found(context, CHECK_COMPROMISED, slot, object, was, is, "",
                    "the hook at %s runs another function than was registered", place);
    }
}

void netfilter_read_hooks(CheckContext *context, NetfilterCheck *check, uint64_t pointer,
                          const char *place)
{
    const NetfilterLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t hooks = pointer + layout->entries_hooks, registrations;
    uint16_t count;

    if (pointer == 0) {
        return;
    }
    if (!address_space_read(space, pointer + layout->entries_count, &count, sizeof(count)) ||
        count > HOOKS_MAXIMUM) {
        check_reason(context, MONATT_REASON_TORN, "the hooks of %s are not readable", place);
        return;
    }
    registrations = hooks + (uint64_t)count * layout->entry_size;
    for (uint16_t i = 0; i < count; i++) {
        uint64_t slot = hooks + (uint64_t)i * layout->entry_size + layout->entry_function, target;
        char note[64];

        if (!check_step(context)) {
            return;
        }
        if (!address_space_u64(space, slot, &target)) {
            check_reason(context, MONATT_REASON_TORN, "the hooks of %s are not readable", place);
            return;
        }
        compare_registration(context, layout, registrations + 8ull * i, target, place, note,
                             sizeof(note));
        packet_hook_judge(context, PACKET_HOOK_NETFILTER, place, target, slot, note);
        check->hook_count++;
    }
}

static void read_families(CheckContext *context, NetfilterCheck *check,
                          const NetNamespace *namespace)
{
    for (size_t family = 0; family < MONATT_ARRAY_SIZE(families); family++) {
        char path[48];
        uint32_t elements, element_size;

        snprintf(path, sizeof(path), "nf.%s", families[family].member);
        if (!layout_has(check->layout.net_hooks[family]) ||
            !guest_kernel_array(context->kernel, "net", path, &elements, &element_size) ||
            element_size != sizeof(uint64_t)) {
            continue; /* built without it */
        }
        for (uint32_t i = 0; i < elements && i < MONATT_ARRAY_SIZE(families[family].hooks); i++) {
            char place[PACKET_PLACE_SIZE];
            uint64_t pointer;

            snprintf(place, sizeof(place), "%s/%s net:[%u]", families[family].family,
                     families[family].hooks[i], namespace->number);
            if (!address_space_u64(&context->kernel->space,
                                   namespace->address + check->layout.net_hooks[family] + 8ull * i,
                                   &pointer)) {
                check_reason(context, MONATT_REASON_TORN, "%s is not readable", place);
                continue;
            }
            netfilter_read_hooks(context, check, pointer, place);
        }
    }
}

static void read_packet_type(CheckContext *context, const NetfilterLayout *layout, uint64_t at,
                             PacketHookKind kind, const char *place)
{
    const uint32_t members[] = {layout->packet_function, layout->packet_list_function,
                                layout->packet_match};
    uint16_t type = 0;
    char note[64] = "";

    if (kind == PACKET_HOOK_PROTOCOL && layout_has(layout->packet_type) &&
        address_space_read(&context->kernel->space, at + layout->packet_type, &type,
                           sizeof(type))) {
        snprintf(note, sizeof(note), "EtherType %#06x", (unsigned)__builtin_bswap16(type));
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(members); i++) {
        uint64_t target;
        if (layout_has(members[i]) &&
            address_space_u64(&context->kernel->space, at + members[i], &target) && target != 0) {
            packet_hook_judge(context, kind, place, target, at + members[i], note);
        }
    }
}

void netfilter_read_packet_types(CheckContext *context, NetfilterCheck *check, uint64_t head,
                                 PacketHookKind kind, const char *place)
{
    MonattReason reason = MONATT_REASON_TORN;

    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;

        guest_list_begin(&walk, context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            read_packet_type(context, &check->layout, node - check->layout.packet_list, kind,
                             place);
            check->hook_count++;
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the packet receivers of %s are not readable whole", place);
    }
}

/* The lists that belong to no device: of the kernel, or (7.x) of each namespace. */
static void read_global_packet_types(CheckContext *context, NetfilterCheck *check)
{
    uint64_t head;
    bool any = layout_has(check->layout.net_taps);

    if (!layout_has(check->layout.packet_list) || !layout_has(check->layout.packet_function)) {
        check_lacks(context, "packet_type.list and packet_type.func");
        return;
    }
    if (guest_kernel_symbol(context->kernel, "ptype_all", &head) ||
        (layout_has(check->layout.hot_taps) &&
         guest_kernel_symbol(context->kernel, "net_hotdata", &head))) {
        uint64_t symbol;
        if (!guest_kernel_symbol(context->kernel, "ptype_all", &symbol)) {
            head += check->layout.hot_taps;
        }
        netfilter_read_packet_types(context, check, head, PACKET_HOOK_TAP, "all packets");
        any = true;
    }
    if (!any) {
        check_lacks(context, "ptype_all");
    }
    if (!guest_kernel_symbol(context->kernel, "ptype_base", &head)) {
        check_lacks(context, "symbol 'ptype_base'");
        return;
    }
    for (uint64_t i = 0; i < PROTOCOL_BUCKETS; i++) {
        netfilter_read_packet_types(context, check, head + 16 * i, PACKET_HOOK_PROTOCOL,
                                    "all devices");
    }
}

static void read_namespace(CheckContext *context, NetfilterCheck *check,
                           const NetNamespace *namespace)
{
    char place[PACKET_PLACE_SIZE];

    if (layout_has(check->layout.entries_hooks) && layout_has(check->layout.entries_count) &&
        layout_has(check->layout.entry_size) && layout_has(check->layout.entry_function) &&
        check->layout.entry_size <= ENTRY_SIZE_MAXIMUM) {
        read_families(context, check, namespace);
    } else {
        check_lacks(context, "nf_hook_entries and nf_hook_entry in its BTF");
    }
    snprintf(place, sizeof(place), "net:[%u]", namespace->number);
    if (layout_has(check->layout.net_taps)) {
        netfilter_read_packet_types(context, check, namespace->address + check->layout.net_taps,
                                    PACKET_HOOK_TAP, place);
    }
    if (layout_has(check->layout.net_protocols)) {
        netfilter_read_packet_types(context, check,
                                    namespace->address + check->layout.net_protocols,
                                    PACKET_HOOK_PROTOCOL, place);
    }
    netfilter_read_devices(context, check, namespace);
}

static void run(CheckContext *context)
{
    NetfilterCheck *check = *context->state;

    if (!check) {
        check = calloc(1, sizeof(*check));
        if (!check) {
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return;
        }
        layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &check->layout);
        *context->state = check;
    }
    check->hook_count = 0;
    check->operations_count = 0;
    net_namespaces_read(context, &check->namespaces);
    read_global_packet_types(context, check);
    for (uint32_t i = 0; i < check->namespaces.count; i++) {
        read_namespace(context, check, &check->namespaces.items[i]);
    }
    check_count(context, "namespaces", check->namespaces.count);
    check_count(context, "hooks", check->hook_count);
}

const Check check_netfilter = {MONATT_SUBCHECK_NETFILTER, "netfilter", "hooks", run, free};
