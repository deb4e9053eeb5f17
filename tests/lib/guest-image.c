/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-image.c - writes the invented guest
 */
#include "tests/lib/guest-image.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define INIT_TASK 0x26000u /* static, not in the slab */
#define CREDENTIALS 0x27000u
#define STACKS 0x80000u
#define PIDS 0x50000u
#define PID_SIZE 0x40u
#define CACHE 0x24000u
#define VARIABLES 0x25000u
#define SYMBOLS 0x9000u /* offsets, base, count */
#define NAMES 0xa000u   /* names, tokens, index */
#define TOKENS 0xc000u
#define TOKEN_INDEX 0xd000u
#define PER_CPU_OFFSETS 0x22000u
#define QUEUE_PER_CPU 0x100u /* runqueues: a per-CPU offset, small and absolute */
#define PRESENT_WRITABLE 0x3u
#define NO_EXECUTE (1ull << 63)
#define LARGE 0x80u
#define SLAB_ORDER 2u
#define SLAB_OBJECTS 16u
#define MEMMAP_PAGES 0x60000u /* the struct pages themselves: 512 of 64 bytes */
#define PAGE_STRUCT 64u
#define PAGE_MM 0x20u

void guest_image_put_u64(uint8_t *bytes, uint64_t physical, uint64_t value)
{
    assert(physical <= IMAGE_SIZE - 8);
    for (int i = 0; i < 8; i++) {
        bytes[physical + (uint64_t)i] = (uint8_t)(value >> (8 * i));
    }
}

