/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-load.c - small BPF programs of each power class, loaded, attached and held in a test's guest
 *
 *   bpf-load hold WHAT…    one line each, "WHAT prog ID" or "WHAT error TEXT", then "ready"; holds
 *                          all of it until it is killed
 *   bpf-load list          what bpf(2) says: "prog ID TYPE NAME TAG", "map …", "link …"
 *
 * Knows nothing but the system call: no library, no compiler in the guest.  A test tool: the
 * programs do nothing (a write to the null address, an answer that is the usual one).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEFS "/sys/kernel/tracing"
#define CGROUP "/sys/fs/cgroup/monatt-test"
#define PIN_FOLDER "/sys/fs/bpf"
#define LOG_SIZE 65536
#define BTF_SIZE (16u << 20)

#define OP(op, dst, src, offset, value)                                                            \
    ((struct bpf_insn){                                                                            \
        .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)})
#define MOVE(dst, value) OP(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define COPY(dst, src) OP(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define CALL(helper) OP(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define STORE(dst, offset, value) OP(BPF_ST | BPF_DW | BPF_MEM, dst, 0, offset, value)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char verifier_log[LOG_SIZE];

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int load(uint32_t type, uint32_t attach_type, uint32_t btf_id, const char *name,
                const struct bpf_insn *instructions, size_t count)
{
    union bpf_attr attributes = {.prog_type = type,
                                 .insn_cnt = (uint32_t)count,
                                 .insns = (uint64_t)(uintptr_t)instructions,
                                 .license = (uint64_t)(uintptr_t) "GPL",
                                 .log_buf = (uint64_t)(uintptr_t)verifier_log,
                                 .log_size = sizeof(verifier_log),
                                 .log_level = 1,
                                 .expected_attach_type = attach_type,
                                 .attach_btf_id = btf_id};
    strncpy(attributes.prog_name, name, sizeof(attributes.prog_name) - 1);
    return bpf(BPF_PROG_LOAD, &attributes);
}

static int make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, const char *name)
{
    union bpf_attr attributes = {
        .map_type = type, .key_size = key, .value_size = value, .max_entries = entries};
    strncpy(attributes.map_name, name, sizeof(attributes.map_name) - 1);
    return bpf(BPF_MAP_CREATE, &attributes);
}

static int link_program(int program, int target, uint32_t attach_type)
{
    union bpf_attr attributes = {.link_create = {.prog_fd = (uint32_t)program,
                                                 .target_fd = (uint32_t)target,
                                                 .attach_type = attach_type}};
    return bpf(BPF_LINK_CREATE, &attributes);
}

static long read_number(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    return size > 0 ? strtol(text, NULL, 10) : -1;
}

static int attach_perf(int program, uint32_t type, uint64_t config, const char *function)
{
    struct perf_event_attr attributes = {.type = type,
                                         .size = sizeof(attributes),
                                         .config = config,
                                         .kprobe_func = (uint64_t)(uintptr_t)function,
                                         .sample_period = 1};
    int event = (int)syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    if (event < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, program) != 0 ||
        ioctl(event, PERF_EVENT_IOC_ENABLE, 0) != 0) {
        return -1;
    }
    return event;
}

static int attach_tracepoint(int program, const char *event)
{
    char path[128];
    snprintf(path, sizeof(path), TRACEFS "/events/%s/id", event);
    long id = read_number(path);
    return id < 0 ? -1 : attach_perf(program, PERF_TYPE_TRACEPOINT, (uint64_t)id, NULL);
}

static int attach_kprobe(int program, const char *function)
{
    long type = read_number("/sys/bus/event_source/devices/kprobe/type");
    return type < 0 ? -1 : attach_perf(program, (uint32_t)type, 0, function);
}

static int attach_cgroup(int program, uint32_t type)
{
    mkdir(CGROUP, 0755);
    int folder = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    union bpf_attr attributes = {.target_fd = (uint32_t)folder,
                                 .attach_bpf_fd = (uint32_t)program,
                                 .attach_type = type,
                                 .attach_flags = BPF_F_ALLOW_MULTI};
    return folder < 0 ? -1 : bpf(BPF_PROG_ATTACH, &attributes);
}

/* The number of a function in the kernel's BTF; 0: it is not there. */
static uint32_t function_type(const char *wanted)
{
    static uint8_t btf[BTF_SIZE];
    int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
    size_t size = 0, at = 0;
    ssize_t got;
    while (fd >= 0 && (got = read(fd, btf + size, sizeof(btf) - size)) > 0) {
        size += (size_t)got;
    }
    if (fd < 0 || size < 24) {
        return 0;
    }
    close(fd);
    const uint32_t *header = (const uint32_t *)btf; /* lengths and offsets from word 1 on */
    const uint8_t *types = btf + header[1] + header[2];
    const char *strings = (const char *)btf + header[1] + header[4];
    for (uint32_t number = 1; at < header[3]; number++) {
        uint32_t type[3];
        memcpy(type, types + at, sizeof(type));
        uint32_t kind = type[1] >> 24 & 31, members = type[1] & 0xffff;
        static const uint8_t fixed[32] = {[1] = 4, [3] = 12, [14] = 4, [17] = 4};
        static const uint8_t each[32] = {
            [4] = 12, [5] = 12, [6] = 8, [13] = 8, [15] = 12, [19] = 12};
        if (kind == 12 && strcmp(strings + type[0], wanted) == 0) {
            return number;
        }
        at += 12 + fixed[kind] + (size_t)each[kind] * members;
    }
    return 0;
}

