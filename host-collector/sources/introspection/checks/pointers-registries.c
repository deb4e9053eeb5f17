/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-registries.c - the kernel's lists and arrays of things that have functions
 *
 * One row a registry: where it begins, how it goes on, and in which struct the functions are.  A
 * kernel that was built without one has no such symbol; the ones that every kernel has must be
 * there.
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"

#define ARRAY_BYTES 8192u /* ptype_base and inet_protos have 2 KiB */
#define NODES 4096u       /* of one list; a machine has some hundred at most */
#define NAME_SIZE 33

typedef enum Shape {
    SHAPE_ONE,      /* the symbol is the struct */
    SHAPE_POINTER,  /* the symbol points to it */
    SHAPE_FUNCTION, /* the symbol points to a function */
    SHAPE_WORDS,    /* the symbol is nothing but functions, though BTF has them as void * */
    SHAPE_RING,     /* struct list_head */
    SHAPE_CHAIN,    /* struct hlist_head */
    SHAPE_NEXT,     /* a pointer to the first, a pointer in each to the next */
    SHAPE_POINTERS, /* an array of pointers to them */
    SHAPE_INLINE,   /* an array of them */
    SHAPE_RINGS,    /* an array of list heads, link within the row's structure */
} Shape;

typedef struct Row {
    const char *kind;
    const char *symbol;
    Shape shape;
    PointerPolicy policy;
    const char *structure;
    const char *link;
    const char *operations; /* a pointer to the form; NULL: the structure is the form */
    const char *form;       /* NULL: the structure */
    const char *name;       /* NULL: the place is the index or the symbol */
    const char *heads;      /* SHAPE_RINGS: the struct whose "head" each is; NULL: list_head */
} Row;

#define ONE(symbol, structure)                                                                     \
    {                                                                                              \
        "platform", symbol, SHAPE_ONE, POINTER_CORE, structure, NULL, NULL, NULL, NULL, NULL       \
    }
#define CALL(symbol, policy)                                                                       \
    {                                                                                              \
        "platform", symbol, SHAPE_FUNCTION, policy, NULL, NULL, NULL, NULL, NULL, NULL             \
    }
#define RING(kind, symbol, structure, link, name, policy)                                          \
    {                                                                                              \
        kind, symbol, SHAPE_RING, policy, structure, link, NULL, NULL, name, NULL                  \
    }
#define POINTERS(kind, symbol, structure, name)                                                    \
    {                                                                                              \
        kind, symbol, SHAPE_POINTERS, POINTER_OWN, structure, NULL, NULL, NULL, name, NULL         \
    }
/* Constants, yet the ones that every program's readdir() and read() goes through. */
#define FILES(symbol)                                                                              \
    {                                                                                              \
        "files", symbol, SHAPE_ONE, POINTER_CORE, "file_operations", NULL, NULL, NULL, NULL, NULL  \
    }