void guest_image_put_u32(uint8_t *bytes, uint64_t physical, uint32_t value)
{
    assert(physical <= IMAGE_SIZE - 4);
    for (int i = 0; i < 4; i++) {
        bytes[physical + (uint64_t)i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t guest_image_u64(const uint8_t *bytes, uint64_t physical)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[physical + (uint64_t)i];
    }
    return value;
}

uint64_t guest_image_task(uint32_t pid)
{
    return pid == 0 ? INIT_TASK : IMAGE_SLAB + (uint64_t)(pid - 1) * IMAGE_TASK_SIZE;
}

uint64_t guest_image_task_address(uint32_t pid)
{
    return pid == 0 ? IMAGE_KERNEL + INIT_TASK : IMAGE_DIRECT + guest_image_task(pid);
}

static void put_page_tables(uint8_t *bytes)
{
    /* Kernel map: PML4[511] -> PDPT[510] -> PD[0], a 2 MiB page of frame 0. */
    guest_image_put_u64(bytes, IMAGE_ROOT + 511 * 8, 0x2000 | PRESENT_WRITABLE);
    guest_image_put_u64(bytes, 0x2000 + 510 * 8, 0x3000 | PRESENT_WRITABLE);
    guest_image_put_u64(bytes, 0x3000, 0 | PRESENT_WRITABLE | LARGE);
    /* Direct map: PML4[273] -> PDPT[0], a 1 GiB page with PAT (bit 12) set; not executable, as a
     * kernel has it: else each look at what may run would go through all of it. */
    guest_image_put_u64(bytes, IMAGE_ROOT + 273 * 8, 0x4000 | PRESENT_WRITABLE | NO_EXECUTE);
    guest_image_put_u64(bytes, 0x4000, 0x1000 | PRESENT_WRITABLE | LARGE);
    /* Memory map: PML4[468] -> PDPT[0] -> PD[0] -> PT. */
    guest_image_put_u64(bytes, IMAGE_ROOT + 468 * 8, 0x5000 | PRESENT_WRITABLE | NO_EXECUTE);
    guest_image_put_u64(bytes, 0x5000, 0x6000 | PRESENT_WRITABLE);
    guest_image_put_u64(bytes, 0x6000, 0x7000 | PRESENT_WRITABLE);
    for (uint64_t i = 0; i < IMAGE_SIZE / 4096 * PAGE_STRUCT / 4096; i++) {
        guest_image_put_u64(bytes, 0x7000 + i * 8, (MEMMAP_PAGES + i * 4096) | PRESENT_WRITABLE);
    }
}

static void put_note(uint8_t *bytes)
{
    snprintf((char *)bytes + IMAGE_NOTE, 4096,
             "OSRELEASE=6.1.0-invented\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=%llx\n"
             "SYMBOL(_stext)=%llx\nNUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n"
             "SYMBOL(kallsyms_names)=%llx\nSYMBOL(kallsyms_num_syms)=%llx\n"
             "SYMBOL(kallsyms_token_table)=%llx\nSYMBOL(kallsyms_token_index)=%llx\n"
             "SYMBOL(kallsyms_offsets)=%llx\nSYMBOL(kallsyms_relative_base)=%llx\n",
             IMAGE_KERNEL + IMAGE_ROOT, IMAGE_KERNEL + IMAGE_TEXT, IMAGE_KERNEL + NAMES,
             IMAGE_KERNEL + SYMBOLS + 0x808, IMAGE_KERNEL + TOKENS, IMAGE_KERNEL + TOKEN_INDEX,
             IMAGE_KERNEL + SYMBOLS, IMAGE_KERNEL + SYMBOLS + 0x800);
}

static void put_symbols(uint8_t *bytes, uint64_t btf_size)
{
    const struct {
        const char *name; /* with its type character */
        uint64_t address;
    } symbols[] = {
        {"Druntime_unused", IMAGE_KERNEL + 0x100},
        {"T_stext", IMAGE_KERNEL + IMAGE_TEXT},
        {"Dinit_task", IMAGE_KERNEL + INIT_TASK},
        {"Dinit_pid_ns", IMAGE_KERNEL + 0x20000},
        {"Arunqueues", QUEUE_PER_CPU},
        {"D__per_cpu_offset", IMAGE_KERNEL + PER_CPU_OFFSETS},
        {"Dnr_cpu_ids", IMAGE_KERNEL + VARIABLES + 0x10},
        {"Dvmemmap_base", IMAGE_KERNEL + VARIABLES + 0x18},
        {"Dpage_offset_base", IMAGE_KERNEL + VARIABLES + 0x20},
        {"dtask_struct_cachep", IMAGE_KERNEL + VARIABLES + 0x28},
        {"R__start_BTF", IMAGE_KERNEL + IMAGE_BTF},
        {"R__stop_BTF", IMAGE_KERNEL + IMAGE_BTF + btf_size},
        {"Djiffies_64", IMAGE_KERNEL + IMAGE_JIFFIES},
        {"dtotal_forks", IMAGE_KERNEL + VARIABLES + 0x8},
        {"Rlinux_banner", IMAGE_KERNEL + IMAGE_BANNER},
        {"bcss_set_table", IMAGE_KERNEL + IMAGE_SET_TABLE},
    };
    const uint32_t count = sizeof(symbols) / sizeof(symbols[0]);
    uint8_t *name = bytes + NAMES;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = symbols[i].address;
        /* Absolute per-CPU form: a per-CPU offset as it is, others as base - 1 - offset. */
        guest_image_put_u32(bytes, SYMBOLS + 4 * i,
                            address < IMAGE_KERNEL ? (uint32_t)address
                                                   : (uint32_t)(IMAGE_KERNEL - 1 - address));
        *name++ = (uint8_t)strlen(symbols[i].name);
        memcpy(name, symbols[i].name, strlen(symbols[i].name));
        name += strlen(symbols[i].name);
    }
    guest_image_put_u64(bytes, SYMBOLS + 0x800, IMAGE_KERNEL);
    guest_image_put_u32(bytes, SYMBOLS + 0x808, count);
    for (uint32_t i = 0; i < 256; i++) { /* each character is its own token */
        bytes[TOKENS + 2 * i] = (uint8_t)i;
        bytes[TOKEN_INDEX + 2 * i] = (uint8_t)(2 * i);
        bytes[TOKEN_INDEX + 2 * i + 1] = (uint8_t)(2 * i >> 8);
    }
    snprintf((char *)bytes + IMAGE_BANNER, 64, "Linux version 6.1.0-invented (nobody@nowhere) #1");
    guest_image_put_u64(bytes, VARIABLES, 1000);
    guest_image_put_u64(bytes, VARIABLES + 0x8, 77);
    guest_image_put_u32(bytes, VARIABLES + 0x10, 1);
    guest_image_put_u64(bytes, VARIABLES + 0x18, IMAGE_MEMMAP);
    guest_image_put_u64(bytes, VARIABLES + 0x20, IMAGE_DIRECT);
    guest_image_put_u64(bytes, VARIABLES + 0x28, IMAGE_KERNEL + CACHE);
}

