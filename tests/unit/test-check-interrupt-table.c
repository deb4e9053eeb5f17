/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-interrupt-table.c - what may stand in each gate of the IDT, over an invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define TEXT (INVENTED_KERNEL + INVENTED_TEXT)
#define FIRST_SYSTEM 0xecu
#define INTERRUPTS (TEXT + 0x1000)
#define SPURIOUS (INTERRUPTS + 8 * (FIRST_SYSTEM - 0x20))
#define EARLY (TEXT + 0x2000)
#define STRIDE 9
#define PAGE_FAULT (TEXT + 0x3010)
#define NMI (TEXT + 0x3020)
#define SYSTEM_CALL (TEXT + 0x3030)
#define TIMER (TEXT + 0x3040)
#define INT3 (TEXT + 0x3050)
#define OTHER (TEXT + 0x3060)
#define CLEANUP (TEXT + 0x3070)
#define LATER (TEXT + 0x3080)
#define FRED_WORD (0x20 + 4 * 12)

static const InventedRow rows[] = {
    {"cpuinfo_x86", NULL, 0x100, NULL},
    {NULL, "x86_capability", 0x20, "u32[24]"},
};

static InventedKernel invented;
static OneCheck one;
static CheckVcpu vcpus[3];
static uint64_t table, processor;

static void gate(uint32_t vector, uint64_t handler, uint8_t privilege, uint8_t stack)
{
    uint64_t at = table + 16ull * vector;
    invented_u16(&invented, at, (uint16_t)handler);
    invented_u16(&invented, at + 2, 0x10);
    invented_u16(&invented, at + 4, (uint16_t)(0x8e00u | privilege << 13 | stack));
    invented_u16(&invented, at + 6, (uint16_t)(handler >> 16));
    invented_u32(&invented, at + 8, (uint32_t)(handler >> 32));
    invented_u32(&invented, at + 12, 0);
}

static void fill(void)
{
    for (uint32_t i = 0; i < 32; i++) {
        gate(i, EARLY + STRIDE * i, 0, 0);
    }
    for (uint32_t i = 32; i < 256; i++) {
        gate(i, i < FIRST_SYSTEM ? INTERRUPTS + 8 * (i - 32) : SPURIOUS + 8 * (i - FIRST_SYSTEM), 0,
             0);
    }
    gate(2, NMI, 0, 2);
    gate(3, INT3, 3, 0);
    gate(14, PAGE_FAULT, 0, 0);
    gate(0x80, SYSTEM_CALL, 3, 0);
    gate(0xec, TIMER, 0, 0);
}

static void set_up(void)
{
    one_check_disown("");
    invented_begin(&invented);
    table = (invented_variable(&invented, "unused", 0x2000) + 0xfff) & ~0xfffull;
    invented_symbol(&invented, "idt_table", table);
    processor = invented_variable(&invented, "boot_cpu_data", 0x100);
    invented_symbol(&invented, "irq_entries_start", INTERRUPTS);
    invented_symbol(&invented, "spurious_entries_start", SPURIOUS);
    invented_symbol(&invented, "early_idt_handler_array", EARLY);
    invented_symbol(&invented, "early_idt_handler_common", EARLY + STRIDE * 32);
    invented_symbol(&invented, "asm_exc_page_fault", PAGE_FAULT);
    invented_symbol(&invented, "asm_exc_nmi", NMI);
    invented_symbol(&invented, "asm_exc_int3", INT3);
    invented_symbol(&invented, "asm_int80_emulation", SYSTEM_CALL);
    invented_symbol(&invented, "an_alias_of_it", TIMER);
    invented_symbol(&invented, "asm_sysvec_apic_timer_interrupt", TIMER);
    invented_symbol(&invented, "asm_sysvec_irq_move_cleanup", CLEANUP);
    invented_symbol(&invented, "asm_sysvec_of_a_later_kernel", LATER);
    invented_symbol(&invented, "other", OTHER);
    fill();
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
    for (size_t i = 0; i < 2; i++) { /* the second by the direct map; the third was never started */
        vcpus[i] = (CheckVcpu){.cr0 = 0x80050033, .cr4 = 0x6f0, .idt_limit = 0xfff};
        vcpus[i].idt_base = i ? table - INVENTED_KERNEL + INVENTED_DIRECT : table;
    }
    vcpus[2] = (CheckVcpu){.cr0 = 0x60000010, .idt_limit = 0xffff};
    one.inputs = (CheckInputs){.vcpus = vcpus, .vcpu_count = 3};
}

static void run(void)
{
    one_check_run(&one, &check_interrupt_table, &invented.kernel);
}

static void assert_clean(void)
{
    run();
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "gates"), ==, 256);
    g_assert_cmpuint(one_check_counter(&one, "vcpus"), ==, 2);
}

