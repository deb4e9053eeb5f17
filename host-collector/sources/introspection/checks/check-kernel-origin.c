/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-kernel-origin.c - whether the kernel that is looked at is the measured one, and runs
 *
 * Introspection begins with a note in guest memory (VMCOREINFO), which a guest can write twice: a
 * second, quiet kernel image beside the one that runs would pass every check.  So the kernel that
 * was found must carry the measured image's build id and banner, begin with its code, and be what
 * the vCPUs have mapped: the upper half of their page tables is the kernel's own, entry by entry.
 *
 * Must never take a page root from the guest's word alone when the host can say one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "libmonatt/base/text.h"

#define TABLE_ENTRIES 512u
#define KERNEL_HALF 256u
#define ENTRY_PRESENT 1ull
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define CR3_ADDRESS 0x000ffffffffff000ull /* without PCID and bit 63 */
#define CR3_USER (1ull << 12)             /* PTI: the root of user mode is the odd page of a pair */
#define CR0_PAGING (1ull << 31)
#define FEATURE_PTI (7u * 32 + 11)
/* The one slot of the kernel half that is a process's own: its LDT (PTI only). */
#define LDT_SLOT_4 272u /* 0xffff880000000000, arch/x86/include/asm/pgtable_64_types.h */
#define LDT_SLOT_5 400u
#define NOTES_MAXIMUM 4096u
#define BANNER_MAXIMUM 256u
#define NOTE_NAME "GNU"
#define NOTE_BUILD_ID 3u
#define BUILD_ID_MAXIMUM 20u
/* Of the first page of text: what boot and tracing patch is 3 to 5 %. */
#define TEXT_SAME_PERCENT 75u

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* The build id among ELF notes, in hex; "": there is none. */
static void build_id(const uint8_t *notes, size_t size, char ret[2 * BUILD_ID_MAXIMUM + 1])
{
    size_t at = 0;

    ret[0] = '\0';
    while (size - at >= 12) {
        uint32_t name = get_u32(notes + at), length = get_u32(notes + at + 4);
        size_t name_padded = ((size_t)name + 3) & ~(size_t)3;
        size_t length_padded = ((size_t)length + 3) & ~(size_t)3;
        if (name_padded > size - at - 12 || length_padded > size - at - 12 - name_padded) {
            return;
        }
        if (get_u32(notes + at + 8) == NOTE_BUILD_ID && name == sizeof(NOTE_NAME) &&
            memcmp(notes + at + 12, NOTE_NAME, sizeof(NOTE_NAME)) == 0 &&
            length <= BUILD_ID_MAXIMUM) {
            monatt_text_from_bytes(notes + at + 12 + name_padded, length, ret);
            return;
        }
        at += 12 + name_padded + length_padded;
    }
}

static void compare_notes(CheckContext *context, const KernelImage *image)
{
    uint8_t now[NOTES_MAXIMUM];
    char expected[2 * BUILD_ID_MAXIMUM + 1], observed[2 * BUILD_ID_MAXIMUM + 1];
    char told[2 * BUILD_ID_MAXIMUM + 1];
    const uint8_t *built;
    uint64_t address;
    size_t size;

    if (!kernel_image_section(image, ".notes", &address, &built, &size) || size > sizeof(now)) {
        check_lacks(context, "section '.notes' in its image");
        return;
    }
    if (!address_space_read(&context->kernel->space, address, now, size)) {
        check_reason(context, MONATT_REASON_TORN, "the kernel's notes are not mapped");
        return;
    }
    build_id(built, size, expected);
    build_id(now, size, observed);
    if (memcmp(built, now, size) != 0) {
        check_found(context, CHECK_COMPROMISED, address, "build id", expected, observed, "",
                    "the kernel that was found is not the one that was measured");
    } else if (vmcoreinfo_text(&context->kernel->info, "BUILD-ID", told, sizeof(told)) &&
               expected[0] && strcmp(told, expected) != 0) {
        check_found(context, CHECK_COMPROMISED, address, "VMCOREINFO", expected, told, "",
                    "the note that describes the kernel is another kernel's");
    }
}

