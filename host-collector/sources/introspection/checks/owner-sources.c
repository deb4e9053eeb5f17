/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-sources.c - whose code there is beside core text and modules
 *
 * Each of these is the kernel's own record of memory that it made executable.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "libmonatt/base/macros.h"

#define TRIES 5
#define ITS_PAGES_MAXIMUM 4096u
#define TRAMPOLINE_MAXIMUM (1u << 20)
#define SYMBOL_NAME 48 /* of a BPF symbol, as much as is shown */
#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define VSYSCALL_PAGE                                                                              \
    0xffffffffff600000ull /* uapi/asm/vsyscall.h; user code, in the kernel half                    \
                           */
/* What a pack takes of the budget: some thousand packs, and 128 MiB of their bits, use it up. */
#define PACK_STEPS 1024u
#define PACK_BYTES_A_STEP 32u
#define KEXEC_PAGES 2 /* KEXEC_CONTROL_PAGE_SIZE and what was 8 KiB before */

typedef struct SourceLayout {
    uint32_t symbol_start, symbol_end, symbol_name, symbol_node, symbol_program;
    uint32_t pack_list, pack_place, pack_chunks;
    uint32_t ops_next, ops_trampoline, ops_size, ops_list;
    uint32_t slots_pages, slots_list, slots_place;
    uint32_t header_text, header_end;
    uint32_t array_pages, array_count; /* its_array, 7.x */
    uint32_t module_its, module_its_pages, module_its_count;
    uint32_t kexec_page;
} SourceLayout;

#define MEMBER(field, structure, path) LAYOUT_MEMBER(SourceLayout, field, structure, path)
static const LayoutRow source_rows[] = {
    MEMBER(symbol_start, "bpf_ksym", "start"),
    MEMBER(symbol_end, "bpf_ksym", "end"),
    MEMBER(symbol_name, "bpf_ksym", "name"),
    MEMBER(symbol_node, "bpf_ksym", "lnode"),
    MEMBER(symbol_program, "bpf_ksym", "prog"),
    MEMBER(pack_list, "bpf_prog_pack", "list"),
    MEMBER(pack_place, "bpf_prog_pack", "ptr"),
    MEMBER(pack_chunks, "bpf_prog_pack", "bitmap"),
    MEMBER(ops_next, "ftrace_ops", "next"),
    MEMBER(ops_trampoline, "ftrace_ops", "trampoline"),
    MEMBER(ops_size, "ftrace_ops", "trampoline_size"),
    MEMBER(ops_list, "ftrace_ops", "list"),
    MEMBER(slots_pages, "kprobe_insn_cache", "pages"),
    MEMBER(slots_list, "kprobe_insn_page", "list"),
    MEMBER(slots_place, "kprobe_insn_page", "insns"),
    MEMBER(header_text, "real_mode_header", "text_start"),
    MEMBER(header_end, "real_mode_header", "ro_end"),
    MEMBER(array_pages, "its_array", "pages"),
    MEMBER(array_count, "its_array", "num"),
    MEMBER(module_its, "module", "arch.its_pages"),
    MEMBER(module_its_pages, "module", "its_page_array"),
    MEMBER(module_its_count, "module", "its_num_pages"),
    MEMBER(kexec_page, "kimage", "control_code_page"),
};

typedef struct Sources {
    CheckContext *context;
    GuestKernel *kernel;
    AddressSpace *space;
    Owners *owners;
    SourceLayout layout;
} Sources;

/* Follows a ring at the symbol, several times if it is torn; use() gets each node. */
static void each_in_ring(Sources *sources, const char *symbol, uint32_t offset,
                         void (*use)(Sources *, uint64_t node))
{
    MonattReason reason = MONATT_REASON_TORN;
    size_t before = sources->owners->count;
    uint64_t head;

    if (!guest_kernel_symbol(sources->kernel, symbol, &head)) {
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;
        while (sources->owners->count > before) {
            free(sources->owners->ranges[--sources->owners->count].chunks);
        }
        guest_list_begin(&walk, sources->context, GUEST_LIST_RING, head + offset);
        while (guest_list_next(&walk, &node)) {
            use(sources, node);
        }
        reason = walk.reason;
    }
    if (reason != MONATT_REASON_NONE) {
        owner_map_lacks(sources->owners, "the list at '%.40s' could not be followed", symbol);
    }
}

/* Programs, their trampolines and dispatchers: their names tell them apart. */
static void use_symbol(Sources *sources, uint64_t node)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t symbol = node - layout->symbol_node;
    char name[SYMBOL_NAME];
    uint64_t start, end;
    OwnerKind kind = OWNER_BPF_PROGRAM;

    if (!address_space_u64(sources->space, symbol + layout->symbol_start, &start) ||
        !address_space_u64(sources->space, symbol + layout->symbol_end, &end) ||
        !guest_kernel_string(sources->kernel, symbol + layout->symbol_name, name, sizeof(name))) {
        return;
    }
    if (strncmp(name, "bpf_trampoline_", 15) == 0 || strncmp(name, "bpf_dispatcher_", 15) == 0 ||
        strncmp(name, "bpf__", 5) == 0) { /* of a struct_ops map */
        kind = OWNER_BPF_TRAMPOLINE;
    }
    (void)owner_map_add(sources->owners, start, end, kind, name);
}

