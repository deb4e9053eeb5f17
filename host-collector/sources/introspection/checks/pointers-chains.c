/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-chains.c - the notifier chains: who is told of keys, modules, devices, reboots, deaths
 *
 * Four forms of head (include/linux/notifier.h), one form of link.  Which form a chain has did not
 * change from Linux 5.10 to 7.2; a chain that a kernel does not have has no symbol.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include "libmonatt/base/macros.h"

#define BLOCKS 1024u /* of one chain; kernels have some tens */

typedef enum HeadKind { HEAD_ATOMIC, HEAD_BLOCKING, HEAD_RAW, HEAD_KINDS } HeadKind;

static const struct {
    const char *symbol;
    HeadKind kind;
} chains[] = {
    {"die_chain", HEAD_ATOMIC},
    {"module_notify_list", HEAD_BLOCKING},
    {"reboot_notifier_list", HEAD_BLOCKING},
    {"panic_notifier_list", HEAD_ATOMIC},
    {"restart_handler_list", HEAD_ATOMIC},
    {"restart_prep_handler_list", HEAD_BLOCKING},
    {"power_off_handler_list", HEAD_ATOMIC},
    {"power_off_prep_handler_list", HEAD_BLOCKING},
    {"keyboard_notifier_list", HEAD_ATOMIC},
    {"vt_notifier_list", HEAD_ATOMIC},
    {"fb_notifier_list", HEAD_BLOCKING},
    {"netdev_chain", HEAD_RAW},
    {"inetaddr_chain", HEAD_BLOCKING},
    {"inetaddr_validator_chain", HEAD_BLOCKING},
    {"inet6addr_chain", HEAD_ATOMIC},
    {"inet6addr_validator_chain", HEAD_BLOCKING},
    {"netevent_notif_chain", HEAD_ATOMIC},
    {"switchdev_notif_chain", HEAD_ATOMIC},
    {"switchdev_blocking_notif_chain", HEAD_BLOCKING},
    {"netlink_chain", HEAD_BLOCKING},
    {"task_exit_notifier", HEAD_BLOCKING},
    {"munmap_notifier", HEAD_BLOCKING},
    {"task_free_notifier", HEAD_ATOMIC},
    {"oom_notify_list", HEAD_BLOCKING},
    {"vmap_notify_list", HEAD_BLOCKING},
    {"crypto_chain", HEAD_BLOCKING},
    {"pm_chain_head", HEAD_BLOCKING},
    {"usb_notifier_list", HEAD_BLOCKING},
    {"acpi_bus_notify_list", HEAD_BLOCKING},
    {"acpi_chain_head", HEAD_BLOCKING},
    {"x86_mce_decoder_chain", HEAD_BLOCKING},
    {"memory_chain", HEAD_BLOCKING},
    {"node_chain", HEAD_BLOCKING},
    {"pvclock_gtod_chain", HEAD_RAW},
    {"cpufreq_policy_notifier_list", HEAD_BLOCKING},
    {"blocking_lsm_notifier_chain", HEAD_BLOCKING},
    {"tracepoint_notify_list", HEAD_BLOCKING},
};
static const char *const heads[HEAD_KINDS] = {
    [HEAD_ATOMIC] = "atomic_notifier_head",
    [HEAD_BLOCKING] = "blocking_notifier_head",
    [HEAD_RAW] = "raw_notifier_head",
};

typedef struct ChainLayout {
    uint32_t heads[HEAD_KINDS];
    uint32_t call;
    uint32_t next;
    uint32_t net_chain;
} ChainLayout;

static void walk(CheckContext *context, PointersCheck *check, const ChainLayout *layout,
                 const char *place, uint64_t head)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t at = head, block, call;

    for (uint32_t i = 0; i < BLOCKS && check_step(context); i++) {
        if (!address_space_u64(space, at, &block) ||
            (block != 0 && !address_space_u64(space, block + layout->call, &call))) {
            check_reason(context, MONATT_REASON_TORN, "the chain '%s' is not readable whole",
                         place);
            return;
        }
        if (block == 0) {
            return;
        }
        pointers_judge(context, check, "notifier", place, block + layout->call, call, POINTER_OWN);
        at = block + layout->next;
    }
    check_reason(context, MONATT_REASON_BUDGET, "the chain '%s' has no end", place);
}

void pointers_read_chains(CheckContext *context, PointersCheck *check)
{
    GuestKernel *kernel = context->kernel;
    ChainLayout layout;
    uint64_t head, count = 0;

    if (!guest_kernel_member(kernel, "notifier_block", "notifier_call", &layout.call) ||
        !guest_kernel_member(kernel, "notifier_block", "next", &layout.next)) {
        check_lacks(context, "notifier_block.notifier_call and .next in its BTF");
        return;
    }
    for (size_t i = 0; i < HEAD_KINDS; i++) {
        if (!guest_kernel_member(kernel, heads[i], "head", &layout.heads[i])) {
            layout.heads[i] = LAYOUT_MISSING;
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(chains); i++) {
        uint32_t offset = layout.heads[chains[i].kind];
        if (layout_has(offset) && guest_kernel_symbol(kernel, chains[i].symbol, &head)) {
            walk(context, check, &layout, chains[i].symbol, head + offset);
            count++;
        }
    }
    /* Each network namespace has a chain of its own since 5.5. */
    if (guest_kernel_member(kernel, "net", "netdev_chain", &layout.net_chain) &&
        layout_has(layout.heads[HEAD_RAW])) {
        for (uint32_t i = 0; i < check->namespaces.count; i++) {
            char place[POINTER_PLACE_SIZE];
            snprintf(place, sizeof(place), "netdev_chain net:[%u]",
                     check->namespaces.items[i].number);
            walk(context, check, &layout, place,
                 check->namespaces.items[i].address + layout.net_chain + layout.heads[HEAD_RAW]);
        }
    }
    check_count(context, "chains", count);
}