static void assert_found(const char *object)
{
    run();
    if (one.sightings.count != 1) {
        g_error("%s: %u sightings", object, one.sightings.count);
    }
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
}

static void tear_down(void)
{
    one_check_clear(&one, &check_interrupt_table);
    invented_clear(&invented);
}

static void test_clean(void)
{
    set_up();
    assert_clean();
    gate(0x80, INTERRUPTS + 8 * (0x80 - 0x20), 0, 0); /* no 32-bit system calls */
    assert_clean();
    gate(0x20, CLEANUP, 0, 0); /* the only such one below the system vectors */
    assert_clean();
    gate(0xf5, LATER, 0, 0); /* a name that this check does not know */
    assert_clean();
    tear_down();
}

/* Code of the kernel's own, in another gate than its own, is as bad as code of nobody. */
static void test_handlers(void)
{
    static const struct {
        uint32_t vector;
        uint64_t handler;
        const char *object;
    } changes[] = {
        {14, 0xffffc90000123000ull, "gate 0xe"},
        {14, PAGE_FAULT + 1, "gate 0xe"},
        {14, NMI, "gate 0xe"},
        {14, EARLY + STRIDE * 14, "gate 0xe"},
        {25, EARLY + STRIDE * 24, "gate 0x19"},
        {0x30, INTERRUPTS + 8 * 0x11, "gate 0x30"},
        {0x30, SYSTEM_CALL, "gate 0x30"},
        {0xfd, SPURIOUS, "gate 0xfd"},
        {0xec, TIMER + 4, "gate 0xec"},
        {0x80, OTHER, "gate 0x80"},
        {0x20, TIMER, "gate 0x20"},
        {0x2b, TIMER, "gate 0x2b"},
        {0x2b, LATER, "gate 0x2b"},
        {0x2b, CLEANUP, "gate 0x2b"},
        {0xfd, TIMER, "gate 0xfd"},
    };

    set_up();
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        fill();
        gate(changes[i].vector, changes[i].handler, 0, 0);
        assert_found(changes[i].object);
    }
    fill();
    gate(14, OTHER, 0, 0);
    assert_found("gate 0xe");
    g_assert_cmpstr(one.sightings.items[0].expected, ==, "asm_exc_page_fault");
    g_assert_cmpstr(one.sightings.items[0].observed, ==, "other+0");
    fill();
    assert_clean();
    tear_down();
}

static void test_forms(void)
{
    set_up();
    gate(0x80, SYSTEM_CALL, 3, 1);
    assert_found("gate 0x80");
    fill();
    gate(14, PAGE_FAULT, 3, 0); /* a program could raise it */
    assert_found("gate 0xe");
    fill();
    invented_u16(&invented, table + 16 * 14 + 2, 0x33);
    assert_found("gate 0xe");
    fill();
    invented_u16(&invented, table + 16 * 14 + 4, 0x8f00); /* a trap gate leaves interrupts on */
    assert_found("gate 0xe");
    tear_down();
}

static void test_registers(void)
{
    set_up();
    vcpus[1].idt_base += 0x1000;
    assert_found("IDTR of vCPU 1");
    vcpus[1].idt_base -= 0x1000;
    vcpus[0].idt_limit = 0xeff;
    assert_found("IDTR of vCPU 0");
    vcpus[0].idt_limit = 0xfff;
    vcpus[0].idt_base = 0xdead000000000000ull;
    assert_found("IDTR of vCPU 0");
    one.inputs.vcpu_count = 0;
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    tear_down();
}

/* The guest's word that it uses FRED switches nothing off. */
static void test_fred(void)
{
    set_up();
    invented_u32(&invented, processor + FRED_WORD, 1u << 17);
    gate(14, OTHER, 0, 0);
    assert_found("gate 0xe");
    one.inputs.vcpu_count = 0;
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "FRED"));
    one.inputs.vcpu_count = 2;
    vcpus[0].cr4 = vcpus[1].cr4 = 1ull << 32;
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "fred"), ==, 1);
    tear_down();
}

static void test_hostile(void)
{
    set_up();
    memset(invented_at(&invented, table), 0xff, 4096);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 512); /* each gate: its handler and its form */
    memset(invented_at(&invented, table), 0, 4096);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "gates"), ==, UINT64_MAX);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interrupt-table/clean", test_clean);
    g_test_add_func("/interrupt-table/handlers", test_handlers);
    g_test_add_func("/interrupt-table/forms", test_forms);
    g_test_add_func("/interrupt-table/registers", test_registers);
    g_test_add_func("/interrupt-table/fred", test_fred);
    g_test_add_func("/interrupt-table/hostile", test_hostile);
    return g_test_run();
}