static const struct bpf_insn pass[] = {MOVE(0, 1), EXIT()};
static const struct bpf_insn nothing[] = {MOVE(0, 0), EXIT()};
/* What ends in user memory comes from the stack; the null address takes nothing. */
static const struct bpf_insn write_user[] = {
    STORE(10, -8, 0), COPY(2, 10), OP(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
    MOVE(1, 0),       MOVE(3, 8),  CALL(BPF_FUNC_probe_write_user),
    MOVE(0, 0),       EXIT(),
};
static const struct bpf_insn signal_self[] = {
    OP(BPF_JMP | BPF_JA, 0, 0, 0, 0), MOVE(1, 0), CALL(BPF_FUNC_send_signal), MOVE(0, 0), EXIT(),
};
static const struct bpf_insn override_return[] = {
    MOVE(2, -1),
    CALL(BPF_FUNC_override_return),
    MOVE(0, 0),
    EXIT(),
};

/* Twice the same, each with a map of its own: the digest must not know which. */
static int load_with_map(const char *name)
{
    int map = make_map(BPF_MAP_TYPE_HASH, 4, 8, 16, name);
    const struct bpf_insn instructions[] = {
        OP(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, 0),
        COPY(2, 10),
        OP(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        OP(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
        OP(0, 0, 0, 0, 0),
        CALL(BPF_FUNC_map_lookup_elem),
        MOVE(0, 0),
        EXIT(),
    };
    return map < 0
               ? -1
               : load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, name, instructions, COUNT(instructions));
}

/* Each returns the program's descriptor or -1; *ret_attached: -1 when that did not work. */
static int make(const char *what, int *ret_attached)
{
    int program = -1;

    *ret_attached = 0;
    if (strcmp(what, "filter") == 0) {
        program = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, what, pass, COUNT(pass));
        int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        *ret_attached = setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program));
    } else if (strcmp(what, "twin_a") == 0 || strcmp(what, "twin_b") == 0) {
        program = load_with_map(what);
    } else if (strcmp(what, "observe") == 0) {
        program = load(BPF_PROG_TYPE_KPROBE, 0, 0, what, nothing, COUNT(nothing));
        *ret_attached = attach_kprobe(program, "vfs_fsync_range");
    } else if (strcmp(what, "write_getdents") == 0) {
        program = load(BPF_PROG_TYPE_TRACEPOINT, 0, 0, what, write_user, COUNT(write_user));
        *ret_attached = attach_tracepoint(program, "syscalls/sys_exit_getdents64");
    } else if (strcmp(what, "write_fork") == 0) {
        program = load(BPF_PROG_TYPE_TRACEPOINT, 0, 0, what, write_user, COUNT(write_user));
        *ret_attached = attach_tracepoint(program, "sched/sched_process_fork");
    } else if (strcmp(what, "write_kprobe") == 0) {
        program = load(BPF_PROG_TYPE_KPROBE, 0, 0, what, write_user, COUNT(write_user));
        *ret_attached = attach_kprobe(program, "__x64_sys_getdents64");
    } else if (strcmp(what, "signal") == 0) {
        program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, what, signal_self, COUNT(signal_self));
        union bpf_attr attributes = {
            .raw_tracepoint = {.name = (uint64_t)(uintptr_t) "sched_process_hang",
                               .prog_fd = (uint32_t)program}};
        *ret_attached = bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes);
    } else if (strcmp(what, "override") == 0) {
        program = load(BPF_PROG_TYPE_KPROBE, 0, 0, what, override_return, COUNT(override_return));
    } else if (strcmp(what, "device") == 0) {
        program = load(BPF_PROG_TYPE_CGROUP_DEVICE, 0, 0, what, pass, COUNT(pass));
        *ret_attached = attach_cgroup(program, BPF_CGROUP_DEVICE);
    } else if (strcmp(what, "egress") == 0) {
        program =
            load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 0, what, pass, COUNT(pass));
        *ret_attached = attach_cgroup(program, BPF_CGROUP_INET_EGRESS);
    } else if (strcmp(what, "xdp") == 0) {
        static const struct bpf_insn pass_on[] = {MOVE(0, XDP_PASS), EXIT()};
        program = load(BPF_PROG_TYPE_XDP, 0, 0, what, pass_on, COUNT(pass_on));
        *ret_attached = link_program(program, 1 /* lo */, BPF_XDP);
    } else if (strcmp(what, "fentry") == 0) {
        program = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, function_type("vfs_fsync_range"),
                       what, nothing, COUNT(nothing));
        *ret_attached = link_program(program, 0, BPF_TRACE_FENTRY);
    } else if (strcmp(what, "return") == 0) {
        program = load(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN,
                       function_type("security_file_permission"), what, nothing, COUNT(nothing));
        *ret_attached = link_program(program, 0, BPF_MODIFY_RETURN);
    } else if (strcmp(what, "lsm") == 0) {
        program = load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, function_type("bpf_lsm_inode_rename"), what,
                       nothing, COUNT(nothing));
        *ret_attached = link_program(program, 0, BPF_LSM_MAC);
    } else if (strcmp(what, "lsm_bpf") == 0) {
        program = load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, function_type("bpf_lsm_bpf_prog"), what,
                       nothing, COUNT(nothing));
        *ret_attached = link_program(program, 0, BPF_LSM_MAC);
    } else {
        errno = EINVAL;
    }
    return program;
}

