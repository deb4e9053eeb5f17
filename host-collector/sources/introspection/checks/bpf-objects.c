/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-objects.c - the programs, maps and links that bpf(2) lists, by prog_idr, map_idr, link_idr
 */
#include "host-collector/sources/introspection/addresses.h"
#include "host-collector/sources/introspection/checks/bpf-check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/xarray-walk.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define TRIES 5                 /* properties 8, torn reads */
#define FUNCTIONS_MAXIMUM 1024u /* BPF_MAX_SUBPROGS is 256 */
#define USED_MAPS_MAXIMUM 64u   /* MAX_USED_MAPS */
#define MAP_NAME_BYTES 16       /* BPF_OBJ_NAME_LEN */

typedef struct Walk {
    CheckContext *context;
    BpfCheck *check;
} Walk;

/* Those who were the same in the last pass were looked into. */
static const BpfProgram *find_kept(const BpfCheck *check, const BpfProgram *program)
{
    uint32_t low = 0, high = check->kept_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (check->kept[middle].address < program->address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < check->kept_count && check->kept[low].address == program->address &&
        check->kept[low].aux == program->aux && check->kept[low].id == program->id &&
        check->kept[low].load_time_ns == program->load_time_ns &&
        check->kept[low].length == program->length) {
        return &check->kept[low];
    }
    return NULL;
}

static void read_name(AddressSpace *space, uint64_t address, char name[BPF_NAME_SIZE])
{
    char bytes[MAP_NAME_BYTES];
    if (!address_space_read(space, address, bytes, sizeof(bytes))) {
        snprintf(name, BPF_NAME_SIZE, "?");
        return;
    }
    monatt_text_printable(bytes, strnlen(bytes, sizeof(bytes)), name, BPF_NAME_SIZE);
}

static void read_parts(Walk *walk, const BpfProgram *program)
{
    const BpfLayout *layout = &walk->check->layout;
    AddressSpace *space = &walk->context->kernel->space;
    uint64_t list, functions[FUNCTIONS_MAXIMUM];
    uint32_t count;

    if (!layout_has(layout->aux_functions) || !layout_has(layout->aux_function_count) ||
        !address_space_u32(space, program->aux + layout->aux_function_count, &count) ||
        count == 0 || count > FUNCTIONS_MAXIMUM ||
        count > BPF_PARTS_MAXIMUM - walk->check->part_count ||
        !address_space_u64(space, program->aux + layout->aux_functions, &list) ||
        !address_space_read(space, list, functions, count * sizeof(functions[0]))) {
        return;
    }
    memcpy(walk->check->parts + walk->check->part_count, functions, count * sizeof(functions[0]));
    walk->check->part_count += count;
}

static void read_user(Walk *walk, BpfProgram *program)
{
    const BpfLayout *layout = &walk->check->layout;
    AddressSpace *space = &walk->context->kernel->space;
    uint64_t user;

    program->uid = UINT32_MAX;
    if (layout_has(layout->aux_user) && layout_has(layout->user_uid) &&
        address_space_u64(space, program->aux + layout->aux_user, &user) && user != 0 &&
        !address_space_u32(space, user + layout->user_uid, &program->uid)) {
        program->uid = UINT32_MAX;
    }
}

static void read_function(Walk *walk, BpfProgram *program)
{
    const BpfLayout *layout = &walk->check->layout;
    uint64_t name;

    if (!layout_has(layout->aux_attach_name) ||
        !address_space_u64(&walk->context->kernel->space, program->aux + layout->aux_attach_name,
                           &name) ||
        name == 0 ||
        !guest_kernel_string(walk->context->kernel, name, program->function,
                             sizeof(program->function))) {
        program->function[0] = '\0';
    }
}

