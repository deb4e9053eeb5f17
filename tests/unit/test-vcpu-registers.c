/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-vcpu-registers.c - "info registers" as QEMU 7.2 and 11.1 write it, and as nobody should
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/formats/vcpu-registers.h"

#define GENERAL                                                                                    \
    "RAX=0000000000000000 RBX=0000000000000000 RCX=ffffffff84a11140 RDX=0000000000000000\r\n"      \
    "R12=0000000000000000 R13=0000000000000000 R14=0000000000000000 R15=00000000000147d0\r\n"
#define PLACE "RIP=ffffffff83a406cf RFL=00000282 [--S----] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
#define SEGMENTS                                                                                   \
    "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"                             \
    "LDT=0000 0000000000000000 00000000 00008200 DPL=0 LDT\r\n"                                    \
    "TR =0040 fffffe61fe316000 00004087 00008900 DPL=0 TSS64-avl\r\n"
#define GDT "GDT=     fffffe61fe314000 0000007f\r\n"
#define IDT "IDT=     fffffe0000000000 00000fff\r\n"
#define CONTROL "CR0=80050033 CR2=00000000038d1730 CR3=000000000276f000 CR4=00751ef0\r\n"
#define DEBUG                                                                                      \
    "DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \r\n"     \
    "DR6=00000000ffff0ff0 DR7=0000000000000400\r\n"
#define EFER "EFER=0000000000000d01\r\n"
#define FLOATS "FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80\r\n"
#define HEADER "\r\nCPU#0\r\n"
#define ONE GENERAL PLACE SEGMENTS GDT IDT CONTROL DEBUG EFER FLOATS

static bool parse(const char *text, MonattVcpuRegisters *ret, size_t capacity, size_t *ret_count,
                  MonattErrorCode code)
{
    MonattError err = {0};
    bool good = monatt_vcpu_registers_parse(text, strlen(text), ret, capacity, ret_count, &err);
    g_assert_cmpint(err.code, ==, code);
    return good;
}

static void assert_linux(const MonattVcpuRegisters *cpu)
{
    g_assert_cmphex(cpu->cr0, ==, 0x80050033);
    g_assert_cmphex(cpu->cr3, ==, 0x276f000);
    g_assert_cmphex(cpu->cr4, ==, 0x751ef0);
    g_assert_cmphex(cpu->efer, ==, 0xd01);
    g_assert_cmphex(cpu->idt_base, ==, 0xfffffe0000000000);
    g_assert_cmphex(cpu->idt_limit, ==, 0xfff);
    g_assert_cmphex(cpu->gdt_base, ==, 0xfffffe61fe314000);
    g_assert_cmphex(cpu->gdt_limit, ==, 0x7f);
    g_assert_cmphex(cpu->rip, ==, 0xffffffff83a406cf);
    g_assert_cmpuint(cpu->cpl, ==, 0);
}

static void test_one(void)
{
    static const char *const texts[] = {ONE, HEADER ONE, "CPU#0\n" ONE};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        MonattVcpuRegisters cpu = {0};
        size_t count = 0;
        g_assert_true(parse(texts[i], &cpu, 1, &count, MONATT_ERROR_NONE));
        g_assert_cmpuint(count, ==, 1);
        assert_linux(&cpu);
    }
}

/* Before the kernel is in 64-bit mode: other names and widths. */
static void test_firmware(void)
{
    MonattVcpuRegisters cpu = {0};
    size_t count = 0;
    g_assert_true(parse("\r\nCPU#0\r\nEAX=00000000 EBX=00000000 ECX=00000010 EDX=000efbbf\r\n"
                        "EIP=000efbbf EFL=00000006 [-----P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n"
                        "GDT=     000f6180 00000037\r\nIDT=     000f61be 00000000\r\n"
                        "CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000\r\n"
                        "EFER=0000000000000000\r\n",
                        &cpu, 1, &count, MONATT_ERROR_NONE));
    g_assert_cmphex(cpu.rip, ==, 0xefbbf);
    g_assert_cmphex(cpu.gdt_base, ==, 0xf6180);
    g_assert_cmphex(cpu.gdt_limit, ==, 0x37);
    g_assert_cmphex(cpu.cr0, ==, 0x11);
    g_assert_cmpuint(cpu.cpl, ==, 3);
}

static void test_all(void)
{
    MonattVcpuRegisters cpus[2] = {{0}};
    size_t count = 0;
    g_assert_true(parse(HEADER ONE "\r\nCPU#1\r\n" ONE, cpus, 2, &count, MONATT_ERROR_NONE));
    g_assert_cmpuint(count, ==, 2);
    assert_linux(&cpus[0]);
    assert_linux(&cpus[1]);
    count = 7;
    g_assert_false(parse(HEADER ONE "\r\nCPU#1\r\n" ONE, cpus, 1, &count, MONATT_ERROR_LIMIT));
    g_assert_cmpuint(count, ==, 7);
}

static void test_refusals(void)
{
    static const char *const texts[] = {
        "",
        "\n\n\n",
        "No CPU available\r\n",
        GENERAL SEGMENTS GDT IDT CONTROL EFER,       /* no RIP */
        GENERAL PLACE SEGMENTS IDT CONTROL EFER,     /* no GDT */
        GENERAL PLACE SEGMENTS GDT CONTROL EFER,     /* no IDT */
        GENERAL PLACE SEGMENTS GDT IDT EFER,         /* no CR0 */
        GENERAL PLACE SEGMENTS GDT IDT CONTROL,      /* no EFER */
        PLACE GDT GDT IDT CONTROL EFER,              /* twice */
        PLACE PLACE GDT IDT CONTROL EFER,            /* twice */
        HEADER PLACE "CPU#1\n" GDT IDT CONTROL EFER, /* two halves */
        ONE PLACE,                                   /* half a second one */
        PLACE GDT "IDT=     fffffe0000000000\r\n" CONTROL EFER,
        PLACE GDT "IDT=     fffffe0000000000 100000fff\r\n" CONTROL EFER,
        PLACE GDT "IDT=\r\n" CONTROL EFER,
        PLACE GDT IDT "CR0=80050033 CR2=0 CR4=00751ef0\r\n" EFER,
        PLACE GDT IDT "CR0=8005003g CR2=0 CR3=0 CR4=00751ef0\r\n" EFER,
        PLACE GDT IDT CONTROL "EFER=00000000000000d01\r\n", /* 17 digits */
        PLACE GDT IDT CONTROL "EFER=-1\r\n",
        "RIP=ffffffff83a406cf RFL=00000282 II=0\r\n" GDT IDT CONTROL EFER,
        "RIP=ffffffff83a406cf RFL=00000282 CPL=4\r\n" GDT IDT CONTROL EFER,
        "RIP=ffffffff83a406cf xCPL=0\r\n" GDT IDT CONTROL EFER,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        MonattVcpuRegisters cpus[2] = {{0}};
        size_t count = 7;
        g_test_message("text %zu", i);
        g_assert_false(parse(texts[i], cpus, 2, &count, MONATT_ERROR_FORMAT));
        g_assert_cmpuint(count, ==, 7);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vcpu-registers/one", test_one);
    g_test_add_func("/vcpu-registers/firmware", test_firmware);
    g_test_add_func("/vcpu-registers/all", test_all);
    g_test_add_func("/vcpu-registers/refusals", test_refusals);
    return g_test_run();
}
