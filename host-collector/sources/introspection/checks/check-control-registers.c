/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-control-registers.c - the switches that keep a kernel's own memory its own
 *
 * CR0.WP, CR4 (SMEP, SMAP, UMIP and whatever else the kernel pinned), EFER.NXE and GDTR of each
 * vCPU, as QEMU shows them, and the descriptors that GDTR leads to.  What must be set follows from
 * the kernel's own record of its processor (boot_cpu_data, cr4_pinned_bits): a guest in full
 * control of its kernel can change that too, so what one vCPU has, all must have.
 *
 * Must never take a register from guest memory.
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "libmonatt/base/macros.h"

#define CR0_WRITE_PROTECT (1ull << 16)
#define CR0_PAGING (1ull << 31)
#define EFER_SYSTEM_CALL (1ull << 0)
#define EFER_NO_EXECUTE (1ull << 11)
#define GDT_ENTRIES 16u
#define GDT_LIMIT (GDT_ENTRIES * 8u - 1)
/* Types of system segments in 64-bit mode (Intel SDM volume 3, 3.5) that Linux has. */
#define SEGMENT_LDT 2u
#define SEGMENT_TSS 9u
#define SEGMENT_TSS_BUSY 11u

/* Bits of CR4 and the word and bit of boot_cpu_data.x86_capability that say the CPU has them. */
static const struct {
    const char *name;
    uint64_t bit;
    uint32_t word, shift;
} guards[] = {
    {"CR4.SMEP", 1ull << 20, 9, 7},
    {"CR4.SMAP", 1ull << 21, 9, 20},
    {"CR4.UMIP", 1ull << 11, 16, 2},
};
#define CAPABILITY_WORDS 20u
#define NO_EXECUTE_WORD 1u
#define NO_EXECUTE_SHIFT 20u

typedef struct Wanted {
    uint64_t cr4;
    bool no_execute;
} Wanted;

static bool is_started(const CheckVcpu *vcpu)
{
    return (vcpu->cr0 & CR0_PAGING) != 0;
}

static void read_wanted(CheckContext *context, Wanted *wanted)
{
    uint32_t words[CAPABILITY_WORDS] = {0}, offset;
    uint64_t address, pinned;

    *wanted = (Wanted){.no_execute = true};
    if (!guest_kernel_symbol(context->kernel, "boot_cpu_data", &address) ||
        !guest_kernel_member(context->kernel, "cpuinfo_x86", "x86_capability", &offset)) {
        check_lacks(context, "boot_cpu_data and cpuinfo_x86.x86_capability");
    } else if (!address_space_read(&context->kernel->space, address + offset, words,
                                   sizeof(words))) {
        check_reason(context, MONATT_REASON_TORN, "boot_cpu_data is not readable");
    } else {
        wanted->no_execute = words[NO_EXECUTE_WORD] >> NO_EXECUTE_SHIFT & 1;
        for (size_t i = 0; i < MONATT_ARRAY_SIZE(guards); i++) {
            if (words[guards[i].word] >> guards[i].shift & 1) {
                wanted->cr4 |= guards[i].bit;
            }
        }
    }
    if (guest_kernel_symbol(context->kernel, "cr4_pinned_bits", &address) &&
        address_space_u64(&context->kernel->space, address, &pinned)) {
        wanted->cr4 |= pinned;
    }
    for (uint32_t i = 0; i < context->inputs->vcpu_count; i++) {
        for (size_t k = 0; k < MONATT_ARRAY_SIZE(guards); k++) {
            if (is_started(&context->inputs->vcpus[i])) {
                wanted->cr4 |= context->inputs->vcpus[i].cr4 & guards[k].bit;
            }
        }
    }
}

static void find(CheckContext *context, uint32_t vcpu, const char *name, uint64_t wanted,
                 uint64_t is, const char *why)
{
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];

    snprintf(object, sizeof(object), "%s of vCPU %u", name, vcpu);
    snprintf(expected, sizeof(expected), "with %#lx", (unsigned long)wanted);
    snprintf(observed, sizeof(observed), "%#lx", (unsigned long)is);
    check_found(context, CHECK_COMPROMISED, 0, object, expected, observed, "", "%s: %s", object,
                why);
}