static MonattReason add_program(void *user, uint64_t index, uint64_t address)
{
    Walk *walk = user;
    BpfCheck *check = walk->check;
    const BpfLayout *layout = &check->layout;
    AddressSpace *space = &walk->context->kernel->space;
    BpfProgram *program;
    const BpfProgram *kept;
    uint64_t back;

    if (check->program_count == BPF_PROGRAMS_MAXIMUM) {
        return MONATT_REASON_BUDGET;
    }
    program = &check->programs[check->program_count];
    memset(program, 0, sizeof(*program));
    program->address = address;
    if (!address_space_u32(space, address + layout->program_type, &program->type) ||
        !address_space_u32(space, address + layout->program_attach_type, &program->attach_type) ||
        !address_space_u32(space, address + layout->program_length, &program->length) ||
        !address_space_read(space, address + layout->program_tag, program->tag,
                            sizeof(program->tag)) ||
        !address_space_u64(space, address + layout->program_aux, &program->aux) ||
        !address_space_u64(space, program->aux + layout->aux_program, &back) || back != address ||
        !address_space_u32(space, program->aux + layout->aux_id, &program->id) ||
        !address_space_u64(space, program->aux + layout->aux_load_time, &program->load_time_ns)) {
        return MONATT_REASON_TORN;
    }
    if (program->id != index) {
        return MONATT_REASON_TORN; /* being taken out */
    }
    if (!layout_has(layout->program_jited_length) ||
        !address_space_u32(space, address + layout->program_jited_length, &program->jited_length)) {
        program->jited_length = 0;
    }
    kept = find_kept(check, program);
    if (kept) {
        *program = *kept;
        program->attached[0] = program->holder_name[0] = '\0';
        program->places = program->holder = 0;
        program->sensitive = false;
    } else {
        read_name(space, program->aux + layout->aux_name, program->name);
        read_user(walk, program);
        read_function(walk, program);
        bpf_look_into(walk->context, check, program);
    }
    read_parts(walk, program);
    check->program_count++;
    return MONATT_REASON_NONE;
}

static MonattReason add_map(void *user, uint64_t index, uint64_t address)
{
    Walk *walk = user;
    BpfCheck *check = walk->check;
    const BpfLayout *layout = &check->layout;
    AddressSpace *space = &walk->context->kernel->space;
    BpfMap *map;

    if (check->map_count == BPF_MAPS_MAXIMUM) {
        return MONATT_REASON_BUDGET;
    }
    map = &check->maps[check->map_count];
    memset(map, 0, sizeof(*map));
    map->address = address;
    if (!address_space_u32(space, address + layout->map_id, &map->id) || map->id != index ||
        !address_space_u32(space, address + layout->map_type, &map->type) ||
        !address_space_u32(space, address + layout->map_key_size, &map->key_size) ||
        !address_space_u32(space, address + layout->map_value_size, &map->value_size) ||
        !address_space_u32(space, address + layout->map_entries, &map->entries) ||
        (layout_has(layout->map_frozen) &&
         !address_space_read(space, address + layout->map_frozen, &map->frozen, 1))) {
        return MONATT_REASON_TORN;
    }
    read_name(space, address + layout->map_name, map->name);
    check->map_addresses[check->map_count++] = address;
    return MONATT_REASON_NONE;
}

static MonattReason add_link(void *user, uint64_t index, uint64_t address)
{
    Walk *walk = user;
    const BpfLayout *layout = &walk->check->layout;
    AddressSpace *space = &walk->context->kernel->space;
    uint32_t id, type;
    uint64_t program;
    char place[48];

    /* It has a number in the list from its start, but says so itself only when it is attached
     * (bpf_link_prime() and bpf_link_settle() in kernel/bpf/syscall.c), which may take long. */
    if (!address_space_u32(space, address + layout->link_id, &id) || (id != index && id != 0) ||
        !address_space_u32(space, address + layout->link_type, &type) ||
        !address_space_u64(space, address + layout->link_program, &program)) {
        return MONATT_REASON_TORN;
    }
    if (walk->check->link_count == BPF_LINKS_MAXIMUM) {
        return MONATT_REASON_BUDGET;
    }
    walk->check->links[walk->check->link_count++] = address;
    if (program != 0 && !bpf_find_program(walk->check, program)) {
        /* A link's program that no list has. */
        snprintf(place, sizeof(place), "link %u", (unsigned)index);
        bpf_place(walk->context, walk->check, program, place, false);
    }
    return MONATT_REASON_NONE;
}

