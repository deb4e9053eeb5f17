/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-kernel-origin.c - whether what is looked at is the kernel that runs, and the measured one
 *
 * All other checks follow the page tables that a note in guest memory names, and a hostile guest
 * can write a second kernel with a note of its own.  Two things of the host contradict it: the
 * measured image, whose release and build the kernel must bear, and the CR3 of each vCPU, whose
 * upper half must be the one of those page tables.
 */
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"

#define BANNER_SIZE 257
#define ENTRIES 512u
#define KERNEL_HALF 256u
#define ENTRY_FLAGS 0xfffull
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define ENTRY_PRESENT 1ull
#define USER_ROOT 0x1000ull /* KPTI: the user's root is the page behind the kernel's */
#define TEXT_ENTRY 511u     /* PML4 entry of the kernel's text */

static void compare_banner(CheckContext *context, const KernelImage *image)
{
    char banner[BANNER_SIZE], expected[BANNER_SIZE] = "";
    const uint8_t *bytes;
    uint64_t address, ours;

    if (!kernel_image_symbol(image, "linux_banner", &ours) ||
        !(bytes = kernel_image_at(image, ours, BANNER_SIZE - 1))) {
        check_lacks(context, "linux_banner in its image");
        return;
    }
    for (size_t i = 0; i < BANNER_SIZE - 1 && bytes[i] && bytes[i] != '\n'; i++) {
        expected[i] = (char)bytes[i];
        expected[i + 1] = '\0';
    }
    if (!guest_kernel_symbol(context->kernel, "linux_banner", &address) ||
        !guest_kernel_string(context->kernel, address, banner, sizeof(banner))) {
        check_lacks(context, "linux_banner");
        return;
    }
    if (address != ours || strncmp(banner, expected, strlen(expected)) != 0) {
        check_found(context, CHECK_COMPROMISED, address, "linux_banner", expected, banner, "",
                    "the kernel that runs is not the one that was measured");
    }
}

/* A page-table entry of the top level without what the CPU writes into it. */
static uint64_t entry_place(uint64_t entry)
{
    return entry & ENTRY_PRESENT ? entry & ENTRY_ADDRESS : 0;
}

/* The entry that maps kernel text, by a vCPU's root; false: no such page. */
static bool text_entry(CheckContext *context, uint64_t root, uint64_t *ret_place)
{
    const GuestMemory *memory = context->kernel->space.memory;
    uint64_t entry;

    if (!guest_memory_copy(memory, (root & ENTRY_ADDRESS) + 8 * TEXT_ENTRY, &entry,
                           sizeof(entry))) {
        return false;
    }
    *ret_place = entry_place(entry);
    return true;
}

/* Through a root's own tables, kernel text must lie where the kernel's tables have it. */
static bool maps_text(CheckContext *context, uint64_t root, uint64_t stext, uint64_t physical)
{
    static AddressSpace space;
    uint64_t found;

    address_space_init(&space, context->kernel->space.memory, root, context->kernel->space.levels);
    return address_space_translate(&space, stext, &found) && found == physical;
}

static void judge_root(CheckContext *context, uint32_t index, const CheckVcpu *vcpu)
{
    uint64_t kernel_root = context->kernel->space.root;
    uint64_t root = vcpu->cr3 & ENTRY_ADDRESS;
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];
    uint64_t stext, physical, wanted, found;

    if (!guest_kernel_symbol(context->kernel, "_stext", &stext) ||
        !address_space_translate(&context->kernel->space, stext, &physical)) {
        return;
    }
    if (maps_text(context, root, stext, physical) ||
        /* KPTI: the user's half of a pair maps the entry code only; the kernel's is its sibling. */
        ((root & USER_ROOT) && maps_text(context, root & ~USER_ROOT, stext, physical))) {
        check_count(context, "roots that agree", 1);
        return;
    }
    snprintf(object, sizeof(object), "vCPU %u", index);
    snprintf(expected, sizeof(expected), "kernel text by the tables of root %#lx",
             (unsigned long)kernel_root);
    snprintf(observed, sizeof(observed), "CR3 %#lx maps it elsewhere", (unsigned long)vcpu->cr3);
    if (text_entry(context, kernel_root, &wanted) && text_entry(context, root, &found)) {
        snprintf(observed, sizeof(observed), "CR3 %#lx: top entry %#lx, not %#lx",
                 (unsigned long)vcpu->cr3, (unsigned long)found, (unsigned long)wanted);
    }
    check_found(context, CHECK_COMPROMISED, 0, object, expected, observed, "",
                "the vCPU runs by other page tables than those of the kernel that was found");
}

static void run(CheckContext *context)
{
    const CheckInputs *inputs = context->inputs;
    const char *why;
    const KernelImage *image = check_image(context, &why);

    check_count(context, "reference", image ? 1 : 0);
    if (image) {
        compare_banner(context, image);
    } else if (inputs->image) {
        char release[CHECK_VALUE_SIZE];
        snprintf(release, sizeof(release), "Linux %s", context->kernel->release);
        check_found(context, CHECK_COMPROMISED, 0, "kernel image", "the measured one", release, "",
                    "the kernel that runs is not the one that was measured: %s", why);
    }
    for (uint32_t i = 0; i < inputs->vcpu_count; i++) {
        judge_root(context, i, &inputs->vcpus[i]);
    }
    if (!image && !inputs->image && inputs->vcpu_count == 0) {
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "neither a measured kernel nor registers of the vCPUs to compare with");
    }
}

const Check check_kernel_origin = {MONATT_SUBCHECK_KERNEL_ORIGIN, "kernel-origin", NULL, run, NULL};