static void hold(const char *what)
{
    int attached, program = make(what, &attached);
    struct bpf_prog_info info = {0};
    union bpf_attr attributes = {.info = {.bpf_fd = (uint32_t)program,
                                          .info_len = sizeof(info),
                                          .info = (uint64_t)(uintptr_t)&info}};

    if (program < 0) {
        printf("%s error load: %s %s\n", what, strerrordesc_np(errno), verifier_log);
    } else if (attached < 0) {
        printf("%s error attach: %s\n", what, strerrordesc_np(errno));
    } else if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) != 0) {
        printf("%s error information: %s\n", what, strerrordesc_np(errno));
    } else {
        printf("%s prog %u\n", what, info.id);
    }
}

/* A map that nobody may change any more, and a pinned one. */
static void hold_maps(void)
{
    int frozen = make_map(BPF_MAP_TYPE_ARRAY, 4, 32, 3, "frozen"), pinned;
    union bpf_attr freeze = {.map_fd = (uint32_t)frozen};
    printf("frozen %s\n", frozen < 0 || bpf(BPF_MAP_FREEZE, &freeze) != 0 ? "error" : "map");
    pinned = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 7, "pinned");
    union bpf_attr pin = {.pathname = (uint64_t)(uintptr_t)PIN_FOLDER "/pinned",
                          .bpf_fd = (uint32_t)pinned};
    /* A trie needs a flag, which makes this an ordinary hash where it is refused. */
    if (pinned < 0) {
        pinned = make_map(BPF_MAP_TYPE_HASH, 8, 4, 7, "pinned");
        pin.bpf_fd = (uint32_t)pinned;
    }
    printf("pinned %s\n", pinned < 0 || bpf(BPF_OBJ_PIN, &pin) != 0 ? "error" : "map");
}

static void list(const char *kind, int next, int open_by_id)
{
    union bpf_attr attributes = {0};

    while (bpf(next, &attributes) == 0) {
        uint32_t id = attributes.next_id;
        union bpf_attr by_id = {.prog_id = id};
        int fd = bpf(open_by_id, &by_id);
        union {
            struct bpf_prog_info program;
            struct bpf_map_info map;
            struct bpf_link_info link;
        } info = {0};
        union bpf_attr ask = {.info = {.bpf_fd = (uint32_t)fd,
                                       .info_len = sizeof(info),
                                       .info = (uint64_t)(uintptr_t)&info}};
        if (fd >= 0 && bpf(BPF_OBJ_GET_INFO_BY_FD, &ask) == 0) {
            printf("%s %u", kind, id);
            if (next == BPF_PROG_GET_NEXT_ID) {
                printf(" %u %s ", info.program.type, info.program.name);
                for (size_t i = 0; i < sizeof(info.program.tag); i++) {
                    printf("%02x", info.program.tag[i]);
                }
            } else if (next == BPF_MAP_GET_NEXT_ID) {
                printf(" %u %s %u %u %u", info.map.type, info.map.name, info.map.key_size,
                       info.map.value_size, info.map.max_entries);
            } else {
                printf(" %u %u", info.link.type, info.link.prog_id);
            }
            printf("\n");
        }
        if (fd >= 0) {
            close(fd);
        }
        attributes = (union bpf_attr){.start_id = id};
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        list("prog", BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID);
        list("map", BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID);
        list("link", BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID);
        return 0;
    }
    if (argc < 3 || strcmp(argv[1], "hold") != 0) {
        fprintf(stderr, "bpf-load: bpf-load hold WHAT… | list\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "maps") == 0) {
            hold_maps();
        } else {
            hold(argv[i]);
        }
    }
    printf("ready\n");
    for (;;) {
        pause();
    }
}
