/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-types.c - the kinds of BPF programs and maps by their numbers, and what a kind may do
 *
 * Numbers of include/uapi/linux/bpf.h, which never change; names are bpftool's.
 */
#include "host-collector/sources/introspection/checks/bpf-check.h"

#include "libmonatt/base/macros.h"

/* enum bpf_attach_type */
#define ATTACH_BIND_4 8u
#define ATTACH_BIND_6 9u
#define ATTACH_MODIFY_RETURN 26u

static const struct {
    const char *name;
    uint32_t power;
} programs[] = {
    [1] = {"socket_filter", 0}, /* what its own socket gets to see */
    [2] = {"kprobe", 0},
    [3] = {"sched_cls", BPF_POWER_PACKETS},
    [4] = {"sched_act", BPF_POWER_PACKETS},
    [5] = {"tracepoint", 0},
    [6] = {"xdp", BPF_POWER_PACKETS},
    [7] = {"perf_event", 0},
    /* Those of a control group say yes or no to its own processes: systemd loads them for
     * IPAddressAllow=, DeviceAllow=, RestrictAddressFamilies= and SocketBindAllow= of any unit. */
    [8] = {"cgroup_skb", BPF_POWER_CONFINE},
    [9] = {"cgroup_sock", BPF_POWER_CONFINE},
    [10] = {"lwt_in", BPF_POWER_PACKETS},
    [11] = {"lwt_out", BPF_POWER_PACKETS},
    [12] = {"lwt_xmit", BPF_POWER_PACKETS},
    [13] = {"sock_ops", BPF_POWER_PACKETS},
    [14] = {"sk_skb", BPF_POWER_PACKETS},
    [15] = {"cgroup_device", BPF_POWER_CONFINE},
    [16] = {"sk_msg", BPF_POWER_PACKETS},
    [17] = {"raw_tracepoint", 0},
    [18] = {"cgroup_sock_addr", BPF_POWER_PACKETS}, /* it may lead a connection elsewhere */
    [19] = {"lwt_seg6local", BPF_POWER_PACKETS},
    [20] = {"lirc_mode2", 0},
    [21] = {"sk_reuseport", 0},
    [22] = {"flow_dissector", BPF_POWER_PACKETS},
    [23] = {"cgroup_sysctl", BPF_POWER_CONFINE},
    [24] = {"raw_tracepoint_writable", BPF_POWER_RETURN},
    [25] = {"cgroup_sockopt", BPF_POWER_RETURN},
    [26] = {"tracing", 0},
    [27] = {"struct_ops", 0},
    [28] = {"ext", BPF_POWER_RETURN}, /* takes the place of a function of another program */
    [29] = {"lsm", BPF_POWER_RETURN},
    [30] = {"sk_lookup", BPF_POWER_PACKETS},
    [31] = {"syscall", 0},
    [32] = {"netfilter", BPF_POWER_PACKETS},
};
static const char *const maps[] = {
    [1] = "hash",
    [2] = "array",
    [3] = "prog_array",
    [4] = "perf_event_array",
    [5] = "percpu_hash",
    [6] = "percpu_array",
    [7] = "stack_trace",
    [8] = "cgroup_array",
    [9] = "lru_hash",
    [10] = "lru_percpu_hash",
    [11] = "lpm_trie",
    [12] = "array_of_maps",
    [13] = "hash_of_maps",
    [14] = "devmap",
    [15] = "sockmap",
    [16] = "cpumap",
    [17] = "xskmap",
    [18] = "sockhash",
    [19] = "cgroup_storage",
    [20] = "reuseport_sockarray",
    [21] = "percpu_cgroup_storage",
    [22] = "queue",
    [23] = "stack",
    [24] = "sk_storage",
    [25] = "devmap_hash",
    [26] = "struct_ops",
    [27] = "ringbuf",
    [28] = "inode_storage",
    [29] = "task_storage",
    [30] = "bloom_filter",
    [31] = "user_ringbuf",
    [32] = "cgrp_storage",
    [33] = "arena",
    [34] = "insn_array",
    [35] = "rhash",
};

const char *bpf_program_type_name(uint32_t type)
{
    return type < MONATT_ARRAY_SIZE(programs) ? programs[type].name : NULL;
}

const char *bpf_map_type_name(uint32_t type)
{
    return type < MONATT_ARRAY_SIZE(maps) ? maps[type] : NULL;
}

uint32_t bpf_power_of_type(uint32_t type, uint32_t attach_type)
{
    if (type == 18 && (attach_type == ATTACH_BIND_4 || attach_type == ATTACH_BIND_6)) {
        return BPF_POWER_CONFINE;
    }
    if (type == BPF_TYPE_TRACING && attach_type == ATTACH_MODIFY_RETURN) {
        return BPF_POWER_RETURN;
    }
    /* A kind that is not known yet may do anything. */
    return type < MONATT_ARRAY_SIZE(programs) ? programs[type].power : BPF_POWER_RETURN;
}
