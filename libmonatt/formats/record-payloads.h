/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record-payloads.h - what stands in the payload of each "MTE1" record type
 *
 * Collector writes, verifier reads; both only through these functions, so the two cannot differ.
 * Text is u16 length + bytes, not terminated on the wire; the structs hold it terminated.  It is
 * printable ASCII: encode turns anything else into '?', decode refuses it.  Views ascend.
 * Every encode writes after monatt_record_begin(); every decode refuses trailing bytes.
 */
#ifndef MONATT_FORMATS_RECORD_PAYLOADS_H
#define MONATT_FORMATS_RECORD_PAYLOADS_H

#include "libmonatt/formats/record.h"

/* 0x1701: u32 vcpus | u64 windows | u64 window_ns | u64 lock_total | u64 split_total | u64 drops |
 * u16 density[128]: windows whose number of split locks fell into bin i (0, 1, 2-3, 4-7 … by
 * powers of two; the last is open) | state 125 bytes: bit w set when window w of the last 1,000
 * held a split lock. */
#define MONATT_DENSITY_BINS 128
#define MONATT_STATE_BYTES 125
typedef struct MonattLocksPayload {
    uint32_t vcpus;
    uint64_t windows;
    uint64_t window_ns;
    uint64_t lock_total;
    uint64_t split_total;
    uint64_t drops; /* ring records lost: never silently zero */
    uint16_t density[MONATT_DENSITY_BINS];
    uint8_t state[MONATT_STATE_BYTES];
} MonattLocksPayload;

/* 0x1710: u32 vcpus | u64 windows | u64 window_ns | u64 total | u64 drops | u16 n |
 * n x { u16 number, u64 count } by falling count, at most 32, numbers over 65,535 folded there. */
#define MONATT_SYSCALL_TOP 32
typedef struct MonattSyscallsPayload {
    uint32_t vcpus;
    uint64_t windows;
    uint64_t window_ns;
    uint64_t total;
    uint64_t drops;
    uint16_t top_count;
    struct {
        uint16_t number;
        uint64_t count;
    } top[MONATT_SYSCALL_TOP];
} MonattSyscallsPayload;

/* 0x1901: u16 sub-check | u32 views wanted | u32 views read | u32 scans | u32 retries |
 * u32 findings | u32 unsettled | u32 reason | u64 total_forks | u8 n | n x { u8 view, u32 tasks,
 * digest 32 } | text reason.
 * The digest of a view is SHA-256 over its sorted (u64 address, u32 pid, u64 start) entries. */
typedef enum MonattSubCheck {
    MONATT_SUBCHECK_HIDDEN_TASK = 1,
    MONATT_SUBCHECK_KERNEL_ORIGIN = 2, /* is it the kernel that was measured, and its page root */
    MONATT_SUBCHECK_KERNEL_TEXT = 3,
    MONATT_SUBCHECK_KERNEL_RODATA = 4,
    MONATT_SUBCHECK_MODULES = 5,
    MONATT_SUBCHECK_MODULE_TEXT = 6,
    MONATT_SUBCHECK_EXECUTABLE_PAGES = 7,
    MONATT_SUBCHECK_INTERRUPT_TABLE = 8,
    MONATT_SUBCHECK_CONTROL_REGISTERS = 9,
    MONATT_SUBCHECK_FUNCTION_POINTERS = 10,
    MONATT_SUBCHECK_STRINGS = 11,
    MONATT_SUBCHECK_CREDENTIALS = 12,
    MONATT_SUBCHECK_VDSO = 13,
    MONATT_SUBCHECK_BPF = 14,
    MONATT_SUBCHECK_KPROBES = 15,
    MONATT_SUBCHECK_FTRACE = 16,
    MONATT_SUBCHECK_NETFILTER = 17,
    MONATT_SUBCHECK_SOCKETS = 18,
    MONATT_SUBCHECK_PROGRAMS = 19,
    MONATT_SUBCHECK_TASKS = 20, /* the list for people; hidden ones are HIDDEN_TASK's */
} MonattSubCheck;
typedef enum MonattTaskView {
    MONATT_VIEW_LIST = 1,       /* V1: init_task.tasks */
    MONATT_VIEW_PID_IDR = 2,    /* V2: init_pid_ns IDR -> pid.tasks */
    MONATT_VIEW_RUN_QUEUES = 3, /* V3 */
    MONATT_VIEW_SLAB = 4,       /* V4: task_struct slab carve */
    MONATT_VIEW_CGROUPS = 5,    /* V5 */
    MONATT_VIEW_CR3 = 6,        /* V6 */
    MONATT_VIEW_GUEST_LIST = 7, /* V7: the guest's own list */
    MONATT_VIEW_COUNT = 8
} MonattTaskView;
#define MONATT_VIEW_BIT(view) (1u << (view))
/* Why a measurement is not whole; a verdict is then unknown and says so. */
typedef enum MonattReason {
    MONATT_REASON_NONE = 0,
    MONATT_REASON_WORKER_DIED = 1,
    MONATT_REASON_NO_MEMORY = 2,   /* the wire gave no guest RAM */
    MONATT_REASON_UNSUPPORTED = 3, /* no VMCOREINFO, BTF …: text says which */
    MONATT_REASON_TORN = 4,        /* lists still torn after the retries */
    MONATT_REASON_BUDGET = 5,      /* a walk ran out of steps or time */
    MONATT_REASON_STALLED = 6,     /* vCPUs did not run between scans */
    MONATT_REASON_PAUSED = 7,
} MonattReason;
typedef struct MonattTasksSummaryPayload {
    uint16_t sub_check;
    uint32_t views_wanted; /* MONATT_VIEW_BIT()s */
    uint32_t views_read;
    uint32_t scans;
    uint32_t retries;
    uint32_t findings;
    uint32_t unsettled; /* candidates that neither vanished nor met the rule in time */
    uint32_t reason;    /* MonattReason */
    uint64_t total_forks;
    uint8_t view_count;
    struct {
        uint8_t view;
        uint32_t tasks;
        uint8_t digest[MONATT_SHA256_SIZE];
    } views[MONATT_VIEW_COUNT];
    char text[MONATT_TEXT_MAXIMUM + 1];
} MonattTasksSummaryPayload;