static const Row rows[] = {
    ONE("x86_platform", "x86_platform_ops"),
    ONE("machine_ops", "machine_ops"),
    ONE("smp_ops", "smp_ops"),
    ONE("x86_apic_ops", "x86_apic_ops"),
    {"platform", "apic", SHAPE_POINTER, POINTER_CORE, "apic", NULL, NULL, NULL, NULL, NULL},
    {"platform", "pv_ops", SHAPE_WORDS, POINTER_CORE, NULL, NULL, NULL, NULL, NULL, NULL},
    FILES("proc_root_operations"),
    FILES("proc_tgid_base_operations"),
    FILES("proc_fd_operations"),
    FILES("proc_reg_file_ops"),
    FILES("proc_iter_file_ops"),
    FILES("ext4_dir_operations"),
    FILES("ext4_file_operations"),
    FILES("xfs_dir_file_operations"),
    FILES("btrfs_dir_file_operations"),
    FILES("simple_dir_operations"),
    FILES("shmem_file_operations"),
    FILES("kernfs_dir_fops"),
    FILES("kernfs_file_fops"),
    FILES("socket_file_ops"),
    FILES("pipefifo_fops"),
    FILES("def_chr_fops"),
    FILES("def_blk_fops"),
    CALL("pm_power_off", POINTER_ANYONE),
    CALL("panic_blink", POINTER_ANYONE),
    {"filesystem", "file_systems", SHAPE_NEXT, POINTER_OWN, "file_system_type", "next", NULL, NULL,
     "name", NULL},
    {"filesystem", "file_systems", SHAPE_CHAIN, POINTER_OWN, "file_system_type", "list", NULL, NULL,
     "name", NULL}, /* from 7.1 */
    RING("program format", "formats", "linux_binfmt", "lh", NULL, POINTER_OWN),
    RING("protocol", "proto_list", "proto", "node", "name", POINTER_OWN),
    POINTERS("socket family", "net_families", "net_proto_family", NULL),
    POINTERS("protocol", "inet_protos", "net_protocol", NULL),
    POINTERS("protocol", "inet6_protos", "inet6_protocol", NULL),
    POINTERS("offload", "inet_offloads", "net_offload", NULL),
    POINTERS("offload", "inet6_offloads", "net_offload", NULL),
    {"socket type", "inetsw", SHAPE_RINGS, POINTER_OWN, "inet_protosw", "list", "ops", "proto_ops",
     NULL, NULL},
    {"socket type", "inetsw6", SHAPE_RINGS, POINTER_OWN, "inet_protosw", "list", "ops", "proto_ops",
     NULL, NULL},
    POINTERS("socket query", "sock_diag_handlers", "sock_diag_handler", NULL),
    RING("congestion control", "tcp_cong_list", "tcp_congestion_ops", "list", "name",
         POINTER_PROGRAMS),
    RING("upper protocol", "tcp_ulp_list", "tcp_ulp_ops", "list", "name", POINTER_OWN),
    RING("link type", "link_ops", "rtnl_link_ops", "list", "kind", POINTER_OWN),
    POINTERS("line discipline", "tty_ldiscs", "tty_ldisc_ops", "name"),
    {"terminal driver", "tty_drivers", SHAPE_RING, POINTER_OWN, "tty_driver", "tty_drivers", "ops",
     "tty_operations", "name", NULL},
    RING("input handler", "input_handler_list", "input_handler", "node", "name", POINTER_OWN),
    POINTERS("system request", "sysrq_key_table", "sysrq_key_op", NULL),
    RING("clock source", "clocksource_list", "clocksource", "list", "name", POINTER_OWN),
    {"soft interrupt", "softirq_vec", SHAPE_INLINE, POINTER_CORE, "softirq_action", NULL, NULL,
     NULL, NULL, NULL},
    {"NMI handler", "nmi_desc", SHAPE_RINGS, POINTER_OWN, "nmiaction", "list", NULL, NULL, "name",
     "nmi_desc"},
    RING("suspend", "syscore_ops_list", "syscore_ops", "node", NULL, POINTER_OWN),
};
_Static_assert(MONATT_ARRAY_SIZE(rows) <= POINTER_REGISTRIES, "a row without a place");

/* Of which a kernel without is none that we know. */
static const char *const always[] = {"file_systems", "formats", "proto_list", "tty_ldiscs",
                                     "inet_protos"};

/* Bytes from a symbol to the next one, at most ARRAY_BYTES. */
static uint32_t size_of(const Kallsyms *table, uint64_t address)
{
    const KallsymsEntry *entry = kallsyms_at(table, address);

    for (; entry && entry < table->entries + table->count; entry++) {
        if (entry->address > address) {
            uint64_t size = entry->address - address;
            return size < ARRAY_BYTES ? (uint32_t)size : ARRAY_BYTES;
        }
    }
    return 0;
}

static bool member(GuestKernel *kernel, const char *structure, const char *path, uint32_t *offset)
{
    *offset = 0;
    return !path || guest_kernel_member(kernel, structure, path, offset);
}