typedef struct BtfRow {
    const char *type; /* NULL: a member of the type above */
    const char *member;
    uint32_t offset;      /* bytes; of a type: its size */
    const char *embedded; /* the struct that a member is; NULL: it is the integer */
} BtfRow;
static const BtfRow rows[] = {
    {"task_struct", NULL, IMAGE_TASK_SIZE},
    {NULL, "tasks", IMAGE_TASK_LIST},
    {NULL, "pid", IMAGE_TASK_PID},
    {NULL, "tgid", 0x24},
    {NULL, "comm", 0x28},
    {NULL, "mm", 0x38},
    {NULL, "cred", 0x40},
    {NULL, "pid_links", 0x48},
    {NULL, "__state", IMAGE_TASK_STATE},
    {NULL, "exit_state", IMAGE_TASK_EXIT},
    {NULL, "flags", IMAGE_TASK_FLAGS},
    {NULL, "usage", 0x6c},
    {NULL, "stack", IMAGE_TASK_STACK},
    {NULL, "start_time", 0x78},
    {NULL, "se", 0x80, "sched_entity"},
    {NULL, "cg_list", IMAGE_TASK_GROUPS},
    {"sched_entity", NULL, 0x40},
    {NULL, "group_node", 0x10},
    {"cred", NULL, 0x40},
    {NULL, "uid", 0x4},
    {"pid_namespace", NULL, 0x40},
    {NULL, "idr", 0x8, "idr"},
    {"idr", NULL, 0x20},
    {NULL, "idr_rt", 0, "xarray"},
    {"xarray", NULL, 0x10},
    {NULL, "xa_head", 0x8},
    {"xa_node", NULL, 0x300},
    {NULL, "shift", 0},
    {NULL, "offset", 1},
    {NULL, "parent", 0x8},
    {NULL, "slots", IMAGE_NODE_SLOTS},
    {"pid", NULL, PID_SIZE},
    {NULL, "tasks", 0x10},
    {"rq", NULL, 0x40},
    {NULL, "curr", 0},
    {NULL, "idle", 0x8},
    {NULL, "cfs_tasks", 0x10},
    {"kmem_cache", NULL, 0x40},
    {NULL, "size", 0},
    {NULL, "oo", 0x4},
    {NULL, "min", 0x8},
    {"page", NULL, PAGE_STRUCT},
    {NULL, "flags", 0},
    {NULL, "pt_mm", PAGE_MM},
    {"mm_struct", NULL, 0x40},
    {NULL, "pgd", 0},
    {NULL, "owner", 0x8},
    {"css_set", NULL, 0x80},
    {NULL, "tasks", 0},
    {NULL, "mg_tasks", 0x10},
    {NULL, "dying_tasks", 0x20},
    {NULL, "hlist", IMAGE_SET_HASH},
    {"slab", NULL, PAGE_STRUCT},
    {NULL, "slab_cache", 0x8},
    {NULL, "objects", 0x12}, /* 16 bits into the word at 0x10 */
};

/* Number 1 is the integer, the structs follow. */
static uint32_t type_number(const char *name)
{
    uint32_t number = 1;
    for (size_t i = 0; name && i < sizeof(rows) / sizeof(rows[0]); i++) {
        number += rows[i].type != NULL;
        if (rows[i].type && strcmp(rows[i].type, name) == 0) {
            return number;
        }
    }
    return 1;
}

/* BTF: one integer type, which nearly all members have, and the structs of the rows. */
static uint64_t put_btf(uint8_t *bytes)
{
    const uint64_t header = 24;
    uint64_t types = 0, strings = 1; /* the string section begins with "" */
    uint8_t text[4096] = {0};
    const uint64_t begin = IMAGE_BTF + header;
    const size_t count = sizeof(rows) / sizeof(rows[0]);

    guest_image_put_u32(bytes, begin, 0);
    guest_image_put_u32(bytes, begin + 4, 1u << 24);
    guest_image_put_u32(bytes, begin + 8, 8);
    guest_image_put_u32(bytes, begin + 12, 64);
    types = 16;
    for (size_t i = 0; i < count; i++) {
        const char *name = rows[i].type ? rows[i].type : rows[i].member;
        assert(strings + strlen(name) + 1 < sizeof(text));
        memcpy(text + strings, name, strlen(name) + 1);
        guest_image_put_u32(bytes, begin + types, (uint32_t)strings);
        if (rows[i].type) {
            uint32_t members = 0;
            while (i + 1 + members < count && !rows[i + 1 + members].type) {
                members++;
            }
            guest_image_put_u32(bytes, begin + types + 4, 4u << 24 | members);
            guest_image_put_u32(bytes, begin + types + 8, rows[i].offset);
        } else {
            guest_image_put_u32(bytes, begin + types + 4, type_number(rows[i].embedded));
            guest_image_put_u32(bytes, begin + types + 8, rows[i].offset * 8);
        }
        types += 12;
        strings += strlen(name) + 1;
    }
    memcpy(bytes + begin + types, text, strings);
    guest_image_put_u32(bytes, IMAGE_BTF, 0x0001eb9fu);
    guest_image_put_u32(bytes, IMAGE_BTF + 4, (uint32_t)header);
    guest_image_put_u32(bytes, IMAGE_BTF + 8, 0);
    guest_image_put_u32(bytes, IMAGE_BTF + 12, (uint32_t)types);
    guest_image_put_u32(bytes, IMAGE_BTF + 16, (uint32_t)types);
    guest_image_put_u32(bytes, IMAGE_BTF + 20, (uint32_t)strings);
    return header + types + strings;
}

