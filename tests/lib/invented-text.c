/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-text.c - takes the image of an invented kernel and judges changes of its text
 */
#include "tests/lib/invented-text.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"

#define ROWS_MAXIMUM 32
#define ANY_BYTE 0x41 /* a prefix: neither filler nor the begin of a branch */

InventedKernel invented;
OneCheck one;
static CheckReference reference;
static uint8_t measured[INVENTED_SIZE];
static uint64_t processor;

void text_begin(void)
{
    one_check_disown("");
    invented_begin(&invented);
    memset(&reference, 0, sizeof(reference));
    memset(invented.bytes + INVENTED_TEXT, ANY_BYTE, INVENTED_TEXT_END - INVENTED_TEXT);
    processor = invented_variable(&invented, "boot_cpu_data", 0x100);
}

void text_feature(unsigned feature, bool has)
{
    uint8_t *byte = invented_at(&invented, processor + 0x20 + feature / 8);
    *byte = (uint8_t)((*byte & ~(1u << feature % 8)) | (unsigned)has << feature % 8);
}

uint64_t text_section(const char *name, uint64_t size)
{
    KernelImage *image = &reference.image;
    KernelSection *section = &image->sections[image->section_count++];

    snprintf(section->name, sizeof(section->name), "%s", name);
    section->address = invented_variable(&invented, name, size);
    section->size = size;
    return section->address;
}

uint64_t text_between(const char *start, const char *stop, uint64_t size)
{
    uint64_t address = invented_variable(&invented, start, size);
    invented_symbol(&invented, stop, address + size);
    return address;
}

void text_measure(const InventedRow *rows, size_t count)
{
    InventedRow all[ROWS_MAXIMUM] = {{"cpuinfo_x86", NULL, 0x100, NULL},
                                     {NULL, "x86_capability", 0x20, "u32[24]"}};

    g_assert_cmpuint(count, <=, ROWS_MAXIMUM - 2);
    if (count > 0) {
        memcpy(all + 2, rows, count * sizeof(*rows));
    }
    invented_end(&invented, all, count + 2);
    memcpy(measured, invented.bytes, sizeof(measured));
    reference.image.linked = INVENTED_KERNEL;
    reference.image.bytes = measured;
    reference.image.size = sizeof(measured);
    reference.image.symbols = invented.kernel.table; /* the kernel's own, which clears it */
    reference.tried = reference.good = true;
    one.reference = &reference;
    one.inputs = (CheckInputs){.image = measured, .image_size = sizeof(measured)};
}

void text_clear(void)
{
    one_check_clear(&one, &check_kernel_text);
    invented_clear(&invented);
}

void text_reset(void)
{
    memcpy(invented.bytes, measured, sizeof(measured));
}

void text_put(uint64_t address, const void *bytes, size_t size)
{
    memcpy(invented_at(&invented, address), bytes, size);
}

void text_place(uint64_t at, uint64_t to)
{
    invented_u32(&invented, at, (uint32_t)(to - at));
}

void text_branch(uint64_t address, uint8_t opcode, uint64_t target)
{
    *invented_at(&invented, address) = opcode;
    invented_u32(&invented, address + 1, (uint32_t)(target - (address + 5)));
}

void text_branch_two(uint64_t address, uint8_t first, uint8_t opcode, uint64_t target)
{
    *invented_at(&invented, address) = first;
    text_branch(address + 1, opcode, target);
}

void text_judge_again(Outcome outcome, uint64_t address, const char *why)
{
    const CheckFinding *finding = &one.sightings.items[0];
    uint64_t unexplained, disagreements;

    one_check_run(&one, &check_kernel_text, &invented.kernel);
    unexplained = one_check_counter(&one, "unexplained bytes");
    disagreements = one_check_counter(&one, "disagreements");
    if (one.sightings.count > 0) {
        g_test_message("%#lx: %s", (unsigned long)finding->address, finding->text);
    }
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.sightings.count, ==, outcome != FINE);
    g_assert_cmpuint(disagreements, ==, outcome == COMPROMISED || outcome == DEGRADED);
    if (outcome == UNEXPLAINED) {
        g_assert_cmpuint(unexplained, >, 0);
    } else {
        g_assert_cmpuint(unexplained, ==, 0);
    }
    if (outcome != FINE) {
        g_assert_cmpuint(finding->severity, ==,
                         outcome == DEGRADED ? CHECK_DEGRADED : CHECK_COMPROMISED);
        g_assert_cmphex(finding->address, >=, address);
        g_assert_cmphex(finding->address, <, address + 16);
        g_assert_nonnull(strstr(finding->text, why));
    }
}

void text_judge(Outcome outcome, uint64_t address, const char *why)
{
    one_check_clear(&one, &check_kernel_text);
    text_judge_again(outcome, address, why);
    text_reset();
}
