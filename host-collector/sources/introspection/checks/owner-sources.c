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
#define SYMBOL_NAME 48            /* of a BPF symbol, as much as is shown */
#define SYMBOL_MAXIMUM (8u << 20) /* bytes of a program */
#define PAGE_MASK (~(uint64_t)(GUEST_PAGE_SIZE - 1))
#define VSYSCALL_PAGE                                                                              \
    0xffffffffff600000ull /* uapi/asm/vsyscall.h; user code, in the kernel half                    \
                           */
/* What a pack takes of the budget: some thousand packs, and 128 MiB of their bits, use it up. */
#define PACK_STEPS 1024u
#define PACK_BYTES_A_STEP 32u
#define RANGES_A_STEP 64u
#define REAL_MODE_END 0x100000u    /* 1 MiB */
#define REAL_MODE_MAXIMUM 0x20000u /* of its code and data, where nothing says how much it is */
#define KEXEC_PAGES 2              /* KEXEC_CONTROL_PAGE_SIZE and what was 8 KiB before */

typedef struct SourceLayout {
    uint32_t symbol_start, symbol_end, symbol_name, symbol_node, symbol_program;
    uint32_t pack_list, pack_place, pack_chunks;
    uint32_t ops_next, ops_trampoline, ops_size, ops_list;
    uint32_t slots_pages, slots_list, slots_place, slots_cache;
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
    MEMBER(slots_cache, "kprobe_insn_page", "cache"),
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
    OwnerImages images;
    uint64_t cache; /* the slots that are being read */
} Sources;

