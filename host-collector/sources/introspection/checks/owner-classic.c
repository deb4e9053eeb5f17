/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-classic.c - BPF programs that no list of the kernel has, before there were packs
 *
 * To Linux 5.17 each program has pages of its own, and a classic one (a socket filter, seccomp) has
 * neither a number nor a symbol.  Its struct bpf_prog begins a vmalloc area, so all small areas are
 * looked at; one is believed when its aux leads back to it.
 */
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "libmonatt/base/macros.h"

#define KERNEL_HALF 0xffff800000000000ull
#define PROGRAM_MAXIMUM (8u << 20)
#define CODE_PAGES_MAXIMUM 1024u
#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))

typedef struct ClassicLayout {
    uint32_t function, aux, back;
} ClassicLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(ClassicLayout, field, structure, path)
static const LayoutRow classic_rows[] = {
    MEMBER(function, "bpf_prog", "bpf_func"),
    MEMBER(aux, "bpf_prog", "aux"),
    MEMBER(back, "bpf_prog_aux", "prog"),
};

static void look_at(CheckContext *context, Owners *owners, const ClassicLayout *layout,
                    uint64_t program)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t function, aux, back;
    uint32_t pages;

    if (!address_space_u64(space, program + layout->function, &function) ||
        function < OWNER_MODULES_START || function >= OWNER_MODULES_END ||
        !address_space_u64(space, program + layout->aux, &aux) || aux < KERNEL_HALF ||
        !address_space_u64(space, aux + layout->back, &back) || back != program) {
        return;
    }
    /* struct bpf_binary_header: how many pages the program has. */
    function &= PAGE_MASK;
    if (address_space_u32(space, function, &pages) && pages > 0 && pages <= CODE_PAGES_MAXIMUM) {
        (void)owner_map_add(owners, function, function + (uint64_t)pages * GUEST_PAGE_SIZE,
                            OWNER_BPF_PROGRAM, NULL);
    }
}

void owner_classic_read(CheckContext *context, Owners *owners)
{
    VmapAreas areas = {0};
    ClassicLayout layout;
    char text[96];

    layout_read(context->kernel, classic_rows, MONATT_ARRAY_SIZE(classic_rows), &layout);
    if (layout_lacks(classic_rows, MONATT_ARRAY_SIZE(classic_rows), &layout, sizeof(layout), text,
                     sizeof(text))) {
        owner_map_lacks(owners, "BTF has no %.70s", text);
        return;
    }
    vmap_areas_read(context, KERNEL_HALF, OWNER_MODULES_START, &areas);
    if (areas.missing[0] != '\0') {
        owner_map_lacks(owners, "%s", areas.missing);
    }
    for (size_t i = 0; i < areas.count && check_step(context); i++) {
        if (areas.items[i].end - areas.items[i].start <= PROGRAM_MAXIMUM) {
            look_at(context, owners, &layout, areas.items[i].start);
        }
    }
    vmap_areas_clear(&areas);
}
