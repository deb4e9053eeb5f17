/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-interrupt-table.c - the 256 gates of the IDT, and whether the vCPUs use that table
 *
 * A gate's form is the processor's (Intel SDM volume 3, 6.14.1); what stands where is
 * arch/x86/kernel/idt.c of Linux 5.10 to 7.2: exceptions have an entry of their own by name,
 * interrupts a slot of irq_entries_start, what is left of the system vectors a slot of
 * spurious_entries_start, and the exceptions that nobody handles keep their early handler.
 *
 * Must never accept an address because it lies in the kernel: each vector has its own few.
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "libmonatt/base/macros.h"

#define GATES 256u
#define GATE_SIZE 16u
#define GATE_INTERRUPT 0xeu
#define KERNEL_CODE 0x10u /* __KERNEL_CS */
#define EXCEPTIONS 32u
#define VECTOR_INT3 3u
#define VECTOR_OVERFLOW 4u
#define VECTOR_SYSTEM_CALL 0x80u
#define CR0_PAGING (1u << 31)
#define CR4_FRED (1ull << 32)
#define FRED_WORD 12u /* X86_FEATURE_FRED is 12 * 32 + 17 */
#define FRED_BIT 17u
/* FIRST_SYSTEM_VECTOR is 0xec to 6.11, 0xeb since; one that lies elsewhere is no table of ours. */
#define FIRST_SYSTEM_MINIMUM 0xa0u
#define FIRST_SYSTEM_MAXIMUM 0xf8u

/* Exceptions with an entry of their own; NULL: they keep the early one. */
static const char *const exceptions[EXCEPTIONS] = {
    "asm_exc_divide_error",
    "asm_exc_debug",
    "asm_exc_nmi",
    "asm_exc_int3",
    "asm_exc_overflow",
    "asm_exc_bounds",
    "asm_exc_invalid_op",
    "asm_exc_device_not_available",
    "asm_exc_double_fault",
    "asm_exc_coproc_segment_overrun",
    "asm_exc_invalid_tss",
    "asm_exc_segment_not_present",
    "asm_exc_stack_segment",
    "asm_exc_general_protection",
    "asm_exc_page_fault",
    "asm_exc_spurious_interrupt_bug",
    "asm_exc_coprocessor_error",
    "asm_exc_alignment_check",
    "asm_exc_machine_check",
    "asm_exc_simd_coprocessor_error",
    "asm_exc_virtualization_exception",
    "asm_exc_control_protection",
    [29] = "asm_exc_vmm_communication",
};
/* The ones that run on a stack of their own (IST): #DB, NMI, #DF, #MC, #VC. */
#define STACK_VECTORS (1u << 1 | 1u << 2 | 1u << 8 | 1u << 18 | 1u << 29)
static const char *const system_calls[] = {"asm_int80_emulation", "entry_INT80_compat",
                                           "int80_emulation"};

/* The system vectors of asm/irq_vectors.h; each number is the same in all these kernels.  A name
 * that is not here (a later kernel's) may have any system vector. */
static const struct {
    const char *name;
    uint32_t vector;
} system_vectors[] = {
    {"irq_move_cleanup", 0x20}, /* to 6.6; the only one among the devices' vectors */
    {"posted_msi_notification", 0xeb},
    {"apic_timer_interrupt", 0xec},
    {"hyperv_stimer0", 0xed},
    {"hyperv_reenlightenment", 0xee},
    {"kvm_posted_intr_nested_ipi", 0xf0},
    {"kvm_posted_intr_wakeup_ipi", 0xf1},
    {"kvm_posted_intr_ipi", 0xf2},
    {"acrn_hv_callback", 0xf3},
    {"hyperv_callback", 0xf3},
    {"kvm_asyncpf_interrupt", 0xf3},
    {"xen_hvm_callback", 0xf3},
    {"deferred_error", 0xf4},
    {"irq_work", 0xf6},
    {"x86_platform_ipi", 0xf7},
    {"reboot", 0xf8},
    {"threshold", 0xf9},
    {"thermal", 0xfa},
    {"call_function_single", 0xfb},
    {"call_function", 0xfc},
    {"reschedule_ipi", 0xfd},
    {"error_interrupt", 0xfe},
    {"spurious_apic_interrupt", 0xff},
};
#define SYSTEM_VECTOR "asm_sysvec_"

typedef struct Gate {
    uint64_t handler;
    uint16_t selector;
    uint8_t stack;
    uint8_t type;
    uint8_t privilege;
    bool present;
} Gate;

typedef struct Entries {
    uint64_t interrupts;
    uint64_t spurious;
    uint64_t stride;
    uint32_t first_system;
    uint64_t early;
    uint64_t early_stride;
} Entries;