/* The kernel's table of one CPU (per-CPU gdt_page) under whatever address. */
static bool is_kernel_table(CheckContext *context, uint64_t base)
{
    uint32_t cpus = guest_kernel_cpus(context->kernel);
    uint64_t symbol, address, is, wanted;

    if (!guest_kernel_symbol(context->kernel, "gdt_page", &symbol) ||
        !address_space_translate(&context->kernel->space, base, &is)) {
        return false;
    }
    for (uint32_t cpu = 0; cpu < cpus && check_step(context); cpu++) {
        if (guest_kernel_per_cpu(context->kernel, symbol, cpu, &address) &&
            address_space_translate(&context->kernel->space, address, &wanted) && is == wanted) {
            return true;
        }
    }
    return false;
}

/* A call gate, or another door to ring 0, that the kernel never makes. */
static void judge_descriptors(CheckContext *context, uint32_t vcpu, uint64_t base)
{
    uint64_t words[GDT_ENTRIES];

    if (!address_space_read(&context->kernel->space, base, words, sizeof(words))) {
        check_reason(context, MONATT_REASON_TORN, "the GDT of vCPU %u is not readable", vcpu);
        return;
    }
    for (uint32_t i = 0; i < GDT_ENTRIES; i++) {
        uint32_t type = words[i] >> 40 & 0xf;
        bool present = words[i] >> 47 & 1, system = !(words[i] >> 44 & 1);
        char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];

        if (!present) {
            continue;
        }
        if (system && (type == SEGMENT_LDT || type == SEGMENT_TSS || type == SEGMENT_TSS_BUSY)) {
            i++; /* sixteen bytes: the second half is an address */
            continue;
        }
        if (system) {
            snprintf(object, sizeof(object), "GDT entry %u of vCPU %u", i, vcpu);
            snprintf(observed, sizeof(observed), "%#lx", (unsigned long)words[i]);
            check_found(context, CHECK_COMPROMISED, base + 8ull * i, object,
                        "a segment, an LDT or a TSS", observed, "",
                        "%s is a gate: a program could enter the kernel by it", object);
        }
    }
}

static void judge_vcpu(CheckContext *context, const Wanted *wanted, uint32_t number)
{
    const CheckVcpu *vcpu = &context->inputs->vcpus[number];
    uint64_t lacks = wanted->cr4 & ~vcpu->cr4;
    uint64_t symbol;

    if (!(vcpu->cr0 & CR0_WRITE_PROTECT)) {
        find(context, number, "CR0.WP", CR0_WRITE_PROTECT, vcpu->cr0,
             "the kernel can write to its read-only memory");
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(guards); i++) {
        if (lacks & guards[i].bit) {
            find(context, number, guards[i].name, guards[i].bit, vcpu->cr4, "it was on and is off");
            lacks &= ~guards[i].bit;
        }
    }
    if (lacks != 0) {
        find(context, number, "CR4", lacks, vcpu->cr4, "a bit is clear that the kernel pinned");
    }
    if (wanted->no_execute && !(vcpu->efer & EFER_NO_EXECUTE)) {
        find(context, number, "EFER.NXE", EFER_NO_EXECUTE, vcpu->efer, "all data can be executed");
    }
    if (!(vcpu->efer & EFER_SYSTEM_CALL)) {
        find(context, number, "EFER.SCE", EFER_SYSTEM_CALL, vcpu->efer, "system calls are off");
    }
    if (!guest_kernel_symbol(context->kernel, "gdt_page", &symbol)) {
        check_lacks(context, "symbol 'gdt_page'");
        return;
    }
    if (vcpu->gdt_limit != GDT_LIMIT || !is_kernel_table(context, vcpu->gdt_base)) {
        find(context, number, "GDTR", GDT_LIMIT, vcpu->gdt_base,
             "the segments come from another table than the kernel's");
        return;
    }
    judge_descriptors(context, number, vcpu->gdt_base);
}

static void run(CheckContext *context)
{
    Wanted wanted;
    uint64_t started = 0;

    if (!context->inputs || context->inputs->vcpu_count == 0) {
        check_reason(context, MONATT_REASON_UNSUPPORTED, "QEMU could not be asked");
        return;
    }
    read_wanted(context, &wanted);
    for (uint32_t i = 0; i < context->inputs->vcpu_count; i++) {
        if (is_started(&context->inputs->vcpus[i])) {
            judge_vcpu(context, &wanted, i);
            started++;
        }
    }
    check_count(context, "vcpus", started);
}

const Check check_control_registers = {MONATT_SUBCHECK_CONTROL_REGISTERS, "control-registers", NULL,
                                       run, NULL};
