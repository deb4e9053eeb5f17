/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-programs.c - every struct bpf_prog that there is, by the memory that it lies in
 *
 * To Linux 6.12 at least each begins a vmalloc area of its own (bpf_prog_alloc_no_stats()), classic
 * ones too (socket filters, seccomp), which have neither a number nor a symbol; so all small areas
 * are looked at.  7.2 takes small ones from the heap, where none is looked for: the kernel's own
 * (ptp_insns) tells which it is.  One is believed when its aux leads back to it and its code is no
 * larger than a program of its length can be.  That is what a used chunk of a pack must agree with:
 * alone it is a bit that anybody can write.
 */
#include <stdlib.h>
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "libmonatt/base/macros.h"

#define PROGRAM_MAXIMUM (16u << 20)   /* of struct bpf_prog and its instructions */
#define CODE_MAXIMUM (8u << 20)       /* of what they become: MAX_BPF_JIT_LEN and more */
#define INSTRUCTION_BYTES 8u          /* struct bpf_insn */
#define INSTRUCTION_CODE_MAXIMUM 128u /* arch/x86/net/bpf_jit_comp.c: BPF_MAX_INSN_SIZE */
#define PROLOGUE_MAXIMUM 1024u
#define EXCEPTION_BYTES 16u /* of a table behind the code, for each instruction that may fault */
#define SLACK 512u          /* alignment, and traps around the code */
#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define CHUNK_MASK (~(uint64_t)(OWNER_PACK_CHUNK - 1))

typedef struct ProgramLayout {
    uint32_t function, aux, back, length, jited;
} ProgramLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ProgramLayout, field, structure, path)
static const LayoutRow program_rows[] = {
    MEMBER(function, "bpf_prog", "bpf_func"), MEMBER(aux, "bpf_prog", "aux"),
    MEMBER(back, "bpf_prog_aux", "prog"),     MEMBER(length, "bpf_prog", "len"),
    MEMBER(jited, "bpf_prog", "jited_len"),
};

/* Whether so much code may come of so many instructions: the sizes of a forged program agree. */
static bool is_size(uint64_t code, uint32_t length, uint32_t jited, uint64_t slack)
{
    return code <= CODE_MAXIMUM &&
           jited <= PROLOGUE_MAXIMUM + (uint64_t)length * INSTRUCTION_CODE_MAXIMUM &&
           code <= jited + (uint64_t)length * EXCEPTION_BYTES + SLACK + slack;
}

static void add(Owners *owners, uint64_t start, uint64_t end)
{
    if (owners->program_count == OWNER_PROGRAMS_MAXIMUM) {
        owner_map_lacks(owners, "more than %u BPF programs", OWNER_PROGRAMS_MAXIMUM);
        return;
    }
    if (owners->program_count == owners->program_capacity) {
        size_t capacity = owners->program_capacity ? 2 * owners->program_capacity : 64;
        OwnerProgram *programs = realloc(owners->programs, capacity * sizeof(*programs));
        if (!programs) {
            owner_map_lacks(owners, "out of memory for BPF programs");
            return;
        }
        owners->programs = programs;
        owners->program_capacity = capacity;
    }
    owners->programs[owners->program_count++] = (OwnerProgram){.start = start, .end = end};
}

static void look_at(CheckContext *context, Owners *owners, const ProgramLayout *layout,
                    const VmapArea *area, bool packs)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t program = area->start, function, aux, back, code, slack, start;
    uint32_t size, length, jited;

    if (!address_space_u64(space, program + layout->function, &function) ||
        function < OWNER_MODULES_START || function >= OWNER_MODULES_END ||
        !address_space_u64(space, program + layout->aux, &aux) || aux < OWNER_KERNEL_HALF ||
        !address_space_u64(space, aux + layout->back, &back) || back != program ||
        !address_space_u32(space, program + layout->length, &length) ||
        !address_space_u32(space, program + layout->jited, &jited) ||
        length > (area->end - area->start) / INSTRUCTION_BYTES) {
        return;
    }
    /* struct bpf_binary_header: how many bytes the program has in its pack, or how many pages. */
    start = function & (packs ? CHUNK_MASK : PAGE_MASK);
    slack = packs ? 0 : GUEST_PAGE_SIZE;
    if (!address_space_u32(space, start, &size)) {
        return;
    }
    code = packs ? ((uint64_t)size + OWNER_PACK_CHUNK - 1) & CHUNK_MASK
                 : (uint64_t)size * GUEST_PAGE_SIZE;
    /* The main part of a program of several says nothing of its size: the first part does. */
    if (code > function - start && jited != 0 && is_size(code, length, jited, slack)) {
        add(owners, start, start + code);
    }
}

/* Whether all programs lie in areas: the one that the kernel makes at boot does. */
static bool is_in_areas(GuestKernel *kernel, const VmapAreas *areas)
{
    uint64_t variable, program;
    const VmapArea *area;

    if (!guest_kernel_symbol(kernel, "ptp_insns", &variable) ||
        !address_space_u64(&kernel->space, variable, &program)) {
        return false;
    }
    area = vmap_areas_find(areas, program);
    return area && area->start == program;
}

bool owner_programs_read(CheckContext *context, Owners *owners, bool packs)
{
    VmapAreas areas = {0};
    ProgramLayout layout;
    char text[96];
    bool whole;

    layout_read(context->kernel, program_rows, MONATT_ARRAY_SIZE(program_rows), &layout);
    if (layout_lacks(program_rows, MONATT_ARRAY_SIZE(program_rows), &layout, sizeof(layout), text,
                     sizeof(text))) {
        if (!packs) {
            owner_map_lacks(owners, "BTF has no %.70s", text);
        }
        return false;
    }
    vmap_areas_read(context, OWNER_KERNEL_HALF, OWNER_MODULES_START, &areas);
    if (areas.missing[0] != '\0') {
        owner_map_lacks(owners, "%s", areas.missing);
    }
    whole = areas.missing[0] == '\0' && is_in_areas(context->kernel, &areas);
    for (size_t i = 0; i < areas.count && check_step(context); i++) {
        if (areas.items[i].end - areas.items[i].start <= PROGRAM_MAXIMUM) {
            look_at(context, owners, &layout, &areas.items[i], packs);
        }
    }
    vmap_areas_clear(&areas);
    return whole && !context->budget.exhausted && owners->program_count < OWNER_PROGRAMS_MAXIMUM;
}
