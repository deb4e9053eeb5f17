/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner-images.c - whether what a BPF symbol says agrees with what the symbol is of
 *
 * A symbol in bpf_kallsyms is two addresses and a name, which anybody can hang into the list.  It
 * lies in a structure: a program's aux, a trampoline's image, a dispatcher, and that has to know
 * the code too, and be known itself.
 */
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/owner-map.h"
#include "libmonatt/base/macros.h"

#define TABLE_SIZE 1024u /* TRAMPOLINE_TABLE_SIZE */
#define DEAD 2u          /* __PERCPU_REF_DEAD */
#define PREFIX_MAXIMUM 64u

#define MEMBER(field, structure, path) LAYOUT_MEMBER(OwnerImages, field, structure, path)
static const LayoutRow image_rows[] = {
    MEMBER(aux_symbol, "bpf_prog_aux", "ksym"),
    MEMBER(aux_prefix, "bpf_prog_aux", "ksym_prefix"),
    MEMBER(aux_program, "bpf_prog_aux", "prog"),
    MEMBER(program_aux, "bpf_prog", "aux"),
    MEMBER(program_function, "bpf_prog", "bpf_func"),
    MEMBER(symbol_start, "bpf_ksym", "start"),
    MEMBER(symbol_end, "bpf_ksym", "end"),
    MEMBER(symbol_name, "bpf_ksym", "name"),
    MEMBER(symbol_program, "bpf_ksym", "prog"),
    MEMBER(image_symbol, "bpf_tramp_image", "ksym"),
    MEMBER(image_place, "bpf_tramp_image", "image"),
    MEMBER(image_count, "bpf_tramp_image", "pcref.percpu_count_ptr"),
    MEMBER(image_end, "bpf_tramp_image", "rcu.func"),
    MEMBER(trampoline_node, "bpf_trampoline", "hlist"),
    MEMBER(trampoline_node, "bpf_trampoline", "hlist_key"),
    MEMBER(trampoline_image, "bpf_trampoline", "cur_image"),
    MEMBER(trampoline_lock, "bpf_trampoline", "mutex.owner"),
    MEMBER(trampoline_lock, "bpf_trampoline", "mutex.rtmutex.owner"),
    MEMBER(dispatcher_symbol, "bpf_dispatcher", "ksym"),
    MEMBER(dispatcher_image, "bpf_dispatcher", "image"),
};

/* The images that trampolines in the kernel's table run now. */
static void read_table(CheckContext *context, OwnerImages *images)
{
    static const char *const names[] = {"trampoline_table", "trampoline_key_table"};
    AddressSpace *space = &context->kernel->space;
    uint64_t heads[TABLE_SIZE], table = 0;

    images->has_table = images->changing = false;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names) && !table; i++) {
        table = layout_symbol(context->kernel, names[i]);
    }
    if (!table || !layout_has(images->trampoline_node) || !layout_has(images->trampoline_image) ||
        !address_space_read(space, table, heads, sizeof(heads))) {
        return;
    }
    images->has_table = true;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        uint64_t node = heads[i], image, owner = 0;
        while (node != 0 && check_step(context)) {
            if (images->count == OWNER_IMAGES_MAXIMUM ||
                !address_space_u64(space, node - images->trampoline_node + images->trampoline_image,
                                   &image) ||
                (layout_has(images->trampoline_lock) &&
                 !address_space_u64(space, node - images->trampoline_node + images->trampoline_lock,
                                    &owner)) ||
                !address_space_u64(space, node, &node)) {
                images->has_table = false; /* torn, or too many: nothing follows from it */
                return;
            }
            images->changing = images->changing || (owner & ~GUEST_LOCK_FLAGS) != 0;
            if (image != 0) {
                images->current[images->count++] = image;
            }
        }
    }
    addresses_sort(images->current, images->count);
}

void owner_images_begin(CheckContext *context, OwnerImages *images)
{
    memset(images, 0, sizeof(*images));
    layout_read(context->kernel, image_rows, MONATT_ARRAY_SIZE(image_rows), images);
}