static bool walk_idr(Walk *walk, const char *symbol, XArrayVisit visit, uint32_t *count)
{
    CheckContext *context = walk->context;
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t address, root;

    if (!guest_kernel_symbol(context->kernel, symbol, &address)) {
        check_lacks(context, symbol);
        return false;
    }
    for (int i = 0; i < TRIES && reason == MONATT_REASON_TORN; i++) {
        *count = 0;
        if (address_space_u64(&context->kernel->space, address + walk->check->layout.idr_head,
                              &root)) {
            reason = xarray_walk(context->kernel, root, &context->budget, visit, walk);
        }
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "%s is not readable whole: %u were", symbol, *count);
    }
    return reason == MONATT_REASON_NONE;
}

static int compare_programs(const void *a, const void *b)
{
    const BpfProgram *left = a, *right = b;
    return left->address < right->address ? -1 : left->address > right->address;
}

BpfProgram *bpf_find_program(BpfCheck *check, uint64_t address)
{
    const BpfProgram key = {.address = address};
    return bsearch(&key, check->programs, check->program_count, sizeof(key), compare_programs);
}

bool bpf_is_part(const BpfCheck *check, uint64_t address)
{
    return addresses_have(check->parts, check->part_count, address);
}

bool bpf_has_map(const BpfCheck *check, uint64_t address)
{
    return addresses_have(check->map_addresses, check->map_count, address);
}

bool bpf_has_link(const BpfCheck *check, uint64_t address)
{
    return addresses_have(check->links, check->link_count, address);
}

void bpf_read_used_maps(CheckContext *context, BpfCheck *check)
{
    const BpfLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t list, maps[USED_MAPS_MAXIMUM];
    uint32_t count;

    if (!check->maps_whole || !layout_has(layout->aux_maps) || !layout_has(layout->aux_map_count)) {
        return;
    }
    for (uint32_t i = 0; i < check->program_count; i++) {
        const BpfProgram *program = &check->programs[i];
        if (!check_step(context) ||
            !address_space_u32(space, program->aux + layout->aux_map_count, &count) || count == 0 ||
            count > USED_MAPS_MAXIMUM ||
            !address_space_u64(space, program->aux + layout->aux_maps, &list) ||
            !address_space_read(space, list, maps, count * sizeof(maps[0]))) {
            continue;
        }
        for (uint32_t k = 0; k < count; k++) {
            if (maps[k] != 0 && !bpf_has_map(check, maps[k])) {
                char place[48];
                snprintf(place, sizeof(place), "program %u", program->id);
                bpf_hidden_object(context, "map", maps[k], place);
            }
        }
    }
}

void bpf_read_objects(CheckContext *context, BpfCheck *check)
{
    const BpfLayout *layout = &check->layout;
    Walk walk = {context, check};

    memcpy(check->kept, check->programs, check->program_count * sizeof(check->kept[0]));
    check->kept_count = check->program_count;
    check->program_count = check->part_count = check->map_count = check->link_count = 0;
    check->maps_whole = check->links_whole = false;
    check->whole = walk_idr(&walk, "prog_idr", add_program, &check->program_count);
    qsort(check->programs, check->program_count, sizeof(check->programs[0]), compare_programs);
    addresses_sort(check->parts, check->part_count);
    if (layout_has(layout->map_id) && layout_has(layout->map_type) &&
        layout_has(layout->map_key_size) && layout_has(layout->map_value_size) &&
        layout_has(layout->map_entries) && layout_has(layout->map_name)) {
        check->maps_whole = walk_idr(&walk, "map_idr", add_map, &check->map_count);
        addresses_sort(check->map_addresses, check->map_count);
    } else {
        check_lacks(context, "struct bpf_map in its BTF");
    }
    if (layout_has(layout->link_id) && layout_has(layout->link_type) &&
        layout_has(layout->link_program)) {
        check->links_whole = walk_idr(&walk, "link_idr", add_link, &check->link_count);
        addresses_sort(check->links, check->link_count);
    } else {
        check_lacks(context, "struct bpf_link in its BTF");
    }
}