static void put_task(uint8_t *bytes, uint32_t pid, uint32_t tgid, const char *command, int kernel)
{
    uint64_t task = guest_image_task(pid), struct_pid = PIDS + (uint64_t)pid * PID_SIZE;

    guest_image_put_u32(bytes, task + IMAGE_TASK_PID, pid);
    guest_image_put_u32(bytes, task + 0x24, tgid);
    memcpy(bytes + task + 0x28, command, strnlen(command, 15));
    guest_image_put_u64(bytes, task + 0x38, kernel ? 0 : IMAGE_DIRECT + IMAGE_MM(tgid));
    guest_image_put_u64(bytes, task + 0x40, IMAGE_DIRECT + CREDENTIALS);
    guest_image_put_u32(bytes, task + IMAGE_TASK_STATE, 1);
    guest_image_put_u32(bytes, task + 0x6c, 2);
    guest_image_put_u64(bytes, task + IMAGE_TASK_STACK, IMAGE_DIRECT + STACKS + pid * 0x4000ull);
    guest_image_put_u64(bytes, task + 0x78, 1000000000ull + pid);
    guest_image_put_u64(bytes, task + IMAGE_TASK_LIST,
                        guest_image_task_address(pid) + IMAGE_TASK_LIST);
    guest_image_put_u64(bytes, task + IMAGE_TASK_LIST + 8,
                        guest_image_task_address(pid) + IMAGE_TASK_LIST);
    if (pid > 0) {
        guest_image_put_u64(bytes, struct_pid + 0x10, guest_image_task_address(pid) + 0x48);
        guest_image_put_u64(bytes, IMAGE_IDR_NODE + IMAGE_NODE_SLOTS + 8ull * pid,
                            IMAGE_DIRECT + struct_pid);
    }
}

/* Where an address of the guest lies. */
static uint64_t physical_of(uint64_t address)
{
    return address >= IMAGE_KERNEL ? address - IMAGE_KERNEL : address - IMAGE_DIRECT;
}

static void link_task(uint8_t *bytes, uint32_t pid)
{
    uint64_t head = guest_image_task(0) + IMAGE_TASK_LIST;
    uint64_t node = guest_image_task(pid) + IMAGE_TASK_LIST;
    uint64_t last = guest_image_u64(bytes, head + 8); /* an address of the guest */

    guest_image_put_u64(bytes, node, IMAGE_KERNEL + head);
    guest_image_put_u64(bytes, node + 8, last);
    guest_image_put_u64(bytes, physical_of(last), IMAGE_DIRECT + node);
    guest_image_put_u64(bytes, head + 8, IMAGE_DIRECT + node);
}

/* A set of control groups with all tasks in it, threads too; page tables of the processes. */
static void put_groups_and_roots(uint8_t *bytes)
{
    const uint64_t head = IMAGE_DIRECT + IMAGE_SET;

    for (uint64_t list = 0; list < 0x30; list += 0x10) {
        guest_image_put_u64(bytes, IMAGE_SET + list, head + list);
        guest_image_put_u64(bytes, IMAGE_SET + list + 8, head + list);
    }
    guest_image_put_u64(bytes, IMAGE_SET_TABLE + 8 * 3, head + IMAGE_SET_HASH);
    guest_image_put_u64(bytes, IMAGE_SET + IMAGE_SET_HASH + 8,
                        IMAGE_KERNEL + IMAGE_SET_TABLE + 8 * 3);
    for (uint32_t pid = 1; pid <= IMAGE_TASKS; pid++) {
        uint64_t node = guest_image_task_address(pid) + IMAGE_TASK_GROUPS;
        uint64_t last = guest_image_u64(bytes, IMAGE_SET + 8);
        guest_image_put_u64(bytes, physical_of(node), head);
        guest_image_put_u64(bytes, physical_of(node) + 8, last);
        guest_image_put_u64(bytes, physical_of(last), node);
        guest_image_put_u64(bytes, IMAGE_SET + 8, node);
        guest_image_put_u64(bytes, IMAGE_MM(pid), IMAGE_DIRECT + IMAGE_PROCESS_ROOT(pid));
        guest_image_put_u64(bytes, IMAGE_MM(pid) + 8, guest_image_task_address(pid));
        guest_image_put_u64(bytes,
                            MEMMAP_PAGES + IMAGE_PROCESS_ROOT(pid) / 4096 * PAGE_STRUCT + PAGE_MM,
                            IMAGE_DIRECT + IMAGE_MM(pid));
    }
}