/* Many programs share a pack; of classic ones (socket filters, seccomp) only it knows. */
static void use_pack(Sources *sources, uint64_t node)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t pack = node - layout->pack_list;
    const VmapArea *area;
    uint64_t place, end;
    size_t bytes;
    uint8_t *chunks;
    OwnerRange *range;

    if (!address_space_u64(sources->space, pack + layout->pack_place, &place)) {
        return;
    }
    area = vmap_areas_find(&sources->owners->areas, place);
    if (!area || place % GUEST_PAGE_SIZE != 0) {
        return;
    }
    end = area->end - place > OWNER_PACK_MAXIMUM ? place + OWNER_PACK_MAXIMUM : area->end;
    /* Without the page that guards it: a large pack is a whole number of its large pages. */
    end -= end - place > GUEST_PAGE_SIZE ? GUEST_PAGE_SIZE : 0;
    end &= PAGE_MASK; /* an area may say that it ends anywhere; chunks has bits of whole pages */
    bytes = (size_t)((end - place) / OWNER_PACK_CHUNK / 8);
    if (end <= place ||
        !walk_budget_take(&sources->context->budget, PACK_STEPS + bytes / PACK_BYTES_A_STEP)) {
        return;
    }
    chunks = malloc(bytes);
    if (!chunks || !address_space_read(sources->space, pack + layout->pack_chunks, chunks, bytes)) {
        free(chunks);
        return;
    }
    range = owner_map_add(sources->owners, place, end, OWNER_BPF_PROGRAM, NULL);
    if (range) {
        range->chunks = chunks;
    } else {
        free(chunks);
    }
}

static void add_ops(Sources *sources, uint64_t ops)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t start, size, function, offset;
    char name[KALLSYMS_NAME_MAXIMUM] = "";

    if (!address_space_u64(sources->space, ops + layout->ops_trampoline, &start) || start == 0 ||
        !address_space_u64(sources->space, ops + layout->ops_size, &size) || size == 0 ||
        size > TRAMPOLINE_MAXIMUM) {
        return;
    }
    /* func is the first member of ftrace_ops in all kernels that have trampolines. */
    if (address_space_u64(sources->space, ops, &function) &&
        (!guest_kernel_symbol_at(sources->kernel, function, name, &offset) || offset != 0)) {
        name[0] = '\0';
    }
    (void)owner_map_add(sources->owners, start, start + size, OWNER_FTRACE_TRAMPOLINE, name);
}

static void use_ops(Sources *sources, uint64_t node)
{
    add_ops(sources, node - sources->layout.ops_list);
}

/* The list of what traces now; ends at ftrace_list_end. */
static void read_ops(Sources *sources)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t variable, ops, end;

    if (!layout_has(layout->ops_trampoline) || !layout_has(layout->ops_size) ||
        !guest_kernel_symbol(sources->kernel, "ftrace_ops_list", &variable) ||
        !guest_kernel_symbol(sources->kernel, "ftrace_list_end", &end)) {
        return; /* a kernel without the function tracer makes no trampolines */
    }
    if (layout_has(layout->ops_list)) {
        each_in_ring(sources, "ftrace_ops_trampoline_list", 0, use_ops);
    }
    if (!layout_has(layout->ops_next) || !address_space_u64(sources->space, variable, &ops)) {
        return;
    }
    while (ops != 0 && ops != end) {
        if (!check_step(sources->context)) {
            owner_map_lacks(sources->owners, "ftrace_ops_list has no end");
            return;
        }
        add_ops(sources, ops);
        if (!address_space_u64(sources->space, ops + layout->ops_next, &ops)) {
            return;
        }
    }
}

static void use_slots(Sources *sources, uint64_t node)
{
    uint64_t place;
    if (address_space_u64(sources->space,
                          node - sources->layout.slots_list + sources->layout.slots_place,
                          &place)) {
        place &= PAGE_MASK;
        (void)owner_map_add(sources->owners, place, place + GUEST_PAGE_SIZE, OWNER_KPROBE, NULL);
    }
}

static void add_its(Sources *sources, uint64_t pages, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < ITS_PAGES_MAXIMUM; i++) {
        uint64_t page;
        if (!check_step(sources->context) ||
            !address_space_u64(sources->space, pages + 8ull * i, &page)) {
            return;
        }
        page &= PAGE_MASK;
        (void)owner_map_add(sources->owners, page, page + GUEST_PAGE_SIZE, OWNER_ITS, NULL);
    }
}

static void add_its_array(Sources *sources, uint64_t array, uint32_t at, uint32_t count_at)
{
    uint64_t pages;
    uint32_t count;
    if (address_space_u64(sources->space, array + at, &pages) && pages != 0 &&
        address_space_u32(sources->space, array + count_at, &count)) {
        add_its(sources, pages, count);
    }
}

