/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-control-registers.c - what a vCPU's control registers must have, over an invented
 * kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define SMEP (1ull << 20)
#define SMAP (1ull << 21)
#define UMIP (1ull << 11)
#define FSGSBASE (1ull << 16)
#define CAPABILITIES 0x20

static const InventedRow rows[] = {
    {"cpuinfo_x86", NULL, 0x100, NULL},
    {NULL, "x86_capability", CAPABILITIES, "u32[24]"},
};

static InventedKernel invented;
static OneCheck one;
static CheckVcpu vcpus[3];
static uint64_t processor, pinned, segments;

static void set_up(void)
{
    uint64_t offsets;

    one_check_disown("");
    invented_begin(&invented);
    processor = invented_variable(&invented, "boot_cpu_data", 0x100);
    pinned = invented_variable(&invented, "cr4_pinned_bits", 8);
    invented_u32(&invented, invented_variable(&invented, "nr_cpu_ids", 8), 2);
    offsets = invented_variable(&invented, "__per_cpu_offset", 16);
    segments = invented_variable(&invented, "gdt_page", 0x1000);
    invented_u64(&invented, offsets + 8, 0x800); /* the second CPU's lies after the first one's */
    for (uint64_t at = segments; at <= segments + 0x800; at += 0x800) {
        invented_u64(&invented, at + 16, 0x00af9b000000ffffull); /* kernel code */
        invented_u64(&invented, at + 48, 0x00affb000000ffffull); /* user code */
        invented_u64(&invented, at + 64, 0x00008b0000004087ull); /* TSS */
        invented_u64(&invented, at + 72, 0x0000ffffffffe123ull); /* its upper half */
    }
    invented_u32(&invented, processor + CAPABILITIES + 4 * 9, 1u << 7 | 1u << 20);
    invented_u32(&invented, processor + CAPABILITIES + 4, 1u << 20);
    invented_u64(&invented, pinned, SMEP | SMAP | FSGSBASE);
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
    for (size_t i = 0; i < 2; i++) {
        vcpus[i] = (CheckVcpu){.cr0 = 0x80050033,
                               .cr4 = 0x6f0 | SMEP | SMAP | FSGSBASE,
                               .efer = 0xd01,
                               .gdt_base = i ? segments + 0x800 - INVENTED_KERNEL + INVENTED_DIRECT
                                             : segments,
                               .gdt_limit = 0x7f};
    }
    vcpus[2] = (CheckVcpu){.cr0 = 0x60000010}; /* never started */
    one.inputs = (CheckInputs){.vcpus = vcpus, .vcpu_count = 3};
}

static void run(void)
{
    one_check_run(&one, &check_control_registers, &invented.kernel);
}

static void assert_clean(void)
{
    run();
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one_check_counter(&one, "vcpus"), ==, 2);
}

static void assert_found(const char *object, const char *why)
{
    run();
    g_assert_cmpuint(one.sightings.count, ==, 1);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, CHECK_COMPROMISED);
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
    g_assert_nonnull(strstr(one.sightings.items[0].text, why));
}

static void tear_down(void)
{
    one_check_clear(&one, &check_control_registers);
    invented_clear(&invented);
}

static void test_bits(void)
{
    set_up();
    assert_clean();
    vcpus[1].cr0 &= ~(1ull << 16);
    assert_found("CR0.WP of vCPU 1", "read-only memory");
    vcpus[1].cr0 |= 1ull << 16;
    vcpus[0].cr4 &= ~SMEP;
    assert_found("CR4.SMEP of vCPU 0", "is off");
    vcpus[0].cr4 |= SMEP;
    vcpus[0].cr4 &= ~SMAP;
    assert_found("CR4.SMAP of vCPU 0", "is off");
    vcpus[0].cr4 |= SMAP;
    vcpus[0].cr4 &= ~FSGSBASE;
    assert_found("CR4 of vCPU 0", "pinned");
    vcpus[0].cr4 |= FSGSBASE;
    vcpus[0].efer &= ~(1ull << 11);
    assert_found("EFER.NXE of vCPU 0", "executed");
    vcpus[0].efer = 0xd00;
    assert_found("EFER.SCE of vCPU 0", "system calls");
    vcpus[0].efer = 0xd01;
    assert_clean();
    tear_down();
}

/* The guest takes away its own record of what its processor has: the other vCPU still tells. */
static void test_record_changed(void)
{
    set_up();
    invented_u32(&invented, processor + CAPABILITIES + 4 * 9, 0);
    invented_u64(&invented, pinned, 0);
    assert_clean();
    vcpus[1].cr4 &= ~SMAP;
    assert_found("CR4.SMAP of vCPU 1", "is off");
    /* A processor without them is no finding. */
    vcpus[0].cr4 = vcpus[1].cr4 = 0x6f0;
    assert_clean();
    tear_down();
}

static void test_segments(void)
{
    set_up();
    vcpus[0].gdt_base += 0x100;
    assert_found("GDTR of vCPU 0", "another table");
    vcpus[0].gdt_base = 0xdead000000000000ull;
    assert_found("GDTR of vCPU 0", "another table");
    vcpus[0].gdt_base = segments;
    vcpus[0].gdt_limit = 0xff;
    assert_found("GDTR of vCPU 0", "another table");
    vcpus[0].gdt_limit = 0x7f;
    invented_u64(&invented, segments + 8 * 12, 0xffffec0000101000ull); /* a call gate, DPL 3 */
    assert_found("GDT entry 12 of vCPU 0", "a gate");
    tear_down();
}

static void test_nobody_to_ask(void)
{
    set_up();
    one.inputs.vcpu_count = 0;
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_cmpstr(one.result.text, ==, "QEMU could not be asked");
    g_assert_cmpuint(one.sightings.count, ==, 0);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control-registers/bits", test_bits);
    g_test_add_func("/control-registers/record-changed", test_record_changed);
    g_test_add_func("/control-registers/segments", test_segments);
    g_test_add_func("/control-registers/nobody-to-ask", test_nobody_to_ask);
    return g_test_run();
}
