/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netfilter-devices.c - what hangs on each network device: hooks, taps, handlers, its functions
 */
#include "host-collector/sources/introspection/checks/netfilter.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define NAME_BYTES 16 /* IFNAMSIZ */
#define OPERATIONS_MAXIMUM 4096
#define KERNEL_HALF 0xffff800000000000ull /* a table may hold flags beside functions */
#define TRIES 5

static const char *const tables[] = {"netdev_ops", "ethtool_ops", "header_ops"};

static bool was_judged(NetfilterCheck *check, uint64_t table)
{
    for (unsigned i = 0; i < check->operations_count; i++) {
        if (check->operations[i] == table) {
            return true;
        }
    }
    if (check->operations_count < PACKET_OPERATIONS_SEEN) {
        check->operations[check->operations_count++] = table;
    }
    return false;
}

/* The functions of one table; devices of one driver share theirs. */
static void read_operations(CheckContext *context, NetfilterCheck *check, uint64_t table,
                            uint32_t size, const char *place)
{
    uint64_t words[OPERATIONS_MAXIMUM / 8];
    uint32_t count = size / 8;

    if (table == 0 || was_judged(check, table)) {
        return;
    }
    if (size > sizeof(words) || !address_space_read(&context->kernel->space, table, words, size)) {
        check_reason(context, MONATT_REASON_TORN, "%s are not readable", place);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!check_step(context)) {
            return;
        }
        if (words[i] >= KERNEL_HALF) {
            packet_hook_judge(context, PACKET_HOOK_DEVICE, place, words[i], table + 8ull * i, "");
        }
    }
}

static void read_device(CheckContext *context, NetfilterCheck *check, uint64_t device,
                        uint32_t namespace)
{
    const NetfilterLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    char bytes[NAME_BYTES], name[NAME_BYTES + 1] = "?", place[PACKET_PLACE_SIZE];
    uint64_t pointer;

    if (layout_has(layout->device_name) &&
        address_space_read(space, device + layout->device_name, bytes, sizeof(bytes))) {
        monatt_text_printable(bytes, sizeof(bytes), name, sizeof(name));
    }
    if (layout_has(layout->device_ingress) &&
        address_space_u64(space, device + layout->device_ingress, &pointer)) {
        snprintf(place, sizeof(place), "ingress of %s net:[%u]", name, namespace);
        netfilter_read_hooks(context, check, pointer, place);
    }
    if (layout_has(layout->device_egress) &&
        address_space_u64(space, device + layout->device_egress, &pointer)) {
        snprintf(place, sizeof(place), "egress of %s net:[%u]", name, namespace);
        netfilter_read_hooks(context, check, pointer, place);
    }
    snprintf(place, sizeof(place), "%s net:[%u]", name, namespace);
    if (layout_has(layout->device_receive) &&
        address_space_u64(space, device + layout->device_receive, &pointer) && pointer != 0) {
        packet_hook_judge(context, PACKET_HOOK_RECEIVE, place, pointer,
                          device + layout->device_receive, "");
        check->hook_count++;
    }
    if (layout_has(layout->device_taps)) {
        netfilter_read_packet_types(context, check, device + layout->device_taps, PACKET_HOOK_TAP,
                                    place);
    }
    if (layout_has(layout->device_protocols)) {
        netfilter_read_packet_types(context, check, device + layout->device_protocols,
                                    PACKET_HOOK_PROTOCOL, place);
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(tables); i++) {
        if (layout_has(layout->device_operations[i]) && layout_has(layout->operations_size[i]) &&
            address_space_u64(space, device + layout->device_operations[i], &pointer)) {
            snprintf(place, sizeof(place), "%s of %s net:[%u]", tables[i], name, namespace);
            read_operations(context, check, pointer, layout->operations_size[i], place);
        }
    }
}

void netfilter_read_devices(CheckContext *context, NetfilterCheck *check,
                            const NetNamespace *namespace)
{
    const NetfilterLayout *layout = &check->layout;
    MonattReason reason = MONATT_REASON_TORN;

    if (!layout_has(layout->net_devices) || !layout_has(layout->device_list)) {
        check_lacks(context, "net.dev_base_head and net_device.dev_list");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node, devices = 0;

        guest_list_begin(&walk, context, GUEST_LIST_RING, namespace->address + layout->net_devices);
        while (guest_list_next(&walk, &node)) {
            read_device(context, check, node - layout->device_list, namespace->number);
            devices++;
        }
        reason = walk.reason;
        if (reason == MONATT_REASON_NONE) {
            check_count(context, "devices", devices);
        }
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the devices of net:[%u] are not readable whole",
                     namespace->number);
    }
}
