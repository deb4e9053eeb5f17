/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-objects.c - BPF programs and sockets out of sight, and registers as an attacker wants them
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define SLOTS 64
#define LEAVES_MAXIMUM 4096
#define SOCKETS_MAXIMUM 1024
#define BUCKETS_MAXIMUM (1u << 16)
#define CHAIN_MAXIMUM 64

typedef struct Leaves {
    size_t count;
    uint64_t places[LEAVES_MAXIMUM];
} Leaves;

/* Slots of an xarray that hold an object; bit 1 of an entry says it is a node. */
static void collect_leaves(Mutator *mutator, uint64_t place, int depth, uint32_t slots_at,
                           Leaves *leaves)
{
    uint64_t entry;
    if (depth > 11 || leaves->count >= LEAVES_MAXIMUM ||
        !address_space_u64(&mutator->kernel.space, place, &entry) || entry == 0) {
        return;
    }
    if ((entry & 3) == 0) {
        leaves->places[leaves->count++] = place;
        return;
    }
    for (uint64_t i = 0; (entry & 3) == 2 && entry > 4096 && i < SLOTS; i++) {
        collect_leaves(mutator, (entry & ~3ull) + slots_at + 8 * i, depth + 1, slots_at, leaves);
    }
}

static bool leave_idr(Mutator *mutator, const char *symbol, const char *what, MonattError *err)
{
    static Leaves leaves;
    uint64_t idr, place, object;
    uint32_t head, slots;

    leaves.count = 0;
    if (!mutator_symbol(mutator, symbol, &idr, err) ||
        !mutator_member(mutator, "idr", "idr_rt.xa_head", &head, err) ||
        !mutator_member(mutator, "xa_node", "slots", &slots, err)) {
        return false;
    }
    collect_leaves(mutator, idr + head, 0, slots, &leaves);
    if (leaves.count == 0) {
        return mutator_none(err, what);
    }
    place = leaves.places[mutator_draw(mutator, leaves.count)];
    if (!mutator_read_u64(mutator, place, &object, err)) {
        return false;
    }
    mutator_say(mutator, object, "", "the %s at %#lx is out of %s", what, (unsigned long)object,
                symbol);
    return mutator_write_u64(mutator, place, 0, err);
}

static bool bpf_program(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    return leave_idr(mutator, "prog_idr", "BPF program", err);
}

static bool bpf_map(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    return leave_idr(mutator, "map_idr", "BPF map", err);
}

static bool bpf_link(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    return leave_idr(mutator, "link_idr", "BPF link", err);
}

/* The nodes of the hash chains from *head on: their ends are odd or NULL. */
static void collect_chain(Mutator *mutator, uint64_t head, Leaves *leaves)
{
    uint64_t node;
    if (!address_space_u64(&mutator->kernel.space, head, &node)) {
        return;
    }
    for (int i = 0; i < CHAIN_MAXIMUM && node && !(node & 1) && leaves->count < LEAVES_MAXIMUM;
         i++) {
        leaves->places[leaves->count++] = node;
        if (!address_space_u64(&mutator->kernel.space, node, &node)) {
            return;
        }
    }
}

static bool unhash(Mutator *mutator, Leaves *leaves, const char *what, MonattError *err)
{
    uint64_t node, next, back;
    uint32_t offset;
    if (leaves->count == 0) {
        return mutator_none(err, what);
    }
    node = leaves->places[mutator_draw(mutator, leaves->count)];
    mutator_say(mutator, node, "", "%s at %#lx is in no hash chain", what, (unsigned long)node);
    if (guest_kernel_member(&mutator->kernel, "sock_common", "skc_node", &offset)) {
        mutator->target = node - offset; /* the socket */
    }
    /* {next, pprev}, as hlist_nulls_del() and hlist_del_init() join them. */
    return mutator_read_u64(mutator, node, &next, err) &&
           mutator_read_u64(mutator, node + 8, &back, err) &&
           mutator_write_u64(mutator, back, next, err) &&
           (next == 0 || (next & 1) || mutator_write_u64(mutator, next + 8, back, err));
}

static bool hash_table(Mutator *mutator, const char *table, const char *mask, const char *bucket,
                       const char *const *heads, Leaves *leaves, MonattError *err)
{
    uint64_t info, buckets;
    uint32_t table_at, mask_at, last, one = guest_kernel_sizeof(&mutator->kernel, bucket), head;

    if (!mutator_symbol(mutator, "tcp_hashinfo", &info, err) ||
        !mutator_member(mutator, "inet_hashinfo", table, &table_at, err) ||
        !mutator_member(mutator, "inet_hashinfo", mask, &mask_at, err) ||
        !mutator_read_u64(mutator, info + table_at, &buckets, err) ||
        !mutator_read(mutator, info + mask_at, &last, sizeof(last), err)) {
        return false;
    }
    while (heads[1] && !guest_kernel_member(&mutator->kernel, bucket, heads[0], &head)) {
        heads++;
    }
    if (!mutator_member(mutator, bucket, heads[0], &head, err)) {
        return false;
    }
    leaves->count = 0;
    for (uint64_t i = 0; i <= last && i < BUCKETS_MAXIMUM; i++) {
        collect_chain(mutator, buckets + i * one + head, leaves);
    }
    return true;
}