/* Thunks for indirect jumps in the lower half of a cache line, a page of them for the kernel and
 * for each module, where the CPU needs them. */
static void read_its(Sources *sources)
{
    const SourceLayout *layout = &sources->layout;
    const ModuleList *modules = &sources->owners->modules;
    uint64_t array;
    bool has_array = layout_has(layout->array_pages) && layout_has(layout->array_count);

    if (has_array && guest_kernel_symbol(sources->kernel, "its_pages", &array)) {
        add_its_array(sources, array, layout->array_pages, layout->array_count);
    }
    for (size_t i = 0; i < modules->count; i++) {
        uint64_t module = modules->items[i].address;
        if (has_array && layout_has(layout->module_its)) {
            add_its_array(sources, module + layout->module_its, layout->array_pages,
                          layout->array_count);
        } else if (layout_has(layout->module_its_pages) && layout_has(layout->module_its_count)) {
            add_its_array(sources, module, layout->module_its_pages, layout->module_its_count);
        }
    }
}

/* What starts the other CPUs and wakes from sleep: low memory, executable in the direct map. */
static void read_real_mode(Sources *sources)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t variable, header, direct;
    uint32_t start, end;

    if (layout_has(layout->header_text) && layout_has(layout->header_end) &&
        guest_kernel_symbol(sources->kernel, "real_mode_header", &variable) &&
        address_space_u64(sources->space, variable, &header) && header != 0 &&
        address_space_u32(sources->space, header + layout->header_text, &start) &&
        address_space_u32(sources->space, header + layout->header_end, &end) &&
        sources->kernel->symbols.page_offset_base != 0 &&
        address_space_u64(sources->space, sources->kernel->symbols.page_offset_base, &direct)) {
        (void)owner_map_add(sources->owners, direct + start, direct + end, OWNER_REALMODE, NULL);
    }
}

/* A loaded kernel that waits for kexec or a crash: the page that jumps into it. */
static void read_kexec(Sources *sources, const char *symbol)
{
    GuestKernel *kernel = sources->kernel;
    uint64_t variable, image, page, memmap, direct, address;

    if (layout_has(sources->layout.kexec_page) && kernel->offsets.page_size != 0 &&
        kernel->symbols.vmemmap_base != 0 && kernel->symbols.page_offset_base != 0 &&
        guest_kernel_symbol(kernel, symbol, &variable) &&
        address_space_u64(sources->space, variable, &image) && image != 0 &&
        address_space_u64(sources->space, image + sources->layout.kexec_page, &page) &&
        address_space_u64(sources->space, kernel->symbols.vmemmap_base, &memmap) &&
        address_space_u64(sources->space, kernel->symbols.page_offset_base, &direct) &&
        page >= memmap) {
        address = direct + (page - memmap) / kernel->offsets.page_size * GUEST_PAGE_SIZE;
        (void)owner_map_add(sources->owners, address, address + KEXEC_PAGES * GUEST_PAGE_SIZE,
                            OWNER_OTHER, "kexec");
    }
}

static void read_hypercalls(Sources *sources)
{
    uint64_t variable, page;
    if (guest_kernel_symbol(sources->kernel, "hv_hypercall_pg", &variable) &&
        address_space_u64(sources->space, variable, &page) && page != 0) {
        page &= PAGE_MASK;
        (void)owner_map_add(sources->owners, page, page + GUEST_PAGE_SIZE, OWNER_OTHER,
                            "Hyper-V calls");
    }
}

void owner_sources_read(CheckContext *context, Owners *owners)
{
    Sources sources = {.context = context,
                       .kernel = context->kernel,
                       .space = &context->kernel->space,
                       .owners = owners};
    const SourceLayout *layout = &sources.layout;

    layout_read(context->kernel, source_rows, MONATT_ARRAY_SIZE(source_rows), &sources.layout);
    if (layout_has(layout->symbol_start) && layout_has(layout->symbol_end) &&
        layout_has(layout->symbol_name) && layout_has(layout->symbol_node)) {
        each_in_ring(&sources, "bpf_kallsyms", 0, use_symbol);
    }
    if (layout_has(layout->pack_list) && layout_has(layout->pack_place) &&
        layout_has(layout->pack_chunks)) {
        each_in_ring(&sources, "pack_list", 0, use_pack);
    } else {
        owner_classic_read(context, owners);
    }
    read_ops(&sources);
    if (layout_has(layout->slots_pages) && layout_has(layout->slots_list) &&
        layout_has(layout->slots_place)) {
        each_in_ring(&sources, "kprobe_insn_slots", layout->slots_pages, use_slots);
        each_in_ring(&sources, "kprobe_optinsn_slots", layout->slots_pages, use_slots);
    }
    read_its(&sources);
    read_real_mode(&sources);
    read_kexec(&sources, "kexec_image");
    read_kexec(&sources, "kexec_crash_image");
    read_hypercalls(&sources);
    (void)owner_map_add(owners, VSYSCALL_PAGE, VSYSCALL_PAGE + GUEST_PAGE_SIZE, OWNER_OTHER,
                        "vsyscall");
}