/* Follows a ring at the symbol, several times if it is torn; use() gets each node. */
static void each_in_ring(Sources *sources, const char *symbol, uint32_t offset,
                         void (*use)(Sources *, uint64_t node))
{
    MonattReason reason = MONATT_REASON_TORN;
    size_t before = sources->owners->count, claims = sources->owners->claim_count;
    uint64_t head;

    if (!guest_kernel_symbol(sources->kernel, symbol, &head)) {
        return;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        GuestListWalk walk;
        uint64_t node;
        owner_map_cut(sources->owners, before, claims);
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
    (void)owner_map_made(
        sources->owners, start, end, SYMBOL_MAXIMUM, kind, name,
        owner_image_doubt(sources->context, &sources->images, symbol, start, end, name));
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

static void prove(const OwnerRange *pack, uint8_t *proven, uint64_t start, uint64_t end)
{
    start = start < pack->start ? pack->start : start;
    end = end > pack->end ? pack->end : end;
    for (uint64_t at = start & ~(uint64_t)(OWNER_PACK_CHUNK - 1); at < end;
         at += OWNER_PACK_CHUNK) {
        size_t chunk = (size_t)((at - pack->start) / OWNER_PACK_CHUNK);
        proven[chunk / 8] |= (uint8_t)(1u << chunk % 8);
    }
}

/* A chunk is in use when its pack says so and a program or a symbol has it: a bit alone is none. */
static void prove_chunks(CheckContext *context, Owners *owners)
{
    for (size_t i = 0; i < owners->count; i++) {
        OwnerRange *pack = &owners->ranges[i];
        size_t bytes = (size_t)((pack->end - pack->start) / OWNER_PACK_CHUNK / 8);
        uint8_t *proven;
        if (!pack->chunks) {
            continue;
        }
        proven = calloc(1, bytes);
        if (!proven || !walk_budget_take(&context->budget,
                                         (owners->program_count + owners->count) / RANGES_A_STEP)) {
            owner_map_lacks(owners, "packs of BPF programs are too many to look through");
            free(proven);
            return;
        }
        for (size_t k = 0; k < owners->program_count; k++) {
            prove(pack, proven, owners->programs[k].start, owners->programs[k].end);
        }
        for (size_t k = 0; k < owners->count; k++) {
            if (!owners->ranges[k].chunks) {
                prove(pack, proven, owners->ranges[k].start, owners->ranges[k].end);
            }
        }
        for (size_t k = 0; k < bytes; k++) {
            pack->chunks[k] &= proven[k];
        }
        free(proven);
    }
}

static void add_ops(Sources *sources, uint64_t ops)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t start, size, function, offset, back;
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
    (void)owner_map_made(
        sources->owners, start, start + size, GUEST_PAGE_SIZE, OWNER_FTRACE_TRAMPOLINE, name,
        !address_space_u64(sources->space, start + size - sizeof(back), &back) || back != ops
            ? "it does not end with the address of its ftrace_ops"
            : NULL);
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
    const SourceLayout *layout = &sources->layout;
    uint64_t place, page = node - layout->slots_list, cache = sources->cache;
    if (address_space_u64(sources->space, page + layout->slots_place, &place) &&
        (!layout_has(layout->slots_cache) ||
         address_space_u64(sources->space, page + layout->slots_cache, &cache))) {
        place &= PAGE_MASK;
        (void)owner_map_made(
            sources->owners, place, place + GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, OWNER_KPROBE, NULL,
            cache != sources->cache ? "it belongs to another cache of slots" : NULL);
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
        (void)owner_map_made(sources->owners, page, page + GUEST_PAGE_SIZE, GUEST_PAGE_SIZE,
                             OWNER_ITS, NULL, NULL);
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

/* Bytes of the blob that is copied there. */
static uint64_t real_mode_size(Sources *sources)
{
    uint64_t start = layout_symbol(sources->kernel, "real_mode_blob");
    uint64_t end = layout_symbol(sources->kernel, "real_mode_blob_end");
    return start != 0 && end > start && end - start < REAL_MODE_MAXIMUM ? end - start
                                                                        : REAL_MODE_MAXIMUM;
}

/* What starts the other CPUs and wakes from sleep: low memory, executable in the direct map. */
static void read_real_mode(Sources *sources)
{
    const SourceLayout *layout = &sources->layout;
    uint64_t variable, header, direct, low;
    uint32_t start, end;

    if (!layout_has(layout->header_text) || !layout_has(layout->header_end) ||
        !guest_kernel_symbol(sources->kernel, "real_mode_header", &variable) ||
        !address_space_u64(sources->space, variable, &header) || header == 0 ||
        !address_space_u32(sources->space, header + layout->header_text, &start) ||
        !address_space_u32(sources->space, header + layout->header_end, &end) ||
        sources->kernel->symbols.page_offset_base == 0 ||
        !address_space_u64(sources->space, sources->kernel->symbols.page_offset_base, &direct)) {
        return;
    }
    low = header - direct; /* the header begins the blob */
    if (low < REAL_MODE_END && start >= low && end > start && end <= REAL_MODE_END &&
        end - low <= real_mode_size(sources)) {
        (void)owner_map_add(sources->owners, direct + start, direct + end, OWNER_REALMODE, NULL);
    } else {
        owner_map_claim(sources->owners, direct + start, direct + end, OWNER_REALMODE, NULL,
                        "the kernel has no such real-mode code");
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
    int64_t hyper_v;
    uint32_t type;
    if (guest_kernel_symbol(sources->kernel, "x86_hyper_type", &variable) &&
        guest_kernel_enumerator(sources->kernel, "X86_HYPER_MS_HYPERV", &hyper_v) &&
        address_space_u32(sources->space, variable, &type) && type != hyper_v) {
        return; /* it runs on something else */
    }
    if (guest_kernel_symbol(sources->kernel, "hv_hypercall_pg", &variable) &&
        address_space_u64(sources->space, variable, &page) && page != 0) {
        page &= PAGE_MASK;
        (void)owner_map_add(sources->owners, page, page + GUEST_PAGE_SIZE, OWNER_OTHER,
                            "Hyper-V calls");
    }
}

void owner_sources_read(CheckContext *context, Owners *owners)
{
    static const char *const slots[] = {"kprobe_insn_slots", "kprobe_optinsn_slots"};
    Sources sources = {.context = context,
                       .kernel = context->kernel,
                       .space = &context->kernel->space,
                       .owners = owners};
    const SourceLayout *layout = &sources.layout;
    bool packs, whole;

    layout_read(context->kernel, source_rows, MONATT_ARRAY_SIZE(source_rows), &sources.layout);
    /* Chunks first, then programs, then symbols: what is being made in between has no code yet when
     * its chunk is looked at, and what is being freed has none any more. */
    packs = layout_has(layout->pack_list) && layout_has(layout->pack_place) &&
            layout_has(layout->pack_chunks);
    if (packs) {
        each_in_ring(&sources, "pack_list", 0, use_pack);
    }
    whole = owner_programs_read(context, owners, packs);
    for (size_t i = 0; !packs && i < owners->program_count; i++) {
        (void)owner_map_made(owners, owners->programs[i].start, owners->programs[i].end,
                             SYMBOL_MAXIMUM, OWNER_BPF_PROGRAM, NULL, NULL);
    }
    owner_images_begin(context, &sources.images);
    if (layout_has(layout->symbol_start) && layout_has(layout->symbol_end) &&
        layout_has(layout->symbol_name) && layout_has(layout->symbol_node)) {
        each_in_ring(&sources, "bpf_kallsyms", 0, use_symbol);
    }
    if (packs && whole) {
        prove_chunks(context, owners);
    }
    read_ops(&sources);
    if (layout_has(layout->slots_pages) && layout_has(layout->slots_list) &&
        layout_has(layout->slots_place)) {
        for (size_t i = 0; i < MONATT_ARRAY_SIZE(slots); i++) {
            sources.cache = layout_symbol(context->kernel, slots[i]);
            each_in_ring(&sources, slots[i], layout->slots_pages, use_slots);
        }
    }
    read_its(&sources);
    read_real_mode(&sources);
    read_kexec(&sources, "kexec_image");
    read_kexec(&sources, "kexec_crash_image");
    read_hypercalls(&sources);
    (void)owner_map_add(owners, VSYSCALL_PAGE, VSYSCALL_PAGE + GUEST_PAGE_SIZE, OWNER_OTHER,
                        "vsyscall");
}