/* To 5.x what /proc/net/tcp shows is a table of its own, in place. */
static bool listening_hash(Mutator *mutator, Leaves *leaves, MonattError *err)
{
    uint64_t info;
    uint32_t table, elements, one, head;

    if (!mutator_symbol(mutator, "tcp_hashinfo", &info, err) ||
        !mutator_member(mutator, "inet_hashinfo", "listening_hash", &table, err) ||
        !mutator_member(mutator, "inet_listen_hashbucket", "head", &head, err) ||
        !guest_kernel_array(&mutator->kernel, "inet_hashinfo", "listening_hash", &elements, &one)) {
        return mutator_none(err, "listening_hash");
    }
    leaves->count = 0;
    for (uint64_t i = 0; i < elements && i < BUCKETS_MAXIMUM; i++) {
        collect_chain(mutator, info + table + i * one + head, leaves);
    }
    return true;
}

/* A back door that listens, and that nobody finds in /proc/net/tcp. */
static bool listener(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const heads[] = {"nulls_head", "head", NULL};
    static Leaves leaves;
    (void)argument;
    return (listening_hash(mutator, &leaves, err) ||
            hash_table(mutator, "lhash2", "lhash2_mask", "inet_listen_hashbucket", heads, &leaves,
                       err)) &&
           unhash(mutator, &leaves, "a listening socket", err);
}

static bool connection(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const heads[] = {"chain", NULL};
    static Leaves leaves;
    (void)argument;
    return hash_table(mutator, "ehash", "ehash_mask", "inet_ehash_bucket", heads, &leaves, err) &&
           unhash(mutator, &leaves, "a connected socket", err);
}

/* Registers come from the host's monitor: here they are forged in what it would have said. */
static bool registers(Mutator *mutator, const char *argument, MonattError *err)
{
    static const struct {
        const char *name;
        size_t place;
        uint64_t clear;
    } bits[] = {
        {"CR0.WP", offsetof(CheckVcpu, cr0), 1ull << 16},
        {"CR4.SMEP", offsetof(CheckVcpu, cr4), 1ull << 20},
        {"CR4.SMAP", offsetof(CheckVcpu, cr4), 1ull << 21},
        {"CR4.UMIP", offsetof(CheckVcpu, cr4), 1ull << 11},
        {"EFER.NXE", offsetof(CheckVcpu, efer), 1ull << 11},
    };
    (void)argument;
    for (int i = 0; mutator->vcpu_count > 0 && i < 100; i++) {
        size_t chosen = mutator_draw(mutator, sizeof(bits) / sizeof(bits[0]));
        uint32_t vcpu = (uint32_t)mutator_draw(mutator, mutator->vcpu_count);
        uint64_t *value =
            (uint64_t *)(void *)((uint8_t *)&mutator->vcpus[vcpu] + bits[chosen].place);
        if (*value & bits[chosen].clear) {
            *value &= ~bits[chosen].clear;
            mutator_say(mutator, vcpu, bits[chosen].name, "%s of vCPU %u is off", bits[chosen].name,
                        vcpu);
            return true;
        }
    }
    return mutator_none(err, "vCPU registers");
}

static bool table_register(Mutator *mutator, bool idt, MonattError *err)
{
    uint32_t vcpu = (uint32_t)mutator_draw(mutator, mutator->vcpu_count);
    const char *name = idt ? "IDTR" : "GDTR";
    uint64_t page;

    if (mutator->vcpu_count == 0) {
        return mutator_none(err, "vCPU registers");
    }
    if (!mutator_scratch(mutator, &page, err)) {
        return false;
    }
    mutator->target = page;
    *(idt ? &mutator->vcpus[vcpu].idt_base : &mutator->vcpus[vcpu].gdt_base) = page;
    mutator_say(mutator, vcpu, name, "%s of vCPU %u points elsewhere", name, vcpu);
    return true;
}

static bool interrupt_table(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    return table_register(mutator, true, err);
}

static bool descriptor_table(Mutator *mutator, const char *argument, MonattError *err)
{
    (void)argument;
    return table_register(mutator, false, err);
}

#define BPF MUTATION_BIT(MONATT_SUBCHECK_BPF)
#define SOCKETS MUTATION_BIT(MONATT_SUBCHECK_SOCKETS)
#define REGISTERS MUTATION_BIT(MONATT_SUBCHECK_CONTROL_REGISTERS)
#define IDT MUTATION_BIT(MONATT_SUBCHECK_INTERRUPT_TABLE)
const Mutation mutations_of_objects[] = {
    {"bpf-program", BPF, true, "a BPF program out of prog_idr", bpf_program},
    {"bpf-map", BPF, true, "a BPF map out of map_idr", bpf_map},
    {"bpf-link", BPF, true, "a BPF link out of link_idr", bpf_link},
    {"socket-listener", SOCKETS, true, "a listening socket out of its hash", listener},
    {"socket-connection", SOCKETS, true, "a connected socket out of its hash", connection},
    {"register-bit", REGISTERS, true, "a protection switched off in CR0, CR4 or EFER", registers},
    {"register-idt", IDT, true, "IDTR points elsewhere", interrupt_table},
    {"register-gdt", REGISTERS, true, "GDTR points elsewhere", descriptor_table},
    {NULL},
};
