/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netfilter-judge.c - whose function stands in a packet's way, and whether it may
 *
 * Code of the kernel itself and of a module that lsmod shows may; a module that is in no list and
 * code that is nobody's may not.  A listed module that is no filter by its name is worth a word:
 * the name is the module's own choice, so it excuses nothing but that word.
 */
#include "host-collector/sources/introspection/checks/netfilter.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"

/* Beginnings of the names of modules that register such functions in Linux 5.10 to 7.2. */
static const char *const filters[] = {
    "nf_",      "nft_", "nfnetlink", "ip_",         "ipt_",         "iptable_", "ip6",
    "arp",      "ebt",  "xt_",       "bridge",      "br_netfilter", "ip_vs",    "ipvlan",
    "synproxy", "ila",  "selinux",   "openvswitch", "act_ct",       NULL,
};
static const char *const taps[] = {"af_packet", NULL};
static const char *const receivers[] = {
    "bridge",    "bonding",     "team",     "macvlan", "macvtap",   "ipvlan",
    "macsec",    "openvswitch", "hsr",      "rmnet",   "virt_wifi", "net_failover",
    "hv_netvsc", "lan966x",     "prestera", NULL,
};

/* What each kind is called, and which modules are known to have one; NULL: any may. */
static const struct {
    const char *name;
    const char *what;
    const char *const *known;
} kinds[] = {
    [PACKET_HOOK_NETFILTER] = {"netfilter", "a filter of packets", filters},
    [PACKET_HOOK_TAP] = {"tap", "a receiver of every packet", taps},
    [PACKET_HOOK_PROTOCOL] = {"protocol", "a protocol's receiver", NULL},
    [PACKET_HOOK_RECEIVE] = {"receive", "a device's receive handler", receivers},
    [PACKET_HOOK_DEVICE] = {"device", "a device's function", NULL},
};

const char *packet_hook_kind_name(PacketHookKind kind)
{
    return kinds[kind].name;
}

static bool is_known(PacketHookKind kind, const char *module)
{
    const char *const *known = kinds[kind].known;

    for (size_t i = 0; known && known[i]; i++) {
        if (strncmp(module, known[i], strlen(known[i])) == 0) {
            return true;
        }
    }
    return !known;
}

/* NULL: it may be there. */
static const char *judge(CheckContext *context, PacketHookKind kind, const Owner *owner,
                         uint64_t target, CheckSeverity *ret_severity)
{
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t offset;

    *ret_severity = CHECK_COMPROMISED;
    switch (owner->kind) {
    case OWNER_KERNEL:
        if (guest_kernel_symbol_at(context->kernel, target, name, &offset) && offset != 0) {
            *ret_severity = CHECK_DEGRADED;
            return "points into the middle of a function";
        }
        return NULL;
    case OWNER_MODULE:
        if (owner->hidden) {
            return "is code of a module that the list of modules does not show";
        }
        *ret_severity = CHECK_DEGRADED;
        return is_known(kind, owner->name) ? NULL
                                           : "is code of a module that is not known to have one";
    case OWNER_NONE:
        if (owners_missing(context->owners)[0] != '\0') {
            check_reason(context, MONATT_REASON_UNSUPPORTED,
                         "%#lx is nobody's code, but not all code is known: %s",
                         (unsigned long)target, owners_missing(context->owners));
            return NULL;
        }
        return "is nobody's code";
    default:
        return "is code that no such function can be";
    }
}

void packet_hook_judge(CheckContext *context, PacketHookKind kind, const char *place,
                       uint64_t target, uint64_t slot, const char *note)
{
    char name[CHECK_OBJECT_SIZE] = "", whose[CHECK_OBJECT_SIZE], object[CHECK_OBJECT_SIZE];
    CheckSeverity severity;
    const char *why;
    Owner owner;

    owners_find(context->owners, target, &owner);
    why = judge(context, kind, &owner, target, &severity);
    if (!why && (!context->table || kind == PACKET_HOOK_DEVICE)) {
        return;
    }
    check_name_address(context, target, name);
    check_owner_text(&owner, whose);
    if (why) {
        snprintf(object, sizeof(object), "%s %.50s", packet_hook_kind_name(kind), place);
        check_found(context, severity, target, object, "code of the kernel or of a listed module",
                    name, whose, "%s at %s %s", kinds[kind].what, place, why);
    }
    table_text(context->table, packet_hook_kind_name(kind));
    table_text(context->table, place);
    table_text(context->table, name);
    table_text(context->table, whose);
    table_text(context->table, !why ? "good" : severity == CHECK_COMPROMISED ? "bad" : "odd");
    table_hex(context->table, slot);
    table_text(context->table, why ? why : note);
    table_end_row(context->table);
}