static Gate gate_of(const uint8_t *bytes)
{
    uint16_t low, selector, bits, middle;
    uint32_t high;

    memcpy(&low, bytes, 2);
    memcpy(&selector, bytes + 2, 2);
    memcpy(&bits, bytes + 4, 2);
    memcpy(&middle, bytes + 6, 2);
    memcpy(&high, bytes + 8, 4);
    return (Gate){.handler = (uint64_t)high << 32 | (uint32_t)middle << 16 | low,
                  .selector = selector,
                  .stack = bits & 7,
                  .type = bits >> 8 & 0x1f,
                  .privilege = bits >> 13 & 3,
                  .present = bits >> 15};
}

static bool find_entries(CheckContext *context, Entries *entries)
{
    GuestKernel *kernel = context->kernel;
    uint64_t common;

    *entries = (Entries){0};
    if (!guest_kernel_symbol(kernel, "irq_entries_start", &entries->interrupts) ||
        !guest_kernel_symbol(kernel, "spurious_entries_start", &entries->spurious)) {
        check_lacks(context, "symbols 'irq_entries_start' and 'spurious_entries_start'");
        return false;
    }
    /* A slot is 8 or 16 bytes, with IBT's landing pad; only one of them makes a sane count. */
    for (uint64_t stride = 8; stride <= 32; stride *= 2) {
        uint64_t first = EXCEPTIONS + (entries->spurious - entries->interrupts) / stride;
        if (first >= FIRST_SYSTEM_MINIMUM && first <= FIRST_SYSTEM_MAXIMUM) {
            entries->stride = stride;
            entries->first_system = (uint32_t)first;
            break;
        }
    }
    if (entries->stride == 0) {
        check_lacks(context, "irq_entries_start of a known form");
        return false;
    }
    if (guest_kernel_symbol(kernel, "early_idt_handler_array", &entries->early) &&
        guest_kernel_symbol(kernel, "early_idt_handler_common", &common) &&
        common > entries->early) {
        entries->early_stride = (common - entries->early) / EXCEPTIONS;
    }
    return true;
}

static bool is_symbol(CheckContext *context, const char *name, uint64_t address)
{
    uint64_t value;
    return guest_kernel_symbol(context->kernel, name, &value) && value == address;
}

static bool is_at(const Entries *entries, const char *name, uint32_t vector)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(system_vectors); i++) {
        if (strcmp(system_vectors[i].name, name) == 0) {
            return system_vectors[i].vector == vector;
        }
    }
    return vector >= entries->first_system;
}

/* Of all the names that this address has. */
static bool is_system_vector(CheckContext *context, const Entries *entries, uint32_t vector,
                             uint64_t address)
{
    const Kallsyms *table = &context->kernel->table;
    const KallsymsEntry *entry = kallsyms_at(table, address);

    for (; entry && entry < table->entries + table->count && entry->address == address; entry++) {
        const char *name = table->text + entry->text;
        if (strncmp(name, SYSTEM_VECTOR, strlen(SYSTEM_VECTOR)) == 0 &&
            is_at(entries, name + strlen(SYSTEM_VECTOR), vector)) {
            return true;
        }
    }
    return false;
}