static const char *judge_program(CheckContext *context, const OwnerImages *images, uint64_t aux,
                                 uint64_t start)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t program, back, function;

    if (!layout_has(images->aux_program) || !layout_has(images->program_aux) ||
        !layout_has(images->program_function)) {
        return NULL;
    }
    if (!address_space_u64(space, aux + images->aux_program, &program) ||
        !address_space_u64(space, program + images->program_aux, &back) || back != aux ||
        !address_space_u64(space, program + images->program_function, &function)) {
        return "no struct bpf_prog has that symbol";
    }
    return function == start ? NULL : "its program has other code";
}

static const char *judge_trampoline(CheckContext *context, OwnerImages *images, uint64_t symbol,
                                    uint64_t start)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t image = symbol - images->image_symbol, place, count, end;

    if (!layout_has(images->image_symbol) || !layout_has(images->image_place)) {
        return NULL; /* a kernel where an image has no structure */
    }
    if (!address_space_u64(space, image + images->image_place, &place) || place != start) {
        return "it lies in no image of a trampoline";
    }
    if (!images->tried) {
        images->tried = true;
        read_table(context, images);
    }
    if (!images->has_table || addresses_have(images->current, images->count, image)) {
        return NULL;
    }
    /* What is not used any more stays until nobody can be in it. */
    if (layout_has(images->image_count) && layout_has(images->image_end) &&
        address_space_u64(space, image + images->image_count, &count) &&
        address_space_u64(space, image + images->image_end, &end) && ((count & DEAD) || end != 0)) {
        return NULL;
    }
    /* bpf_trampoline_update() writes down the image it made when the function calls it already:
     * that takes as long as its code is patched, and it has the trampoline's lock. */
    return images->changing ? NULL : "no trampoline in the kernel's table runs it";
}

static const char *judge_dispatcher(CheckContext *context, const OwnerImages *images,
                                    uint64_t symbol, uint64_t start, const char *name)
{
    uint64_t place, image;

    if (!layout_has(images->dispatcher_symbol) || !layout_has(images->dispatcher_image)) {
        return NULL;
    }
    place = layout_symbol(context->kernel, name);
    if (place != 0 && place != symbol - images->dispatcher_symbol) {
        return "it is not the symbol of the kernel's dispatcher";
    }
    if (!address_space_u64(&context->kernel->space,
                           symbol - images->dispatcher_symbol + images->dispatcher_image, &image) ||
        image != start) {
        return "its dispatcher has another image";
    }
    return NULL;
}

const char *owner_image_doubt(CheckContext *context, OwnerImages *images, uint64_t symbol,
                              uint64_t start, uint64_t end, const char *name)
{
    uint8_t program = 0;

    if (layout_has(images->symbol_program) &&
        !address_space_read(&context->kernel->space, symbol + images->symbol_program, &program,
                            sizeof(program))) {
        return NULL;
    }
    if (program && layout_has(images->aux_symbol)) {
        return judge_program(context, images, symbol - images->aux_symbol, start);
    }
    /* FineIBT: what stands in front of a program is a symbol of its own. */
    if (strncmp(name, "__cfi_", 6) == 0 && end - start <= PREFIX_MAXIMUM) {
        return layout_has(images->aux_prefix)
                   ? judge_program(context, images, symbol - images->aux_prefix, end)
                   : NULL;
    }
    if (end - start > GUEST_PAGE_SIZE) {
        return "it is larger than a page";
    }
    if (strncmp(name, "bpf_dispatcher_", 15) == 0) {
        return judge_dispatcher(context, images, symbol, start, name);
    }
    if (strncmp(name, "bpf_trampoline_", 15) == 0) {
        return judge_trampoline(context, images, symbol, start);
    }
    return strncmp(name, "bpf__", 5) == 0 ? NULL : "no such kind of code has a symbol";
}