static void put_tasks(uint8_t *bytes)
{
    static const struct {
        const char *command;
        uint32_t tgid;
        int kernel;
    } tasks[IMAGE_TASKS] = {{"systemd", 1, 0},
                            {"kthreadd", 2, 1},
                            {"sshd", 3, 0},
                            {"sshd-thread", 3, 0},
                            {"evil-daemon", 5, 0}};

    put_task(bytes, 0, 0, "swapper/0", 1);
    for (uint32_t pid = 1; pid <= IMAGE_TASKS; pid++) {
        put_task(bytes, pid, tasks[pid - 1].tgid, tasks[pid - 1].command, tasks[pid - 1].kernel);
        if (pid == tasks[pid - 1].tgid) {
            link_task(bytes, pid);
        }
    }
    put_groups_and_roots(bytes);
    guest_image_put_u32(bytes, CREDENTIALS + 4, 1000);
    /* The IDR: a root node of shift 0 in a tagged pointer. */
    guest_image_put_u64(bytes, IMAGE_IDR_HEAD, (IMAGE_DIRECT + IMAGE_IDR_NODE) | 2);
    /* One CPU that runs init; nobody waits. */
    guest_image_put_u64(bytes, PER_CPU_OFFSETS, IMAGE_KERNEL + IMAGE_QUEUE - QUEUE_PER_CPU);
    guest_image_put_u64(bytes, IMAGE_QUEUE, guest_image_task_address(1));
    guest_image_put_u64(bytes, IMAGE_QUEUE + 8, guest_image_task_address(0));
    guest_image_put_u64(bytes, IMAGE_QUEUE + 0x10, IMAGE_KERNEL + IMAGE_QUEUE + 0x10);
    guest_image_put_u64(bytes, IMAGE_QUEUE + 0x18, IMAGE_KERNEL + IMAGE_QUEUE + 0x10);
    /* The slab: its cache and its struct page. */
    guest_image_put_u32(bytes, CACHE, IMAGE_TASK_SIZE);
    guest_image_put_u32(bytes, CACHE + 4, SLAB_ORDER << 16 | SLAB_OBJECTS);
    guest_image_put_u32(bytes, CACHE + 8, SLAB_ORDER << 16 | SLAB_OBJECTS);
    guest_image_put_u64(bytes, MEMMAP_PAGES + IMAGE_SLAB / 4096 * PAGE_STRUCT + 8,
                        IMAGE_KERNEL + CACHE);
    guest_image_put_u32(bytes, MEMMAP_PAGES + IMAGE_SLAB / 4096 * PAGE_STRUCT + 0x10,
                        SLAB_OBJECTS << 16 | IMAGE_TASKS);
}

void guest_image_fill(uint8_t *bytes, size_t size)
{
    assert(size == IMAGE_SIZE);
    memset(bytes, 0, size);
    put_page_tables(bytes);
    put_note(bytes);
    put_symbols(bytes, put_btf(bytes));
    put_tasks(bytes);
}

static void unlink_node(uint8_t *bytes, uint64_t node)
{
    uint64_t next = guest_image_u64(bytes, node), previous = guest_image_u64(bytes, node + 8);

    guest_image_put_u64(bytes, physical_of(previous), next);
    guest_image_put_u64(bytes, physical_of(next) + 8, previous);
    guest_image_put_u64(bytes, node, IMAGE_DIRECT + node);
    guest_image_put_u64(bytes, node + 8, IMAGE_DIRECT + node);
}

void guest_image_unlink(uint8_t *bytes, uint32_t pid)
{
    unlink_node(bytes, guest_image_task(pid) + IMAGE_TASK_LIST);
}

void guest_image_leave_groups(uint8_t *bytes, uint32_t pid)
{
    unlink_node(bytes, guest_image_task(pid) + IMAGE_TASK_GROUPS);
}

void guest_image_clear_pid(uint8_t *bytes, uint32_t pid)
{
    guest_image_put_u64(bytes, IMAGE_IDR_NODE + IMAGE_NODE_SLOTS + 8ull * pid, 0);
}