static bool is_system_call(CheckContext *context, uint64_t address)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(system_calls); i++) {
        if (is_symbol(context, system_calls[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_early(const Entries *entries, uint32_t vector, uint64_t address)
{
    return entries->early_stride != 0 && address == entries->early + vector * entries->early_stride;
}

/* expected: what a person should read when it is not. */
static bool is_handler(CheckContext *context, const Entries *entries, uint32_t vector,
                       uint64_t address, const char **ret_expected)
{
    uint64_t value;

    if (vector < EXCEPTIONS) {
        const char *name = exceptions[vector];
        bool named = name && guest_kernel_symbol(context->kernel, name, &value);
        *ret_expected = named ? name : "its early handler";
        /* A running kernel has no early handlers for the exceptions that it has names for. */
        return named ? address == value || (is_early(entries, vector, address) &&
                                            !guest_kernel_is_running(context->kernel, true))
                     : is_early(entries, vector, address);
    }
    if (vector == VECTOR_SYSTEM_CALL && is_system_call(context, address)) {
        return true;
    }
    *ret_expected = vector < entries->first_system ? "its slot of irq_entries_start"
                                                   : "its asm_sysvec_* or its spurious slot";
    if (vector < entries->first_system &&
        address == entries->interrupts + (vector - EXCEPTIONS) * entries->stride) {
        return true;
    }
    if (vector >= entries->first_system &&
        address == entries->spurious + (vector - entries->first_system) * entries->stride) {
        return true;
    }
    return is_system_vector(context, entries, vector, address);
}

static void judge_gate(CheckContext *context, const Entries *entries, uint32_t vector,
                       const uint8_t *bytes)
{
    Gate gate = gate_of(bytes);
    bool open = vector == VECTOR_INT3 || vector == VECTOR_OVERFLOW ||
                (vector == VECTOR_SYSTEM_CALL && is_system_call(context, gate.handler));
    bool stacked = vector < EXCEPTIONS && (STACK_VECTORS >> vector & 1);
    char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE], target[CHECK_OBJECT_SIZE];
    const char *expected = "";
    Owner owner;

    if (!gate.present) {
        return; /* nothing runs by it */
    }
    check_count(context, "gates", 1);
    snprintf(object, sizeof(object), "gate %#x", vector);
    if (!is_handler(context, entries, vector, gate.handler, &expected)) {
        check_name_address(context, gate.handler, target);
        owners_find(context->owners, gate.handler, &owner);
        check_found(context, CHECK_COMPROMISED, gate.handler, object, expected, target,
                    owner.kind == OWNER_KERNEL ? "" : owner.name, "gate %#x of the IDT leads to %s",
                    vector, target);
    }
    if (gate.type != GATE_INTERRUPT || gate.selector != KERNEL_CODE ||
        (gate.privilege != 0 && !open) || (gate.stack != 0 && !stacked)) {
        snprintf(observed, sizeof(observed), "type %#x selector %#x DPL %u IST %u", gate.type,
                 gate.selector, gate.privilege, gate.stack);
        check_found(context, CHECK_COMPROMISED, vector, object,
                    open ? "an interrupt gate, selector 0x10, DPL 3"
                         : "an interrupt gate, selector 0x10, DPL 0",
                    observed, "", "gate %#x of the IDT has a form that the kernel never gives it",
                    vector);
    }
}

/* FRED: the processor uses no IDT at all, and says so in a register that only QEMU shows. */
static bool is_fred(CheckContext *context, bool *ret_known)
{
    uint64_t address;
    uint32_t offset, word;

    *ret_known = context->inputs && context->inputs->vcpu_count > 0;
    if (*ret_known) {
        uint32_t started = 0, fred = 0;
        for (uint32_t i = 0; i < context->inputs->vcpu_count; i++) {
            started += (context->inputs->vcpus[i].cr0 & CR0_PAGING) != 0;
            fred += (context->inputs->vcpus[i].cr4 & CR4_FRED) != 0;
        }
        return started > 0 && fred == started;
    }
    return guest_kernel_symbol(context->kernel, "boot_cpu_data", &address) &&
           guest_kernel_member(context->kernel, "cpuinfo_x86", "x86_capability", &offset) &&
           address_space_u32(&context->kernel->space, address + offset + 4 * FRED_WORD, &word) &&
           (word >> FRED_BIT & 1);
}

/* The register holds the address of a read-only alias (CPU_ENTRY_AREA_RO_IDT). */
static void judge_registers(CheckContext *context, uint64_t table)
{
    uint64_t physical, used;

    if (!address_space_translate(&context->kernel->space, table, &physical)) {
        check_reason(context, MONATT_REASON_TORN, "the IDT is not mapped");
        return;
    }
    for (uint32_t i = 0; i < context->inputs->vcpu_count; i++) {
        const CheckVcpu *vcpu = &context->inputs->vcpus[i];
        char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];

        if (!(vcpu->cr0 & CR0_PAGING)) {
            continue; /* not started */
        }
        check_count(context, "vcpus", 1);
        if (vcpu->idt_limit == GATES * GATE_SIZE - 1 &&
            address_space_translate(&context->kernel->space, vcpu->idt_base, &used) &&
            used == physical) {
            continue;
        }
        snprintf(object, sizeof(object), "IDTR of vCPU %u", i);
        snprintf(observed, sizeof(observed), "base %#lx limit %#x", (unsigned long)vcpu->idt_base,
                 vcpu->idt_limit);
        check_found(context, CHECK_COMPROMISED, vcpu->idt_base, object,
                    "an alias of idt_table, limit 0xfff", observed, "",
                    "vCPU %u takes its interrupts by another table than the kernel's", i);
    }
}

static void run(CheckContext *context)
{
    uint8_t bytes[GATES * GATE_SIZE];
    Entries entries;
    uint64_t table;
    bool known;

    if (!guest_kernel_symbol(context->kernel, "idt_table", &table)) {
        check_lacks(context, "symbol 'idt_table'");
        return;
    }
    if (is_fred(context, &known)) {
        check_count(context, "fred", 1);
        if (!known) {
            check_reason(context, MONATT_REASON_UNSUPPORTED,
                         "the guest says that it uses FRED and no IDT; QEMU could not be asked");
        }
        return;
    }
    if (!find_entries(context, &entries)) {
        return;
    }
    if (!address_space_read(&context->kernel->space, table, bytes, sizeof(bytes))) {
        check_reason(context, MONATT_REASON_TORN, "the IDT is not readable");
        return;
    }
    for (uint32_t vector = 0; vector < GATES && check_step(context); vector++) {
        judge_gate(context, &entries, vector, bytes + vector * GATE_SIZE);
    }
    if (context->inputs && context->inputs->vcpu_count > 0) {
        judge_registers(context, table);
    } else {
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "QEMU could not be asked which table the vCPUs use");
    }
}

const Check check_interrupt_table = {MONATT_SUBCHECK_INTERRUPT_TABLE, "interrupt-table", NULL, run,
                                     NULL};