/* Files of the kernel may each have a variable of one name: the one that is a list is taken. */
static void find_ring(CheckContext *context, const Row *row, PointerRegistry *to)
{
    const Kallsyms *table = &context->kernel->table;
    uint64_t next, back;

    for (uint32_t i = 0; i < table->count; i++) {
        uint64_t head = i == 0 ? to->head : table->entries[i].address;
        if ((i == 0 || strcmp(table->text + table->entries[i].text, row->symbol) == 0) &&
            address_space_u64(&context->kernel->space, head, &next) &&
            address_space_u64(&context->kernel->space, next + 8, &back) && back == head) {
            to->head = head;
            return;
        }
    }
}

static void resolve(CheckContext *context, PointersCheck *check, const Row *row,
                    PointerRegistry *to)
{
    GuestKernel *kernel = context->kernel;
    uint32_t elements, element_size;

    *to = (PointerRegistry){0};
    if (!guest_kernel_symbol(kernel, row->symbol, &to->head)) {
        return;
    }
    if (row->shape == SHAPE_RING) {
        find_ring(context, row, to);
    }
    to->bytes = size_of(&kernel->table, to->head);
    to->there = to->bytes != 0;
    if (row->structure) {
        to->form = pointers_form(context, check, row->form ? row->form : row->structure);
        to->stride = row->shape == SHAPE_INLINE ? guest_kernel_sizeof(kernel, row->structure)
                     : row->heads               ? guest_kernel_sizeof(kernel, row->heads)
                                                : (uint32_t)sizeof(uint64_t) * 2;
        to->there = to->there && to->form && to->stride >= sizeof(uint64_t) &&
                    (!row->heads || member(kernel, row->heads, "head", &to->first)) &&
                    member(kernel, row->structure, row->link, &to->link) &&
                    member(kernel, row->structure, row->operations, &to->operations) &&
                    member(kernel, row->structure, row->name, &to->name);
    }
    to->embedded = row->name &&
                   guest_kernel_array(kernel, row->structure, row->name, &elements, &element_size);
}

static void name_of(CheckContext *context, const Row *row, const PointerRegistry *registry,
                    uint64_t element, uint32_t index, char place[POINTER_PLACE_SIZE])
{
    char name[NAME_SIZE] = "";
    uint64_t at = element + registry->name;

    if (row->name && (registry->embedded || address_space_u64(&context->kernel->space, at, &at)) &&
        guest_kernel_string(context->kernel, at, name, sizeof(name)) && *name) {
        snprintf(place, POINTER_PLACE_SIZE, "%s", name);
    } else {
        snprintf(place, POINTER_PLACE_SIZE, "%s[%u]", row->symbol, index);
    }
}

static void judge_element(CheckContext *context, PointersCheck *check, const Row *row,
                          const PointerRegistry *registry, uint64_t element, uint32_t index)
{
    char place[POINTER_PLACE_SIZE];
    uint64_t table;

    name_of(context, row, registry, element, index, place);
    if (!row->operations) {
        pointers_judge_table(context, check, row->kind, place, element, registry->form,
                             row->policy);
    } else if (address_space_u64(&context->kernel->space, element + registry->operations, &table)) {
        pointers_judge_table(context, check, row->kind, place, table, registry->form, row->policy);
    } else {
        check_reason(context, MONATT_REASON_TORN, "%s %s is not readable", row->kind, place);
    }
}

static void walk_list(CheckContext *context, PointersCheck *check, const Row *row,
                      const PointerRegistry *registry, GuestListKind kind, uint64_t head)
{
    MonattReason reason = MONATT_REASON_TORN;

    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;
        uint32_t index = 0;

        guest_list_begin(&walk, context, kind, head);
        while (guest_list_next(&walk, &node) && index < NODES) {
            judge_element(context, check, row, registry, node - registry->link, index++);
        }
        reason = index == NODES ? MONATT_REASON_BUDGET : walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the list '%s' is not readable whole", row->symbol);
    }
}

static void walk_next(CheckContext *context, PointersCheck *check, const Row *row,
                      const PointerRegistry *registry)
{
    uint64_t at = registry->head, element;

    for (uint32_t index = 0; index < NODES && check_step(context); index++) {
        if (!address_space_u64(&context->kernel->space, at, &element)) {
            check_reason(context, MONATT_REASON_TORN, "the list '%s' is not readable whole",
                         row->symbol);
            return;
        }
        if (element == 0) {
            return;
        }
        judge_element(context, check, row, registry, element, index);
        at = element + registry->link;
    }
    check_reason(context, MONATT_REASON_BUDGET, "the list '%s' has no end", row->symbol);
}

