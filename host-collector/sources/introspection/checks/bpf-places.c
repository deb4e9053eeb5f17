/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-places.c - where BPF programs hang: their symbols, events, tracepoints, control groups,
 * devices and network namespaces
 *
 * Each place is read from the side of what calls the program, so a program that was taken out of
 * the kernel's list of programs and still runs is met here.  Not read: trampolines are in
 * bpf-trampolines.c, classifiers of tc below a queueing discipline and sockets nowhere.
 */
#include "host-collector/sources/introspection/checks/bpf-check.h"

#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/bpf-places.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/net-namespaces.h"
#include "host-collector/sources/introspection/checks/tracepoints.h"
#include "host-collector/sources/introspection/checks/tracing-judge.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define ARRAY_MAXIMUM 64u /* BPF_CGROUP_MAX_PROGS, BPF_TRACE_MAX_PROGS, BPF_MPROG_MAX */
#define CGROUPS_MAXIMUM 65536u
#define CGROUP_KINDS_MAXIMUM 64u
#define XDP_MODES_MAXIMUM 8u
#define PROBE_BUCKETS 64u /* KPROBE_TABLE_SIZE */
#define EVENT_IS_TRACEPOINT "TRACE_EVENT_FL_TRACEPOINT"
#define TRIES 5

typedef struct PlacesLayout {
    uint32_t array_items, item_size, item_program;
    uint32_t event_list, event_name, event_flags, event_programs;
    uint32_t tracepoint_name;
    uint32_t raw_link_cookie, link_program;
    uint32_t group_self, css_children, css_sibling, group_bpf, bpf_effective, group_node, node_name;
    uint32_t group_populated, css_flags;
    uint32_t net_devices, device_list, device_name, device_xdp, entity_size, entity_program;
    uint32_t entity_link, device_tcx[2], mprog_items, net_arrays;
    uint32_t kprobe_chain, kprobe_before, kprobe_siblings, kprobe_address, return_probe;
    uint32_t trace_return_probe, trace_probe, probe_event, event_call;
} PlacesLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(PlacesLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(array_items, "bpf_prog_array", "items"),
    LAYOUT_SIZE(PlacesLayout, item_size, "bpf_prog_array_item"),
    MEMBER(item_program, "bpf_prog_array_item", "prog"),
    MEMBER(event_list, "trace_event_call", "list"),
    MEMBER(event_name, "trace_event_call", "name"),
    MEMBER(event_flags, "trace_event_call", "flags"),
    MEMBER(event_programs, "trace_event_call", "prog_array"),
    MEMBER(tracepoint_name, "tracepoint", "name"),
    MEMBER(raw_link_cookie, "bpf_raw_tp_link", "cookie"),
    MEMBER(link_program, "bpf_link", "prog"),
    MEMBER(group_self, "cgroup", "self"),
    MEMBER(css_children, "cgroup_subsys_state", "children"),
    MEMBER(css_sibling, "cgroup_subsys_state", "sibling"),
    MEMBER(group_bpf, "cgroup", "bpf"),
    MEMBER(bpf_effective, "cgroup_bpf", "effective"),
    MEMBER(group_node, "cgroup", "kn"),
    MEMBER(group_populated, "cgroup", "nr_populated_csets"),
    MEMBER(css_flags, "cgroup_subsys_state", "flags"),
    MEMBER(node_name, "kernfs_node", "name"),
    MEMBER(net_devices, "net", "dev_base_head"),
    MEMBER(device_list, "net_device", "dev_list"),
    MEMBER(device_name, "net_device", "name"),
    MEMBER(device_xdp, "net_device", "xdp_state"),
    LAYOUT_SIZE(PlacesLayout, entity_size, "bpf_xdp_entity"),
    MEMBER(entity_program, "bpf_xdp_entity", "prog"),
    MEMBER(entity_link, "bpf_xdp_entity", "link"),
    MEMBER(device_tcx[0], "net_device", "tcx_ingress"),
    MEMBER(device_tcx[1], "net_device", "tcx_egress"),
    MEMBER(mprog_items, "bpf_mprog_entry", "fp_items"),
    MEMBER(net_arrays, "net", "bpf.run_array"),
    MEMBER(kprobe_chain, "kprobe", "hlist"),
    MEMBER(kprobe_before, "kprobe", "pre_handler"),
    MEMBER(kprobe_siblings, "kprobe", "list"),
    MEMBER(kprobe_address, "kprobe", "addr"),
    MEMBER(return_probe, "kretprobe", "kp"),
    MEMBER(trace_return_probe, "trace_kprobe", "rp"),
    MEMBER(trace_probe, "trace_kprobe", "tp"),
    MEMBER(probe_event, "trace_probe", "event"),
    MEMBER(event_call, "trace_probe_event", "call"),
};