static void compare_banner(CheckContext *context, const KernelImage *image)
{
    static const char lead[] = "Linux version ";
    char expected[BANNER_MAXIMUM] = "", observed[BANNER_MAXIMUM] = "";
    const uint8_t *built;
    uint64_t address;
    size_t release = strlen(context->kernel->release);

    if (!kernel_image_symbol(image, "linux_banner", &address) ||
        !(built = kernel_image_at(image, address, sizeof(expected)))) {
        check_lacks(context, "symbol 'linux_banner' in its image");
        return;
    }
    memcpy(expected, built, sizeof(expected) - 1);
    if (!guest_kernel_string(context->kernel, address, observed, sizeof(observed))) {
        check_reason(context, MONATT_REASON_TORN, "linux_banner is not mapped");
        return;
    }
    expected[strcspn(expected, "\n")] = '\0';
    if (strncmp(expected, observed, strlen(expected)) != 0) {
        check_found(context, CHECK_COMPROMISED, address, "linux_banner", expected, observed, "",
                    "the kernel that was found is not the one that was measured");
    } else if (strncmp(expected, lead, sizeof(lead) - 1) != 0 ||
               strncmp(expected + sizeof(lead) - 1, context->kernel->release, release) != 0 ||
               expected[sizeof(lead) - 1 + release] != ' ') {
        check_found(context, CHECK_COMPROMISED, address, "release", expected,
                    context->kernel->release, "",
                    "the release that the kernel tells is not the measured one");
    }
}

static void compare_text(CheckContext *context, const KernelImage *image)
{
    uint8_t now[GUEST_PAGE_SIZE];
    char observed[CHECK_VALUE_SIZE];
    const uint8_t *built;
    uint64_t address;
    size_t same = 0;

    if (!kernel_image_symbol(image, "_stext", &address) ||
        !(built = kernel_image_at(image, address, sizeof(now))) ||
        !address_space_read(&context->kernel->space, address, now, sizeof(now))) {
        check_reason(context, MONATT_REASON_TORN, "the begin of kernel text is not mapped");
        return;
    }
    for (size_t i = 0; i < sizeof(now); i++) {
        same += built[i] == now[i];
    }
    check_count(context, "text bytes as built", same);
    if (same < sizeof(now) / 100 * TEXT_SAME_PERCENT) {
        snprintf(observed, sizeof(observed), "%zu of %zu bytes", same, sizeof(now));
        check_found(context, CHECK_COMPROMISED, address, "_stext", "the measured kernel's code",
                    observed, "", "other code lies where the measured kernel begins");
    }
}

static bool same_symbols(const Kallsyms *built, const Kallsyms *now)
{
    if (built->count != now->count) {
        return false;
    }
    for (uint32_t i = 0; i < built->count; i++) {
        if (built->entries[i].address != now->entries[i].address ||
            strcmp(built->text + built->entries[i].text, now->text + now->entries[i].text) != 0) {
            return false;
        }
    }
    return true;
}

static bool same_types(const KernelImage *image, const Btf *now)
{
    const uint8_t *built;
    uint64_t begin, end;

    if (now->count == 0 || !kernel_image_symbol(image, "__start_BTF", &begin) ||
        !kernel_image_symbol(image, "__stop_BTF", &end)) {
        return true; /* checks say that there are none, or the operator gave them */
    }
    built = kernel_image_at(image, begin, now->size);
    return built && end - begin == now->size && memcmp(built, now->bytes, now->size) == 0;
}

/* All checks find their way by these, which were copied when the kernel was found: what they were
 * then, not what lies in guest memory now. */
static void compare_tables(CheckContext *context, const KernelImage *image)
{
    CheckReference *reference = context->reference;

    if (!reference->compared) {
        reference->compared = true;
        reference->other_symbols = !same_symbols(&image->symbols, &context->kernel->table);
        reference->other_types = !same_types(image, &context->kernel->types);
    }
    if (reference->other_symbols) {
        check_found(context, CHECK_COMPROMISED, 0, "symbols", "the measured kernel's", "others", "",
                    "the guest had other symbols than the measured kernel's when they were read");
    }
    if (reference->other_types) {
        check_found(context, CHECK_COMPROMISED, 0, "types", "the measured kernel's", "others", "",
                    "the guest had other types than the measured kernel's when they were read");
    }
}

/*
 * A root that was good is not judged again by the same reading of registers: its process may have
 * ended since, and the page be anything by now.
 */
typedef struct RootsJudged {
    uint32_t reading;
    bool good[MONATT_VCPUS_MAXIMUM];
} RootsJudged;

/* NULL: readings are not told apart, or there is no memory; then all are judged each time. */
static RootsJudged *judged_before(CheckContext *context)
{
    RootsJudged *judged = *context->state;

    if (context->inputs->reading == 0) {
        return NULL;
    }
    if (!judged) {
        judged = *context->state = calloc(1, sizeof(*judged));
    }
    if (judged && judged->reading != context->inputs->reading) {
        memset(judged, 0, sizeof(*judged));
        judged->reading = context->inputs->reading;
    }
    return judged;
}

/* By the guest's word, and only to choose between two pages that must both be the kernel's. */
static bool has_pti(GuestKernel *kernel)
{
    uint64_t address;
    uint32_t offset, word;

    return guest_kernel_symbol(kernel, "boot_cpu_data", &address) &&
           guest_kernel_member(kernel, "cpuinfo_x86", "x86_capability", &offset) &&
           address_space_u32(&kernel->space, address + offset + FEATURE_PTI / 32 * 4, &word) &&
           (word >> FEATURE_PTI % 32 & 1);
}