static void walk_array(CheckContext *context, PointersCheck *check, const Row *row,
                       const PointerRegistry *registry)
{
    uint8_t bytes[ARRAY_BYTES];
    uint32_t stride = row->shape == SHAPE_POINTERS || row->shape == SHAPE_WORDS
                          ? (uint32_t)sizeof(uint64_t)
                          : registry->stride;

    if (!address_space_read(&context->kernel->space, registry->head, bytes, registry->bytes)) {
        check_reason(context, MONATT_REASON_TORN, "'%s' is not readable", row->symbol);
        return;
    }
    for (uint32_t i = 0; i < registry->bytes / stride && check_step(context); i++) {
        uint64_t at = registry->head + (uint64_t)i * stride;
        uint64_t word = pointers_word(bytes, i * stride);
        char place[POINTER_PLACE_SIZE];

        if (row->shape == SHAPE_INLINE) {
            judge_element(context, check, row, registry, at, i);
        } else if (row->shape == SHAPE_RINGS) {
            if (registry->first > stride || stride - registry->first < 2 * sizeof(word)) {
                return; /* no such struct */
            }
            word = pointers_word(bytes, i * stride + registry->first);
            if (word != 0) { /* never initialised: nobody's */
                walk_list(context, check, row, registry, GUEST_LIST_RING, at + registry->first);
            }
        } else if (row->shape == SHAPE_WORDS) {
            snprintf(place, sizeof(place), "%s[%u]", row->symbol, i);
            pointers_judge(context, check, row->kind, place, at, word, row->policy);
        } else if (word != 0) {
            judge_element(context, check, row, registry, word, i);
        }
    }
}

static void walk(CheckContext *context, PointersCheck *check, const Row *row,
                 const PointerRegistry *registry)
{
    uint64_t word;

    switch (row->shape) {
    case SHAPE_ONE:
        pointers_judge_table(context, check, row->kind, row->symbol, registry->head, registry->form,
                             row->policy);
        return;
    case SHAPE_POINTER:
    case SHAPE_FUNCTION:
        if (!address_space_u64(&context->kernel->space, registry->head, &word)) {
            check_reason(context, MONATT_REASON_TORN, "'%s' is not readable", row->symbol);
        } else if (row->shape == SHAPE_POINTER) {
            pointers_judge_table(context, check, row->kind, row->symbol, word, registry->form,
                                 row->policy);
        } else {
            pointers_judge(context, check, row->kind, row->symbol, registry->head, word,
                           row->policy);
        }
        return;
    case SHAPE_RING:
    case SHAPE_CHAIN:
        walk_list(context, check, row, registry,
                  row->shape == SHAPE_RING ? GUEST_LIST_RING : GUEST_LIST_CHAIN, registry->head);
        return;
    case SHAPE_NEXT:
        walk_next(context, check, row, registry);
        return;
    default:
        walk_array(context, check, row, registry);
        return;
    }
}

/* Under one of its forms. */
static bool has_registry(const PointersCheck *check, const char *symbol)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(rows); i++) {
        if (check->registries[i].there && strcmp(rows[i].symbol, symbol) == 0) {
            return true;
        }
    }
    return false;
}

void pointers_read_registries(CheckContext *context, PointersCheck *check)
{
    uint64_t registries = 0;

    for (size_t i = 0; !check->resolved && i < MONATT_ARRAY_SIZE(rows); i++) {
        resolve(context, check, &rows[i], &check->registries[i]);
    }
    check->resolved = true;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(rows); i++) {
        if (check->registries[i].there) {
            walk(context, check, &rows[i], &check->registries[i]);
            registries++;
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(always); i++) {
        if (!has_registry(check, always[i])) {
            check_reason(context, MONATT_REASON_UNSUPPORTED,
                         "this kernel has no symbol '%s', or none of a known form", always[i]);
        }
    }
    check_count(context, "registries", registries);
}