typedef struct Places {
    CheckContext *context;
    BpfCheck *check;
    PlacesLayout layout;
    AddressSpace *space;
    uint64_t empty; /* the array of those who have none */
    uint64_t dispatcher, return_dispatcher, group_handler;
    uint32_t tracepoint_flag;
    bool has_tracepoint_flag;
} Places;

/* Calls whose results hiding needs; of "sys_exit_getdents64" what comes after the second mark. */
static bool is_sensitive_call(const char *call)
{
    static const char *const calls[] = {"getdents", "getdents64", "read",   "pread64", "readv",
                                        "preadv",   "preadv2",    "open",   "openat",  "openat2",
                                        "kill",     "tkill",      "tgkill", "bpf"};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(calls); i++) {
        if (strcmp(call, calls[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool bpf_event_is_sensitive(const char *name)
{
    if (strcmp(name, "sys_enter") == 0 || strcmp(name, "sys_exit") == 0) {
        return true; /* every call */
    }
    if (strncmp(name, "sys_enter_", 10) == 0) {
        return is_sensitive_call(name + 10);
    }
    return strncmp(name, "sys_exit_", 9) == 0 && is_sensitive_call(name + 9);
}

bool bpf_function_is_sensitive(const char *name)
{
    static const char *const wrappers[] = {"__x64_sys_", "__ia32_sys_", "__ia32_compat_sys_",
                                           "__se_sys_",  "__do_sys_",   "ksys_"};
    static const char *const functions[] = {
        "vfs_read",          "do_sys_openat2",     "do_sys_open",       "do_filp_open",
        "bpf_lsm_task_kill", "security_task_kill", "bpf_lsm_file_open", "security_file_open"};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(wrappers); i++) {
        if (strncmp(name, wrappers[i], strlen(wrappers[i])) == 0 &&
            is_sensitive_call(name + strlen(wrappers[i]))) {
            return true;
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(functions); i++) {
        if (strcmp(name, functions[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "bpf_lsm_bpf", 11) == 0 || traced_function_is_sensitive(name);
}

/* The programs of a struct bpf_prog_array. */
static void read_array(Places *places, uint64_t array, const char *place, bool sensitive)
{
    const PlacesLayout *layout = &places->layout;

    if (array == 0 || array == places->empty) {
        return;
    }
    for (uint32_t i = 0; i < ARRAY_MAXIMUM && check_step(places->context); i++) {
        uint64_t program;
        if (!address_space_u64(places->space,
                               array + layout->array_items + (uint64_t)i * layout->item_size +
                                   layout->item_program,
                               &program)) {
            check_reason(places->context, MONATT_REASON_TORN, "the programs of %s", place);
            return;
        }
        if (program == 0) {
            return;
        }
        bpf_place(places->context, places->check, program, place, sensitive);
    }
}

/* What has a program and a symbol of its own: bpf_kallsyms. */
static void read_symbols(Places *places)
{
    const BpfLayout *layout = &places->check->layout;
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;

    if (!layout_has(layout->aux_symbol) || !layout_has(layout->symbol_list) ||
        !layout_has(layout->symbol_is_program) ||
        !guest_kernel_symbol(places->context->kernel, "bpf_kallsyms", &head)) {
        check_lacks(places->context, "bpf_kallsyms");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node, symbols = 0;

        guest_list_begin(&walk, places->context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            uint64_t symbol = node - layout->symbol_list, program;
            uint8_t is_program;
            symbols++;
            if (address_space_read(places->space, symbol + layout->symbol_is_program, &is_program,
                                   1) &&
                is_program != 0 &&
                address_space_u64(places->space, symbol - layout->aux_symbol + layout->aux_program,
                                  &program)) {
                bpf_place(places->context, places->check, program, NULL, false);
            }
        }
        reason = walk.reason;
        if (reason == MONATT_REASON_NONE) {
            check_count(places->context, "symbols", symbols);
        }
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(places->context, reason, "bpf_kallsyms is not readable whole");
    }
}

static void event_name(Places *places, uint64_t event, char *name, size_t capacity)
{
    const PlacesLayout *layout = &places->layout;
    uint64_t text;
    uint32_t flags;

    snprintf(name, capacity, "?");
    if (!address_space_u64(places->space, event + layout->event_name, &text) ||
        !address_space_u32(places->space, event + layout->event_flags, &flags)) {
        return;
    }
    if (places->has_tracepoint_flag && (flags & places->tracepoint_flag) != 0 &&
        !address_space_u64(places->space, text + layout->tracepoint_name, &text)) {
        return;
    }
    if (!guest_kernel_string(places->context->kernel, text, name, capacity)) {
        snprintf(name, capacity, "?");
    }
}

/* Programs that perf put at an event of tracefs. */
static void read_events(Places *places)
{
    const PlacesLayout *layout = &places->layout;
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t head;

    if (!layout_has(layout->event_list) || !layout_has(layout->event_name) ||
        !layout_has(layout->event_flags) || !layout_has(layout->event_programs) ||
        !guest_kernel_symbol(places->context->kernel, "ftrace_events", &head)) {
        check_lacks(places->context, "ftrace_events and trace_event_call.prog_array");
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;

        guest_list_begin(&walk, places->context, GUEST_LIST_RING, head);
        while (guest_list_next(&walk, &node)) {
            uint64_t event = node - layout->event_list, array;
            if (address_space_u64(places->space, event + layout->event_programs, &array) &&
                array != 0) {
                char name[64], place[80];
                event_name(places, event, name, sizeof(name));
                snprintf(place, sizeof(place), "event %s", name);
                read_array(places, array, place, bpf_event_is_sensitive(name));
            }
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(places->context, reason, "ftrace_events is not readable whole");
    }
}

/* Programs at a kprobe that perf made, which is no event of tracefs. */
static void read_kprobe(Places *places, uint64_t probe)
{
    const PlacesLayout *layout = &places->layout;
    char name[KALLSYMS_NAME_MAXIMUM] = "", where[CHECK_OBJECT_SIZE], place[80];
    uint64_t before, address, event, array, offset, kprobe = probe;

    if (!address_space_u64(places->space, kprobe + layout->kprobe_before, &before) ||
        (before != places->dispatcher && before != places->return_dispatcher) ||
        !address_space_u64(places->space, kprobe + layout->kprobe_address, &address) ||
        !address_space_u64(places->space,
                           kprobe - layout->return_probe - layout->trace_return_probe +
                               layout->trace_probe + layout->probe_event,
                           &event) ||
        !address_space_u64(places->space, event + layout->event_call + layout->event_programs,
                           &array) ||
        array == 0) {
        return;
    }
    check_name_address(places->context, address, where);
    snprintf(place, sizeof(place), "kprobe %s", where);
    read_array(places, array, place,
               guest_kernel_symbol_at(places->context->kernel, address, name, &offset) &&
                   bpf_function_is_sensitive(name));
}

static void read_kprobes(Places *places)
{
    const PlacesLayout *layout = &places->layout;
    uint64_t table, heads[PROBE_BUCKETS], before;

    if (!layout_has(layout->kprobe_chain) || !layout_has(layout->kprobe_before) ||
        !layout_has(layout->kprobe_siblings) || !layout_has(layout->kprobe_address) ||
        !layout_has(layout->return_probe) || !layout_has(layout->trace_return_probe) ||
        !layout_has(layout->trace_probe) || !layout_has(layout->probe_event) ||
        !layout_has(layout->event_call) || !layout_has(layout->event_programs) ||
        !guest_kernel_symbol(places->context->kernel, "kprobe_table", &table) ||
        !address_space_read(places->space, table, heads, sizeof(heads))) {
        check_lacks(places->context, "kprobe_table and trace_kprobe.tp");
        return;
    }
    for (uint64_t i = 0; i < PROBE_BUCKETS; i++) {
        GuestListWalk walk, group;
        uint64_t node, sibling;

        if (heads[i] == 0) {
            continue;
        }
        guest_list_begin(&walk, places->context, GUEST_LIST_CHAIN, table + 8 * i);
        while (guest_list_next(&walk, &node)) {
            uint64_t probe = node - layout->kprobe_chain;
            read_kprobe(places, probe);
            if (!address_space_u64(places->space, probe + layout->kprobe_before, &before) ||
                before != places->group_handler) {
                continue;
            }
            guest_list_begin(&group, places->context, GUEST_LIST_RING,
                             probe + layout->kprobe_siblings);
            while (guest_list_next(&group, &sibling)) {
                read_kprobe(places, sibling - layout->kprobe_siblings);
            }
            if (group.reason != MONATT_REASON_NONE) {
                check_reason(places->context, group.reason, "the kprobes are not readable whole");
            }
        }
        if (walk.reason != MONATT_REASON_NONE) {
            check_reason(places->context, walk.reason, "the kprobes are not readable whole");
        }
    }
}

/* Those of BPF have a program, from 6.10 on its link, as their data. */
static void look_at_probe(CheckContext *context, const TracepointProbe *probe, void *user)
{
    Places *places = user;
    const PlacesLayout *layout = &places->layout;
    uint64_t program = probe->data, offset;
    char symbol[KALLSYMS_NAME_MAXIMUM], name[64], place[80];

    if (!guest_kernel_symbol_at(context->kernel, probe->code, symbol, &offset) ||
        strncmp(symbol, "__bpf_trace_", 12) != 0 ||
        (layout_has(layout->raw_link_cookie) &&
         !address_space_u64(places->space, program + layout->link_program, &program))) {
        return;
    }
    tracepoint_name(context, probe->tracepoint, name, sizeof(name));
    snprintf(place, sizeof(place), "raw tracepoint %s", name);
    bpf_place(context, places->check, program, place, bpf_event_is_sensitive(name));
}

static void read_tracepoints(Places *places)
{
    if (!layout_has(places->layout.link_program)) {
        check_lacks(places->context, "bpf_link.prog");
        return;
    }
    tracepoints_walk(places->context, look_at_probe, places);
}

/*
 * A group that was removed stays in the tree while anything refers to it, such as the page cache of
 * a process that ran in it.  The kernel frees its arrays of programs then and leaves the pointers
 * (cgroup_bpf_release() in kernel/bpf/cgroup.c).  The mark alone is not believed: only an empty
 * group can be removed, and in an empty one nothing runs.
 */
static bool is_removed(Places *places, uint64_t group)
{
    const PlacesLayout *layout = &places->layout;
    uint32_t flags, populated;
    int64_t online;

    return layout_has(layout->css_flags) && layout_has(layout->group_populated) &&
           guest_kernel_enumerator(places->context->kernel, "CSS_ONLINE", &online) &&
           address_space_u32(places->space, group + layout->group_self + layout->css_flags,
                             &flags) &&
           address_space_u32(places->space, group + layout->group_populated, &populated) &&
           !(flags & (uint32_t)online) && populated == 0;
}

static void read_group(Places *places, uint64_t group)
{
    const PlacesLayout *layout = &places->layout;
    uint64_t effective[CGROUP_KINDS_MAXIMUM], node, text;
    uint32_t count, size;
    char name[48] = "", place[80];

    if (is_removed(places, group) ||
        !guest_kernel_array(places->context->kernel, "cgroup_bpf", "effective", &count, &size) ||
        size != sizeof(effective[0]) || count > CGROUP_KINDS_MAXIMUM ||
        !address_space_read(places->space, group + layout->group_bpf + layout->bpf_effective,
                            effective, count * size)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (effective[i] == 0 || effective[i] == places->empty) {
            continue;
        }
        if (name[0] == '\0' &&
            (!layout_has(layout->group_node) || !layout_has(layout->node_name) ||
             !address_space_u64(places->space, group + layout->group_node, &node) ||
             !address_space_u64(places->space, node + layout->node_name, &text) ||
             !guest_kernel_string(places->context->kernel, text, name, sizeof(name)))) {
            snprintf(name, sizeof(name), "?");
        }
        snprintf(place, sizeof(place), "cgroup %s", name[0] ? name : "/");
        read_array(places, effective[i], place, false);
    }
}

/* Every control group below the root of the unified hierarchy, without recursion. */
static void read_groups(Places *places)
{
    const PlacesLayout *layout = &places->layout;
    uint64_t root, top, at, next;
    uint32_t depth = 0, count = 0;

    if (!guest_kernel_symbol(places->context->kernel, "cgrp_dfl_root", &root) ||
        !layout_has(layout->group_self) || !layout_has(layout->css_children) ||
        !layout_has(layout->css_sibling) || !layout_has(layout->group_bpf) ||
        !layout_has(layout->bpf_effective)) {
        check_lacks(places->context, "cgrp_dfl_root and cgroup.bpf.effective");
        return;
    }
    uint32_t group_in_root;
    if (!guest_kernel_member(places->context->kernel, "cgroup_root", "cgrp", &group_in_root)) {
        check_lacks(places->context, "cgroup_root.cgrp");
        return;
    }
    top = root + group_in_root + layout->group_self;
    at = top;
    read_group(places, at - layout->group_self);
    /* Down to the first child, else on to the sibling, else up: next is the list node after it,
     * which is the parent's head when there is none. */
    uint64_t parents[64];
    for (;;) {
        if (!check_step(places->context) || count++ > CGROUPS_MAXIMUM ||
            !address_space_u64(places->space, at + layout->css_children, &next)) {
            break;
        }
        if (next != at + layout->css_children && depth == MONATT_ARRAY_SIZE(parents)) {
            check_reason(places->context, MONATT_REASON_BUDGET,
                         "control groups lie more than %u deep", depth);
        }
        if (next != at + layout->css_children && depth < MONATT_ARRAY_SIZE(parents)) {
            parents[depth++] = at;
            at = next - layout->css_sibling;
        } else {
            while (depth > 0) {
                if (!address_space_u64(places->space, at + layout->css_sibling, &next)) {
                    check_reason(places->context, MONATT_REASON_TORN,
                                 "the control groups are not readable whole");
                    return;
                }
                if (next != parents[depth - 1] + layout->css_children) {
                    at = next - layout->css_sibling;
                    break;
                }
                at = parents[--depth];
            }
            if (depth == 0) {
                return;
            }
        }
        read_group(places, at - layout->group_self);
    }
    check_reason(places->context, MONATT_REASON_TORN, "the control groups are not readable whole");
}

static void read_device(Places *places, uint64_t device, uint32_t namespace)
{
    static const char *const directions[] = {"ingress", "egress"};
    const PlacesLayout *layout = &places->layout;
    char bytes[16], name[17] = "?", place[64];
    uint64_t entry, program, link;
    uint32_t modes = 0, size;

    if (layout_has(layout->device_name) &&
        address_space_read(places->space, device + layout->device_name, bytes, sizeof(bytes))) {
        monatt_text_printable(bytes, strnlen(bytes, sizeof(bytes)), name, sizeof(name));
    }
    if (layout_has(layout->device_xdp) && layout_has(layout->entity_program) &&
        layout_has(layout->entity_link) &&
        guest_kernel_array(places->context->kernel, "net_device", "xdp_state", &modes, &size)) {
        for (uint64_t i = 0; i < modes && i < XDP_MODES_MAXIMUM; i++) {
            uint64_t entity = device + layout->device_xdp + i * layout->entity_size;
            if (!address_space_u64(places->space, entity + layout->entity_program, &program) ||
                !address_space_u64(places->space, entity + layout->entity_link, &link)) {
                continue;
            }
            if (program == 0 && link != 0 && layout_has(layout->link_program) &&
                !address_space_u64(places->space, link + layout->link_program, &program)) {
                continue;
            }
            snprintf(place, sizeof(place), "xdp %s net:[%u]", name, namespace);
            bpf_place(places->context, places->check, program, place, false);
        }
    }
    for (size_t d = 0; d < MONATT_ARRAY_SIZE(directions); d++) {
        if (!layout_has(layout->device_tcx[d]) || !layout_has(layout->mprog_items) ||
            !address_space_u64(places->space, device + layout->device_tcx[d], &entry) ||
            entry == 0) {
            continue;
        }
        snprintf(place, sizeof(place), "tcx %s %s net:[%u]", directions[d], name, namespace);
        for (uint64_t i = 0; i < ARRAY_MAXIMUM && check_step(places->context); i++) {
            if (!address_space_u64(places->space, entry + layout->mprog_items + 8 * i, &program) ||
                program == 0) {
                break;
            }
            bpf_place(places->context, places->check, program, place, false);
        }
    }
}

static void read_network(Places *places)
{
    static NetNamespaces namespaces; /* large; checks run one after the other */
    const PlacesLayout *layout = &places->layout;

    net_namespaces_read(places->context, &namespaces);
    for (uint32_t i = 0; i < namespaces.count; i++) {
        const NetNamespace *namespace = &namespaces.items[i];
        GuestListWalk walk;
        uint64_t node, array;
        char place[64];

        for (uint64_t kind = 0; kind < 2 && layout_has(layout->net_arrays); kind++) {
            snprintf(place, sizeof(place), "%s net:[%u]", kind ? "sk_lookup" : "flow_dissector",
                     namespace->number);
            if (address_space_u64(places->space, namespace->address + layout->net_arrays + 8 * kind,
                                  &array)) {
                read_array(places, array, place, false);
            }
        }
        if (!layout_has(layout->net_devices) || !layout_has(layout->device_list)) {
            check_lacks(places->context, "net.dev_base_head and net_device.dev_list");
            return;
        }
        guest_list_begin(&walk, places->context, GUEST_LIST_RING,
                         namespace->address + layout->net_devices);
        while (guest_list_next(&walk, &node)) {
            read_device(places, node - layout->device_list, namespace->number);
        }
        if (walk.reason != MONATT_REASON_NONE) {
            check_reason(places->context, walk.reason,
                         "the devices of net:[%u] are not readable whole", namespace->number);
        }
    }
}

void bpf_read_places(CheckContext *context, BpfCheck *check)
{
    GuestKernel *kernel = context->kernel;
    Places places = {.context = context, .check = check, .space = &kernel->space};
    int64_t flag;

    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), &places.layout);
    places.empty = layout_symbol(kernel, "bpf_empty_prog_array");
    places.dispatcher = layout_symbol(kernel, "kprobe_dispatcher");
    places.return_dispatcher = layout_symbol(kernel, "pre_handler_kretprobe");
    places.group_handler = layout_symbol(kernel, "aggr_pre_handler");
    places.has_tracepoint_flag = guest_kernel_enumerator(kernel, EVENT_IS_TRACEPOINT, &flag);
    places.tracepoint_flag = places.has_tracepoint_flag ? (uint32_t)flag : 0;
    read_symbols(&places);
    read_tracepoints(&places);
    read_network(&places);
    if (!layout_has(places.layout.array_items) || !layout_has(places.layout.item_size) ||
        !layout_has(places.layout.item_program)) {
        check_lacks(context, "struct bpf_prog_array in its BTF");
        return;
    }
    read_events(&places);
    read_kprobes(&places);
    read_groups(&places);
}