static bool read_half(const GuestMemory *memory, uint64_t root, uint64_t ret[KERNEL_HALF])
{
    return guest_memory_copy(memory, root + KERNEL_HALF * 8, ret, KERNEL_HALF * 8);
}

/* The first slot of the kernel half that leads elsewhere than the kernel's own; 0: none does. */
static unsigned odd_slot(const uint64_t kernel[KERNEL_HALF], const uint64_t found[KERNEL_HALF],
                         unsigned ldt_slot)
{
    for (unsigned i = 0; i < KERNEL_HALF; i++) {
        /* The last one maps the kernel's text: it is in every root. */
        if (((found[i] & ENTRY_PRESENT) || i == KERNEL_HALF - 1) && KERNEL_HALF + i != ldt_slot &&
            ((found[i] ^ kernel[i]) & (ENTRY_ADDRESS | ENTRY_PRESENT))) {
            return KERNEL_HALF + i;
        }
    }
    return 0;
}

/* True: it is the kernel's own. */
static bool judge_root(CheckContext *context, uint32_t index, const CheckVcpu *vcpu, bool pti,
                       const uint64_t kernel[KERNEL_HALF])
{
    uint64_t root = vcpu->cr3 & CR3_ADDRESS & (pti ? ~CR3_USER : UINT64_MAX);
    unsigned ldt = context->kernel->space.levels == 5 ? LDT_SLOT_5 : LDT_SLOT_4;
    uint64_t found[KERNEL_HALF];
    char object[CHECK_OBJECT_SIZE], expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];
    unsigned slot;

    if (!(vcpu->cr0 & CR0_PAGING)) {
        return false; /* not started */
    }
    check_count(context, "roots", 1);
    snprintf(object, sizeof(object), "vCPU %u", index);
    snprintf(observed, sizeof(observed), "%#lx", (unsigned long)root);
    if (!read_half(context->kernel->space.memory, root, found)) {
        check_found(context, CHECK_COMPROMISED, 0, object, "page tables in guest memory", observed,
                    "", "its page tables are not in guest memory");
        return false;
    }
    slot = odd_slot(kernel, found, pti ? ldt : 0);
    if (slot != 0) {
        snprintf(expected, sizeof(expected), "slot %u: %#lx", slot,
                 (unsigned long)(kernel[slot - KERNEL_HALF] & ENTRY_ADDRESS));
        snprintf(observed, sizeof(observed), "root %#lx slot %u: %#lx", (unsigned long)root, slot,
                 (unsigned long)(found[slot - KERNEL_HALF] & ENTRY_ADDRESS));
        check_found(context, CHECK_COMPROMISED, 0, object, expected, observed, "",
                    "its page tables map another kernel than the one that was found");
    }
    return slot == 0;
}

static void judge_roots(CheckContext *context)
{
    uint64_t kernel[KERNEL_HALF];
    bool pti = has_pti(context->kernel);
    RootsJudged *judged;

    check_count(context, "vcpus", context->inputs->vcpu_count);
    if (context->inputs->vcpu_count == 0) {
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "the host does not tell the vCPUs' page tables");
        return;
    }
    if (!read_half(context->kernel->space.memory, context->kernel->space.root, kernel)) {
        check_reason(context, MONATT_REASON_TORN, "the kernel's page root is not in guest memory");
        return;
    }
    judged = judged_before(context);
    for (uint32_t i = 0; i < context->inputs->vcpu_count; i++) {
        bool known = judged && i < MONATT_VCPUS_MAXIMUM;
        if (known && judged->good[i]) {
            check_count(context, "roots", 1);
            continue;
        }
        bool good = judge_root(context, i, &context->inputs->vcpus[i], pti, kernel);
        if (known) {
            judged->good[i] = good;
        }
    }
}

static void run(CheckContext *context)
{
    const char *why;
    const KernelImage *image = check_image(context, &why);

    check_count(context, "reference", image ? 1 : 0);
    if (image) {
        compare_notes(context, image);
        compare_banner(context, image);
        compare_text(context, image);
        compare_tables(context, image);
    } else if (context->reference && context->reference->other) {
        check_found(context, CHECK_COMPROMISED, 0, "kernel", "the measured kernel",
                    context->kernel->release, "", "another kernel runs: %.180s", why);
    } else {
        check_reason(context, MONATT_REASON_UNSUPPORTED, "%s",
                     why[0] ? why : "no measured kernel image to compare with");
    }
    judge_roots(context);
}

const Check check_kernel_origin = {MONATT_SUBCHECK_KERNEL_ORIGIN, "kernel-origin", NULL, run, free};