/* 0x1902: u16 sub-check | u64 address | u32 pid | u32 tgid | u32 uid | u64 start ns |
 * u32 views that show it | u32 views that should and do not | u32 scans | text command | text why
 */
typedef struct MonattFindingPayload {
    uint16_t sub_check;
    uint64_t address;
    uint32_t pid;
    uint32_t tgid;
    uint32_t uid;
    uint64_t start_ns;
    uint32_t views_present;
    uint32_t views_absent;
    uint32_t scans;
    char command[MONATT_TEXT_MAXIMUM + 1]; /* from the guest: printable only */
    char text[MONATT_TEXT_MAXIMUM + 1];
} MonattFindingPayload;

/* 0x2001: u16 kind | u64 size | SHA-256 | SHA-384 | text name */
typedef enum MonattBootItemKind {
    MONATT_BOOT_FIRMWARE = 1,
    MONATT_BOOT_KERNEL = 2,
    MONATT_BOOT_INITRD = 3,
    MONATT_BOOT_COMMAND_LINE = 4, /* size and digests of the bytes, without a terminator */
    MONATT_BOOT_QEMU = 5,         /* the QEMU binary that was executed */
    MONATT_BOOT_OPTION_ROM = 6,
    MONATT_BOOT_VARIABLE_STORE = 7,
    MONATT_BOOT_MACHINE = 8, /* goes into 0x2002: digest of the canonical description */
} MonattBootItemKind;
typedef struct MonattBootItemPayload {
    uint16_t kind;
    uint64_t size;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    char name[MONATT_TEXT_MAXIMUM + 1]; /* as given to QEMU, e.g. the file's base name */
} MonattBootItemPayload;

/* 0x2201: prev Q3 32 (zeros for the first of a boot) | N3 32 | u32 n | u32 rm bits | u16 count |
 * count x { u8 register, u64 first, u64 last } (event-log record numbers, inclusive; registers
 * ascend; one without records has no range) */
#define MONATT_REPORT_RANGES 8
typedef struct MonattReportPayload {
    uint8_t previous[MONATT_SHA256_SIZE];
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint32_t number;
    uint32_t measurements; /* MONATT_MEASURE_* */
    uint16_t range_count;
    struct {
        uint8_t index;
        uint64_t first;
        uint64_t last;
    } ranges[MONATT_REPORT_RANGES];
} MonattReportPayload;
#define MONATT_MEASURE_BOOT 0x1
#define MONATT_MEASURE_TASKS 0x2
#define MONATT_MEASURE_PLUGIN 0x4

void monatt_locks_encode(MonattWriter *w, const MonattLocksPayload *payload);
bool monatt_locks_decode(const MonattRecord *record, MonattLocksPayload *ret,
                         MonattError *err) MONATT_MUST_CHECK;
void monatt_syscalls_encode(MonattWriter *w, const MonattSyscallsPayload *payload);
bool monatt_syscalls_decode(const MonattRecord *record, MonattSyscallsPayload *ret,
                            MonattError *err) MONATT_MUST_CHECK;
void monatt_tasks_summary_encode(MonattWriter *w, const MonattTasksSummaryPayload *payload);
bool monatt_tasks_summary_decode(const MonattRecord *record, MonattTasksSummaryPayload *ret,
                                 MonattError *err) MONATT_MUST_CHECK;
void monatt_finding_encode(MonattWriter *w, const MonattFindingPayload *payload);
bool monatt_finding_decode(const MonattRecord *record, MonattFindingPayload *ret,
                           MonattError *err) MONATT_MUST_CHECK;
/* The same hidden process, found by two measurements: device and verifier must agree on it. */
bool monatt_finding_is_same(const MonattFindingPayload *a, const MonattFindingPayload *b);
void monatt_boot_item_encode(MonattWriter *w, const MonattBootItemPayload *payload);
bool monatt_boot_item_decode(const MonattRecord *record, MonattBootItemPayload *ret,
                             MonattError *err) MONATT_MUST_CHECK;
void monatt_report_encode(MonattWriter *w, const MonattReportPayload *payload);
bool monatt_report_decode(const MonattRecord *record, MonattReportPayload *ret,
                          MonattError *err) MONATT_MUST_CHECK;

const char *monatt_boot_item_kind_name(uint16_t kind); /* "kernel", "command-line" … */
const char *monatt_task_view_name(uint8_t view);       /* "task list", "pid IDR" … */
const char *monatt_reason_name(uint32_t reason);
/* As policy and command line call a check: "kernel-text"; "unknown-check" for other numbers. */
const char *monatt_sub_check_name(uint16_t sub_check);

#endif
